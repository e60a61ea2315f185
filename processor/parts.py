"""What the roles of a daemon are built of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from processor.assemble import AssemblingSource, AssemblingTransactions, AssemblyMetrics, Plan
from processor.cluster.client import KafkaClient
from processor.cluster.topics import Found
from processor.engine.delivery import Delivery
from processor.engine.exactly_once import ExactlyOnce
from processor.engine.limits import Limits as EngineLimits
from processor.engine.ports import Source, Transactions
from processor.home import Homes
from processor.pipeline import Pipeline
from processor.settings import Settings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.beginning import Start
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.telemetry import Health


@dataclass(frozen=True, slots=True)
class Parts:
    """What the roles are built of."""

    settings: Settings
    homes: Homes
    pipelines: Sequence[Pipeline]
    registry: CollectorRegistry
    health: Health
    client: KafkaClient
    topics: Mapping[str, Found]
    transactions: bool

    def sink(self) -> KafkaSink:
        """A sink of its own for each user of one."""
        return KafkaSink(KafkaSinkConfig.of(self.settings, self.client))

    def source(self, group: str, topics: Mapping[str, Start], plans: Mapping[str, Plan]) -> Source:
        """Reads topics as a member of a group; the lines of those in `plans` as logs."""
        source = self.joining(group, topics)
        if not plans:
            return source
        metrics = AssemblyMetrics(self.registry)
        return AssemblingSource(source, plans, metrics, most_bytes=self.settings.limits.assemble_bytes)

    def joining(self, group: str, topics: Mapping[str, Start]) -> KafkaSource:
        """A member of a group that reads these topics."""
        kafka = self.settings.kafka
        member = KafkaSourceConfig(
            group, topics, kafka.session_timeout_s, assignor=kafka.assignor, instance=kafka.group_instance_id
        )
        return KafkaSource(self.client, member, KafkaTransactions(KafkaSinkConfig.of(self.settings, self.client)))

    def delivery(self, source: Source, group: str, *, stateful: bool = False) -> Delivery | None:
        """How outputs and offsets of a group leave: as one, or None for the engine's at least once.

        `stateful`: see ExactlyOnce.
        """
        if not self.transactions:
            return None
        transactions: Transactions = KafkaTransactions(KafkaSinkConfig.of(self.settings, self.client))
        if isinstance(source, AssemblingSource):
            transactions = AssemblingTransactions(transactions, source)
        return ExactlyOnce(source, transactions, group, most=self.settings.kafka.producers, stateful=stateful)

    def limits(self) -> EngineLimits:
        """The engine's bounds."""
        ours = self.settings.limits
        # What is finished and waits for an earlier record, or for its commit, is not worked on any more: without
        # room for it, one slow record would keep the others from the model.
        return EngineLimits(
            in_flight=16 * ours.in_flight,
            in_flight_bytes=ours.in_flight_bytes,
            concurrency=ours.in_flight,
            drain_s=ours.drain_s,
        )
