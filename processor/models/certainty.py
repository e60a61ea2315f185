"""How sure a model was of what it chose: the probability of the chosen options, from the log-probabilities.

The probability of an option is that of all ways to write it: tokens at the place of the ones that were taken lead to
the same option too (`k1` beside `k` and `1`), or to several that share a beginning. What is known of them are the
likeliest few at each place.

vLLM gives probabilities after the grammar's mask, so that they are among the options already. llama.cpp gives them
before the mask: there each token is weighed against the alternatives at its place that lead to an option as well.
Neither is calibrated (see `calibration`), and a choice between few options looks surer than one between many.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processor.models.chat import Completion, Token
from processor.models.form import NONE, Form, Slot


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice that an answer made: its probability (0..1) among the `options` that were allowed, 2 or more."""

    probability: float
    options: int


def certainty(completion: Completion, form: Form) -> float | None:
    """The joint probability (0..1) of the answer's choices, or None where it can't be told."""
    made = choices(completion, form)
    return None if made is None else math.prod([each.probability for each in made.values()])


def choices(completion: Completion, form: Form) -> Mapping[str, Choice] | None:
    """The answer's choices by slot; None without log-probabilities, or where the tokens don't spell the text.

    What had less than two options was no choice and is left out.
    """
    open_slots = [slot for slot in form.slots if slot.kind == "choice" and len(slot.options) + slot.nullable > 1]
    if not open_slots:
        return {}
    if not completion.tokens:
        return None
    spelled = "".join([token.text for token in completion.tokens])
    made: dict[str, Choice] = {}
    for slot in open_slots:
        found = re.search(rf'{re.escape(_json(slot.name))}\s*:\s*"((?:[^"\\]|\\.)*)"', completion.text)
        if found is None or spelled[: found.end()] != completion.text[: found.end()]:
            return None
        share = _Walk.of(completion, found.start(1), found.group(1), slot).share()
        if share is None:
            return None
        made[slot.name] = Choice(min(1.0, share), len(slot.options) + slot.nullable)
    return made


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class _Place:
    """A token of a choice: `before` is what it holds ahead of the option, `written` what earlier ones hold of it."""

    token: Token
    before: str
    written: str


@dataclass(frozen=True, slots=True)
class _Walk:
    """The tokens that a choice was written with. Options are as JSON spells them, with the quote that ends them."""

    places: Sequence[_Place]
    options: Sequence[str]
    chosen: str
    masked: bool

    @classmethod
    def of(cls, completion: Completion, start: int, chosen: str, slot: Slot) -> _Walk:
        """The walk to the option that is written at `start` of the text."""
        options = [_json(option)[1:] for option in (*slot.options, NONE)[: len(slot.options) + slot.nullable]]
        places, offset, end = [], 0, start + len(chosen)
        for token in completion.tokens:
            ends = offset + len(token.text)
            if ends > start and offset <= end:
                written = completion.text[start : max(start, offset)]
                places.append(_Place(token, completion.text[offset:start], written))
            offset = ends
        return cls(places, options, chosen + '"', completion.masked)

    def share(self) -> float | None:
        """The probability of the chosen option; None where no alternative leads to any."""
        if self.chosen not in self.options:
            return None
        shares: dict[int, float] = {}  # by place: of the chosen option, once all before that place is written
        for index in reversed(range(len(self.places))):
            share = self._from(index, shares)
            if share is None:
                return None
            shares[index] = share
        return shares.get(0)

    def _from(self, index: int, later: Mapping[int, float]) -> float | None:
        place = self.places[index]
        total = found = 0.0
        for text, logprob in {**dict(place.token.top), place.token.text: place.token.logprob}.items():
            if not text.startswith(place.before) or text == place.before:
                continue  # it says nothing of the option yet
            value = place.written + text[len(place.before) :]
            led = self._led(value)
            if not led:
                continue
            weight = math.exp(logprob)
            total += weight
            if self.chosen in led:
                found += weight * (1.0 if len(led) == 1 else self._onwards(index, led, later))
        whole = 1.0 if self.masked else total
        return found / whole if whole > 0 and total > 0 else None

    def _onwards(self, index: int, led: frozenset[str], later: Mapping[int, float]) -> float:
        """The chosen option's share among those that `led`, as it was where the walk had come as far."""
        for following in range(index + 1, len(self.places)):
            if self._led(self.places[following].written) <= led:
                return later[following]
        return 1.0

    def _led(self, value: str) -> frozenset[str]:
        """The options that a beginning leads to."""
        return frozenset(each for each in self.options if each.startswith(value) or value.startswith(each))
