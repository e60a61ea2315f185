"""A long backlog: `python -m bench.backlog` fills a topic of Apache Kafka and watches the memory of what reads it.

The engine, with transactions and a model that answers at once, reads all of it. The whole line reads some of it (a log
takes far longer than a record), and so does the engine with a model that takes three seconds: then partitions pause
all the time. Resident memory and committed offsets are read each second, from outside. Writes
bench/results/backlog.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bench.line import HERE, PARTITIONS, prepare
from bench.machine import machine
from bench.records import records
from processor.cluster.client import KafkaClient
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from tools.servers import kafka

RESULTS = HERE / "results" / "backlog.json"
COUNT, LINE_COUNT, SLOW_COUNT = 1_000_000, 50_000, 10_000
SIZE = 420
"""Bytes of a record: an envelope and a few lines of a log."""
ENGINE = ("-m", "bench.peers.engine", "--once")
SLOW = (*ENGINE, "--model-ms", "3000")
LINE = ("-m", "bench.peers.whole_line", "--once")
_AT_ONCE = 2_000
_MARKS = (10, 50, 100)


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stood `seconds` after the start."""

    seconds: float
    committed: int
    rss_mb: float


async def fill(address: str, topic: str, out: str, count: int) -> None:
    """Makes the topics and writes the backlog, without ever holding it."""
    await prepare(address, topic, out, ())
    sink = KafkaSink(KafkaSinkConfig(KafkaClient(address)))
    await sink.start()
    made = records(topic, count, size=SIZE, partitions=PARTITIONS)
    try:
        while some := list(islice(made, _AT_ONCE)):
            await sink.publish(some)
    finally:
        await sink.stop()


async def watch(command: Sequence[str], address: str, topic: str, out: str, count: int) -> list[Sample]:
    """Runs what reads the backlog as a process of its own; how it stood each second. Raises SystemExit if it fails."""
    group = f"bench-{uuid.uuid4().hex[:12]}"
    words = [sys.executable, *command, address, topic, out, group, str(count)]
    with tempfile.TemporaryFile() as told:
        process = await asyncio.create_subprocess_exec(*words, stdout=told, stderr=told, cwd=HERE.parent)
        ended = asyncio.create_task(process.wait())
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        samples: list[Sample] = []
        started = time.monotonic()
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=1)
                if (rss := resident_mb(process.pid)) is not None:
                    samples.append(Sample(time.monotonic() - started, await committed(admin, group), rss))
        finally:
            await admin.close()
            if process.returncode is None:
                process.kill()
            await ended
        if process.returncode:
            told.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{told.read().decode()[-3000:]}")
    return samples


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process in megabytes; None when it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    except (OSError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 or None


async def committed(admin: AIOKafkaAdminClient, group: str) -> int:
    """Records that the group has committed: nothing was written to the topic in transactions, so each offset is one."""
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    except KafkaError:  # the group isn't there yet
        return 0
    return sum(max(0, each.offset) for each in offsets.values())


def summary(samples: Sequence[Sample], count: int) -> dict[str, float]:
    """Memory when so many per cent were committed, the most of it, and the records per second in between."""
    begun = next(each for each in samples if each.committed)
    measures = {}
    for mark in _MARKS:
        at = next((each for each in samples if each.committed >= count * mark / 100), samples[-1])
        measures[f"rss_at_{mark}_mb"] = at.rss_mb
    last = next((each for each in samples if each.committed >= count), samples[-1])
    measures["rss_max_mb"] = max(each.rss_mb for each in samples)
    measures["records_per_s"] = (last.committed - begun.committed) / max(last.seconds - begun.seconds, 1e-3)
    return {name: round(value, 1) for name, value in measures.items()}


def run(*, count: int, line_count: int, slow_count: int) -> dict[str, Any]:
    """Measures; the result is what is written."""
    result: dict[str, Any] = {"measures": {}, "samples": {}}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faultstream-bench-")))
        address = stack.enter_context(kafka.kafka(folder)).address
        topic, out = (f"bench-{part}-{uuid.uuid4().hex[:8]}" for part in ("in", "out"))
        started = time.monotonic()
        asyncio.run(fill(address, topic, out, count))
        print(f"{count:,} records of at most {SIZE} bytes written in {time.monotonic() - started:.0f} s", flush=True)
        for name, command, wanted in (
            ("engine", ENGINE, count),
            ("slow", SLOW, slow_count),
            ("line", LINE, line_count),
        ):
            some = min(wanted, count)
            samples = asyncio.run(watch(command, address, topic, out, some))
            result["measures"][name] = summary(samples, some) | {"records": some}
            result["samples"][name] = [asdict(each) for each in samples]
            print(f"{name:8}", *(f"{key}={value:,.1f}" for key, value in result["measures"][name].items()), flush=True)
    return result | {"machine": machine() | {"record_bytes": SIZE}}


def main() -> None:
    """Runs it and writes the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.backlog", description=__doc__)
    parser.add_argument("--records", type=int, default=COUNT, help="records that wait for the engine")
    parser.add_argument("--line-records", type=int, default=LINE_COUNT, help="how many of them the whole line reads")
    parser.add_argument("--slow-records", type=int, default=SLOW_COUNT, help="how many the engine reads, asking slowly")
    given = parser.parse_args()
    result = run(count=given.records, line_count=given.line_records, slow_count=given.slow_records)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
