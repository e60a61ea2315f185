"""Which replica a request goes to, when it waits, and what becomes of it when replicas fail, come and leave."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from processor.errors import ConfigError, Retryable
from processor.models.breaker import Pauses
from processor.models.endpoints import Endpoint
from processor.models.replicas import Replica, Replicas
from processor.testing.virtual import run


def urls(count: int) -> list[Endpoint]:
    """Some addresses."""
    return [Endpoint(f"http://{index}/v1") for index in range(count)]


def some(count: int = 3, limit: int = 4, *, ready: bool = True) -> Replicas:
    """Replicas whose first rest is about a second."""
    replicas = Replicas(limit, limit, pauses=Pauses(1.0, 8.0))
    for replica in replicas.update(urls(count)):
        if ready:
            replicas.ready(replica)
    return replicas


async def take(replicas: Replicas, key: str, count: int) -> Counter[str]:
    """Where so many requests of a key go that stay."""
    return Counter([(await replicas.acquire(key)).url for _ in range(count)])


def test_a_key_keeps_its_replica() -> None:
    """One after the other, all requests of a key find the same server; different keys different ones."""

    async def play() -> None:
        replicas = some(4)
        homes: dict[str, str] = {}
        for key in map(str, range(40)):
            for _ in range(3):
                replica = await replicas.acquire(key)
                assert homes.setdefault(key, replica.url) == replica.url
                replicas.release(replica)
        assert set(Counter(homes.values())) == {each.url for each in urls(4)}

    run(play())


def test_what_is_too_much_for_one_goes_to_the_next() -> None:
    """A hot key spills over, always to the same, and no replica holds more than its share and a quarter."""

    async def play() -> None:
        replicas = Replicas(2, 64)
        for replica in replicas.update(urls(8)):
            replica.limiter._limit = 64.0
            replicas.ready(replica)
        went = await take(replicas, "hot", 40)
        assert max(went.values()) <= 1.25 * 40 / 8 + 1
        order = [each.url for each in replicas.first_choices("hot", 8)]
        assert list(went) == order[: len(went)]
        assert await take(replicas, "cold", 2) is not None

    run(play())


def test_one_that_is_away_rests_and_comes_back_prepared() -> None:
    """It gets nothing until it has been prepared anew, and then one request at a time until one is answered."""

    async def play() -> None:
        replicas = some(1)
        one = await replicas.acquire("")
        replicas.failed(one, away=True)
        replicas.release(one)
        waits = asyncio.create_task(replicas.acquire(""))
        again = asyncio.create_task(replicas.acquire(""))
        await asyncio.sleep(5)
        assert one.phase == "coming"
        assert not waits.done()
        replicas.ready(one)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [waits.done(), again.done()] == [True, False]
        replicas.succeeded(one, 0.1, 1)
        replicas.release(one)
        assert await again is one

    run(play())


def test_a_bad_answer_alone_drops_nobody() -> None:
    """One 500 may be the request's own doing; three in a row are the server's, and so are most of twenty."""

    async def play() -> None:
        replicas = some(1)
        one = await replicas.acquire("")
        replicas.failed(one, away=False)
        replicas.failed(one, away=False)
        assert replicas.healthy == 1
        replicas.failed(one, away=False)
        assert replicas.healthy == 0
        other = next(iter(some(1)))
        states = set()
        for number in range(40):
            if number % 3:
                other.breaker.failed(away=False)
            else:
                other.breaker.succeeded()
            states.add(other.breaker.state)
        assert states == {"closed", "open"}

    run(play())


def test_all_away_says_when_to_come_back() -> None:
    """With no replica that may become well the error is shared; its wait is the shortest rest left."""

    async def play() -> None:
        replicas = some(2)
        for replica in replicas:
            replicas.failed(replica, away=True)
            replicas.unfit(replica, Retryable("connection refused"))
        with pytest.raises(Retryable, match="connection refused") as caught:
            await replicas.acquire("")
        assert caught.value.shared
        assert caught.value.wait is not None
        assert 0 < caught.value.wait <= 1.25

    run(play())


def test_none_at_all_is_waited_for() -> None:
    """A service without endpoints is back-pressure too."""

    async def play() -> None:
        with pytest.raises(Retryable, match="none is known") as caught:
            await Replicas(1, 4).acquire("")
        assert caught.value.wait

    run(play())


def test_a_wrong_model_is_an_error_at_the_start_and_patience_later() -> None:
    """Once the tier has worked, a server that comes back with another model is waited for."""

    async def play() -> None:
        replicas = some(1, ready=False)
        one = next(iter(replicas))
        replicas.unfit(one, ConfigError("no such model"))
        with pytest.raises(ConfigError):
            await replicas.acquire("")
        replicas.ready(one)
        replicas.drop(one)
        replicas.unfit(one, ConfigError("no such model"))
        with pytest.raises(Retryable, match="no such model"):
            await replicas.acquire("")

    run(play())


def test_rests_grow_to_a_limit() -> None:
    """Each failure in a row doubles the rest; a success ends the row."""

    async def play() -> None:
        breaker = next(iter(some(1))).breaker
        rests = []
        for _ in range(6):
            breaker.failed(away=True)
            rests.append(breaker.rest)
        assert rests[0] < rests[2] < rests[-1] <= 10
        breaker.succeeded()
        assert (breaker.rest, breaker.state) == (0, "closed")

    run(play())


def test_what_failed_is_avoided_where_there_is_another() -> None:
    """The second try of a request goes elsewhere, or to the same where it is the only one."""

    async def play() -> None:
        replicas = some(2)
        first = await replicas.acquire("k")
        assert await replicas.acquire("k", avoid=first) is not first
        alone = some(1)
        only = await alone.acquire("k")
        assert await alone.acquire("k", avoid=only) is only

    run(play())


def test_a_full_replica_lets_wait_in_order() -> None:
    """Beyond the limit requests wait; each that leaves lets the oldest in."""

    async def play() -> None:
        replicas = some(1, limit=2)
        held = [await replicas.acquire("k") for _ in range(2)]
        order: list[int] = []

        async def wait(number: int) -> Replica:
            replica = await replicas.acquire("k")
            order.append(number)
            return replica

        tasks = [asyncio.create_task(wait(number)) for number in range(3)]
        await asyncio.sleep(1)
        assert not order
        tasks[1].cancel()
        for replica in held:
            replicas.release(replica)
        await asyncio.sleep(1)
        assert order == [0, 2]
        assert next(iter(replicas)).in_flight == 2

    run(play())


def test_a_place_is_given_back_if_the_one_who_waited_is_gone() -> None:
    """Cancelled in the moment in which its place came."""

    async def play() -> None:
        replicas = some(1, limit=1)
        held = await replicas.acquire("k")
        task = asyncio.create_task(replicas.acquire("k"))
        await asyncio.sleep(1)
        replicas.release(held)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert held.in_flight == 0

    run(play())


def test_an_idle_replica_takes_over_what_waits_elsewhere() -> None:
    """A slow one does not keep its queue while others have nothing to do."""

    async def play() -> None:
        replicas = some(2, limit=2)
        held = [await replicas.acquire("k") for _ in range(4)]
        tasks = [asyncio.create_task(replicas.acquire("k")) for _ in range(2)]
        await asyncio.sleep(1)
        other = replicas.first_choices("k", 2)[1]
        for replica in [each for each in held if each is other]:
            replicas.release(replica)
        await asyncio.sleep(1)
        assert [(await task) is other for task in tasks] == [True, True]

    run(play())


def test_what_is_wanted_near_goes_there_however_full_and_waits_there() -> None:
    """A later question of an event goes where its first one was answered; nobody takes it over, until that one goes."""

    async def play() -> None:
        replicas = some(2, limit=1)
        first, other = replicas.first_choices("k", 2)
        assert await replicas.acquire("k", near=other.url) is other
        task = asyncio.create_task(replicas.acquire("k", near=other.url))
        held = await replicas.acquire("k")
        assert held is first
        replicas.release(held)
        await asyncio.sleep(1)
        assert not task.done()
        replicas.update([first.endpoint])
        assert await task is first

    run(play())


def test_one_that_leaves_finishes_what_it_has_and_gets_no_more() -> None:
    """What waits for it is placed anew; should its address come back, it is a new server."""

    async def play() -> None:
        replicas = some(2, limit=1)
        first, second = [await replicas.acquire("k") for _ in range(2)]
        task = asyncio.create_task(replicas.acquire("k"))
        await asyncio.sleep(1)
        replicas.update([second.endpoint])
        assert first.phase == "leaving"
        replicas.release(first)
        await asyncio.sleep(1)
        assert not task.done()
        replicas.release(second)
        assert await task is second
        assert replicas.update(urls(2)) != [first]
        assert first.in_flight == 0

    run(play())


def test_retry_after_pauses_without_blame() -> None:
    """A server that asks for ten seconds gets them; what waits there goes elsewhere or is told when to come back."""

    async def play() -> None:
        replicas = some(1, limit=1)
        one = await replicas.acquire("k")
        task = asyncio.create_task(replicas.acquire("k"))
        await asyncio.sleep(0.1)
        replicas.refused(one, 10.0)
        with pytest.raises(Retryable) as caught:
            await task
        assert caught.value.wait == pytest.approx(10.0)
        replicas.release(one)
        await asyncio.sleep(10.1)
        assert (await replicas.acquire("k")) is one
        assert one.breaker.state == "closed"

    run(play())
