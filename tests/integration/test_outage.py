"""A model that is away for longer than the group's time-outs, on Apache Kafka: it costs lag and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Engine, ExactlyOnce, Limits, MetricFamilies
from processor.errors import Rejected, Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.kafka import KafkaSource, KafkaSourceConfig

from .test_engine_process import PARTITIONS, copying

pytestmark = pytest.mark.kafka

SESSION_S: Final = 6.0
"""The shortest that the broker allows."""
AWAY_S: Final = 20.0
RECORDS: Final = 3_000
ROOM: Final = 600


class Asking:
    """Copies records, as soon as there is an answer."""

    def __init__(self, out: str, registry: CollectorRegistry) -> None:
        self.out, self.registry = out, registry
        self.since = asyncio.get_running_loop().time()
        self.tries = 0
        self.most = 0.0
        self.assignments: list[TopicPartition] = []
        self.rejections: list[str] = []

    async def handle(self, record: Record) -> Sequence[Outbound]:
        self.tries += 1
        in_flight = self.registry.get_sample_value("faultstream_engine_in_flight", {"engine": "line"})
        self.most = max(self.most, in_flight or 0.0)
        if asyncio.get_running_loop().time() - self.since < AWAY_S:
            raise Retryable("no healthy model server")
        return [Outbound(self.out, record.key, record.value)]

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        self.rejections.append(error.reason)
        return [Outbound(self.out, record.key, b"-1")]

    async def assigned(self, partition: TopicPartition) -> None:
        self.assignments.append(partition)

    async def revoked(self, partition: TopicPartition) -> None: ...


async def test_a_model_that_is_away_costs_lag_and_nothing_else(apache_kafka: str) -> None:
    """For three sessions: no partition is lost, nothing is rejected, little is held; then all is done by itself."""
    async with copying(apache_kafka, RECORDS) as (reader, (bootstrap, group, topic, out)):
        client = KafkaClient(bootstrap)
        config = KafkaSinkConfig(client)
        waits = KafkaSourceConfig(group, {topic: "earliest"}, SESSION_S, rebalance_s=10, max_poll_interval_s=SESSION_S)
        source = KafkaSource(client, waits)
        registry = CollectorRegistry()
        worker = Asking(out, registry)
        engine = Engine(
            source,
            KafkaSink(config),
            worker,
            Limits(in_flight=ROOM, concurrency=50, backoff_most_s=2),
            delivery=ExactlyOnce(source, KafkaTransactions(config), group),
            metrics=MetricFamilies(registry).of("line"),
            name="line",
        )
        stop = asyncio.Event()
        running = asyncio.create_task(engine.run(stop))
        await reader.until(RECORDS, timeout_s=AWAY_S + 60)
        stop.set()
        await running
        assert (await reader.to_the_end()).total() == RECORDS
    assert len(worker.assignments) == PARTITIONS
    assert worker.rejections == []
    assert worker.tries > RECORDS
    assert 0 < worker.most <= ROOM
