"""Deadlines: an event's bound and the tier's time-out, down to each exchange. Nothing goes on behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from processor.bound import Bound
from processor.errors import Rejected, Retryable, Suspect
from processor.models.breaker import Pauses
from processor.models.chat import ChatRequest
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.models.metrics import ModelMetrics
from processor.models.probe import Reply
from processor.models.replicas import Replica
from processor.settings import ModelSettings
from processor.testing.virtual import run
from tests.unit.models.test_hedge import SHARE, first_of, known
from tests.unit.models.test_keeper import ASK, World, asks, play

OWN = "Our own log."
"""The question whose exchanges are looked at."""


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


def bounded(seconds: float, user: str = "Another log.") -> ChatRequest:
    """A question of an event that has so long for all of its questions."""
    other = replace(ASK.messages[1], content=user)
    return replace(ASK, messages=(ASK.messages[0], other), bound=Bound(seconds))


class Late(World):
    """Servers that note by when each exchange must be over, and that must never be asked behind a deadline."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.ends: list[float] = []

    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """As a world."""
        if timeout_s is not None and OWN.encode() in (body or b""):
            assert timeout_s > 0
            self.ends.append(now() + timeout_s)
        return await super().send(endpoint, method, path, body, timeout_s=timeout_s, headers=headers)


def test_the_bound_of_an_event_ends_its_request() -> None:
    """Long before the tier's time-out; the server is not to blame, and others are answered by it as before."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        (server,) = world.servers.values()
        server.seconds = 10.0
        began = now()
        with pytest.raises(Retryable):
            await client.complete(bounded(2))
        assert now() - began <= 4.0  # the other question that the failure is compared with has as long
        (replica,) = client.replicas
        assert (replica.phase, replica.breaker.state) == ("ready", "closed")
        assert (await client.complete(ASK)).finish_reason == "stop"

    play(1, script, timeout_s=60)


def test_the_bound_is_for_all_questions_of_an_event_together() -> None:
    """It begins with the first that is sent; what is left of it is what the last one gets."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        first = bounded(2.5)
        await asyncio.sleep(30)
        for _ in range(2):
            await client.complete(first)
        began = now()
        with pytest.raises(Retryable):
            await client.complete(replace(first))
        assert now() - began == pytest.approx(0.5 + 1.0)  # what was left, and the question that it is compared with

    play(1, script, timeout_s=60)


def test_an_event_without_time_is_not_sent() -> None:
    """Its time was over before the server could be asked."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        spent = bounded(1)
        assert spent.bound is not None
        spent.bound.begin(now())
        await asyncio.sleep(5)
        before = [list(server.asked) for server in world.servers.values()]
        with pytest.raises(Retryable):
            await client.complete(spent)
        (asked,) = [server.asked[len(had) :] for server, had in zip(world.servers.values(), before, strict=True)]
        assert "Another log." not in asked

    play(1, script, timeout_s=60)


def test_an_event_that_always_takes_too_long_is_given_up() -> None:
    """While others of its pipeline are answered in its time; where they are not, it is nobody's dead letter."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        (server,) = world.servers.values()
        server.slow = {"Another log.": 30.0}
        for _ in range(2):
            with pytest.raises(Suspect):
                await client.complete(bounded(2))
        with pytest.raises(Rejected, match="3 times the model server failed on this event") as given_up:
            await client.complete(bounded(2))
        assert given_up.value.reason == "model_failed"
        server.seconds = 30.0
        for _ in range(6):
            with pytest.raises(Retryable) as caught:
                await client.complete(bounded(2))
            assert caught.value.shared

    play(1, script, timeout_s=60, give_up_after=3)


def test_a_retry_ends_with_the_first_try_s_time() -> None:
    """However the tries fail, and however long they wait in between: all are over when the time is."""
    world = Late(2)

    async def script() -> None:
        settings = ModelSettings(urls=list(world.servers), timeout_s=10, attempts=6, retry_share=1.0)
        metrics = ModelMetrics(CollectorRegistry())
        pauses = Pauses(first_s=1.5, longest_s=4.0)
        client = ModelClient(settings, transport=world, endpoints=world, metrics=metrics, pauses=pauses)
        async with client:
            client.start()
            await client.complete(ASK)
            for server in world.servers.values():
                server.status = 500
                server.seconds = 3.0
            world.ends.clear()
            began = now()
            with pytest.raises(Retryable):
                await client.complete(replace(bounded(1, OWN), bound=None))
            assert 1 < len(world.ends) <= 6
            assert max(world.ends) <= began + 10 + 1e-6

    run(script())


def test_no_room_within_the_time_is_everybodys_trouble() -> None:
    """A server that is full is one that is waited for: no event is to blame."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        (server,) = world.servers.values()
        server.seconds = 50.0
        busy = asyncio.ensure_future(client.complete(ASK))
        await asyncio.sleep(1)
        waits = bounded(5)
        assert waits.bound is not None
        waits.bound.begin(now())
        began = now()
        with pytest.raises(Retryable, match="no model server had room") as caught:
            await client.complete(waits)
        assert (now() - began, caught.value.shared) == (5.0, True)
        await busy
        (replica,) = client.replicas
        assert (replica.in_flight, len(replica.waiting)) == (0, 0)

    play(1, script, timeout_s=60, concurrency=1, concurrency_min=1)


def test_a_second_request_ends_with_the_first() -> None:
    """Hedging has the time that is left, and no longer."""

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        for server in world.servers.values():
            server.seconds = 60.0
        before = sum(server.ended for server in world.servers.values())
        began = now()
        with pytest.raises(Retryable):
            await client.complete(bounded(4, "A log."))
        # The second one was asked after what is slow; both ended at the deadline, not at a time-out of their own.
        assert now() - began <= 8.0
        assert [replica.in_flight for replica in client.replicas] == [0, 0, 0]
        assert sum(server.ended for server in world.servers.values()) >= before
        first_of(world, client).seconds = 1.0

    play(3, script, hedge=SHARE, timeout_s=100, attempts=1)


class Loads:
    """An adapter that takes long to load."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def ready(self, replica: Replica, model: str) -> None:
        """After so long."""
        await asyncio.sleep(self.seconds)

    def lost(self, replica: Replica, model: str) -> None:
        """Nothing to note."""

    def restarted(self, replica: Replica) -> None:
        """Nothing to note."""

    def holds(self, replica: Replica, model: str) -> bool:
        """It may."""
        return True


def test_an_adapter_that_loads_for_long_counts_against_the_time() -> None:
    """The pipeline waits for its adapter, and no server is blamed."""

    async def script() -> None:
        world = World(1)
        settings = ModelSettings(urls=list(world.servers), timeout_s=10, attempts=1)
        client = ModelClient(settings, transport=world, endpoints=world, residency=Loads(300.0))
        async with client:
            began = now()
            with pytest.raises(Retryable, match=r"has not loaded ci@1 within the 10 s") as caught:
                await client.complete(replace(ASK, model="ci@1"))
            assert now() - began <= 11.0
            assert not caught.value.shared
            (replica,) = client.replicas
            assert replica.phase == "ready"

    run(script())


@pytest.mark.parametrize("ahead_s", [3600.0, 86_400.0 * 365])
def test_a_clock_that_jumps_ahead_ends_what_is_under_way_and_sends_no_more(ahead_s: float) -> None:
    """A machine that slept: the try that comes back is not followed by another one, and the next event has its time."""

    async def script() -> None:
        world = Late(2)
        jumped = 0.0
        settings = ModelSettings(urls=list(world.servers), timeout_s=10, attempts=6, retry_share=1.0)
        loop = asyncio.get_running_loop()
        client = ModelClient(settings, transport=world, endpoints=world, clock=lambda: loop.time() + jumped)
        async with client:
            await client.complete(ASK)
            for server in world.servers.values():
                server.status = 500
            world.ends.clear()
            asked = asyncio.ensure_future(client.complete(replace(bounded(1, OWN), bound=None)))
            await asyncio.sleep(0.5)
            jumped = ahead_s
            with pytest.raises(Retryable):
                await asked
            assert len(world.ends) == 1
            for server in world.servers.values():
                server.status = 200
            assert not [each for each in await asks(3, client) if isinstance(each, Exception)]

    run(script())


def test_a_bound_within_another_is_the_sooner_of_both() -> None:
    """A larger model has what it is given, and what the event has left."""
    event = Bound(60)
    assert event.within(30, now=100.0).until == 130.0
    event.begin(50.0)
    assert event.begin(90.0) == 110.0
    assert event.within(30, now=100.0).until == 110.0
    assert event.within(5, now=100.0).until == 105.0
