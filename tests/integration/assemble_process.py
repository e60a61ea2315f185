"""A small daemon for the tests to kill: `python assemble_process.py BOOTSTRAP GROUP IN OUT DELIVERY MS` copies logs."""

from __future__ import annotations

import asyncio
import sys

from processor.assemble import AssemblingSource, AssemblingTransactions, Plan
from processor.cluster.client import KafkaClient
from processor.engine import Engine, ExactlyOnce, Limits
from processor.lifecycle import Lifecycle
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.decode import DecodeConfig, Decoder
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.sources.providers import Providers
from processor.telemetry import configure_logs
from tests.integration.engine_process import Copy


async def main(bootstrap: str, group: str, topic: str, out: str, delivery: str, ms: str) -> None:
    """Runs until it is told to stop."""
    client = KafkaClient(bootstrap, request_timeout_s=10)
    plan = Plan.of(Decoder(DecodeConfig("log"), Providers(()), group), ["run_id"], "^END$")
    lines = KafkaSource(client, KafkaSourceConfig(group, {topic: "earliest"}, session_timeout_s=6, rebalance_s=10))
    source = AssemblingSource(lines, {topic: plan})
    config = KafkaSinkConfig(client)
    once = ExactlyOnce(source, AssemblingTransactions(KafkaTransactions(config), source), group)
    how = once if delivery == "exactly_once" else None
    limits = Limits(in_flight=300, concurrency=50, batch=20, drain_s=30)
    engine = Engine(source, KafkaSink(config), Copy(out, float(ms)), limits, delivery=how)
    async with Lifecycle() as life:
        life.task("engine", engine.run(life.stop))
        await life.run()


if __name__ == "__main__":
    configure_logs()
    asyncio.run(main(*sys.argv[1:]))
