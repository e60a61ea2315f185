"""What a group has not read of a topic, on Apache Kafka, whose transactions leave markers among the records."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, TopicPartition
from processor.errors import Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.transactions import KafkaTransactions
from processor.sources.backlog import Backlog

pytestmark = pytest.mark.kafka


async def test_markers_are_no_records(apache_kafka: str) -> None:
    """Two partitions, one with records and a marker behind them: nothing waits once the records are committed."""
    topic, client = f"parked-{uuid.uuid4().hex[:12]}", KafkaClient(apache_kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    transactions = KafkaTransactions(KafkaSinkConfig(client))
    backlog = Backlog(client, f"g-{topic}")
    try:
        assert await backlog.waiting(topic) == (0, 0)
        transactor = await transactions.open(topic)
        await transactor.write(
            [Outbound(topic, b"k", b"x", partition=1) for _ in range(3)], "other", {TopicPartition(topic, 0): 0}
        )
        transactor.close()
        transactor = await transactions.open(topic)  # settles what the commit has begun: only then it is seen
        found = await backlog.waiting(topic)
        assert found.records >= 3
        assert found.oldest_ms > 1_600_000_000_000
        for committed, waits in ((2, True), (3, False)):
            await transactor.write([], f"g-{topic}", {TopicPartition(topic, 1): committed})
            transactor.close()
            transactor = await transactions.open(topic)  # settles what the commit has begun
            assert bool((await backlog.waiting(topic)).records) is waits
        transactor.close()
    finally:
        await backlog.stop()
        await transactions.stop()


async def test_a_client_that_gave_up_is_replaced(apache_kafka: str) -> None:
    """The task that keeps in touch with the coordinator ends for good if it is disturbed while it looks for it."""
    topics, client = [f"parked-{uuid.uuid4().hex[:12]}" for _ in range(2)], KafkaClient(apache_kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
    await admin.close()
    backlog = Backlog(client, f"g-{topics[0]}")
    try:
        assert await backlog.waiting(topics[0]) == (0, 0)
        consumer = backlog._consumer
        assert consumer is not None
        coordinator = consumer._coordinator
        for _ in range(50):
            coordinator.coordinator_dead()
            await asyncio.wait([asyncio.ensure_future(coordinator.ensure_coordinator_known())], timeout=0)
            with suppress(Retryable):
                await backlog.waiting(topics[1])
            if coordinator._coordination_task.done():
                break
        assert coordinator._coordination_task.done()  # else this shows nothing
        async with asyncio.timeout(10):
            assert [await backlog.waiting(topic) for topic in topics] == [(0, 0), (0, 0)]
    finally:
        await backlog.stop()
