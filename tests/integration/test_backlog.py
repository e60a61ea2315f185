"""What a group has not read of a topic, on Apache Kafka, whose transactions leave markers among the records."""

from __future__ import annotations

import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, TopicPartition
from processor.sinks.kafka import KafkaSinkConfig
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
    transactions = KafkaTransactions(KafkaSinkConfig(client.arguments()))
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
