"""How sure a model was of what it chose: the probability of the chosen options, from the log-probabilities.

vLLM gives probabilities after the grammar's mask, so the product over a choice's tokens is its probability among
the options. llama.cpp gives them before the mask: there each token is weighed against the alternatives at its
place that lead to an option as well. Neither is calibrated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from processor.models.chat import Completion, Token
from processor.models.form import NONE, Form, Slot


def certainty(completion: Completion, form: Form) -> float | None:
    """The joint probability (0..1) of the answer's choices, or None where it can't be told.

    Choices between less than two options count as certain. None without log-probabilities, or where the tokens
    don't spell the text.
    """
    product = 1.0
    if not completion.tokens:
        return None if any(map(_open, form.slots)) else product
    offsets = _offsets(completion.tokens)
    spelled = "".join([token.text for token in completion.tokens])
    for slot in form.slots:
        if not _open(slot):
            continue
        found = re.search(rf'"{re.escape(slot.name)}"\s*:\s*"([^"\\]*)"', completion.text)
        if found is None or spelled[: found.end()] != completion.text[: found.end()]:
            return None
        chosen = _choice(completion, offsets, found.start(1), found.end(1), slot)
        if chosen is None:
            return None
        product *= chosen
    return product


def _open(slot: Slot) -> bool:
    """Whether there is more than one option to choose from."""
    return slot.kind == "choice" and len(slot.options) + slot.nullable > 1


def _offsets(tokens: Sequence[Token]) -> list[int]:
    offsets = [0]
    for token in tokens:
        offsets.append(offsets[-1] + len(token.text))
    return offsets


def _choice(completion: Completion, offsets: Sequence[int], start: int, end: int, slot: Slot) -> float | None:
    """The probability of the option written at start:end of the text, its closing quote included."""
    options = [f'{option}"' for option in (*slot.options, NONE)[: len(slot.options) + slot.nullable]]
    logprob = 0.0
    for index, token in enumerate(completion.tokens):
        if offsets[index + 1] <= start or offsets[index] > end:
            continue
        before = completion.text[offsets[index] : start]
        written = completion.text[start : max(start, offsets[index])]
        share = token.logprob if completion.masked else _among(token, before, written, options)
        if share is None:
            return None
        logprob += share
    return math.exp(min(0.0, logprob))


def _among(token: Token, before: str, written: str, options: Iterable[str]) -> float | None:
    """The log-probability of `token` among the alternatives at its place that lead to an option.

    `before` is what the token holds ahead of the option (its opening quote), `written` what of the option
    earlier tokens hold.
    """
    total = 0.0
    for text, logprob in {**dict(token.top), token.text: token.logprob}.items():
        if not text.startswith(before):
            continue
        value = written + text[len(before) :]
        if any(option.startswith(value) or value.startswith(option) for option in options):
            total += math.exp(logprob)
    return token.logprob - math.log(total) if total > 0 else None
