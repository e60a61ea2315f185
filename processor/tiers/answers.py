"""Remembers what models have answered, so that a question that was answered is not asked again.

In the process, in bounded memory, for a bounded time: the answers that were used last, an hour at most by default. Only
what was valid at the first answer is kept, as the model wrote it (cut off in its last sentence, too); what a repair has
mended and what failed is asked again. Questions and answers are made of text that is redacted already, and are written
nowhere.

A question that is under way is not asked beside it: whoever comes with the same one waits. If no answer comes of it
that can be kept, all who waited ask for themselves, and nobody fails for another one's failure.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

from prometheus_client import CollectorRegistry, Gauge

from processor.contract import Event, Reading
from processor.models.chat import Completion
from processor.models.question import Prompt
from processor.pipeline import Pipeline
from processor.stages.check import Read
from processor.stages.infer import Infer
from processor.tiers.alike import alike, gist_of, same, shares

_ENTRY: Final = 1200
"""Bytes of an entry beside its texts: objects, and its place in the order."""


@dataclass(frozen=True, slots=True)
class Known:
    """A model's valid answer, without its tokens; how it was read, and for which finding."""

    completion: Completion
    read: Read
    finding: str

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        return _ENTRY + len(self.completion.text.encode("utf-8", "replace"))


class Answers:
    """Answers by key: at most so many bytes, those that were used longest ago given up, each for at most `keep_s`."""

    def __init__(
        self,
        most_bytes: int,
        keep_s: float,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._keep_s, self._clock = most_bytes, keep_s, clock
        self._kept: OrderedDict[bytes, tuple[float, Known | None]] = OrderedDict()  # until when
        self._bytes = 0
        self._under_way: dict[bytes, asyncio.Future[None]] = {}
        told = "Bytes of answers that are remembered, so that the same question is not asked again."
        gauge = Gauge("faultstream_model_remembered_bytes", told, registry=registry or CollectorRegistry())
        gauge.set_function(lambda: self._bytes)

    def find(self, key: bytes) -> tuple[bool, Known | None]:
        """Whether anything is known of a question, and its answer; None where it had none that could be kept."""
        found = self._kept.get(key)
        if found is None:
            return False, None
        if found[0] <= self._clock():
            self._forget(key)
            return False, None
        self._kept.move_to_end(key)
        return True, found[1]

    def keep(self, key: bytes, known: Known | None) -> None:
        """Keeps an answer, or that there is none to keep."""
        self._forget(key)
        self._kept[key] = (self._clock() + self._keep_s, known)
        self._bytes += _size(known)
        while self._bytes > self._most:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: bytes) -> None:
        if (gone := self._kept.pop(key, None)) is not None:
            self._bytes -= _size(gone[1])

    async def waited(self, keys: Sequence[bytes], most_s: float | None) -> None:
        """Waits for one of these questions, if any is under way, whatever comes of it: `most_s` seconds at most."""
        for key in keys:
            if (under_way := self._under_way.get(key)) is not None:
                await asyncio.wait([under_way], timeout=most_s)
                return

    def begin(self, keys: Sequence[bytes]) -> Callable[[], None]:
        """These questions are under way, until what is returned is called."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        mine = [key for key in keys if self._under_way.setdefault(key, ended) is ended]

        def end() -> None:
            for key in mine:
                del self._under_way[key]
            ended.set_result(None)

        return end


def _size(known: Known | None) -> int:
    return _ENTRY // 4 if known is None else known.size


@dataclass(slots=True)
class Turn:
    """One question's: `known` is the answer that there is, None where it has to be asked; `alike`, to one like it."""

    answers: Answers
    known: Known | None = None
    alike: bool = False
    keys: Sequence[bytes] = ()
    prompt: Prompt | None = None
    adapter: str | None = None
    gist: str = ""

    def answered(self, completion: Completion, read: Read) -> None:
        """The first answer was valid."""
        if completion.adapter != self.adapter or self.prompt is None:  # another one's: it is nobody's answer later
            return
        known = Known(replace(completion, tokens=()), read, self.prompt.event)
        self.answers.keep(self.keys[0], known)
        for key in self.keys[1:]:
            whole = completion.shown == self.prompt.shown  # else the server had no room for what was compared
            fits = whole and shares(completion.text, self.prompt.form, self.gist, read.gave_way)
            self.answers.keep(key, known if fits else None)

    def invalid(self) -> None:
        """The first answer was not: the next one with this question does not wait for anybody."""
        for key in self.keys:
            self.answers.keep(key, None)


@dataclass(frozen=True, slots=True)
class Recall:
    """One pipeline's use of the answers. `alike`: of those to questions like its own, too, within its `scope`."""

    answers: Answers
    alike: bool
    scope: tuple[str, ...]

    @classmethod
    def of(cls, pipeline: Pipeline, answers: Answers | None) -> Self | None:
        """What a pipeline wants of them; None where that is nothing."""
        reuse = pipeline.model.reuse
        return None if answers is None or reuse == "never" else cls(answers, reuse == "alike", pipeline.scope)

    @asynccontextmanager
    async def turn(self, infer: Infer, prompt: Prompt, event: Event, reading: Reading) -> AsyncIterator[Turn]:
        """The turn of a question that `infer` would put. Raises as `Served`."""
        who, adapter = infer.who(prompt)
        gist = gist_of(prompt) if self.alike else ""
        keys = [same(who, prompt)]
        if gist:
            keys.append(alike(who, prompt, gist, self.scope, event, reading))
        turn = Turn(self.answers, keys=keys, prompt=prompt, adapter=adapter, gist=gist)
        if not self._knows(turn):
            unknown = [key for key in keys if not self.answers.find(key)[0]]
            await self.answers.waited(unknown, _patience(reading))
            self._knows(turn)
        if turn.known is not None:
            yield turn
            return
        end = self.answers.begin(keys)
        try:
            yield turn
        finally:
            end()

    def _knows(self, turn: Turn) -> bool:
        """Whether there is an answer; the turn has it then."""
        for key in turn.keys:
            _, turn.known = self.answers.find(key)
            if turn.known is not None:
                turn.alike = key != turn.keys[0]
                return True
        return False


def _patience(reading: Reading) -> float | None:
    """Seconds to wait for another one's answer: half of what an event has left, so that it can ask for itself."""
    bound = reading.bound
    if bound is None:
        return None
    left = bound.seconds if bound.until is None else bound.until - asyncio.get_running_loop().time()
    return max(0.0, left / 2)
