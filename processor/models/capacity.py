"""How many requests a replica may hold at once: found by trying, between a floor and a ceiling.

It grows while the server keeps up and shrinks by a factor when it doesn't (AIMD with slow start, as in TCP: RFC 5681).
What tells is the server's own queue where it can be read (vLLM's `num_requests_waiting`): a standing one, which never
empties until all that were sent together are answered. Prompts that come together wait for each other and harm nobody,
and fewer of them would leave the server with smaller batches (the same difference as in CoDel, RFC 8289; the time that
single answers take would not do, which the first of a burst get at once). Elsewhere it is the time
that answers take in relation to the best ones, as in the gradient limit of Netflix's concurrency-limits
(https://github.com/Netflix/concurrency-limits).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_FIRST: Final = 32
"""Requests at once to begin with: any server takes so many, and one that is slow with them soon says so."""

_QUEUED: Final = 0.1
"""Share of the limit that may wait in the server's queue; a few keep it busy between two steps."""

_SHRINK: Final = 0.85
_REFUSED: Final = 0.6
"""Factors: the server queues or is slow; it refuses, or does not answer."""

_TOLERANCE: Final = 2.0
"""How much slower than usual answers may become; batching alone slows each of them down."""

_SHORT: Final = 10
"""Answers over which time is averaged."""

_FORGET: Final = 30
"""Answers at the floor over which the best time is forgotten: prompts may have become longer."""

_FRESH_S: Final = 20.0
"""For so long a reading of the server's queue counts more than the time that answers take."""


class Limiter:
    """The bound on requests in flight at one replica. `clock` gives monotonic seconds."""

    def __init__(self, floor: int, ceiling: int, clock: Callable[[], float]) -> None:
        self.floor = min(floor, ceiling)
        self.ceiling = ceiling
        self._clock = clock
        self._limit = float(max(self.floor, min(ceiling, _FIRST)))
        self._threshold = float(ceiling)  # below it growth is fast
        self._answer_s = 0.0  # what an answer takes
        self._short = self._best = 0.0  # seconds per unit of work
        self._samples = 0
        self._quiet_until = 0.0
        self._queue_read_at = float("-inf")
        self._waiting = 0  # in the server's queue, when it was last read
        self._least: int | None = None  # that were in it at each reading of a round
        self._round = 0  # answers in it

    @property
    def limit(self) -> int:
        """The bound now."""
        return int(self._limit)

    def answered(self, seconds: float, work: float, in_flight: int) -> None:
        """An answer came after `seconds`, for `work` (tokens), when `in_flight` requests were there, it included."""
        self._samples += 1
        self._round += 1
        self._answer_s += (seconds - self._answer_s) / min(self._samples, _SHORT)
        pace = seconds / max(work, 1.0)
        self._short += (pace - self._short) / min(self._samples, _SHORT)
        if self._limit <= self.floor and self._best:
            self._best += (self._short - self._best) / _FORGET  # so few requests are not what makes it slow
        self._best = min(self._best or self._short, self._short)
        if self._reads_queue:
            if 2 * in_flight >= self._limit and self._waiting <= self._harmless:
                self._grow()
        elif self._short <= _TOLERANCE * self._best:
            if 2 * in_flight >= self._limit:
                self._grow()
        else:
            self._shrink(max(0.5, _TOLERANCE * self._best / self._short))

    def queued(self, waiting: int) -> None:
        """So many requests wait in the server's own queue, others' included."""
        self._queue_read_at = self._clock()
        self._waiting = waiting
        if self._least is None:
            self._least, self._round = waiting, 0
            return
        self._least = min(self._least, waiting)
        if self._round >= self.limit:
            if self._least > self._harmless:
                self._shrink(max(0.5, min(_SHRINK, 1 - self._least / self._limit)))
            self._least, self._round = waiting, 0

    @property
    def _harmless(self) -> float:
        """How many may wait all the time."""
        return max(2.0, _QUEUED * self._limit)

    def refused(self) -> None:
        """The server said that it is busy, or did not answer in time."""
        self._shrink(_REFUSED)

    @property
    def _reads_queue(self) -> bool:
        return self._clock() - self._queue_read_at < _FRESH_S

    def _grow(self) -> None:
        step = 1.0 if self._limit < self._threshold else 1.0 / self._limit
        self._limit = min(float(self.ceiling), self._limit + step)

    def _shrink(self, factor: float) -> None:
        """Once in the time that an answer takes: what was sent before the last time says nothing new."""
        now = self._clock()
        if now < self._quiet_until:
            return
        self._limit = self._threshold = max(float(self.floor), self._limit * factor)
        self._quiet_until = now + self._answer_s


class RetryBudget:
    """How many tries may be repeated: a share of all requests, so that retries can't multiply an overload.

    A token bucket as in Finagle's RetryBudget and gRPC's retry throttling (gRFC A6): each request puts in `share` of a
    token, each repeated try takes one out. It holds `burst` at most (a replica that dies takes so many requests with
    it) and gets one a second in any case, so that a daemon with little to do is not without.
    """

    def __init__(self, share: float, burst: int, clock: Callable[[], float]) -> None:
        self._share = share
        self._burst = float(burst)
        self._clock = clock
        self._at: float | None = None
        self.tokens = self._burst

    def request(self) -> None:
        """A request is made for the first time."""
        self._put(self._share)

    def take(self) -> bool:
        """Whether a try may be repeated; if so, that is counted."""
        now = self._clock()
        self._put(0.0 if self._at is None else now - self._at)
        self._at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def _put(self, tokens: float) -> None:
        self.tokens = min(self._burst, self.tokens + tokens)
