"""Transactions that Kafka has ended and left open are ended the way they were to end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.cluster import ClusterMetadata
from aiokafka.structs import OffsetAndMetadata

from processor.cluster import looks
from processor.cluster.client import KafkaClient
from processor.cluster.hanging import Last
from processor.contract import Outbound, TopicPartition
from processor.errors import Retryable
from processor.sinks import transactions
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.transactions import KafkaTransactions, KafkaTransactor
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from tests.chaos.cluster import Cluster
from tests.chaos.member import Joined
from tests.chaos.oracle import Reader

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def lenient(one_broker: Cluster) -> AsyncIterator[Cluster]:
    """A broker that takes what belongs to no transaction of its producer, and so leaves it open."""

    async def verify(settings: dict[str, str]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=one_broker.bootstrap)
        await admin.start()
        try:
            await admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", settings)])
        finally:
            await admin.close()

    await verify({"transaction.partition.verification.enable": "false"})
    try:
        yield one_broker
    finally:
        await verify({})


@dataclass
class Place:
    """A topic that is read, one that is written, and the group."""

    cluster: Cluster
    source: KafkaSource
    made: KafkaTransactions
    group: str
    tp: TopicPartition
    out: str

    async def opened(self) -> KafkaTransactor:
        """As the owner of the partition does it."""
        return await self.made.open(f"{self.group}-{self.tp.topic}-0")

    def successors(self, *, looks: bool) -> KafkaTransactions:
        """Of another process, which knows what is written to if it `looks`."""
        client = KafkaClient(self.cluster.bootstrap, request_timeout_s=10)
        return KafkaTransactions(KafkaSinkConfig(client, prefix=self.tp.topic if looks else None))

    def outputs(self, *names: str) -> list[Outbound]:
        """One for each of the topic's two partitions, by turns."""
        return [Outbound(self.out, None, name.encode(), partition=at % 2) for at, name in enumerate(names)]

    async def visible(self) -> list[str]:
        """What a reader of committed records finds."""
        found: list[str] = []
        reader = Reader(self.cluster.bootstrap, [self.out], lambda record: found.append(record.value.decode()))
        await reader.start()
        try:
            await reader.to_the_end()
        finally:
            await reader.stop()
        return sorted(found)


@pytest_asyncio.fixture(loop_scope="session")
async def place(lenient: Cluster) -> AsyncIterator[Place]:
    """Nothing has been written yet."""
    topic = f"open-{uuid.uuid4().hex[:8]}"
    await lenient.create({topic: 1, f"{topic}-out": 2})
    client = KafkaClient(lenient.bootstrap, request_timeout_s=10)
    source = KafkaSource(client, KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}, session_timeout_s=60))
    made = KafkaTransactions(KafkaSinkConfig(client))
    listener = Joined()
    await source.start(listener)
    await asyncio.wait_for(listener.there.wait(), 30)
    try:
        yield Place(lenient, source, made, f"g-{topic}", TopicPartition(topic, 0), f"{topic}-out")
    finally:
        await source.stop()
        await made.stop()


async def leave_open(place: Place, names: Sequence[str], offset: int, *, commit: bool, offsets: bool = False) -> None:
    """A transaction that is ended, without markers for its second output and, unless those have one, its `offsets`.

    The client is made to believe that it has announced them already: to Kafka's coordinator they are not a part of it.
    """
    producer, _ = await place.made.producer(f"{place.group}-{place.tp.topic}-0")
    try:
        await producer.begin_transaction()
        manager = producer._txn_manager
        manager._txn_partitions.add(ClientPartition(place.out, 1))
        for output in place.outputs(*names):
            await producer.send_and_wait(output.topic, output.value, partition=output.partition)
        if not offsets:
            manager.consumer_group_added(place.group)
        committed = {ClientPartition(*place.tp): OffsetAndMetadata(offset, "")}
        await producer.send_offsets_to_transaction(committed, place.group)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


@asynccontextmanager
async def taken_over(place: Place) -> AsyncIterator[KafkaTransactor]:
    """By the next owner, in its order."""
    transactor = await place.opened()
    try:
        await transactor.settle(place.group, place.tp)
        yield transactor
    finally:
        transactor.close()


async def test_what_was_committed_is_committed(place: Place) -> None:
    """All of it, before the offset is read; and the next transaction does not touch it."""
    await leave_open(place, ["a", "b"], 2, commit=True)
    assert await place.source.committed(place.tp) == 0, "nothing was left open: this shows nothing"
    async with taken_over(place) as transactor:
        assert await place.source.committed(place.tp) == 2
        await transactor.write(place.outputs("c", "d"), place.group, {place.tp: 4})
        assert await place.source.committed(place.tp) == 4
    assert await place.visible() == ["a", "b", "c", "d"]


async def test_a_second_try_knows_as_much_as_the_first(place: Place) -> None:
    """The first had taken the id over when it failed; from then on Kafka knows of no commit any more."""
    await leave_open(place, ["a", "b"], 2, commit=True)
    (await place.opened()).close()
    async with taken_over(place):
        assert await place.source.committed(place.tp) == 2
    assert await place.visible() == ["a", "b"]


async def test_what_was_aborted_is_aborted(place: Place) -> None:
    """Else the next transaction would commit it as well, and what is done again would be there twice."""
    await leave_open(place, ["a", "b"], 2, commit=False)
    async with taken_over(place) as transactor:
        assert await place.source.committed(place.tp) == 0
        await transactor.write(place.outputs("a", "b"), place.group, {place.tp: 2})
    assert await place.visible() == ["a", "b"]


async def test_without_it_what_was_aborted_comes_twice(place: Place) -> None:
    """What the test before relies on: Kafka itself does not end it."""
    await leave_open(place, ["a", "b"], 2, commit=False)
    transactor = await place.opened()
    await transactor.write(place.outputs("a", "b"), place.group, {place.tp: 2})
    transactor.close()
    assert await place.visible() == ["a", "b", "b"]


async def announced(place: Place, monkeypatch: pytest.MonkeyPatch, *, offsets: bool) -> KafkaTransactor:
    """A transactor that believes to have announced its second output, and its `offsets`, in the next transaction."""
    transactor = await place.opened()
    await transactor.write(place.outputs("a"), place.group, {place.tp: 1})
    manager = transactor._producer._txn_manager
    begin = manager.begin_transaction

    def begun() -> None:
        monkeypatch.setattr(manager, "begin_transaction", begin)
        begin()
        manager._txn_partitions.add(ClientPartition(place.out, 1))
        if offsets:
            manager.consumer_group_added(place.group)

    monkeypatch.setattr(manager, "begin_transaction", begun)
    return transactor


async def test_a_write_that_is_left_open_has_not_gone_well(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though Kafka says so; whoever takes over finds it committed."""
    transactor = await announced(place, monkeypatch, offsets=True)
    with pytest.raises(Retryable, match="ended and left open"):
        await transactor.write(place.outputs("b", "c"), place.group, {place.tp: 3})
    transactor.close()
    async with taken_over(place):
        assert await place.source.committed(place.tp) == 3
    assert await place.visible() == ["a", "b", "c"]


async def test_a_write_whose_offsets_alone_are_there_is_ended(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own producer, if it took so long that brokers may have failed."""
    monkeypatch.setattr(transactions, "UNUSUAL_S", 0.0)
    transactor = await announced(place, monkeypatch, offsets=False)
    monkeypatch.setattr(transactions, "MARKED_S", 0.2)
    await transactor.write(place.outputs("b", "c"), place.group, {place.tp: 3})
    transactor.close()
    assert await place.source.committed(place.tp) == 3
    assert await place.visible() == ["a", "b", "c"]


async def test_what_was_under_way_is_looked_for_where_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its offsets are there, and one of its outputs is not: the owner of before has died on the way."""
    transactor = await announced(place, monkeypatch, offsets=False)
    await transactor.write(place.outputs("b", "c"), place.group, {place.tp: 3})
    transactor.close()
    after = await place.opened()
    after._before = Last(committed=True, partitions=[ClientPartition(place.out, number) for number in (0, 1)])
    await after.settle(place.group, place.tp)
    after.close()
    assert await place.visible() == ["a", "b", "c"]


async def aborted(transactor: KafkaTransactor, *records: Outbound) -> None:
    """A transaction of it that comes to nothing, as of an owner that is killed."""
    producer = transactor._producer
    await producer.begin_transaction()
    for record in records:
        await producer.send_and_wait(record.topic, record.value, partition=record.partition)
    await producer.abort_transaction()


@pytest.mark.parametrize("looks", [True, False])
async def test_what_is_open_of_one_that_is_dead_is_looked_for(
    place: Place, monkeypatch: pytest.MonkeyPatch, looks: bool
) -> None:
    """Its offsets are there, and Kafka says that all is done; not looked for, an output is lost with the next abort."""
    transactor = await announced(place, monkeypatch, offsets=False)
    await transactor.write(place.outputs("b", "c"), place.group, {place.tp: 3})
    transactor.close()
    made = place.successors(looks=looks)
    after = await made.open(f"{place.group}-{place.tp.topic}-0")
    await after.settle(place.group, place.tp)
    await aborted(after, *place.outputs("d", "e"))
    after.close()
    await made.stop()
    assert await place.visible() == (["a", "b", "c"] if looks else ["a", "b"])


@dataclass
class Hidden:
    """A partition that has no leader, as far as clients are told."""

    monkeypatch: pytest.MonkeyPatch
    partition: ClientPartition

    def __post_init__(self) -> None:
        told = ClusterMetadata.leader_for_partition
        self._patch = self.monkeypatch.context()
        patch = self._patch.__enter__()
        hidden = self.partition
        patch.setattr(
            ClusterMetadata, "leader_for_partition", lambda cluster, tp: -1 if tp == hidden else told(cluster, tp)
        )

    def back(self) -> None:
        """It has one again."""
        self._patch.__exit__(None, None, None)


@pytest.mark.parametrize("commit", [True, False])
async def test_a_partition_without_a_leader_holds_up_only_what_is_written_there(
    place: Place, monkeypatch: pytest.MonkeyPatch, commit: bool
) -> None:
    """What was left open there is ended the way it was to end before anything else is written there."""
    await leave_open(place, ["a", "b"], 2, commit=commit, offsets=True)
    monkeypatch.setattr(looks, "LEADERLESS_S", 0.0)
    hidden = Hidden(monkeypatch, ClientPartition(place.out, 1))
    made = place.successors(looks=True)

    async def taken() -> KafkaTransactor:
        opened = await made.open(f"{place.group}-{place.tp.topic}-0")
        await opened.settle(place.group, place.tp)
        return opened

    after = await taken()
    with pytest.raises(Retryable, match="has no leader"):
        await after.write(place.outputs("c", "d"), place.group, {place.tp: 4})
    after.close()
    after = await taken()
    await after.write(place.outputs("c"), place.group, {place.tp: 3})
    hidden.back()
    await after.write(place.outputs("d", "e"), place.group, {place.tp: 5})
    await aborted(after, *place.outputs("f", "g"))
    after.close()
    await made.stop()
    assert await place.visible() == ([*"ab"] if commit else []) + [*"cde"]


async def test_what_nobody_knows_the_end_of_is_not_lost(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was to put it right has died as well, and Kafka has forgotten: its offsets are there, so it goes on."""
    transactor = await announced(place, monkeypatch, offsets=False)
    await transactor.write(place.outputs("b", "c"), place.group, {place.tp: 3})
    transactor.close()
    for dies in (True, False):
        made = place.successors(looks=True)
        after = await made.open(f"{place.group}-{place.tp.topic}-0")
        if not dies:
            await after.settle(place.group, place.tp)
        after.close()
        await made.stop()
    assert await place.visible() == ["a", "b", "c"]


async def test_nothing_is_done_where_nothing_was_left_open(place: Place) -> None:
    """Of an id that is new, too."""
    async with taken_over(place) as transactor:
        await transactor.write(place.outputs("a", "b"), place.group, {place.tp: 2})
    async with taken_over(place) as transactor:
        await transactor.write(place.outputs("c"), place.group, {place.tp: 3})
    assert await place.source.committed(place.tp) == 3
    assert await place.visible() == ["a", "b", "c"]
