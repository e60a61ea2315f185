"""How a transactional id's last transaction is asked for, on a double of a producer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import IncompatibleBrokerVersion, LeaderNotAvailableError
from structlog.testing import capture_logs

from processor.cluster import looks as module
from processor.cluster.hanging import Last, last_of
from processor.cluster.looks import LEADERLESS_S, Leftovers, Looks

NOT_FOUND = 105


class Producer:
    """Answers with these in turn: an error code and a state, and the partitions of a transaction."""

    _retry_backoff = 0.0

    def __init__(self, *answers: tuple[int, str], topics: Any = ()) -> None:
        self.client = self._sender = self
        self.answers = list(answers)
        self.topics = topics
        self.looked = 0

    async def _find_coordinator(self, kind: CoordinationType, name: str) -> int:
        return 1

    def _coordinator_dead(self, kind: CoordinationType) -> None:
        self.looked += 1

    async def send(self, node: int, request: Any, group: Any) -> Any:
        """As the client does it."""
        if not self.answers:
            raise IncompatibleBrokerVersion
        code, state = self.answers.pop(0)
        return type("Answer", (), {"transactions": [(code, "g-in-0", state, 10_000, -1, 7, 3, self.topics, {})]})


@pytest.mark.parametrize(
    ("state", "committed"),
    [("CompleteCommit", True), ("PrepareCommit", True), ("CompleteAbort", False), ("Ongoing", False)],
)
async def test_how_it_was_to_end(state: str, committed: bool) -> None:
    """Whatever is not committed is aborted."""
    producer: Any = Producer((0, state))
    assert await last_of(producer, "g-in-0") == Last(committed)


async def test_a_coordinator_that_is_loading_is_asked_again() -> None:
    """It is, just after a broker has come back; taken for one that knows of nothing, it would have a commit aborted."""
    producer: Any = Producer((14, ""), (16, ""), (15, ""), (0, "CompleteCommit"))
    assert await last_of(producer, "g-in-0") == Last(committed=True)
    assert producer.looked == 3


async def test_partitions_of_a_transaction_under_way_are_told() -> None:
    """But for that of the offsets, which are asked for in their own way."""
    producer: Any = Producer((0, "PrepareCommit"), topics=[("out", [0, 2], {}), ("__consumer_offsets", [4], {})])
    last = await last_of(producer, "g-in-0")
    assert last is not None
    assert last.partitions == (TopicPartition("out", 0), TopicPartition("out", 2))


async def test_nothing_is_known_of_some_ids() -> None:
    """Of a new one, of one that was taken over since, and on an old broker."""
    producers: list[Any] = [Producer((NOT_FOUND, "")), Producer((0, "Empty")), Producer()]
    assert [await last_of(producer, "g-in-0") for producer in producers] == [None, None, None]


class Owner:
    """A producer with an id, of a cluster of one broker where each of three has something open in topics of ours."""

    looks = 0
    gate = asyncio.Event()

    def __init__(self, number: int) -> None:
        self.client: Any = self
        self._txn_manager = SimpleNamespace(producer_id=number)

    async def fetch_all_metadata(self) -> Any:
        type(self).looks += 1
        await self.gate.wait()
        topics = {"p.out": {0, 1}, "other": {0}}
        return SimpleNamespace(
            topics=lambda **_: topics,
            partitions_for_topic=topics.get,
            leader_for_partition=lambda _: 1,
        )

    async def send(self, node: int, request: Any, group: Any) -> Any:
        (((topic, numbers, _),),) = (request._topics,)
        producers = [(number, 0, 0, 0, 0, number if number < 4 else -1) for number in range(1, 6)]
        told: list[Any] = [(number, 0, "", [producers[number]], {}) for number in numbers]
        return SimpleNamespace(topics=[(topic, told, {})])


async def test_who_asks_while_a_look_goes_on_shares_the_next() -> None:
    """One that has begun before a producer was opened may have been answered before that, too."""
    looks, owners = Looks("p."), [Owner(number) for number in range(1, 5)]
    asking = [asyncio.create_task(looks.left_open(owners[0]))]
    await asyncio.sleep(0)
    assert Owner.looks == 1
    asking += [asyncio.create_task(looks.left_open(each)) for each in owners[1:]]
    await asyncio.sleep(0)
    Owner.gate.set()
    found = await asyncio.gather(*asking)
    assert [each.found for each in found] == [[TopicPartition("p.out", 0)], [TopicPartition("p.out", 1)], [], []]
    assert Owner.looks == 2


async def test_a_look_that_fails_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it looks by itself."""
    looks, owners = Looks("p."), [Owner(1), Owner(2)]
    Owner.gate.set()

    async def away() -> None:
        raise LeaderNotAvailableError

    monkeypatch.setattr(owners[0], "fetch_all_metadata", away)
    told = await asyncio.gather(*(looks.left_open(each) for each in owners), return_exceptions=True)
    assert isinstance(told[0], LeaderNotAvailableError)
    assert told[1] == Leftovers([TopicPartition("p.out", 1)], frozenset())


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """As of the module `time`."""
        return self.now


class Leaderless(Owner):
    """Partitions without a leader are named."""

    def __init__(self, number: int, *without: TopicPartition) -> None:
        super().__init__(number)
        self.without = without

    async def fetch_all_metadata(self) -> Any:
        cluster = await super().fetch_all_metadata()
        cluster.leader_for_partition = lambda tp: -1 if tp in self.without else 1
        return cluster


async def test_a_partition_without_a_leader_is_waited_for_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then whoever takes over is told that nobody knows of it; what is open elsewhere is told all the same."""
    clock, gone, other = Clock(), TopicPartition("p.out", 1), TopicPartition("other", 0)
    monkeypatch.setattr(module, "time", clock)
    Owner.gate.set()
    looks, owner = Looks("p."), Leaderless(1, gone, other)
    for _ in range(3):
        with pytest.raises(LeaderNotAvailableError, match=r"^\[.*\] LeaderNotAvailableError: p.out/1 has no leader"):
            await looks.left_open(owner)
        clock.now += LEADERLESS_S / 3
    with capture_logs() as told:
        assert await looks.left_open(owner) == Leftovers([TopicPartition("p.out", 0)], {gone})
    assert [(each["log_level"], each["partitions"]) for each in told] == [("warning", "p.out/1")]
    owner.without = ()
    assert await looks.left_open(owner) == Leftovers([TopicPartition("p.out", 0)], frozenset())


async def test_the_bound_begins_anew_with_each_loss_of_a_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """For another partition as well, and where nobody has looked for long."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    Owner.gate.set()
    looks, owner = Looks("p."), Leaderless(1, TopicPartition("p.out", 1))

    async def waits() -> bool:
        try:
            await looks.left_open(owner)
        except LeaderNotAvailableError:
            return True
        return False

    assert await waits()
    clock.now += LEADERLESS_S * 0.9
    owner.without = (TopicPartition("p.out", 0), TopicPartition("p.out", 1))
    assert await waits()
    clock.now += LEADERLESS_S * 0.9
    assert await waits()
    clock.now += LEADERLESS_S * 0.2
    assert not await waits()
    clock.now += LEADERLESS_S * 10
    assert await waits()
