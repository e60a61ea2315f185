"""A broker that was the group's coordinator tells what was committed before when it wakes up.

Nothing comes twice for that, and nothing is left out.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from aiokafka import TopicPartition as ClientPartition

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, TopicPartition
from processor.errors import Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.transactions import KafkaTransactions, KafkaTransactor
from processor.sources import beginning
from processor.sources.history import outsider
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from tests.chaos.cluster import Cluster
from tests.chaos.member import Joined

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="session")]


@asynccontextmanager
async def frozen(cluster: Cluster, broker: int) -> AsyncIterator[None]:
    """The broker stands still."""
    cluster.freeze(broker)
    try:
        yield
    finally:
        cluster.wake(broker)


async def test_what_a_former_coordinator_says_is_not_believed(three_brokers: Cluster) -> None:
    """The transaction that would repeat what was done is not committed, and the next reading is true."""
    topic = f"former-{uuid.uuid4().hex[:8]}"
    group, tp = f"g-{topic}", TopicPartition(topic, 0)
    await three_brokers.create({topic: 1})
    # So patient that the member does not find out by itself while the broker sleeps.
    client = KafkaClient(three_brokers.bootstrap, request_timeout_s=100)
    source = KafkaSource(client, KafkaSourceConfig(group, {topic: "earliest"}, session_timeout_s=300))
    made = KafkaTransactions(KafkaSinkConfig(replace(client, request_timeout_s=5)), start_s=20)

    async def taken() -> KafkaTransactor:
        """Tried again while brokers are away."""
        while True:
            try:
                return await made.open(f"{group}-{topic}-0")
            except Retryable:
                continue

    async def write(transactor: KafkaTransactor, offset: int) -> None:
        try:
            await transactor.write([Outbound(topic, None, b"x", partition=0)], group, {tp: offset})
        finally:
            transactor.close()

    async def told(offset: int) -> None:
        """Until that is what a broker says: a commit is answered before its offsets can be read."""
        async with asyncio.timeout(30):
            while await source.committed(tp) != offset:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.05)

    listener = Joined()
    await source.start(listener)
    await asyncio.wait_for(listener.there.wait(), 30)
    try:
        await write(await taken(), 10)
        await told(10)
        coordinator = await three_brokers.coordinator(group)
        others = three_brokers.bootstrap.split(",")
        del others[coordinator]
        awake = replace(client, bootstrap=",".join(others), request_timeout_s=5)  # the readings are the same
        await made.stop()
        made = KafkaTransactions(KafkaSinkConfig(awake), start_s=20)
        async with frozen(three_brokers, coordinator), asyncio.timeout(150):
            while True:  # until others have taken over from it
                with suppress(Retryable):
                    await write(await taken(), 20)
                    break
            # As a take-over does it, while the member still holds on to the broker that sleeps.
            transactor = await taken()
            asking = asyncio.create_task(source.committed(tp))
            await asyncio.wait([asking], timeout=1)
        assert await asking == 10, "the broker told the truth: this shows nothing"
        async with asyncio.timeout(30):
            while await three_brokers.takes_itself_for_coordinator(coordinator, group):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.05)
        with pytest.raises(Retryable, match="not true any more"):
            await write(transactor, 11)
        await told(20)
        transactor = await taken()  # what was told before that does not matter to it
        assert await source.committed(tp) == 20
        await write(transactor, 21)
        await told(21)
    finally:
        await source.stop()
        await made.stop()


async def test_that_nothing_is_committed_is_not_believed_either(
    three_brokers: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a group that begins at the end would leave out what came since it began: events would be lost."""
    topic = f"nothing-{uuid.uuid4().hex[:8]}"
    group, tp = f"g-{topic}", TopicPartition(topic, 0)
    await three_brokers.create({topic: 1})
    client = KafkaClient(three_brokers.bootstrap, request_timeout_s=100)
    told: list[int | None] = []
    consumer = outsider(client, group)

    async def ask(at: ClientPartition) -> int | None:
        found: int | None = await committed(at)
        told.append(found)
        return found

    committed = consumer.committed
    monkeypatch.setattr(consumer, "committed", ask)
    await consumer.start()
    try:
        await consumer._client._wait_on_metadata(topic)
        consumer.assign([ClientPartition(topic, 0)])
        assert await committed(ClientPartition(topic, 0)) is None  # and the client knows the coordinator now
        coordinator = await three_brokers.coordinator(group)
        others = three_brokers.bootstrap.split(",")
        del others[coordinator]
        made = KafkaTransactions(KafkaSinkConfig(KafkaClient(",".join(others), request_timeout_s=5)), start_s=20)
        async with frozen(three_brokers, coordinator), asyncio.timeout(150):
            while True:  # until others have taken over from it
                with suppress(Retryable):
                    records = [Outbound(topic, None, b"x", partition=0)] * 30
                    transactor = await made.open(f"{group}-{topic}-0")
                    await transactor.write(records, group, {tp: 20})
                    transactor.close()
                    break
            # A start that is new to the group, and asks the broker that sleeps.
            starting = asyncio.create_task(beginning.resolve(consumer, made, group, topic, "latest", 100))
            await asyncio.wait([starting], timeout=1)
        with suppress(Retryable):
            await starting
        assert told == [None], "the broker told the truth: this shows nothing"
        async with asyncio.timeout(30):
            consumer._coordinator.coordinator_dead()
            while await committed(ClientPartition(topic, 0)) is None:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.05)
        assert await committed(ClientPartition(topic, 0)) == 20
    finally:
        await consumer.stop()
