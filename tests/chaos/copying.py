"""A daemon for the chaos tests: `python -m tests.chaos.copying OPTIONS.json` copies each record for two pipelines.

An output's value is the position of its input: "partition offset"; a dead letter's has the reason behind it. Now and
then a record is rejected, or waits; one that says POISON kills the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Delivery, Engine, ExactlyOnce, Limits
from processor.errors import Rejected, Retryable
from processor.lifecycle import Lifecycle
from processor.settings.kafka import Carrier
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.telemetry import configure_logs
from tests.chaos import broken
from tests.chaos.daemons import POISONED
from tests.chaos.hooks import Switches

POISON = b"poison"


@dataclass(frozen=True, slots=True)
class Options:
    """What one daemon is told."""

    bootstrap: str
    group: str
    topic: str
    outs: Sequence[str]
    dead: str
    folder: str
    wait_ms: float = 30
    session_s: float = 3
    concurrency: int = 60
    build: str = "whole"  # or commits_first, unfenced, reads_first
    records: Carrier = "aiokafka"

    def write(self, file: Path) -> Path:
        """Puts it where the daemon reads it."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return file

    @classmethod
    def read(cls, file: Path) -> Self:
        """What `write` wrote."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))


class Copy:
    """Copies records; of every 37th it makes a dead letter, and every 41st has to be tried three times."""

    def __init__(self, options: Options, switches: Switches) -> None:
        self._options = options
        self._switches = switches
        self._tries: Counter[TopicPartition] = Counter()

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """One output for each pipeline."""
        await self._switches.obstruct()
        await asyncio.sleep(random.random() * self._options.wait_ms / 1000)  # noqa: S311 (no secret)
        if record.value == POISON:
            (Path(self._options.folder) / POISONED).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        number = int(record.value or b"")
        if number % 37 == 5:
            raise Rejected("chaos", "one of those that are rejected")
        at = TopicPartition(record.topic, record.offset)
        if number % 41 == 7 and self._tries[at] < 2:
            self._tries[at] += 1
            raise Retryable("one of those that have to wait", wait=0.1, shared=number % 2 == 0)
        self._tries.pop(at, None)
        return [Outbound(out, record.key, _position(record)) for out in self._options.outs]

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        """The dead letter."""
        return [Outbound(self._options.dead, record.key, _position(record) + b" " + error.reason.encode())]

    async def assigned(self, partition: TopicPartition) -> None: ...

    async def revoked(self, partition: TopicPartition) -> None: ...


def _position(record: Record) -> bytes:
    return b"%d %d" % (record.partition, record.offset)


def delivery(
    options: Options, switches: Switches, source: KafkaSource, sink: KafkaSink, config: KafkaSinkConfig
) -> Delivery:
    """How the build that is asked for delivers."""
    match options.build:
        case "commits_first":
            return broken.CommitsFirst(source, sink)
        case "unfenced":
            return ExactlyOnce(source, broken.NamedByProcess(config), options.group)
        case "reads_first":
            reads_first = broken.ReadsFirst(source, KafkaTransactions(config), options.group)
            reads_first.pause = switches.pause
            return reads_first
        case _:
            transactions = broken.PausingTransactions(config)
            transactions.pause = switches.pause
            return ExactlyOnce(source, transactions, options.group)


async def main(options: Options) -> None:
    """Runs until it is told to stop."""
    switches = Switches(Path(options.folder))
    if options.build == "commits_first":
        switches.install((KafkaSink, "publish"))
    else:
        switches.install()
    client = KafkaClient(options.bootstrap, request_timeout_s=5, records=options.records)
    within = KafkaSourceConfig(
        options.group, {options.topic: "earliest"}, session_timeout_s=options.session_s, rebalance_s=10
    )
    config = KafkaSinkConfig(client, prefix=options.topic)
    source = KafkaSource(client, within, KafkaTransactions(config))
    sink = KafkaSink(config)
    limits = Limits(in_flight=400, concurrency=options.concurrency, batch=50, drain_s=15, revoke_s=4, backoff_most_s=2)
    engine = Engine(
        source, sink, Copy(options, switches), limits, delivery=delivery(options, switches, source, sink, config)
    )
    async with Lifecycle() as life:
        life.task("engine", engine.run(life.stop))
        await life.run()


if __name__ == "__main__":
    configure_logs()
    asyncio.run(main(Options.read(Path(sys.argv[1]))))
