"""A real process on Apache Kafka that is killed, and one that is asked to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, TopicPartition
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sources.kafka import KafkaSource, KafkaSourceConfig

PROGRAM = Path(__file__).with_name("engine_process.py")
PARTITIONS = 3

pytestmark = pytest.mark.kafka


class Reader:
    """Reads a topic's values as they come."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.bootstrap, self.topic = bootstrap, topic
        config = KafkaSourceConfig(f"read-{topic}", {topic: "earliest"})
        self.source = KafkaSource(KafkaClient(bootstrap), config)
        self.seen: Counter[int] = Counter()

    async def assigned(self, partitions: Collection[TopicPartition]) -> None: ...

    async def revoked(self, partitions: Collection[TopicPartition]) -> None: ...

    async def until(self, count: int, timeout_s: float = 60) -> None:
        """Reads until so many different values were seen."""
        async with asyncio.timeout(timeout_s):
            while len(self.seen) < count:
                self.seen.update(int(r.value or b"") for r in await self.source.poll(0.2, 500))

    async def to_the_end(self, timeout_s: float = 60) -> Counter[int]:
        """Reads all that was written before this call: up to a mark in each partition."""
        sink = KafkaSink(KafkaSinkConfig(KafkaClient(self.bootstrap)))
        await sink.start()
        await sink.publish([Outbound(self.topic, None, b"-1", partition=n) for n in range(PARTITIONS)])
        await sink.stop()
        async with asyncio.timeout(timeout_s):
            while self.seen[-1] < PARTITIONS:
                self.seen.update(int(r.value or b"") for r in await self.source.poll(0.2, 500))
        del self.seen[-1]
        return self.seen


@asynccontextmanager
async def copying(bootstrap: str, records: int) -> AsyncIterator[tuple[Reader, list[str]]]:
    """Two topics, the first with records, a reader of the second, and the program's arguments."""
    topic = f"engine-{uuid.uuid4().hex[:12]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1), NewTopic(f"{topic}-out", PARTITIONS, 1)])
    await admin.close()
    sink = KafkaSink(KafkaSinkConfig(KafkaClient(bootstrap)))
    await sink.start()
    await sink.publish([Outbound(topic, None, b"%d" % n, partition=n % PARTITIONS) for n in range(records)])
    await sink.stop()
    reader = Reader(bootstrap, f"{topic}-out")
    await reader.source.start(reader)
    try:
        yield reader, [bootstrap, f"g-{topic}", topic, f"{topic}-out"]
    finally:
        await reader.source.stop()


async def started(
    arguments: list[str], ms: int, delivery: str = "at_least_once", poison: str = ""
) -> asyncio.subprocess.Process:
    """The program, running."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        *arguments,
        str(ms),
        delivery,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parents[2]), "POISON": poison},
    )


async def test_kill_and_restart_lose_nothing(apache_kafka: str) -> None:
    """Killed twice in mid-flight: every record has its output in the end, few have two."""
    total = 3000
    async with copying(apache_kafka, total) as (reader, arguments):
        for enough in (300, 1200):
            process = await started(arguments, 30)
            await reader.until(enough)
            process.send_signal(signal.SIGKILL)
            await process.communicate()
        process = await started(arguments, 0)
        await reader.until(total)
        process.terminate()
        await asyncio.wait_for(process.communicate(), 30)
    assert set(reader.seen) == set(range(total))
    assert reader.seen.total() < 1.5 * total
    assert process.returncode == 0


async def test_kill_and_restart_repeat_nothing_with_transactions(apache_kafka: str) -> None:
    """Killed three times in mid-flight: every record has exactly one output that a committed reader sees."""
    total = 3000
    async with copying(apache_kafka, total) as (reader, arguments):
        for enough in (300, 900, 1800):
            process = await started(arguments, 30, "exactly_once")
            await reader.until(enough)
            process.send_signal(signal.SIGKILL)
            await process.communicate()
        process = await started(arguments, 0, "exactly_once")
        await reader.until(total)
        process.terminate()
        await asyncio.wait_for(process.communicate(), 30)
        assert await reader.to_the_end() == Counter(range(total))
    assert process.returncode == 0


async def test_a_frozen_owner_that_wakes_up_repeats_nothing(apache_kafka: str) -> None:
    """Stopped for longer than its session, with records in flight, while another takes over; then it goes on."""
    total = 2000
    async with copying(apache_kafka, total) as (reader, arguments):
        frozen = await started(arguments, 100, "exactly_once")
        await reader.until(200)
        frozen.send_signal(signal.SIGSTOP)
        other = await started(arguments, 100, "exactly_once")
        await reader.until(1000)  # only once the group has dropped the frozen one
        frozen.send_signal(signal.SIGCONT)
        await reader.until(total)
        for process in (frozen, other):
            process.terminate()
            await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 0
        assert await reader.to_the_end() == Counter(range(total))


async def test_a_record_that_kills_the_process_ends_as_a_dead_letter(apache_kafka: str) -> None:
    """Under a supervisor that starts it again and again: the rest is done, once each, and this one is rejected."""
    total, poison = 300, 151
    deaths = 0
    async with copying(apache_kafka, total) as (reader, arguments):
        while True:
            process = await started(arguments, 5, "exactly_once", str(poison))
            done = asyncio.create_task(reader.until(total))
            died = asyncio.create_task(process.wait())
            await asyncio.wait([done, died], return_when=asyncio.FIRST_COMPLETED)
            done.cancel()
            await asyncio.wait([done])
            if not done.cancelled():
                break
            deaths += 1
            assert deaths <= 10  # 6, and some in the window of 50 records before: this is the 51st of its partition
        process.terminate()
        await asyncio.wait_for(process.communicate(), 30)
        seen = await reader.to_the_end()
    assert seen == Counter([n for n in range(total) if n != poison] + [-poison])


async def test_sigterm_drains(apache_kafka: str) -> None:
    """What is worked on is finished and committed: a restart repeats nothing."""
    total = 400
    async with copying(apache_kafka, total) as (reader, arguments):
        process = await started(arguments, 300)
        await reader.until(50)
        process.terminate()
        _, told = await asyncio.wait_for(process.communicate(), 30)
        process = await started(arguments, 0)
        await reader.until(total)
        process.terminate()
        await asyncio.wait_for(process.communicate(), 30)
    assert reader.seen == Counter(range(total))
    assert b'"action":"drain"' in told


async def test_a_second_signal_aborts(apache_kafka: str) -> None:
    """Without waiting for what would take minutes."""
    async with copying(apache_kafka, 100) as (reader, arguments):
        process = await started(arguments, 600_000)
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while b'"action":"assigned"' not in await process.stderr.readline():
                assert process.returncode is None
            await asyncio.sleep(0.5)  # into the handlers
            process.terminate()
            while b'"action":"drain"' not in await process.stderr.readline():
                assert process.returncode is None
            process.terminate()
            await process.communicate()
    assert process.returncode not in (0, -signal.SIGTERM)
    assert not reader.seen
