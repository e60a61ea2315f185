"""A producer's first transaction shows that what was told as committed is true, on doubles of the client's parts."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from aiokafka import TopicPartition as ClientPartition
from aiokafka.client import CoordinationType
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.structs import OffsetAndMetadata

from processor.cluster.client import KafkaClient
from processor.cluster.hanging import Last, _StableOffset
from processor.contract import TopicPartition
from processor.errors import Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.transactions import KafkaTransactions, KafkaTransactor
from processor.sources.kafka import KafkaSource, KafkaSourceConfig

AT = TopicPartition("in", 0)


class Brokers:
    """What the true coordinator, number 1, has committed, and what the group's member is told."""

    def __init__(self) -> None:
        self.true: OffsetAndMetadata | None = OffsetAndMetadata(20, "")
        self.told = self.true
        self.members: list[str] = []
        self.asked: list[int] = []
        self.commits = self.aborts = 0
        self.left = 0

    # As a member's coordinator

    async def fetch_committed_offsets(self, partitions: list[ClientPartition]) -> dict[ClientPartition, Any]:
        """Of the broker that the member takes for the coordinator."""
        return dict.fromkeys(partitions, self.told)

    def coordinator_dead(self) -> None:
        """Another one is looked for."""
        self.left += 1
        self.told = self.true

    # As a producer, and its client

    async def begin_transaction(self) -> None: ...

    async def send_offsets_to_transaction(self, offsets: dict[Any, Any], group: str) -> None:
        """The true coordinator takes them."""

    async def commit_transaction(self) -> None:
        """Counts."""
        self.commits += 1

    async def abort_transaction(self) -> None:
        """Counts."""
        self.aborts += 1

    async def send(self, node: int, request: Any, **_: Any) -> Any:
        """What a broker has committed."""
        if isinstance(request, _StableOffset):
            return type("Answer", (), {"topics": [(AT.topic, [(AT.partition, 0, 0, "", 0, {})], {})], "error_code": 0})
        self.asked.append(node)
        if isinstance(request, DescribeGroupsRequest):
            return type("Answer", (), {"groups": [(0, "g", "Stable", "", "", self.members)]})
        at, note = self.true or (-1, "")
        answer = [(AT.topic, [(AT.partition, at, note, 0)])]
        return type("Answer", (), {"topics": answer})

    async def stop(self) -> None: ...

    # As its sender, and what that one keeps of the transaction

    txn_partitions: ClassVar = set[Any]()

    _coordinators: ClassVar = {CoordinationType.GROUP: 1}

    async def _find_coordinator(self, kind: CoordinationType, name: str) -> int:
        return self._coordinators[kind]


@pytest.fixture
def brokers() -> Brokers:
    """Of one mind."""
    return Brokers()


@pytest.fixture
def client() -> KafkaClient:
    """Not connected."""
    return KafkaClient("localhost:1")


@pytest.fixture
def source(client: KafkaClient, brokers: Brokers) -> KafkaSource:
    """A member of the group."""
    made = KafkaSource(client, KafkaSourceConfig("g", {"in": "earliest"}))
    made._consumer = type("Consumer", (), {"_coordinator": brokers})
    return made


@pytest.fixture
def transactor(client: KafkaClient, brokers: Brokers) -> KafkaTransactor:
    """One that was just opened."""
    return opened(client, brokers)


def opened(client: KafkaClient, brokers: Brokers) -> KafkaTransactor:
    """A transactor whose group is coordinated by broker 1."""
    config = KafkaSinkConfig(client)
    producer: Any = brokers
    producer.client = producer._sender = producer._txn_manager = brokers
    return KafkaTransactor(KafkaTransactions(config), "g-in-0", producer, config, Last())


async def test_what_was_told_is_confirmed_once(
    brokers: Brokers, source: KafkaSource, transactor: KafkaTransactor
) -> None:
    """By the broker that has taken the offsets; from then on nobody else can have committed any."""
    assert await source.committed(AT) == 20
    await transactor.write([], "g", {AT: 21})
    brokers.true = OffsetAndMetadata(21, "")
    await transactor.write([], "g", {AT: 22})
    assert (brokers.asked, brokers.commits, brokers.left) == ([1], 2, 0)


@pytest.mark.parametrize("told", [OffsetAndMetadata(10, ""), OffsetAndMetadata(20, "old note")])
async def test_after_an_answer_that_was_not_true_another_broker_is_asked(
    brokers: Brokers, client: KafkaClient, source: KafkaSource, transactor: KafkaTransactor, told: OffsetAndMetadata
) -> None:
    """One that was cut off from the others answers the same for as long as it is asked."""
    brokers.told = told
    await source.noted(AT)
    with pytest.raises(Retryable, match="not true any more"):
        await transactor.write([], "g", {AT: 11})
    assert (brokers.commits, brokers.left) == (0, 0)
    again = opened(client, brokers)
    assert await source.noted(AT) == (20, "")
    assert brokers.left == 1
    await again.write([], "g", {AT: 21})
    await source.noted(AT)
    assert (brokers.commits, brokers.left) == (1, 1)


async def test_both_of_two_different_answers_have_to_be_true(
    brokers: Brokers, source: KafkaSource, transactor: KafkaTransactor
) -> None:
    """Some of what was made of the first may be kept."""
    brokers.told = OffsetAndMetadata(10, "")
    await source.committed(AT)
    brokers.told = brokers.true
    await source.committed(AT)
    with pytest.raises(Retryable, match="not true any more"):
        await transactor.write([], "g", {AT: 21})
    assert brokers.commits == 0


async def test_a_group_begins_where_nothing_is_committed(brokers: Brokers, transactor: KafkaTransactor) -> None:
    """As the broker says that has taken the offsets."""
    brokers.true = None
    assert await transactor.begin("g", {AT: 100})
    assert (set(brokers.asked), brokers.commits, brokers.aborts) == ({1}, 1, 0)


@pytest.mark.parametrize(("committed", "members"), [(20, []), (0, []), (None, ["m"]), (20, ["m"])])
async def test_a_group_that_has_begun_does_not_begin_again(
    brokers: Brokers, transactor: KafkaTransactor, committed: int | None, members: list[str]
) -> None:
    """Whatever a broker told that is its coordinator no more; of members, nothing may be committed yet."""
    brokers.true = None if committed is None else OffsetAndMetadata(committed, "")
    brokers.members = members
    assert not await transactor.begin("g", {AT: 100})
    assert (brokers.commits, brokers.aborts) == (0, 1)
