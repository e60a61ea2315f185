"""The gate that all requests to Jira of this process go through: by rank, as fast as allowed, and not faster.

What waits here is what is being worked on; the rest waits as commands that are not committed, on the topic, where it
survives a restart. A request that would wait for long is turned away (Limited), so that it keeps nothing else from
being worked on, and comes back by the engine's own waiting.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import time
from typing import Final, Protocol, Self

import structlog

from processor.settings.jira import JiraSettings
from processor.tickets.jira.answers import Answer
from processor.tickets.jira.errors import Limited, Unavailable
from processor.tickets.jira.kinds import PURPOSE, Kind
from processor.tickets.jira.limits import Bucket, Pace, Told, bounds, read

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 10.0
"""Most seconds that a request waits for a server that has asked to wait; for longer ones it is turned away."""

SOON_S: Final = 4.0
"""Seconds within which a ticket has to be created whose creation is begun."""

MOST_WAITING: Final = 64
"""Requests that wait for their turn, above which the first request of a command is turned away."""

ISSUE_WRITES: Final = (100 / 30, 20.0)
"""Writes on one issue: per second, and at once. Cloud allows 20 in 2 s and 100 in 30 s."""

MOST_ISSUES: Final = 1000
"""Issues whose last writes are remembered."""

NEAR_S: Final = 10.0
"""Seconds for which what can wait does, after the server has said that a limit is near."""

JITTER: Final = 0.1
"""Share of a wait that is added to it by chance, so that several daemons do not come back at once."""


class GateMetrics(Protocol):
    """What is told of the gate."""

    def went(self, kind: str, waited_s: float) -> None:
        """A request goes, after so long."""

    def answered(self, kind: str, status: int) -> None:
        """An answer came; status 0: none."""

    def limited(self, reason: str) -> None:
        """Jira has refused a request for its rate."""


@dataclass(slots=True)
class _Waiter:
    kind: Kind
    issue: str | None  # that is written to
    since: float
    go: asyncio.Future[None]


@dataclass(slots=True)
class _Issue:
    writes: Bucket
    until: float = 0.0
    busy: bool = False


@dataclass(slots=True)
class Turn:
    """One request's turn; say what came of it."""

    gate: Gate
    kind: Kind
    issue: str | None

    def heard(self, answer: Answer) -> Answer:
        """Jira has answered so."""
        self.gate.hear(self.kind, self.issue, answer.status, answer.headers)
        return answer


class Gate:
    """One for all requests of the process: `minute` and `second` bound how many go in each, `at_once` those under way.

    `wall` gives Unix time, `chance` a number between 0 and 1.
    """

    def __init__(
        self,
        minute: int,
        second: int,
        at_once: int,
        *,
        metrics: GateMetrics | None = None,
        wall: Callable[[], float] = time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._most = minute, second
        self._minute, self._second, self._at_once = minute, second, at_once
        self._metrics = metrics
        self._wall = wall
        self._chance = chance
        self._buckets: list[Bucket] = []  # made at the first request: time is the loop's
        self._paces: dict[Kind | None, Pace] = {}
        self._until: dict[Kind | None, float] = {}  # by kind, None for all: when requests may go again
        self._issues: OrderedDict[str, _Issue] = OrderedDict()
        self._queue: list[tuple[Kind, int, _Waiter]] = []
        self._number = 0
        self._open = 0
        self._creates = 0
        self._refusals = 0  # in a row, without a word on how long to wait
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self.reason = ""
        """Why Jira last refused a request for its rate."""

    @classmethod
    def of(cls, config: JiraSettings, metrics: GateMetrics | None = None) -> Self:
        """The gate that the settings describe."""
        return cls(config.requests_per_minute, config.requests_per_second, config.concurrency, metrics=metrics)

    def share(self, part: float) -> None:
        """Keeps to this part (0 to 1) of the budgets from now on; begins with nothing saved up."""
        minute, second = (max(1, math.floor(most * part)) for most in self._most)
        if (minute, second) == (self._minute, self._second):
            return
        self._minute, self._second = minute, second
        if self._buckets:
            self._buckets = bounds(minute, second, self._now(), 0.0)
            self._changed.set()

    @asynccontextmanager
    async def turn(self, kind: Kind, issue: str | None = None, *, writes: bool = False) -> AsyncIterator[Turn]:
        """Waits for the turn of one request; `issue` is what it is about. No two writes on an issue at once.

        Raises Limited, with nothing sent, where that would take long.
        """
        kind = max(kind, PURPOSE.get())
        turn = Turn(self, kind, issue if writes else None)
        self.admit(kind, turn.issue, begun=writes)
        await self._wait(turn)
        try:
            yield turn
        except Unavailable:
            self.hear(kind, issue, 0, {})
            raise
        finally:
            self._leave(turn)

    @contextmanager
    def room(self) -> Iterator[None]:
        """Room for one ticket to be created within seconds, since an intent to do so does not stay good for long.

        Raises Limited where too many are being created already.
        """
        self.admit(Kind.CREATE)
        if self._creates >= max(self._at_once, self.rate * SOON_S):
            wait = self._creates / self.rate * (1 + self._chance())
            raise Limited("as many tickets are being created as Jira takes in time", wait=min(wait, 60.0), shared=False)
        self._creates += 1
        try:
            yield
        finally:
            self._creates -= 1

    def admit(self, kind: Kind, issue: str | None = None, *, begun: bool = False) -> None:
        """Turns away what would wait for long; what has `begun` waits however many others do."""
        now, kind = self._now(), max(kind, PURPOSE.get())
        stopped = self._stopped(kind, issue, now)
        if stopped > PATIENCE_S:
            raise Limited(f"Jira limits the rate of requests ({self.reason or 'no reason given'})", wait=stopped)
        ahead = sum(1 for each in self._queue if each[0] <= kind and not each[2].go.done())
        if not begun and ahead >= MOST_WAITING:
            wait = ahead / self.rate * (1 + self._chance())
            raise Limited("as many requests to Jira wait for their turn as may", wait=min(wait, 60.0), shared=False)

    def hear(self, kind: Kind, issue: str | None, status: int, headers: Mapping[str, str]) -> None:
        """What Jira has answered to a request of the kind, and what it says of limits."""
        now, told = self._now(), read(headers, self._wall())
        if self._metrics is not None:
            self._metrics.answered(kind.label, status)
        if told.rate:
            self._pace(None).tell(now, told.rate, told.room, told.left)
        if status == 429 or (status == 503 and told.wait_s is not None):
            self._refused(now, kind, issue, told)
        elif status:
            self._refusals = 0
            for scope in {None, kind} & self._paces.keys():
                self._paces[scope].accepted(now)
            if told.near:
                for less in (Kind.EDIT, Kind.LOOK):
                    self._stop(less, now + NEAR_S)
        self._changed.set()

    @property
    def rate(self) -> float:
        """Requests per second that are allowed now."""
        ours = min(self._minute / 60.0, float(self._second))
        return min([ours, *(pace.rate for pace in self._paces.values())])

    def waiting(self, kind: Kind) -> int:
        """Requests of the kind that wait for their turn."""
        return sum(1 for each in self._queue if each[0] == kind and not each[2].go.done())

    def oldest_s(self, kind: Kind) -> float:
        """How long the oldest of them has waited."""
        since = [each[2].since for each in self._queue if each[0] == kind and not each[2].go.done()]
        return self._now() - min(since) if since else 0.0

    def stopped_s(self, kind: Kind) -> float:
        """For how long Jira wants no more requests of the kind."""
        return self._stopped(kind, None, self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _stopped(self, kind: Kind, issue: str | None, now: float) -> float:
        until = [self._until.get(None, 0.0), self._until.get(kind, 0.0)]
        if issue is not None and issue in self._issues:
            until.append(self._issues[issue].until)
        return max(0.0, max(until) - now)

    def _stop(self, kind: Kind | None, until: float) -> None:
        self._until[kind] = max(until, self._until.get(kind, 0.0))

    def _pace(self, scope: Kind | None) -> Pace:
        if scope not in self._paces:
            self._paces[scope] = Pace(self._now())
        return self._paces[scope]

    def _refused(self, now: float, kind: Kind, issue: str | None, told: Told) -> None:
        """Stops what the refusal is about until its time. Requests that were under way then are refused once."""
        wait = told.wait_s
        if wait is None:
            wait = min(2.0**self._refusals, 60.0)
            self._refusals += 1
        wait *= 1 + JITTER * self._chance()
        self.reason = told.reason or "429"
        if self._metrics is not None:
            self._metrics.limited(self.reason)
        scope = None if told.scope != "kind" else kind
        if told.scope == "issue" and issue is not None:
            held = self._issue(issue, now)
            held.until = max(held.until, now + wait)
            return
        if self._until.get(scope, 0.0) <= now:
            self._pace(scope).refused(now, wait)
            told_s = {"wait_s": round(wait, 1), "kind": kind.label, "reason": self.reason}
            log.warning("jira limits the rate of requests", action="limited", **told_s)
        self._stop(scope, now + wait)
        for bucket in self._buckets:  # what has been saved up meanwhile would be a herd
            bucket.hold(now + wait, 1.0)

    def _issue(self, key: str, now: float) -> _Issue:
        held = self._issues.pop(key, None) or _Issue(Bucket(*ISSUE_WRITES, now))
        self._issues[key] = held
        if len(self._issues) > MOST_ISSUES:
            idle = next((name for name, each in self._issues.items() if not each.busy and each.until <= now), None)
            if idle is not None:
                del self._issues[idle]
        return held

    async def _wait(self, turn: Turn) -> None:
        """Queues, and waits until the pump lets it go."""
        now = self._now()
        if not self._buckets:
            self._buckets = bounds(self._minute, self._second, now)
        waiter = _Waiter(turn.kind, turn.issue, now, asyncio.get_running_loop().create_future())
        self._number += 1
        heapq.heappush(self._queue, (turn.kind, self._number, waiter))
        self._changed.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._let_go(), name="jira-gate")
        try:
            await waiter.go
        except asyncio.CancelledError:
            if waiter.go.done() and not waiter.go.cancelled():  # its turn had come in the same moment
                self._leave(turn)
            raise
        if self._metrics is not None:
            self._metrics.went(turn.kind.label, self._now() - now)

    def _leave(self, turn: Turn) -> None:
        self._open -= 1
        if turn.issue is not None and turn.issue in self._issues:
            self._issues[turn.issue].busy = False
        self._changed.set()

    async def _let_go(self) -> None:
        """Lets requests go, the highest rank first, for as long as any wait."""
        while True:
            self._changed.clear()
            pause = self._next()
            if pause is None:
                return
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _next(self) -> float | None:
        """Lets all go that may. Returns the seconds until the next one may, or None without any."""
        held, soonest = [], float("inf")
        while self._queue:
            entry = heapq.heappop(self._queue)
            waiter = entry[2]
            if waiter.go.done():  # cancelled
                continue
            now = self._now()
            pause = float("inf") if self._open >= self._at_once else self._pause(waiter, now)
            if pause > 0:
                held.append(entry)
                soonest = min(soonest, pause)
                if self._closed(now):
                    break  # nobody of a lesser rank may go before it
                continue
            self._go(waiter, now)
        for entry in held:
            heapq.heappush(self._queue, entry)
        if not self._queue:
            return None
        return min(soonest, 3600.0)

    def _pause(self, waiter: _Waiter, now: float) -> float:
        """Seconds until this one may go."""
        waits = [bucket.wait(now) for bucket in self._buckets]
        waits += [self._paces[scope].wait(now) for scope in {None, waiter.kind} & self._paces.keys()]
        waits.append(self._stopped(waiter.kind, waiter.issue, now))
        if waiter.issue is not None:
            issue = self._issue(waiter.issue, now)
            waits.append(float("inf") if issue.busy else issue.writes.wait(now))
        longest = max(waits)
        return longest if longest > 1e-6 else 0.0  # less than a timer can wait

    def _closed(self, now: float) -> bool:
        """Whether nobody may go, of whatever kind."""
        if self._open >= self._at_once or self._until.get(None, 0.0) > now:
            return True
        return any(bucket.wait(now) for bucket in self._buckets) or (
            None in self._paces and self._paces[None].wait(now) > 0
        )

    def _go(self, waiter: _Waiter, now: float) -> None:
        self._open += 1
        for bucket in self._buckets:
            bucket.take(now)
        for scope in {None, waiter.kind} & self._paces.keys():
            self._paces[scope].take(now)
        if waiter.issue is not None:
            issue = self._issue(waiter.issue, now)
            issue.busy = True
            issue.writes.take(now)
        waiter.go.set_result(None)
