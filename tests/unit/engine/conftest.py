"""An engine on the in-memory broker, and a worker whose behaviour a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Engine, EngineMetrics, Limits
from processor.errors import Rejected
from processor.testing.broker import MemoryBroker, MemorySource

Handler = Callable[[Record], Awaitable[Sequence[Outbound]]]

QUICK = Limits(poll_s=0.05, linger_s=0.0, drain_s=1.0, revoke_s=0.5, backoff_first_s=0.001, backoff_most_s=0.01)


async def echo(record: Record) -> Sequence[Outbound]:
    """One output that names its input."""
    return (Outbound("out", record.key, record.value),)


class Worker:
    """Runs `handler`; remembers what it was told."""

    def __init__(self, handler: Handler = echo) -> None:
        self.handler = handler
        self.handled: list[Record] = []
        self.held: list[TopicPartition] = []
        self.let_go: list[TopicPartition] = []

    async def handle(self, record: Record) -> Sequence[Outbound]:
        self.handled.append(record)
        return await self.handler(record)

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        return [Outbound("dead", record.key, record.value, (("reason", error.reason.encode()),))]

    async def assigned(self, partition: TopicPartition) -> None:
        self.held.append(partition)

    async def revoked(self, partition: TopicPartition) -> None:
        self.let_go.append(partition)


class Rig:
    """A broker with topic "in", and engines on it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.engine: Engine
        self.source: MemorySource
        self.metrics: EngineMetrics

    def fill(self, count: int, *, size: int = 1, partitions: int = 1) -> None:
        """Writes records 0, 1, … whose value is their number, padded to `size`."""
        self.broker.create("in", partitions)
        for number in range(count):
            value = str(number).encode().ljust(size)
            self.broker.produce(Outbound("in", b"k", value, partition=number % partitions))

    @asynccontextmanager
    async def running(
        self, worker: Worker, limits: Limits = QUICK, *, source: MemorySource | None = None, **options: Any
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Runs an engine, and stops it."""
        self.source = source or self.broker.source("group", ["in"])
        self.metrics = EngineMetrics.unregistered()
        self.engine = Engine(self.source, self.broker.sink(), worker, limits, metrics=self.metrics, **options)
        stop = asyncio.Event()
        task = asyncio.create_task(self.engine.run(stop))
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait([task])

    def values(self, topic: str = "out") -> list[int]:
        """The numbers that were written to a topic."""
        return [int(record.value or b"-1") for record in self.broker.records(topic)]

    def committed(self, partition: int = 0) -> int | None:
        """The committed offset."""
        return self.broker.committed["group"].get(TopicPartition("in", partition))


async def eventually(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Waits until the condition holds, giving way to the loop in between."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (any condition, not one that sets an event)
            await asyncio.sleep(0.001)


@pytest.fixture
def rig() -> Rig:
    """A fresh broker."""
    return Rig()
