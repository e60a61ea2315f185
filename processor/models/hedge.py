"""Asks a second replica where the first one takes longer than nearly all requests of that size did.

The first answer wins, the other request is ended. Hedged requests as in Dean and Barroso, "The Tail at Scale" (CACM
56(2), 2013): they cost a small share more, and take the slowest few out of the tail.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from processor.models.capacity import RetryBudget
from processor.models.chat import ChatRequest, Completion
from processor.models.replicas import Replica, Replicas

_WINDOW: Final = 4
"""So many times the requests of which one is in the slowest share are remembered."""

_CLEARLY: Final = 1.25
"""Slow is at least so many times the median: where all take about as long there is no tail, and nothing to win."""

Hedged = Literal["first", "second", "neither", "no_room", "no_budget"]
"""Which one answered; or why no second one was asked."""

Ask = Callable[[Replica, ChatRequest, float], Awaitable[Completion]]


class Times:
    """How long requests of a size take, in seconds: what a `share` of the last ones took longer than is slow."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._least = math.ceil(1 / share)
        self._last: dict[tuple[int, int], deque[float]] = {}
        self._sorted: dict[tuple[int, int], list[float]] = {}

    def add(self, request: ChatRequest, seconds: float) -> None:
        """A request took so long."""
        size = _size(request)
        last = self._last.setdefault(size, deque())
        ordered = self._sorted.setdefault(size, [])
        if len(last) >= _WINDOW * self._least:
            del ordered[bisect_left(ordered, last.popleft())]
        last.append(seconds)
        insort(ordered, seconds)

    def slow(self, request: ChatRequest) -> float | None:
        """What is slow for such a request; None while too few are known."""
        ordered = self._sorted.get(_size(request), ())
        if len(ordered) < self._least:
            return None
        usual = ordered[len(ordered) // 2]
        return max(ordered[int((1 - self._share) * len(ordered))], _CLEARLY * usual)


def _size(request: ChatRequest) -> tuple[int, int]:
    """Requests are alike whose prompts are within a factor of two, and whose answers may be as long."""
    return sum([len(each.content) for each in request.messages]).bit_length(), request.max_tokens


class Hedge:
    """Puts requests to a replica and, for the slowest `share` of them, to another one as well.

    `ask` puts a request to a replica, by a deadline of `clock`; `told` is called with what came of a slow one. A second
    request takes from the budget of retries, and only goes where there is room at once and the adapter is there.
    """

    def __init__(
        self,
        share: float,
        ask: Ask,
        replicas: Replicas,
        budget: RetryBudget,
        told: Callable[[Hedged], None],
        clock: Callable[[], float],
    ) -> None:
        self._times = Times(share)
        self._ask = ask
        self._replicas = replicas
        self._budget = budget
        self._told = told
        self._clock = clock

    async def __call__(
        self, first: Replica, request: ChatRequest, deadline: float, holds: Callable[[Replica], bool]
    ) -> tuple[Replica, Completion]:
        """Who answered, and what. Raises as `ask` does for the first one."""
        began, slow = self._clock(), self._times.slow(request)
        asked = asyncio.ensure_future(self._ask(first, request, deadline))
        try:
            answered = await self._answered(first, asked, request, slow, deadline, holds)
        finally:
            await _end(asked)
        # What failed tells nothing. One that was ended would have taken longer still, which is known at least.
        self._times.add(request, self._clock() - began)
        return answered

    async def _answered(
        self,
        first: Replica,
        asked: asyncio.Future[Completion],
        request: ChatRequest,
        slow: float | None,
        deadline: float,
        holds: Callable[[Replica], bool],
    ) -> tuple[Replica, Completion]:
        if slow is None or slow >= deadline - self._clock() or request.near:
            return first, await asked
        await asyncio.wait({asked}, timeout=slow)
        if asked.done() or (second := self._second(first, request, holds)) is None:
            return first, await asked
        return await self._race(first, asked, second, request, deadline)

    def _second(self, first: Replica, request: ChatRequest, holds: Callable[[Replica], bool]) -> Replica | None:
        """A place in another replica."""
        second = self._replicas.beside(first, request.place, holds)
        if second is None:
            self._told("no_room")
        elif not self._budget.take():
            self._replicas.release(second)
            self._told("no_budget")
            return None
        return second

    async def _race(
        self, first: Replica, asked: asyncio.Future[Completion], second: Replica, request: ChatRequest, deadline: float
    ) -> tuple[Replica, Completion]:
        other = asyncio.ensure_future(self._ask(second, request, deadline))
        try:
            await asyncio.wait({asked, other}, return_when=asyncio.FIRST_COMPLETED)
            if not _answered(asked) and not _answered(other):  # the one that is done has failed
                await asyncio.wait({asked, other})
            self._told("first" if _answered(asked) else "second" if _answered(other) else "neither")
            return (second, await other) if _answered(other) and not _answered(asked) else (first, await asked)
        finally:
            await _end(other)
            self._replicas.release(second)


def _answered(asked: asyncio.Future[Completion]) -> bool:
    return asked.done() and not asked.cancelled() and asked.exception() is None


async def _end(asked: asyncio.Future[Completion]) -> None:
    """Ends a request that nobody waits for any more; its connection is closed, by which the server knows."""
    asked.cancel()
    await asyncio.wait({asked})
    if not asked.cancelled():
        asked.exception()  # seen
