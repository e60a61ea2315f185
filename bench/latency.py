"""How long an event takes to its finding: produced at a modest rate, seen by a consumer that reads committed.

Both ends of each time are taken here, in one process, so that no two clocks are compared.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.records import records
from processor.contract import Outbound

WARM = 100
"""Events that go before those that are counted: they wait for the peer's start, and find its caches empty."""

At = tuple[int, int]
"""Partition and offset of an event."""


def of_finding(finding: dict[str, Any]) -> At:
    """The event that a finding of the line is about."""
    event = finding["data"]["event"]
    return event["partition"], event["offset"]


class Watch:
    """A consumer that notes when each output was seen first."""

    def __init__(self, consumer: AIOKafkaConsumer, find: Callable[[dict[str, Any]], At]) -> None:
        self._consumer = consumer
        self._find = find
        self.seen: dict[At, float] = {}

    async def until(self, count: int) -> None:
        """Reads until so many different events have their output."""
        while len(self.seen) < count:
            for messages in (await self._consumer.getmany(timeout_ms=1000)).values():
                now = time.perf_counter()
                for message in messages:
                    self.seen.setdefault(self._find(json.loads(message.value)), now)


async def produce(producer: AIOKafkaProducer, events: Sequence[Outbound], rate: float) -> dict[At, float]:
    """Sends the events evenly, `rate` a second, whatever became of those before; when each was sent."""
    began = time.perf_counter()
    sent = []
    for number, event in enumerate(events):
        await asyncio.sleep(began + number / rate - time.perf_counter())
        now = time.perf_counter()
        told = await producer.send(event.topic, event.value, event.key, event.partition, headers=list(event.headers))
        sent.append((now, told))
    return {(told.partition, told.offset): now for now, future in sent for told in [await future]}


async def latency(
    address: str, command: Sequence[str], topic: str, out: str, find: Callable[[dict[str, Any]], At], *, cwd: Path
) -> dict[str, float]:
    """Milliseconds (p50, p99) that 500 events take at 50 a second, through `command`, which reads `topic`."""
    count, rate = 500, 50.0
    consumer = AIOKafkaConsumer(out, bootstrap_servers=address, isolation_level="read_committed")
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    await consumer.start()
    await consumer.seek_to_end()
    await producer.start()
    pipe = asyncio.subprocess.PIPE
    words = [*command, address, topic, out, f"bench-{uuid.uuid4().hex[:12]}", str(WARM + count)]
    process = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe, cwd=cwd)
    watch = Watch(consumer, find)
    events = list(records(topic, WARM + count, partitions=len(await producer.partitions_for(topic))))
    try:
        async with asyncio.timeout(120):
            await asyncio.gather(produce(producer, events[:WARM], 1e6), watch.until(WARM))
            _, sent = await asyncio.gather(watch.until(WARM + count), produce(producer, events[WARM:], rate))
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        _, told = await process.communicate()
        raise SystemExit(f"not every event got its output:\n{told.decode()[-3000:]}") from None
    finally:
        await consumer.stop()
        await producer.stop()
    took = sorted((watch.seen[at] - began) * 1000 for at, began in sent.items())
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    rest = json.loads(printed.splitlines()[-1])
    return {"p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1), "rss_mb": rest["rss_mb"]}
