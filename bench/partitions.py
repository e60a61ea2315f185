"""`python -m bench.partitions [--partitions 100]`: memory and connections of one daemon that holds many partitions.

An engine of its own process each: at least once, exactly once, exactly once with at most 20 producers at a time;
as assigned, and after a delivery of each partition. Apache Kafka, one broker (with more brokers a producer has a
connection to each that leads an output).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Engine, ExactlyOnce, Limits
from processor.errors import Rejected
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from tools.servers.kafka import Kafka

ESTABLISHED = "01"
PATIENCE_S = 180
DELIVERIES = {"at_least_once": 0, "exactly_once": 10_000, "exactly_once_20": 20}
"""By name the most producers at a time; none are for delivery at least once."""


class Ready:
    """A worker that copies, and knows how many partitions are ready and how many records came."""

    def __init__(self, out: str) -> None:
        self.out = out
        self.partitions = 0
        self.records = 0

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """A copy."""
        self.records += 1
        return [Outbound(self.out, record.key, record.value)]

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:  # noqa: ARG002
        """Nothing is rejected here."""
        raise AssertionError(error)

    async def assigned(self, partition: TopicPartition) -> None:  # noqa: ARG002
        """Called when the partition's producer is there."""
        self.partitions += 1

    async def revoked(self, partition: TopicPartition) -> None:
        """Nothing to do."""


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def connections() -> int:
    """Established TCP connections of this process."""
    mine = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            mine.add(str(each.readlink()))
        except FileNotFoundError:
            continue
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text(encoding="utf-8").splitlines()[1:]]
    return sum(row[3] == ESTABLISHED and f"socket:[{row[9]}]" in mine for row in rows)


async def child(bootstrap: str, topic: str, count: int, delivery: str) -> dict[str, float]:
    """Runs an engine until it holds all partitions, and has delivered a record of each; measures both times."""
    client = KafkaClient(bootstrap)
    group = f"g-{uuid.uuid4().hex[:10]}"
    source = KafkaSource(client, KafkaSourceConfig(group, {topic: "earliest"}))
    config = KafkaSinkConfig(client)
    worker = Ready(f"{topic}-out")
    most = DELIVERIES[delivery]
    once = ExactlyOnce(source, KafkaTransactions(config), group, most=most) if most else None
    engine = Engine(source, KafkaSink(config), worker, Limits(), delivery=once)
    before, began = resident_mb(), time.monotonic()
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    await _until(lambda: worker.partitions == count)
    told = {
        "seconds_to_hold": time.monotonic() - began,
        "held_mb": resident_mb() - before,
        "held_connections": connections(),
    }
    sink = KafkaSink(config)
    await sink.start()
    began = time.monotonic()
    await sink.publish([Outbound(topic, None, b"x", partition=at) for at in range(count)])
    await sink.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    async with asyncio.timeout(PATIENCE_S):
        while sum(each.offset for each in (await admin.list_consumer_group_offsets(group)).values()) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await admin.close()
    told |= {"seconds_to_deliver": time.monotonic() - began, "used_mb": resident_mb() - before}
    told["used_connections"] = connections()
    began = time.monotonic()
    stop.set()
    await running
    return told | {"seconds_to_stop": time.monotonic() - began}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (a benchmark; nobody tells)
            await asyncio.sleep(0.05)


async def _topics(bootstrap: str, topic: str, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, count, 1), NewTopic(f"{topic}-out", 4, 1)])
    await admin.close()


def main() -> None:
    """Prints what each delivery takes, as JSON lines."""
    parser = argparse.ArgumentParser(prog="python -m bench.partitions", description=__doc__)
    parser.add_argument("--partitions", type=int, default=100)
    parser.add_argument("--child", nargs=3)
    given = parser.parse_args()
    if given.child:
        bootstrap, topic, delivery = given.child
        print(json.dumps(asyncio.run(child(bootstrap, topic, given.partitions, delivery))))
        return
    with tempfile.TemporaryDirectory(prefix="faultstream-bench-") as folder:
        server = Kafka(Path(folder)).start()
        try:
            for delivery in DELIVERIES:
                topic = f"bench-{uuid.uuid4().hex[:8]}"
                asyncio.run(_topics(server.address, topic, given.partitions))
                words = [sys.executable, "-m", "bench.partitions", "--partitions", str(given.partitions)]
                told = subprocess.run(
                    [*words, "--child", server.address, topic, delivery], check=True, stdout=subprocess.PIPE, text=True
                ).stdout
                print(
                    f"{delivery:16} " + " ".join(f"{k}={v:.1f}" for k, v in json.loads(told.splitlines()[-1]).items()),
                    flush=True,
                )
        finally:
            server.stop()


if __name__ == "__main__":
    main()
