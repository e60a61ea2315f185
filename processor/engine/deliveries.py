"""Takes what is finished out of what is in flight, and has it delivered: one batch at a time, or one per partition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol

from processor.engine.delivery import Delivery, Lost, Substitute
from processor.engine.inflight import Batch, Entry, InFlight, Partition
from processor.engine.metrics import EngineMetrics


class _Engine(Protocol):
    """What is needed of the engine around it."""

    def job(self, work: Coroutine[Any, Any, None], name: str) -> object: ...

    def moved(self) -> None: ...


class Deliveries:
    """Runs deliveries. `size` and `most_bytes` bound the records of one and the bytes of their outputs.

    It waits `linger_s` for more unless `size` records are there.
    """

    def __init__(
        self,
        delivery: Delivery,
        inflight: InFlight,
        metrics: EngineMetrics,
        engine: _Engine,
        *,
        size: int,
        most_bytes: int,
        linger_s: float,
        substitute: Substitute,
        lost: Callable[[Partition], Awaitable[None]],
    ) -> None:
        self._delivery = delivery
        self._inflight = inflight
        self._metrics = metrics
        self._engine = engine
        self._size = size
        self._most_bytes = most_bytes
        self._linger_s = linger_s
        self._substitute = substitute
        self._lost = lost
        self._wanted = asyncio.Event()
        self._turn = 0
        self._running: dict[Partition | None, Batch] = {}  # by partition, or one for all

    def wake(self) -> None:
        """Something at the head of a partition is finished."""
        self._wanted.set()

    def entries(self) -> Iterator[Entry]:
        """What is being delivered."""
        return (entry for batch in self._running.values() for entry in batch.entries)

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        while True:
            await self._wanted.wait()
            if self._inflight.count < self._size:
                await asyncio.sleep(self._linger_s)
            self._wanted.clear()
            held = list(self._inflight.partitions.values())
            # Another begins each time: with one batch over all, the first with much to deliver would starve the rest.
            self._turn += 1
            first = self._turn % max(1, len(held))
            held = held[first:] + held[:first]
            groups = [(each, [each]) for each in held] if self._delivery.by_partition else [(None, held)]
            for key, partitions in groups:
                if key not in self._running:
                    batch = self._inflight.take(partitions, self._size, self._most_bytes)
                    if batch.entries:
                        self._running[key] = batch
                        self._engine.job(self._deliver(key, batch), "deliver")

    async def _deliver(self, key: Partition | None, batch: Batch) -> None:
        try:
            with self._metrics.delivery.time():
                await self._delivery.deliver(batch, self._substitute)
            self._inflight.delivered(batch)
            self._metrics.delivered.inc(len(batch.entries))
        except Lost:
            await self._lost(batch.entries[0].partition)
        finally:
            del self._running[key]
            self._inflight.release(batch)
            self._engine.moved()
            self._wanted.set()
