"""A broker that led a partition tells what it knew when it wakes up: no end that is old is believed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError
from structlog.testing import capture_logs

from processor.cluster.client import KafkaClient
from processor.contract import TopicPartition
from processor.settings.kafka import Carrier
from processor.sources.history import ends, outsider, partitions
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from tests.chaos.cluster import Cluster
from tests.chaos.member import Joined

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="session")]

BEFORE, ALL = 20, 60
"""Records that the former leader knows, and how many there are at least."""

TRIES = 5
"""A broker that wakes up may hear of the other leader before it answers."""


@dataclass
class Former:
    """A broker that stands still, and has led the partition."""

    cluster: Cluster
    tp: ClientPartition
    broker: int

    @classmethod
    async def of(cls, cluster: Cluster) -> Former:
        """It has led a new topic, and knows the first records."""
        topic = f"led-{uuid.uuid4().hex[:8]}"
        await cluster.create({topic: 1})
        await write(cluster.bootstrap, topic, BEFORE)
        return cls(cluster, ClientPartition(topic, 0), await cluster.leader(topic))

    @asynccontextmanager
    async def replaced(self) -> AsyncIterator[None]:
        """It sleeps, and another one leads and takes the rest."""
        self.cluster.freeze(self.broker)
        try:
            others = self.cluster.bootstrap.split(",")
            del others[self.broker]
            await write(",".join(others), self.tp.topic, ALL - BEFORE)
            yield
        finally:
            self.cluster.wake(self.broker)


async def write(bootstrap: str, topic: str, count: int) -> None:
    """Until they are acknowledged."""
    async with asyncio.timeout(120):
        while True:
            producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=5000)
            try:
                await producer.start()
                await producer.send_and_wait(topic, b"0", partition=0)
                break
            except KafkaError:
                await producer.stop()
        for number in range(1, count):
            await producer.send_and_wait(topic, b"%d" % number, partition=0)
        await producer.stop()


async def in_sync(cluster: Cluster) -> None:
    """Until all have caught up."""
    async with asyncio.timeout(60):
        while not await cluster.in_sync():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.2)


@asynccontextmanager
async def connected(client: KafkaClient, former: Former) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that knows the broker as the partition's leader."""
    consumer = outsider(client)
    await consumer.start()
    try:
        await partitions(consumer, former.tp.topic)
        assert await consumer.end_offsets([former.tp]) == {former.tp: BEFORE}
        yield consumer
    finally:
        await consumer.stop()


async def test_the_end_that_it_tells_is_not_believed(three_brokers: Cluster) -> None:
    """A bare client does."""
    client = KafkaClient(three_brokers.bootstrap, request_timeout_s=100)
    for _ in range(TRIES):
        former = await Former.of(three_brokers)
        async with connected(client, former) as bare, connected(client, former) as ours:
            async with former.replaced():
                asking = [asyncio.create_task(bare.end_offsets([former.tp]))]
                asking.append(asyncio.create_task(ends(ours, [former.tp])))
                await asyncio.wait(asking, timeout=0.5)
            told, found = [(await each)[former.tp] for each in asking]
        assert found >= ALL
        if told == BEFORE:
            return
        await in_sync(three_brokers)
    pytest.fail("no broker told an old end: this shows nothing")


@asynccontextmanager
async def joined(client: KafkaClient, former: Former) -> AsyncIterator[KafkaSource]:
    """A member of a group that has read what there is."""
    topic = former.tp.topic
    source = KafkaSource(client, KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}, session_timeout_s=100))
    listener, found = Joined(), list[int]()
    await source.start(listener)
    try:
        await asyncio.wait_for(listener.there.wait(), 30)
        async with asyncio.timeout(30):
            while len(found) < BEFORE:
                found += [record.offset for record in await source.poll(1, 100)]
        assert found == list(range(BEFORE))
        yield source
    finally:
        await source.stop()


@pytest.mark.parametrize("records", ["aiokafka", "librdkafka"])
async def test_nothing_is_read_again_for_it(three_brokers: Cluster, records: Carrier) -> None:
    """An offset that it calls out of range is looked for at the leader."""
    client = KafkaClient(three_brokers.bootstrap, request_timeout_s=100, records=records)
    for _ in range(TRIES):
        former = await Former.of(three_brokers)
        with capture_logs() as told:
            async with joined(client, former) as source:
                async with former.replaced():
                    source.seek(TopicPartition(*former.tp), ALL - 10)
                    polling = asyncio.create_task(source.poll(60, 100))
                    await asyncio.wait([polling], timeout=1)
                assert (await polling)[0].offset == ALL - 10
        if any(each["event"] == "a broker told an old end" for each in told):
            return
        await in_sync(three_brokers)
    pytest.fail("no broker called it out of range: this shows nothing")
