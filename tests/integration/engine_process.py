"""A small daemon for the tests to kill: `python engine_process.py BOOTSTRAP GROUP IN OUT MS DELIVERY` copies.

A record whose value $POISON is kills it, as one does that takes all memory.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Engine, ExactlyOnce, Limits
from processor.errors import Rejected
from processor.lifecycle import Lifecycle
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.telemetry import configure_logs


class Copy:
    """Copies records, each after a random wait of up to `ms` milliseconds."""

    def __init__(self, out: str, ms: float) -> None:
        self.out = out
        self.ms = ms

    async def handle(self, record: Record) -> Sequence[Outbound]:
        await asyncio.sleep(random.random() * self.ms / 1000)  # noqa: S311 (no secret)
        if record.value == os.environ.get("POISON", "").encode():
            os.kill(os.getpid(), signal.SIGKILL)
        return [Outbound(self.out, record.key, record.value)]

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        return [Outbound(self.out, record.key, b"-%s" % record.value, (("reason", error.reason.encode()),))]

    async def assigned(self, partition: TopicPartition) -> None: ...

    async def revoked(self, partition: TopicPartition) -> None: ...


async def main(bootstrap: str, group: str, topic: str, out: str, ms: str, delivery: str) -> None:
    """Runs until it is told to stop."""
    client = KafkaClient(bootstrap, request_timeout_s=10)
    source = KafkaSource(client, KafkaSourceConfig(group, {topic: "earliest"}, session_timeout_s=6, rebalance_s=10))
    config = KafkaSinkConfig(client)
    once = ExactlyOnce(source, KafkaTransactions(config), group) if delivery == "exactly_once" else None
    limits = Limits(in_flight=300, concurrency=50, batch=40, drain_s=30)
    engine = Engine(source, KafkaSink(config), Copy(out, float(ms)), limits, delivery=once)
    async with Lifecycle() as life:
        life.task("engine", engine.run(life.stop))
        await life.run()


if __name__ == "__main__":
    configure_logs()
    asyncio.run(main(*sys.argv[1:]))
