"""The replicas of a tier: which of several servers the next request goes to, and when.

A request is placed when it comes, waits at its replica if that one is full, and is placed anew if that one fails or
leaves. A replica with room and nothing to do takes over what waits elsewhere. Nothing here sends anything.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from typing import Final, Literal

from processor.errors import ConfigError, FaultstreamError, Retryable
from processor.models.breaker import Breaker, Pauses
from processor.models.capabilities import Capabilities
from processor.models.capacity import Limiter
from processor.models.endpoints import Endpoint
from processor.models.placement import BoundedRendezvous, Placement

Phase = Literal["coming", "ready", "leaving"]
"""Coming: it is probed, given its adapters and warmed. Ready: it gets requests. Leaving: it finishes what it has."""

_RECENT: Final = 8
"""So many prefixes a server keeps at least."""

_SOON_S: Final = 1.0
"""When to come back where nothing tells."""


def loop_time() -> float:
    """Monotonic seconds of the running event loop."""
    return asyncio.get_running_loop().time()


class Waiter:
    """A request that waits at a replica for room."""

    def __init__(self, key: str, *, stays: bool = False) -> None:
        self.key = key
        self.stays = stays  # nobody else takes it over
        self.granted: asyncio.Future[Replica | None] = asyncio.get_running_loop().create_future()

    def grant(self, replica: Replica | None) -> bool:
        """Lets it go to `replica`, or has it placed anew; false where it has given up."""
        if self.granted.done():
            return False
        self.granted.set_result(replica)
        return True


class Replica:
    """One server: its address, how it has done lately, and how many requests it holds."""

    def __init__(self, endpoint: Endpoint, breaker: Breaker, limiter: Limiter) -> None:
        self.endpoint = endpoint
        self.url = endpoint.url.rstrip("/")
        self.breaker = breaker
        self.limiter = limiter
        self.phase: Phase = "coming"
        self.capabilities: Capabilities | None = None
        self.problem: FaultstreamError | None = None  # what kept it from becoming ready
        self.told = ""  # what was last said of such a problem
        self.started: bytes | None = None  # when its process began, as it says itself
        self.warmed: set[str] = set()  # keys whose prefix it was sent
        self.in_flight = 0
        self.waiting: deque[Waiter] = deque()
        self.recent: OrderedDict[str, None] = OrderedDict()  # keys whose prefix it has, as far as can be known
        self.fell = asyncio.Event()  # it is no longer ready, or leaves

    def take(self, key: str) -> None:
        """A request of `key` is sent here."""
        self.in_flight += 1
        self.recent[key] = None
        self.recent.move_to_end(key)
        if len(self.recent) > _RECENT:
            self.recent.popitem(last=False)

    @property
    def load(self) -> int:
        """Requests that it holds or that wait for it."""
        return self.in_flight + len(self.waiting)

    @property
    def limit(self) -> int:
        """Requests that it may hold at once."""
        return self.limiter.limit

    @property
    def floor(self) -> int:
        """Requests that it may hold however slow it is."""
        return self.limiter.floor

    @property
    def usable(self) -> bool:
        """Whether requests may be placed here."""
        return self.phase == "ready" and self.breaker.state != "open"

    @property
    def has_room(self) -> bool:
        """Whether one more may be sent now; one that is tried after a failure gets one at a time."""
        return self.in_flight < (1 if self.breaker.state == "half_open" else self.limit)


class Replicas:
    """The servers of one tier. `clock` gives monotonic seconds, `tier` is for error texts."""

    def __init__(
        self,
        floor: int,
        ceiling: int,
        *,
        placement: Placement | None = None,
        pauses: Pauses | None = None,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self._floor, self._ceiling = floor, ceiling
        self._placement = placement or BoundedRendezvous()
        self._pauses = pauses or Pauses()
        self._clock = clock
        self._replicas: dict[Endpoint, Replica] = {}
        self._changed = asyncio.Event()
        self._served = False  # at some time a replica was ready

    def __iter__(self) -> Iterator[Replica]:
        return iter(tuple(self._replicas.values()))

    def update(self, endpoints: Collection[Endpoint]) -> list[Replica]:
        """Takes over a new list: who is missing leaves, who is new comes. Returns who is new."""
        for endpoint, replica in tuple(self._replicas.items()):
            if endpoint not in endpoints:
                self._leave(endpoint, replica)
        come: list[Replica] = []
        for endpoint in endpoints:
            if endpoint not in self._replicas:
                breaker = Breaker(self._pauses, self._clock)
                replica = Replica(endpoint, breaker, Limiter(self._floor, self._ceiling, self._clock))
                self._replicas[endpoint] = replica
                come.append(replica)
        self._tell()
        return come

    def _leave(self, endpoint: Endpoint, replica: Replica) -> None:
        del self._replicas[endpoint]  # who holds a request keeps it; should the address come back, it is another server
        replica.phase = "leaving"
        replica.fell.set()
        self._scatter(replica)

    def ready(self, replica: Replica) -> None:
        """It is probed, has its adapters and is warm: it may be asked."""
        if replica.phase != "coming":
            return
        replica.phase, replica.problem, replica.told = "ready", None, ""
        replica.fell.clear()
        replica.breaker.retry_now()
        self._served = True
        self._tell()
        self._dispatch(replica)

    def probed(self, replica: Replica, found: Capabilities) -> None:
        """It is known what a replica can do."""
        replica.capabilities = found
        self._tell()

    async def probed_one(self) -> Replica:
        """The first replica of which it is known what it can do. Raises as `acquire`."""
        while True:
            for replica in self._replicas.values():
                if replica.capabilities is not None:
                    return replica
            await self._one_to_come()

    async def capabilities(self) -> Capabilities:
        """What the first replica that was probed can do. Raises as `acquire`."""
        return (await self.probed_one()).capabilities or Capabilities()

    def unfit(self, replica: Replica, problem: FaultstreamError) -> None:
        """What kept a replica that is coming from being ready, this time."""
        replica.problem = problem
        self._tell()

    async def acquire(
        self,
        key: str,
        avoid: Replica | None = None,
        holds: Callable[[Replica], bool] = lambda _: True,
        near: str = "",
    ) -> Replica:
        """A replica for a request of `key` (pipeline and adapter), with a place in it that `release` gives back.

        `avoid` is the one that has just failed; it is taken only where there is no other. `holds` says who has the
        adapter already. `near` is the URL of the one that is wanted above all, however full, as long as it is well.
        Waits while all are full.
        Raises Retryable with the time until the first may be tried again where none is well, ConfigError where none
        ever was and one says why.
        """
        while True:
            usable = [replica for replica in self._replicas.values() if replica.usable]
            if not usable:
                await self._one_to_come()
                continue
            others = [replica for replica in usable if replica is not avoid] or usable
            wanted = next((replica for replica in others if replica.url == near), None) if near else None
            replica = wanted or self._placement.choose(key, others, lambda each: key in each.recent and holds(each))
            if replica.has_room and not replica.waiting:
                replica.take(key)
                return replica
            if (granted := await self._wait(replica, Waiter(key, stays=wanted is not None))) is not None:
                return granted

    def beside(self, first: Replica, key: str, holds: Callable[[Replica], bool]) -> Replica | None:
        """Another replica that is well and can take a request of `key` at once, with a place in it; None without one.

        Only those count that hold the adapter already.
        """
        free = [
            each
            for each in self._replicas.values()
            if each is not first and each.phase == "ready" and each.breaker.state == "closed"
            if each.has_room and not each.waiting and holds(each)
        ]
        if not free:
            return None
        replica = self._placement.choose(key, free, lambda each: key in each.recent)
        replica.take(key)
        return replica

    async def _wait(self, replica: Replica, waiter: Waiter) -> Replica | None:
        replica.waiting.append(waiter)
        if replica.breaker.state == "half_open" and not replica.in_flight:
            self._dispatch(replica)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled() and (granted := waiter.granted.result()):
                self.release(granted)
            waiter.granted.cancel()
            raise

    async def hold(self, replica: Replica) -> None:
        """A place in this very replica, whatever its limit, when it may be asked. Raises Retryable if it is away."""
        while not replica.usable:
            if replica.phase == "leaving" or replica.problem is not None:
                raise Retryable(str(replica.problem or f"{replica.url} has left"))
            if replica.phase == "ready":
                await asyncio.sleep(replica.breaker.rest)
            else:
                await self._changed.wait()
        replica.in_flight += 1

    def release(self, replica: Replica) -> None:
        """A request has left the replica; what waits may take its place."""
        replica.in_flight -= 1
        self._dispatch(replica)

    def succeeded(self, replica: Replica, seconds: float, work: float) -> None:
        """The replica answered a request that cost it so many tokens' `work`."""
        replica.breaker.succeeded()
        replica.limiter.answered(seconds, work, replica.in_flight)

    def failed(self, replica: Replica, *, away: bool) -> None:
        """The replica did not do its work. It falls out if it is `away` or keeps failing, until it is prepared anew."""
        replica.breaker.failed(away=away)
        if replica.breaker.state == "open":
            self.drop(replica)

    def refused(self, replica: Replica, wait: float | None) -> None:
        """The replica is busy, and asks to be left alone for `wait` seconds."""
        replica.limiter.refused()
        if wait:
            replica.breaker.pause(wait)
            self._scatter(replica)
            asyncio.get_running_loop().call_later(wait, self._tell)

    def drop(self, replica: Replica) -> None:
        """It is no longer what it was: it has to be prepared anew."""
        if replica.phase == "ready":
            replica.phase = "coming"
            replica.fell.set()
        self._scatter(replica)

    @property
    def healthy(self) -> int:
        """How many may be asked now."""
        return sum(replica.usable for replica in self._replicas.values())

    def first_choices(self, key: str, count: int) -> list[Replica]:
        """The replicas that the requests of `key` go to, the likeliest first, whether they are well or not."""
        replicas = list(self._replicas.values())
        order = BoundedRendezvous().order(key, replicas)
        return order[:count]

    def rest(self) -> float:
        """Seconds until the first may be tried again."""
        rests = [replica.breaker.rest for replica in self._replicas.values()]
        return min(rests, default=_SOON_S) or _SOON_S

    async def _one_to_come(self) -> None:
        """Returns when something has changed, while a replica may yet turn out to be well. Raises as `acquire`."""
        replicas = tuple(self._replicas.values())
        problems = [replica.problem for replica in replicas if replica.problem is not None]
        paused = [replica for replica in replicas if replica.phase == "ready"]
        if replicas and len(problems) + len(paused) < len(replicas):
            await self._changed.wait()
            return
        if not self._served:
            for problem in problems:
                if isinstance(problem, ConfigError):
                    raise problem
        told = "; ".join(str(problem) for problem in problems) or ", ".join(replica.url for replica in replicas)
        raise Retryable(f"no healthy model server: {told or 'none is known'}", wait=self.rest())

    def _tell(self) -> None:
        """Wakes those who wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _scatter(self, replica: Replica) -> None:
        """Has all that waits at a replica placed anew."""
        waiting, replica.waiting = replica.waiting, deque()
        for waiter in waiting:
            waiter.grant(None)

    def _dispatch(self, replica: Replica) -> None:
        """Fills the replica's room with what waits: for it first, else for others."""
        while replica.usable and replica.has_room:
            waiter = replica.waiting.popleft() if replica.waiting else self._taken_over(replica)
            if waiter is None:
                return
            if waiter.grant(replica):
                replica.take(waiter.key)

    def _taken_over(self, replica: Replica) -> Waiter | None:
        """What an idle replica takes from another: what it has the prefix for, else what waits there most."""
        for other in self._replicas.values():
            for waiter in other.waiting:
                if waiter.key in replica.recent and not waiter.stays:
                    other.waiting.remove(waiter)
                    return waiter
        free = {each: [waiter for waiter in each.waiting if not waiter.stays] for each in self._replicas.values()}
        source = max(free, key=lambda each: len(free[each]))
        if not free[source]:
            return None
        most, _ = Counter(waiter.key for waiter in free[source]).most_common(1)[0]
        waiter = next(each for each in free[source] if each.key == most)
        source.waiting.remove(waiter)
        return waiter
