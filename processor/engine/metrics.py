"""The engine's metrics. Counted per batch where a count per record would cost more than the record."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from processor.contract import TopicPartition
from processor.engine.inflight import InFlight
from processor.engine.lag import Lag

PREFIX = "faultstream_engine"


class MetricFamilies:
    """The metrics of all engines of a process; made once per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        label = ["engine"]
        self.delivered = Counter(f"{PREFIX}_records", "Records committed.", label, registry=registry)
        self.retried = Counter(f"{PREFIX}_retries", "Failed tries that wait.", label, registry=registry)
        self.rejected = Counter(
            f"{PREFIX}_rejected", "Records that became dead letters.", [*label, "reason"], registry=registry
        )
        self.delivery = Histogram(
            f"{PREFIX}_delivery_seconds", "Publishing and committing one batch.", label, registry=registry
        )
        self.in_flight = Gauge(f"{PREFIX}_in_flight", "Records read, not committed.", label, registry=registry)
        self.bytes = Gauge(f"{PREFIX}_in_flight_bytes", "Bytes of those records.", label, registry=registry)
        self.paused = Gauge(f"{PREFIX}_paused_partitions", "Partitions that pause.", label, registry=registry)
        self.held = Gauge(f"{PREFIX}_partitions", "Partitions that are held.", label, registry=registry)
        self.oldest = Gauge(
            f"{PREFIX}_oldest_seconds", "Since the oldest of those records was read.", label, registry=registry
        )
        self.lags: dict[str, Lag] = {}  # by engine
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """What has a label per partition: those come and go."""
        lag = GaugeMetricFamily(
            f"{PREFIX}_lag", "Records not committed, read or not.", labels=["engine", "topic", "partition"]
        )
        for engine, each in self.lags.items():
            for tp, records in each.by_partition().items():
                lag.add_metric([engine, tp.topic, str(tp.partition)], records)
        yield lag

    def of(self, engine: str) -> EngineMetrics:
        """The metrics of the engine of that name (line, tickets)."""
        return EngineMetrics(self, engine)


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """The metrics of one engine."""

    families: MetricFamilies
    engine: str

    @classmethod
    def unregistered(cls) -> EngineMetrics:
        """Metrics that nobody reads."""
        return MetricFamilies(CollectorRegistry()).of("engine")

    @property
    def delivered(self) -> Counter:
        """Records committed."""
        return self.families.delivered.labels(self.engine)

    @property
    def retried(self) -> Counter:
        """Failed tries that wait."""
        return self.families.retried.labels(self.engine)

    @property
    def delivery(self) -> Histogram:
        """Seconds per batch."""
        return self.families.delivery.labels(self.engine)

    def rejected(self, reason: str) -> Counter:
        """Records that became dead letters for this reason."""
        return self.families.rejected.labels(self.engine, reason)

    def watch(self, inflight: InFlight, paused: Collection[TopicPartition], lag: Lag) -> None:
        """Has the gauges read from the engine's state when they are asked for."""
        self.families.lags[self.engine] = lag
        self.families.oldest.labels(self.engine).set_function(
            lambda: 0.0 if (since := lag.oldest()) is None else time.monotonic() - since
        )
        self.families.in_flight.labels(self.engine).set_function(lambda: inflight.count)
        self.families.bytes.labels(self.engine).set_function(lambda: inflight.bytes)
        self.families.paused.labels(self.engine).set_function(lambda: len(paused))
        self.families.held.labels(self.engine).set_function(lambda: len(inflight.partitions))
