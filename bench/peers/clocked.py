"""Runs our engine until so many records are committed, and tells how long that took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence

from prometheus_client import CollectorRegistry

from bench.peers.bare import peak_mb, report
from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record, TopicPartition
from processor.engine import AtLeastOnce, Delivery, Engine, ExactlyOnce, Limits, MetricFamilies, Worker
from processor.engine.delivery import Substitute
from processor.engine.inflight import Batch, Partition
from processor.settings.kafka import Carrier
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.kafka import KafkaSource, KafkaSourceConfig


class ClockedSource(KafkaSource):
    """A source that notes when its first record came."""

    started = 0.0
    cpu = 0.0

    async def poll(self, timeout_s: float, limit: int, partitions: Collection[TopicPartition] = ()) -> Sequence[Record]:
        """As it is."""
        found = await super().poll(timeout_s, limit, partitions)
        if found and not self.started:
            self.started, self.cpu = time.perf_counter(), time.process_time()
        return found


class CountedDelivery:
    """A delivery that counts what it has committed."""

    def __init__(self, inner: Delivery) -> None:
        self._inner = inner
        self._moved = asyncio.Event()
        self.count = 0
        self.batches = 0

    @property
    def by_partition(self) -> bool:
        return self._inner.by_partition

    async def assigned(self, partition: Partition) -> int | None:
        return await self._inner.assigned(partition)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        await self._inner.revoked(partitions)

    async def mark(self, partition: Partition, offset: int, note: str) -> None:
        await self._inner.mark(partition, offset, note)

    async def ahead(self, partition: Partition, records: Sequence[Outbound]) -> None:
        await self._inner.ahead(partition, records)

    async def stop(self) -> None:
        await self._inner.stop()

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        """As it is."""
        await self._inner.deliver(batch, substitute)
        self.count += len(batch.entries)
        self.batches += 1
        self._moved.set()

    async def reached(self, count: int) -> None:
        """Returns once so many records are committed."""
        while self.count < count:
            self._moved.clear()
            await self._moved.wait()


async def measured(
    worker: Worker,
    where: str,
    topic: str,
    group: str,
    *,
    once: bool,
    count: int,
    limits: Limits | None = None,
    max_bytes: int = 1_000_000,
    records: Carrier = "aiokafka",
) -> None:
    """Runs the engine with this worker until `count` records are committed, and prints what was measured.

    `once`: with transactions.
    """
    rest = peak_mb()
    client = KafkaClient(where, records=records)
    source = ClockedSource(client, KafkaSourceConfig(group, {topic: "earliest"}))
    config = KafkaSinkConfig(client, max_bytes)
    sink = KafkaSink(config)
    inner = ExactlyOnce(source, KafkaTransactions(config), group) if once else AtLeastOnce(source, sink)
    delivery = CountedDelivery(inner)
    metrics = MetricFamilies(CollectorRegistry()).of("line")
    engine = Engine(source, sink, worker, limits, delivery=delivery, metrics=metrics)
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    reached = asyncio.create_task(delivery.reached(count))
    await asyncio.wait([reached, running], return_when=asyncio.FIRST_COMPLETED)
    report(
        delivery.count,
        source.started,
        source.cpu,
        rss_rest_mb=rest,
        records_per_batch=round(delivery.count / max(1, delivery.batches), 1),
    )
    stop.set()
    await running
