"""Logs of lines on Apache Kafka, and a process that is killed while some are open."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processor.assemble import AssemblingSource, Plan
from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record, TopicPartition
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sources.decode import DecodeConfig, Decoder
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.sources.providers import Providers

PROGRAM = Path(__file__).with_name("assemble_process.py")
ROOT = PROGRAM.parents[2]
RUNS, OPEN = 600, 40
BATCH = 20  # records that assemble_process delivers at once

pytestmark = pytest.mark.kafka


class Reader:
    """Reads a topic's values as they come."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.source = KafkaSource(KafkaClient(bootstrap), KafkaSourceConfig(f"read-{topic}", {topic: "earliest"}))
        self.seen: Counter[bytes] = Counter()

    async def assigned(self, partitions: Collection[TopicPartition]) -> None: ...

    async def revoked(self, partitions: Collection[TopicPartition]) -> None: ...

    async def until(self, value: bytes | int) -> None:
        """Reads until so many values, or this one, were seen."""
        async with asyncio.timeout(60):
            while (value not in self.seen) if isinstance(value, bytes) else self.seen.total() < value:
                self.seen.update(r.value or b"" for r in await self.source.poll(0.2, 500))


def interleaved() -> tuple[list[tuple[int, bytes]], Counter[bytes]]:
    """Lines of builds, some cut, some dozens open at a time, the first one to the last; and their logs."""
    dice = random.Random(7)  # noqa: S311 (no secret)
    wanted = {run: [b"run %d line %d" % (run, n) for n in range(dice.randint(0, 8))] + [b"END"] for run in range(RUNS)}
    left = {run: list(lines) for run, lines in wanted.items()}
    lines: list[tuple[int, bytes]] = [(0, b"begins")]
    open_, coming = list(range(1, OPEN)), iter(range(OPEN, RUNS))
    while open_:
        run = dice.choice(open_)
        text = left[run].pop(0)
        if text.startswith(b"run") and dice.random() < 0.3:  # cut by a container runtime
            at = dice.randint(1, len(text))
            lines.append((run, b"2026-01-01T00:00:00Z stdout P " + text[:at]))
            left[run].insert(0, b"2026-01-01T00:00:00Z stdout F " + text[at:])
            continue
        lines.append((run, text))
        if not left[run]:
            open_.remove(run)
            open_ += [each for each in [next(coming, None)] if each is not None]
    lines += [(0, text) for text in left[0]]
    wanted[0].insert(0, b"begins")
    return lines, Counter(b"\n".join(texts) for texts in wanted.values())


async def started(arguments: list[str], ms: int) -> asyncio.subprocess.Process:
    """The program, running."""
    return await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), *arguments, str(ms),
        stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_a_killed_process_loses_no_line_and_repeats_no_log(delivery: str, apache_kafka: str) -> None:
    """A build is open all the time, so that the offset stays at its first line: only its metadata says what is done.

    Without transactions what was written and not committed comes again, whole: a batch at most.
    """
    topic = f"assemble-{uuid.uuid4().hex[:12]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1), NewTopic(f"{topic}-out", 1, 1)])
    await admin.close()
    lines, wanted = interleaved()
    sink = KafkaSink(KafkaSinkConfig(KafkaClient(apache_kafka)))
    await sink.start()
    await sink.publish([Outbound(topic, None, text, (("run_id", b"r%d" % run),)) for run, text in lines])
    reader = Reader(apache_kafka, f"{topic}-out")
    await reader.source.start(reader)
    arguments = [apache_kafka, f"g-{topic}", topic, f"{topic}-out", delivery]
    process = await started(arguments, 30)
    await reader.until(200)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    process = await started(arguments, 0)
    await reader.until(next(log for log in wanted if log.startswith(b"begins")))
    process.terminate()
    await asyncio.wait_for(process.communicate(), 30)
    await sink.publish([Outbound(f"{topic}-out", None, b"mark")])
    await reader.until(b"mark")
    await reader.source.stop()
    await sink.stop()
    del reader.seen[b"mark"]
    assert reader.seen.keys() == wanted.keys()
    assert reader.seen.total() - wanted.total() <= (0 if delivery == "exactly_once" else BATCH)
    assert reader.seen >= wanted
    assert process.returncode == 0


async def test_a_log_ends_by_silence_behind_transactions(apache_kafka: str) -> None:
    """Their markers and what was aborted are no lines that wait: all of the topic has been read."""
    topic = f"assemble-{uuid.uuid4().hex[:12]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=apache_kafka, transactional_id=f"t-{topic}")
    await producer.start()
    for ends, texts in ((producer.commit_transaction, (b"1", b"2")), (producer.abort_transaction, (b"ghost",))):
        await producer.begin_transaction()
        for text in texts:
            await producer.send_and_wait(topic, text, headers=[("run_id", b"a")])
        await ends()
    await producer.stop()
    lines = KafkaSource(KafkaClient(apache_kafka), KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}))
    plan = Plan.of(Decoder(DecodeConfig("log"), Providers(()), "g"), ["run_id"], "^END$", idle_s=1)
    source = AssemblingSource(lines, {topic: plan})
    await source.start(Reader(apache_kafka, topic))
    found: list[Record] = []
    async with asyncio.timeout(60):
        while not found:
            found += await source.poll(0.2, 10)
    await source.stop()
    assert [each.value for each in found] == [b"1\n2"]
