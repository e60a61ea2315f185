"""The client of one tier's model servers, over HTTP in the OpenAI-compatible format.

Whatever goes wrong on the way (refused, timed out, 5xx, half a body, garbage) is tried again a bounded number of times
and within the request's time, on another replica where there is one, and is Retryable after that: an event is never
lost because a server is down. What is too long for the model is Rejected at once; what a server refuses or fails on,
when `trials` has found that to be the request's own fault.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Final, Self

from prometheus_client import CollectorRegistry

from processor.errors import FaultstreamError, Rejected, Retryable
from processor.models.breaker import Pauses
from processor.models.capabilities import Capabilities
from processor.models.capacity import RetryBudget
from processor.models.chat import ChatRequest, Completion
from processor.models.endpoints import Endpoint, Endpoints, endpoints_of
from processor.models.exchange import Exchange
from processor.models.hedge import Hedge, Hedged
from processor.models.keeper import Keeper
from processor.models.metrics import ModelMetrics
from processor.models.placement import BoundedRendezvous
from processor.models.probe import probe
from processor.models.replicas import Replica, Replicas, loop_time
from processor.models.residency import Residency, Unmanaged
from processor.models.transport import AwayError, HttpTransport, Transport, UnansweredError
from processor.models.trials import Trials
from processor.models.warmth import Warmth
from processor.models.wire import (
    BusyError,
    FailedError,
    NotServedError,
    OverdueError,
)
from processor.settings import ModelSettings

_LONGEST_WAIT_S: Final = 5.0
_PREFILL: Final = 20
"""So many prompt tokens cost a server about as much as one that it writes."""


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """How a replica does, for `faultstream doctor`: what it can do in how many milliseconds, or the error."""

    url: str
    capabilities: Capabilities | None
    milliseconds: float
    error: str = ""


@dataclass(slots=True)
class _Course:
    """How far a request has come. Its time runs from when it is first sent: before, it waits as the line does."""

    request: ChatRequest
    deadline: float | None = None
    replica: Replica | None = None  # who was asked last
    failed: tuple[Replica, FailedError] | None = None


class ModelClient:
    """Answers requests from the replicas of one tier. Safe to use from many tasks of one event loop.

    `tier` names the settings in errors (models.<tier>). Replicas are looked for at the first use, or by `start`. Call
    `stop` at the end, or use `async with`. `residency` sees to it that replicas have their adapters. `restarts` counts
    servers that have come or restarted.
    """

    def __init__(
        self,
        settings: ModelSettings,
        tier: str = "lite",
        *,
        pauses: Pauses | None = None,
        transport: Transport | None = None,
        endpoints: Endpoints | None = None,
        residency: Residency | None = None,
        metrics: ModelMetrics | None = None,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self._settings = settings
        self._where = f"models.{tier}"
        self._pauses = pauses or Pauses()
        self._clock = clock
        self._transport = transport or HttpTransport(settings)
        self._residency = residency or Unmanaged()
        self._exchange = Exchange(settings, self._where, self._transport, self._residency, self._routed, clock)
        self._endpoints = endpoints or endpoints_of(settings)
        self.replicas = Replicas(
            settings.concurrency_min,
            settings.concurrency,
            placement=BoundedRendezvous(settings.load_bound),
            pauses=self._pauses,
            clock=clock,
        )
        self._budget = RetryBudget(settings.retry_share, settings.concurrency, clock)
        self._hedge = (
            Hedge(settings.hedge, self._ask, self.replicas, self._budget, self._hedged, clock)
            if settings.hedge is not None
            else None
        )
        self.restarts = 0
        self._trials = Trials(self._control, settings.give_up_after)
        self._metrics = (metrics or ModelMetrics(CollectorRegistry())).of(tier, self.replicas)
        self.warmth = Warmth(self._direct, self.replicas, settings.warm_replicas, self._metrics.prefix)
        self._keeper = Keeper(
            self._endpoints,
            self.replicas,
            self._transport,
            model=settings.model,
            where=self._where,
            every_s=settings.probe_s,
            warm=self.warmth.warm,
            restarted=self._restarted,
            left=self._metrics.left,
            router=settings.router,
            engine=settings.server,
            loads=settings.adapters is not None,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self, prefixes: Callable[[], Iterable[ChatRequest]] = tuple) -> None:
        """Begins to look for replicas; each is sent the `prefixes` that concern it before it gets requests."""
        self.warmth.prefixes = prefixes
        self._keeper.tells = True
        self._keeper.start()

    async def stop(self) -> None:
        """Ends all tasks and closes the connections."""
        await self._keeper.stop()
        await self._transport.close()

    @property
    def healthy(self) -> bool:
        """Whether a replica is there that may be asked now."""
        return self.replicas.healthy > 0

    @property
    def full(self) -> bool:
        """Whether another request would have to wait until one of those in flight is answered."""
        usable = [each for each in self.replicas if each.usable]
        return bool(usable) and not any(each.has_room for each in usable)

    @property
    def settings(self) -> ModelSettings:
        """The tier's settings."""
        return self._settings

    @property
    def router(self) -> bool:
        """Whether a router of others chooses the replica."""
        return self._keeper.router

    async def complete(self, request: ChatRequest) -> Completion:
        """Answers `request` from one of the replicas.

        Raises Retryable (all tries failed, or the server asks to wait longer than is worth waiting here; not
        shared where only the adapter is missing, or the server fails on this pipeline's requests alone; Suspect
        where it fails on this one alone), Rejected (`prompt_too_long`; `request_refused` and `model_failed` where it
        answers others), ConfigError (the key is refused, the base model is not there).
        """
        began = self._clock()
        try:
            answer = await self._complete(_Course(request))
        except FaultstreamError as error:
            self._metrics.failed(request, error.reason if isinstance(error, Rejected) else "unavailable")
            raise
        answer = replace(answer, waited_ms=(self._clock() - began) * 1000 - answer.milliseconds)
        self._metrics.answered(request, answer)
        return answer

    async def _complete(self, course: _Course) -> Completion:
        await self._keeper.listed()
        self._budget.request()
        for attempt in itertools.count(1):
            try:
                return await self._try(course)
            except Retryable as error:
                if isinstance(error, FailedError) and course.replica is not None:
                    course.failed = course.replica, error
                if not error.shared and course.failed is None and self.replicas.healthy < 2:
                    raise  # an adapter that is missing does not come by asking again: its pipeline waits for it
                pause = self._pause(error, attempt)
                if attempt >= self._settings.attempts or not self._again(course, pause):
                    if course.failed is None:
                        raise
                    raise await self._judged(course, *course.failed) from error
                await asyncio.sleep(pause)
            except Rejected as error:
                if error.reason != "request_refused" or course.replica is None:
                    raise
                raise await self._judged(course, course.replica, error) from error
        raise AssertionError  # count() has no end

    async def _judged(self, course: _Course, replica: Replica, error: Retryable | Rejected) -> FaultstreamError:
        """What to raise for it: other questions are given as much time as this one had."""
        bound, most = course.request.bound, self._settings.timeout_s
        within_s = most if bound is None else min(most, bound.seconds)
        return await self._trials.judge(replica, course.request, error, within_s)

    def _again(self, course: _Course, pause: float) -> bool:
        """Whether there is time and budget for one more try."""
        left = self._left(course)
        if pause >= (self._settings.timeout_s if left is None else left):
            return False
        if not self._budget.take():
            self._metrics.retried("no_budget")
            return False
        self._metrics.retried("retried")
        return True

    def _pause(self, error: Retryable, attempt: int) -> float:
        """Seconds before the next try: what the error asks for; none where another replica is there to ask."""
        if error.wait is not None:
            return error.wait if error.wait <= _LONGEST_WAIT_S else float("inf")
        return 0.0 if self.replicas.healthy > 1 else self._pauses.after(attempt)

    async def _try(self, course: _Course) -> Completion:
        """One try: waits for a place, and asks there for as long as the request has time."""
        request = course.request
        replica = await self._place(course)
        course.replica = replica
        try:
            deadline = self._due(course)
            if self._hedge is None:
                answered, answer = replica, await self._ask(replica, request, deadline)
            else:
                answered, answer = await self._hedge(replica, request, deadline, self._holds(request))
        finally:
            self.replicas.release(replica)
        self._trials.answered(answered, request)
        return answer

    async def _place(self, course: _Course) -> Replica:
        """A place in a replica, while the request has time; one that was never sent waits as the line does."""
        request, left = course.request, self._left(course)
        waits = None if left is None else max(0.0, left)
        try:
            async with asyncio.timeout(waits):
                return await self.replicas.acquire(
                    request.place, course.replica, self._holds(request), near=request.near
                )
        except TimeoutError as error:
            raise Retryable("no model server had room while the request had time") from error

    def _left(self, course: _Course) -> float | None:
        """Seconds that the request still has; None where its time has not begun."""
        bound = course.request.bound
        ends = [each for each in (course.deadline, bound.until if bound is not None else None) if each is not None]
        return min(ends) - self._clock() if ends else None

    def _due(self, course: _Course) -> float:
        """When the request must be answered, by the clock; its time begins now if it has not. Raises OverdueError."""
        now, bound = self._clock(), course.request.bound
        if course.deadline is None:
            course.deadline = now + self._settings.timeout_s
            if bound is not None:
                course.deadline = min(course.deadline, bound.begin(now))
        if course.deadline <= now:
            raise OverdueError("there was no time left to ask the model server")
        return course.deadline

    def _routed(self) -> bool:
        return self._keeper.router

    def _hedged(self, what: Hedged) -> None:
        self._metrics.hedged(what)

    def _holds(self, request: ChatRequest) -> Callable[[Replica], bool]:
        model, residency = request.model, self._residency
        return (lambda _: True) if model is None else (lambda replica: residency.holds(replica, model))

    async def _control(self, replica: Replica, request: ChatRequest, within_s: float) -> Completion:
        """Asks a replica that has just failed once more, when it has rested."""
        await self.replicas.hold(replica)
        try:
            return await self._ask(replica, request, self._clock() + within_s)
        finally:
            self.replicas.release(replica)

    async def _direct(self, replica: Replica, request: ChatRequest) -> Completion:
        """Asks a replica beside what is placed there, whatever comes of it: to warm it."""
        return await self._exchange(replica, request, self._clock() + self._settings.timeout_s)

    async def _ask(self, replica: Replica, request: ChatRequest, deadline: float) -> Completion:
        """One try on one replica, which is blamed for what is its fault."""
        left_s = deadline - self._clock()
        try:
            answer = await self._exchange(replica, request, deadline)
        except BusyError as error:
            self.replicas.refused(replica, error.wait)
            raise
        except Retryable as error:
            self._blame(replica, error, left_s, hurried=request.bound is not None and request.bound.until == deadline)
            raise
        used = answer.usage
        work = used.completion_tokens + used.fresh_tokens / _PREFILL
        self.replicas.succeeded(replica, answer.milliseconds / 1000, work)
        return answer

    def _blame(self, replica: Replica, error: Retryable, had_s: float, *, hurried: bool) -> None:
        """What a failure says about the replica; `hurried`: the event had less time than the tier gives."""
        unanswered = isinstance(error, UnansweredError)
        if not error.shared or isinstance(error, OverdueError) or (unanswered and hurried):
            return
        if unanswered:
            replica.limiter.refused()
        # A last try that had little time left says little about the server.
        late = unanswered and had_s < self._settings.timeout_s / 2
        away = isinstance(error, AwayError | UnansweredError | NotServedError) and not late
        self.replicas.failed(replica, away=away)

    def forget(self, adapter: str) -> None:
        """Nobody asks this version of an adapter any more (its served name): what is known of it goes."""
        self._trials.forget(adapter)
        self._metrics.forget(adapter)
        for replica in self.replicas:
            replica.warmed = {key for key in replica.warmed if not key.endswith(f"\n{adapter}")}

    def _restarted(self, replica: Replica) -> None:
        self.restarts += 1
        replica.warmed.clear()
        self._residency.restarted(replica)

    async def capabilities(self) -> Capabilities:
        """What the servers can do: the first replica that is probed speaks for the tier. Raises as `complete`."""
        await self._keeper.listed()
        return await self.replicas.capabilities()

    async def attempt(self, request: ChatRequest) -> Completion:
        """Asks the first replica that was probed, once and beside all else, to see whether it can; nothing is counted.

        Raises what the answer means, and as `complete` where no replica comes.
        """
        await self._keeper.listed()
        replica = await self.replicas.probed_one()
        return await self._exchange.sent(replica, request, self._clock() + self._settings.timeout_s)

    async def inspect(self) -> list[ReplicaReport]:
        """Probes each replica anew and never raises for what it finds."""
        try:
            endpoints = sorted(await self._endpoints.list(), key=lambda each: self._order(each.url))
        except FaultstreamError as error:
            return [ReplicaReport(self._where, None, 0.0, str(error))]
        return [await self._inspect(endpoint) for endpoint in endpoints]

    def _order(self, url: str) -> tuple[int, str]:
        urls = self._settings.urls
        return (urls.index(url) if url in urls else len(urls)), url

    async def _inspect(self, endpoint: Endpoint) -> ReplicaReport:
        began = time.perf_counter()
        found, said = None, ""
        try:
            found = await probe(
                partial(self._transport.send, endpoint), self._settings.model, self._where, self._settings.server
            )
        except FaultstreamError as error:
            said = str(error)
        return ReplicaReport(endpoint.url, found, (time.perf_counter() - began) * 1000, said)
