"""The slowest few are asked of a second replica: when, where, and what becomes of the one that loses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from processor.errors import Retryable
from processor.models.capacity import RetryBudget
from processor.models.chat import ChatRequest, Completion, Message
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.models.hedge import Hedge, Times
from processor.models.replicas import Replica, Replicas, loop_time
from processor.models.transport import HttpTransport
from processor.settings import ModelSettings
from processor.testing.virtual import run
from tests.unit.models.test_keeper import ASK, Server, World, asks, play

SHARE = 0.05


async def known(client: ModelClient) -> None:
    """A hundred questions that take a second each: what is slow is known by then."""
    for _ in range(5):
        assert not [each for each in await asks(20, client) if isinstance(each, Exception)]
    await asyncio.sleep(60)


def first_of(world: World, client: ModelClient) -> Server:
    """The server that the questions go to."""
    return world.servers[client.replicas.first_choices(ASK.key, 1)[0].url]


async def took(client: ModelClient, request: ChatRequest = ASK) -> float:
    """Seconds of virtual time that an answer takes."""
    began = asyncio.get_running_loop().time()
    await client.complete(request)
    return asyncio.get_running_loop().time() - began


class Counts:
    """What was counted of slow requests."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def __call__(self, what: str) -> float:
        name = "faultstream_model_hedges_total"
        hedges = self.registry.restricted_registry([name])  # replicas can't be asked outside of their loop
        samples = [each for family in hedges.collect() for each in family.samples]
        return sum(each.value for each in samples if each.name == name and each.labels["what"] == what)


def test_a_slow_one_is_answered_by_the_next_replica() -> None:
    """After what is slow for its size, and no later than that and an answer; who is slow is told to stop."""
    counts = Counts()

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        slow = first_of(world, client)
        slow.seconds, before = 60.0, slow.ended
        assert await took(client) <= 2.5
        assert slow.ended == before + 1
        assert [replica.in_flight for replica in client.replicas] == [0, 0, 0]
        slow.seconds = 1.0
        assert await took(client) <= 1.0 + 1e-6

    play(3, script, counts.registry, hedge=SHARE)
    assert (counts("second"), counts("first")) == (1, 0)


def test_the_first_may_yet_win() -> None:
    """Then the second is told to stop."""
    counts = Counts()

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        slow = first_of(world, client)
        for server in world.servers.values():
            server.seconds = 60.0
        slow.seconds = 3.0
        others = [server for server in world.servers.values() if server is not slow]
        assert await took(client) == 3.0
        assert sum(server.ended for server in others) == 1

    play(3, script, counts.registry, hedge=SHARE)
    assert (counts("second"), counts("first")) == (0, 1)


@pytest.mark.parametrize(("count", "settings"), [(3, {}), (1, {"hedge": SHARE})])
def test_by_default_and_with_one_replica_nobody_else_is_asked(count: int, settings: dict[str, float]) -> None:
    """A slow answer is waited for."""
    counts = Counts()

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        first_of(world, client).seconds = 60.0
        assert await took(client) == 60.0

    play(count, script, counts.registry, **settings)
    assert counts("second") == 0


def test_the_budget_of_retries_bounds_it() -> None:
    """Where all are slow the servers get no second load on top."""
    counts = Counts()

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        for server in world.servers.values():
            server.seconds = 20.0
        client._budget.take()
        client._budget.tokens = 2.0
        assert not [each for each in await asks(6, client) if isinstance(each, Exception)]

    play(3, script, counts.registry, hedge=SHARE)
    assert counts("first") + counts("second") <= 3
    assert counts("no_budget") >= 3


def test_nobody_waits_for_room_to_hedge() -> None:
    """Where the others are full, the first one is waited for."""
    counts = Counts()

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        first = first_of(world, client)
        first.seconds = 30.0
        for replica in client.replicas:
            if world.servers[replica.url] is not first:
                replica.in_flight += replica.limit
        assert await took(client) == 30.0

    play(3, script, counts.registry, hedge=SHARE)
    assert counts("no_room") == 1


def test_a_question_that_belongs_to_a_replica_stays_there() -> None:
    """The later questions of an event find there what the first one left in the cache."""

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        near = client.replicas.first_choices(ASK.key, 1)[0].url
        world.servers[near].seconds = 30.0
        assert await took(client, replace(ASK, near=near)) == 30.0

    play(3, script, hedge=SHARE)


@pytest.mark.parametrize("who", ["first", "second", "both"])
def test_one_that_fails_loses(who: str) -> None:
    """The other's answer is the answer; where both fail the request is tried again as ever."""
    counts = Counts()

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        slow = first_of(world, client)
        others = [server for server in world.servers.values() if server is not slow]
        slow.seconds = 10.0
        for server in others:
            server.seconds = 4.0
        task = asyncio.create_task(client.complete(ASK))
        await asyncio.sleep(2.0)
        for server in world.servers.values():
            if who == "both" or (server is slow) == (who == "first"):
                server.up = False
        if who == "both":
            with pytest.raises(Retryable):
                await task
        else:
            answer = await task
            assert (answer.replica == client.replicas.first_choices(ASK.key, 1)[0].url) == (who == "second")
        assert all(replica.in_flight == 0 for replica in client.replicas)

    play(2, script, counts.registry, hedge=SHARE)
    assert counts({"first": "second", "second": "first", "both": "neither"}[who]) == 1


def test_who_asks_no_more_ends_both() -> None:
    """A request that is given up leaves nothing behind on either server."""

    async def script(world: World, client: ModelClient) -> None:
        await known(client)
        for server in world.servers.values():
            server.seconds = 60.0
        before = sum(server.ended for server in world.servers.values())
        task = asyncio.create_task(client.complete(ASK))
        await asyncio.sleep(5.0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert sum(server.ended for server in world.servers.values()) == before + 2
        assert all(replica.in_flight == 0 for replica in client.replicas)

    play(2, script, hedge=SHARE)


def test_what_fails_says_nothing_of_time() -> None:
    """A server that refuses at once makes no other answer slow."""

    async def script() -> None:
        replicas = Replicas(4, 4)
        [one] = replicas.update([Endpoint("http://0/v1")])
        replicas.ready(one)
        failing = True

        async def ask(replica: Replica, request: ChatRequest, left_s: float) -> Completion:
            if failing:
                raise Retryable(f"{replica.url} is busy with {request.asker} for {left_s} s")
            return Completion("{}", "stop")

        budget = RetryBudget(0.1, 4, loop_time)
        hedge = Hedge(0.1, ask, replicas, budget, lambda _: None, loop_time)
        for _ in range(20):
            with pytest.raises(Retryable, match="busy"):
                await hedge(one, ASK, 10.0, lambda _: True)
        assert hedge._times.slow(ASK) is None
        failing = False
        for _ in range(20):
            assert (await hedge(one, ASK, 10.0, lambda _: True))[0] is one
        assert hedge._times.slow(ASK) == 0.0

    run(script())


def asked(characters: int) -> ChatRequest:
    """A question of a size."""
    return ChatRequest((Message("user", "x" * characters),))


def test_what_is_slow_goes_by_size_and_by_the_last_ones() -> None:
    """A long prompt is slow later than a short one; nothing is slow before enough are known."""
    times = Times(0.1)
    for number in range(9):
        times.add(asked(100), 1.0 + number / 100)
    assert times.slow(asked(100)) is None
    times.add(asked(100), 5.0)
    assert times.slow(asked(100)) == 5.0, "one of ten"
    assert times.slow(asked(10_000)) is None
    for number in range(100):
        times.add(asked(100), 1.0 + number % 40)
        times.add(asked(10_000), 100.0 + number % 40 * 10)
    assert times.slow(asked(110)) == 37.0
    assert times.slow(asked(9_000)) == 460.0


def test_as_many_are_slow_as_was_asked_for() -> None:
    """With servers that are slow by chance, some of a hundred questions have a second try, and no more than that."""
    counts = Counts()

    async def script(world: World, client: ModelClient) -> None:
        number = 0
        for _ in range(2000):
            number = (number * 1103515245 + 12345) % 2**31
            for server in world.servers.values():
                server.seconds = 1.0 + (number >> 8) % 1000 / 1000
            await client.complete(ASK)

    play(3, script, counts.registry, hedge=SHARE)
    assert 0.02 * 2000 < counts("first") + counts("second") < 0.09 * 2000


async def test_a_request_that_is_ended_closes_its_connection() -> None:
    """By which vLLM knows that it may stop: it watches for that while it works."""
    came, closed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        while await reader.read(1000):
            continue
        closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    transport = HttpTransport(ModelSettings(urls=[url]))
    sent = asyncio.create_task(transport.send(Endpoint(url), "POST", "/chat/completions", b"{}"))
    await asyncio.wait_for(came.wait(), 20)
    sent.cancel()
    await asyncio.wait_for(closed.wait(), 20)
    await transport.close()
    server.close()


def test_only_the_last_ones_count() -> None:
    """Servers become slower with load, and faster again; what is remembered is bounded."""
    times = Times(0.1)
    for number in range(1000):
        times.add(asked(1), 9.0 + number % 7)
    for number in range(40):
        times.add(asked(1), 1.0 + number)
    assert times.slow(asked(1)) == 37.0
    [known] = times._sorted.values()
    assert known == [1.0 + number for number in range(40)]


def test_where_all_take_as_long_nothing_is_slow() -> None:
    """A second request could not win."""
    times = Times(0.1)
    for number in range(40):
        times.add(asked(1), 1.0 + number / 1000)
    assert (times.slow(asked(1)) or 0.0) > 1.25
