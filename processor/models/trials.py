"""Whose fault is a question that a server fails on: the question's own, its pipeline's, or the server's?

A failure alone does not tell. So another question of the same pipeline and adapter, the last one that this server has
answered, is asked there once more, right after the failure. If it is answered, the failure counts against the question
that failed; so many in a row, and it is given up. If it fails too, a question of another pipeline is asked: where that
one is answered the trouble is the pipeline's own, else it is the server's, and everybody waits.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final, NamedTuple

import structlog

from processor.errors import FaultstreamError, Rejected, Retryable, Suspect
from processor.models.chat import ChatRequest, Completion
from processor.models.replicas import Replica

log = structlog.get_logger(__name__)

REMEMBERED: Final = 10_000
"""Questions whose failures are kept in mind; of more than that, those that failed longest ago are forgotten."""

Ask = Callable[[Replica, ChatRequest, float], Awaitable[Completion]]


class Kind(NamedTuple):
    """Questions that can be compared: of one pipeline, to one adapter (None: the base)."""

    adapter: str | None
    form: str

    @classmethod
    def of(cls, request: ChatRequest) -> Kind:
        """The kind of a request; a form has the name of its pipeline."""
        return cls(request.model, request.asker)


class _Control:
    """The last questions of a kind that a server has answered, to be asked there again."""

    def __init__(self, first: ChatRequest) -> None:
        self.turn = 0  # when the last was answered, in order
        self._questions = (first, first)
        self._begun = 0
        self._answered = False
        self._one = asyncio.Lock()

    def note(self, question: ChatRequest, turn: int) -> None:
        """It was answered."""
        self.turn = turn
        if question != self._questions[0]:
            self._questions = (question, self._questions[0])

    async def answered(self, ask: Callable[[ChatRequest], Awaitable[Completion]], instead: ChatRequest) -> bool:
        """Whether another question than `instead` is answered now.

        One that begins after this call speaks for all who came before it began.
        """
        came = self._begun
        async with self._one:
            if self._begun == came:
                self._begun += 1
                self._answered = False
                try:
                    await ask(self._questions[self._questions[0] == instead])
                except (Retryable, Rejected) as error:
                    log.info("the server fails on a question that it answered before", action="try", error=str(error))
                else:
                    self._answered = True
        return self._answered


class Trials:
    """Judges failures. `ask` puts a question to a replica, within so many seconds.

    `after` failures in a row a question is given up.
    """

    def __init__(self, ask: Ask, after: int) -> None:
        self._ask = ask
        self._after = after
        self._turns = count(1)
        self._controls: dict[str, dict[Kind, _Control]] = {}  # by replica
        self._failures: OrderedDict[int, int] = OrderedDict()  # in a row, by question

    def answered(self, target: Replica, request: ChatRequest) -> None:
        """A replica has answered: its failures are forgotten, and others can be compared with it."""
        controls, kind = self._controls.setdefault(target.url, {}), Kind.of(request)
        control = controls.get(kind) or controls.setdefault(kind, _Control(request))
        control.note(request, next(self._turns))
        if self._failures:
            self._failures.pop(_key(request), None)

    def forget(self, adapter: str) -> None:
        """Nobody asks this version of an adapter any more; its last questions need not be kept."""
        for controls in self._controls.values():
            for kind in [kind for kind in controls if kind.adapter == adapter]:
                del controls[kind]

    async def judge(
        self, target: Replica, request: ChatRequest, error: Retryable | Rejected, within_s: float
    ) -> FaultstreamError:
        """What to raise for a question on which a replica has failed, or which it refused, with `error`.

        What it is compared with gets `within_s`, which is what the question had.

        Rejected: it is the question. Suspect: it may be. Retryable that is not shared: it is its pipeline. Else
        it is the server.
        """
        kind, key = Kind.of(request), _key(request)
        controls = self._controls.get(target.url, {})
        own = controls.get(kind)
        if own is not None and await self._well(target, own, request, within_s):
            return self._against(key, error)
        self._failures.pop(key, None)
        other = max((each for of, each in controls.items() if of != kind), key=lambda each: each.turn, default=None)
        if other is not None and await self._well(target, other, request, within_s):
            return Retryable(f"the model server fails on this pipeline's questions alone: {error}", shared=False)
        if own is None and other is None:
            return Suspect(
                str(error)
            )  # the first that it was asked: nothing to compare with, until others are answered
        return error if isinstance(error, Retryable) else Retryable(str(error))

    async def _well(self, target: Replica, control: _Control, request: ChatRequest, within_s: float) -> bool:
        return await control.answered(lambda question: self._ask(target, question, within_s), request)

    def _against(self, key: int, error: Retryable | Rejected) -> FaultstreamError:
        """The server does well otherwise."""
        failures = self._failures.pop(key, 0) + 1
        if failures >= self._after:
            told = f"{failures} times the model server failed on this event and answered another one right after"
            reason = error.reason if isinstance(error, Rejected) else "model_failed"
            return Rejected(reason, f"{told}: {error}")
        self._failures[key] = failures
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)
        return Suspect(f"{error} (it answered another event right after: {failures} of {self._after})")


def _key(request: ChatRequest) -> int:
    return hash((Kind.of(request), request.messages, request.max_tokens))
