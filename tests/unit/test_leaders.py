"""Where a log ends is believed of its leader alone, on a double of three brokers of which each has its own view."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from aiokafka.protocol.metadata import MetadataRequest

from processor.cluster import leaders
from processor.cluster.client import KafkaClient
from processor.cluster.leaders import EARLIEST, LATEST, Leader, offsets, placed
from processor.cluster.lost import Fetcher, State

AT = TopicPartition("t", 0)

FENCED = 74


@dataclass
class Broker:
    """Whom it takes for the leader, where it says that the log ends, and whether it answers."""

    leads: Leader
    end: int = 0
    awake: bool = True
    code: int = 0


class Client:
    """Of brokers 1 to 3; what happens before a broker is asked for offsets can be set."""

    _conns: ClassVar[dict[Any, Any]] = {}

    def __init__(self, *brokers: Broker) -> None:
        self.brokers = dict(enumerate(brokers, 1))
        self.cluster = SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=node) for node in self.brokers])
        self.asked: list[int] = []
        self.later: Callable[[], Any] = int
        self.looks = 0

    async def send(self, node: int, request: Any) -> Any:
        """The answer of a broker."""
        broker = self.brokers[node]
        if not broker.awake:
            raise KafkaConnectionError("nobody listens")
        if request.API_KEY == MetadataRequest.API_KEY:
            told: tuple[Any, ...] = (0, AT.partition, broker.leads.node, broker.leads.epoch, [], [], [])
            return SimpleNamespace(
                brokers=[(each, "", 0, None) for each in self.brokers], topics=[(broker.code, AT.topic, False, [told])]
            )
        self.asked.append(node)
        self.later()
        (((_, ((_, epoch, time),)),),) = (request._fields[2],)
        code = 0 if epoch == broker.leads.epoch else FENCED
        at = {LATEST: broker.end, EARLIEST: 0}[time]
        return SimpleNamespace(topics=[(AT.topic, [(AT.partition, code, -1, at, epoch)])])

    def force_metadata_update(self) -> None:
        """Counts."""
        self.looks += 1


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits."""
    monkeypatch.setattr(leaders, "AGAIN_S", 0.001)


OLD, NEW = Leader(5, 1), Leader(6, 2)


async def end(client: Client) -> int:
    """Where the log ends."""
    async with asyncio.timeout(5):
        found = await offsets(client, {AT: LATEST})
    assert found is not None
    return found[AT]


@pytest.mark.parametrize("awake", [True, False])
async def test_a_former_leader_is_not_asked(awake: bool) -> None:
    """Whether the third broker knows of it yet or not, or is away."""
    client = Client(Broker(OLD, 100), Broker(NEW, 200), Broker(OLD, awake=awake))
    assert await end(client) == 200
    assert client.asked == [2]


async def test_a_leader_that_is_silent_is_waited_for() -> None:
    """The others know of it."""
    client = Client(Broker(OLD, 100), Broker(NEW, 200, awake=False), Broker(NEW))
    asking = asyncio.create_task(end(client))
    while client.looks < 5:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.001)
    assert not asking.done()
    client.brokers[2].awake = True
    assert await asking == 200
    assert 1 not in client.asked


async def test_of_two_that_are_silent_one_may_lead() -> None:
    """And the other may be all that knows."""
    client = Client(Broker(OLD, 100), Broker(NEW, 200, awake=False), Broker(NEW, awake=False))
    asking = asyncio.create_task(end(client))
    while client.looks < 5:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.001)
    assert (asking.done(), client.asked) == (False, [])
    client.brokers[3].awake = client.brokers[2].awake = True
    assert await asking == 200


async def test_what_a_leader_says_that_is_replaced_meanwhile_does_not_count() -> None:
    """It stood still before it answered."""
    client = Client(Broker(OLD, 100), Broker(OLD, 200), Broker(OLD))

    def replaced() -> None:
        client.brokers[2].leads = client.brokers[3].leads = NEW

    client.later = replaced
    assert await end(client) == 200
    assert client.asked == [1, 2]


async def test_a_topic_that_may_not_be_read_is_told() -> None:
    """Waiting would not help."""
    client = Client(*(Broker(OLD, code=TopicAuthorizationFailedError.errno) for _ in range(3)))
    with pytest.raises(TopicAuthorizationFailedError):
        await end(client)


@pytest.mark.parametrize(("lost", "at"), [(0, 0), (150, 150), (200, 200), (201, 0)])
async def test_an_offset_that_is_there_is_not_lost(lost: int, at: int) -> None:
    """Whatever a former leader said; one that really is not there is read from the beginning."""
    client = Client(Broker(OLD, 100), Broker(NEW, 200), Broker(NEW))
    assert await placed(client, {AT: lost}) == {AT: at}


@pytest.mark.parametrize(("position", "at"), [(150, 150), (300, 0)])
async def test_the_library_reads_on_where_it_was(position: int, at: int) -> None:
    """By itself it goes to the beginning as soon as any broker calls an offset out of range."""
    KafkaClient("localhost:1")
    state = State(None)
    state.seek(position)
    state.await_reset(EARLIEST)
    fetcher = Fetcher.__new__(Fetcher)
    fetcher._client, fetcher._retry_backoff = Client(Broker(OLD, 100), Broker(NEW, 200), Broker(NEW)), 0.001
    assert not await fetcher._update_fetch_positions(SimpleNamespace(state_value=lambda _: state), 1, [AT])
    assert state.position == at
    fetcher._closed = fetcher._fetch_task = None
