"""The client waits without a bound in many places while brokers do not answer; the daemon doesn't."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiokafka.errors import ProducerFenced

from processor.cluster import client as client_module
from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Engine, ExactlyOnce, Limits
from processor.engine.inflight import Partition
from processor.errors import Rejected, Retryable
from processor.sinks import transactions
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from tests.chaos.cluster import Cluster
from tests.chaos.member import Joined

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

SLOT = 3
BOUND_S = 1.0
IN_TIME_S = 6 * BOUND_S  # on a busy machine


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of a second instead of ten."""
    monkeypatch.setattr(transactions, "TRANSACTION_S", BOUND_S)
    monkeypatch.setattr(client_module, "STOP_S", BOUND_S)


@contextmanager
def silence(cluster: Cluster) -> Iterator[None]:
    """No broker answers, in connections that stay."""
    network = cluster.network(SLOT)
    for proxy in network:
        proxy.silence()
    try:
        yield
    finally:
        for proxy in network:
            proxy.heal()


class Stuck:
    """A worker whose records are finished at once."""

    def __init__(self, out: str) -> None:
        self.out = out
        self.there = asyncio.Event()

    async def handle(self, record: Record) -> Sequence[Outbound]:
        return [Outbound(self.out, record.key, record.value)]

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        raise AssertionError(error)

    async def assigned(self, partition: TopicPartition) -> None:
        self.there.set()

    async def revoked(self, partition: TopicPartition) -> None: ...


@pytest.fixture
def client(one_broker: Cluster) -> KafkaClient:
    """How the broker is reached through the network that is cut."""
    return KafkaClient(one_broker.bootstrap_of(SLOT), request_timeout_s=BOUND_S)


@asynccontextmanager
async def joined(cluster: Cluster, client: KafkaClient) -> AsyncIterator[tuple[KafkaSource, TopicPartition]]:
    """A member of a group with one partition."""
    topic = f"waits-{uuid.uuid4().hex[:8]}"
    await cluster.create({topic: 1})
    source = KafkaSource(client, KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}))
    listener = Joined()
    await source.start(listener)
    await asyncio.wait_for(listener.there.wait(), 30)
    try:
        yield source, TopicPartition(topic, 0)
    finally:
        await source.stop()


async def test_a_transaction_has_a_bound(one_broker: Cluster, client: KafkaClient) -> None:
    """Its sends, offsets and commit wait for ever in the client; a successor then goes on."""
    topic = f"waits-{uuid.uuid4().hex[:8]}"
    await one_broker.create({topic: 1})
    made = KafkaTransactions(KafkaSinkConfig(client))
    transactor = await made.open(topic)
    offsets = {TopicPartition(topic, 0): 0}
    with silence(one_broker):
        async with asyncio.timeout(IN_TIME_S):
            with pytest.raises(Retryable, match="did not end within"):
                await transactor.write([Outbound(topic, None, b"x", partition=0)], "g", offsets)
            transactor.close()
            await made.stop()
    successor = await made.open(topic)
    for _ in range(2):
        await successor.write([Outbound(topic, None, b"y", partition=0)], "g", offsets)
    successor.close()
    await made.stop()


async def test_one_that_is_fenced_long_after_it_was_closed_leaves_nothing(
    one_broker: Cluster, client: KafkaClient, caplog: pytest.LogCaptureFixture
) -> None:
    """No error that nobody has retrieved, no task and no connection, once the brokers answer it."""
    topic = f"waits-{uuid.uuid4().hex[:8]}"
    await one_broker.create({topic: 1})
    made, direct = (KafkaTransactions(KafkaSinkConfig(each)) for each in (client, KafkaClient(one_broker.bootstrap)))
    transactor, offsets = await made.open(topic), {TopicPartition(topic, 0): 0}
    await transactor.write([Outbound(topic, None, b"x", partition=0)], "g", offsets)
    with silence(one_broker):
        with pytest.raises(Retryable, match="did not end within"):
            await transactor.write([Outbound(topic, None, b"x", partition=0)], "g", offsets)
        transactor.close()
        await made.stop()
        stopping = [task for task in asyncio.all_tasks() if task.get_name() == "kafka-stop"]
        assert stopping, "it could be stopped in time: this shows nothing"
        successor = await direct.open(topic)
        await successor.write([Outbound(topic, None, b"y", partition=0)], "g", offsets)
    async with asyncio.timeout(20):
        await asyncio.gather(*stopping, return_exceptions=True)
    producer = transactor._producer
    assert isinstance(producer._sender.sender_task.exception(), ProducerFenced)
    assert (producer.client._sync_task, [each for each in producer.client._conns.values() if each.connected()]) == (
        None,
        [],
    )
    del transactor, producer, stopping
    successor.close()
    await direct.stop()
    gc.collect()
    assert not [each for each in caplog.records if "never retrieved" in each.getMessage()]


async def test_a_take_over_has_a_bound(one_broker: Cluster, client: KafkaClient) -> None:
    """A producer's start waits for its id for ever."""
    made = KafkaTransactions(KafkaSinkConfig(client), start_s=BOUND_S)
    with silence(one_broker):
        async with asyncio.timeout(IN_TIME_S):
            with pytest.raises(Retryable):
                await made.open("waits")
            await made.stop()
    assert await made.available("waits")
    await made.stop()


async def test_a_take_over_is_given_up_with_its_partition(one_broker: Cluster, client: KafkaClient) -> None:
    """Long before its bound; the partition's next owner is not fenced off when the network is back."""
    topic = f"waits-{uuid.uuid4().hex[:8]}"
    await one_broker.create({topic: 1})
    source = KafkaSource(client, KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}))
    made = KafkaTransactions(KafkaSinkConfig(client), start_s=60)
    direct = KafkaTransactions(KafkaSinkConfig(KafkaClient(one_broker.bootstrap)))
    partition = Partition(TopicPartition(topic, 0))
    with silence(one_broker):
        taking = asyncio.create_task(ExactlyOnce(source, made, f"g-{topic}").assigned(partition))
        done, _ = await asyncio.wait([taking], timeout=BOUND_S)
        assert not done
        partition.close()
        async with asyncio.timeout(IN_TIME_S):
            assert await taking is None
            await made.stop()
        successor = await direct.open(f"g-{topic}-{topic}-0")
    for number in range(3):
        await successor.write([Outbound(topic, None, b"y", partition=0)], f"g-{topic}", {partition.tp: number})
    successor.close()
    await direct.stop()


async def test_a_members_waits_have_bounds(one_broker: Cluster, client: KafkaClient) -> None:
    """Commit, committed offset, poll, and leaving the group."""
    async with joined(one_broker, client) as (source, partition):
        with silence(one_broker):
            async with asyncio.timeout(4 * IN_TIME_S):
                with pytest.raises(Retryable, match="commit"):
                    await source.commit({partition: 0})
                with pytest.raises(Retryable, match="committed"):
                    await source.committed(partition)
                assert await source.poll(0.2, 10) == []
                await source.stop()


async def test_stopping_a_sink_has_a_bound(one_broker: Cluster, client: KafkaClient) -> None:
    """With records that no broker has acknowledged: its acknowledgements are waited for without a bound."""
    topic = f"waits-{uuid.uuid4().hex[:8]}"
    await one_broker.create({topic: 1})
    sink = KafkaSink(KafkaSinkConfig(client))
    await sink.start()
    await sink.publish([Outbound(topic, None, b"x", partition=0)])
    with silence(one_broker):
        publishing = asyncio.create_task(sink.publish([Outbound(topic, None, b"y", partition=0)]))
        done, _ = await asyncio.wait([publishing], timeout=2 * BOUND_S)
        assert not done
        publishing.cancel()
        async with asyncio.timeout(IN_TIME_S):
            await asyncio.wait([publishing])
            await sink.stop()


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_an_engine_stops_though_no_broker_answers(
    one_broker: Cluster, delivery: str, client: KafkaClient
) -> None:
    """With a record that is finished and can't be delivered, within the bounds of drain and of each end."""
    topic = f"waits-{uuid.uuid4().hex[:8]}"
    await one_broker.create({topic: 1, f"{topic}-out": 1})
    source = KafkaSource(client, KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}))
    config = KafkaSinkConfig(client)
    once = ExactlyOnce(source, KafkaTransactions(config, start_s=BOUND_S), f"g-{topic}")
    worker = Stuck(f"{topic}-out")
    limits = Limits(drain_s=BOUND_S, revoke_s=BOUND_S)
    engine = Engine(source, KafkaSink(config), worker, limits, delivery=once if delivery == "exactly_once" else None)
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    await asyncio.wait_for(worker.there.wait(), 30)
    with silence(one_broker):
        direct = KafkaSink(KafkaSinkConfig(KafkaClient(one_broker.bootstrap)))
        await direct.start()
        await direct.publish([Outbound(topic, None, b"x", partition=0)])
        await direct.stop()
        stop.set()
        async with asyncio.timeout(4 * IN_TIME_S):
            await running
    assert running.exception() is None
