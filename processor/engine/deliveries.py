"""Takes what is finished out of what is in flight, and has it delivered: one batch at a time, or one per partition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

from processor.contract import Outbound
from processor.engine.delivery import Delivery, Lost
from processor.engine.inflight import Aside, Batch, Entry, InFlight, Partition
from processor.engine.journal import Journal, settle
from processor.engine.metrics import EngineMetrics
from processor.errors import Unwritable


class _Engine(Protocol):
    """What is needed of the engine around it."""

    def job(self, work: Coroutine[Any, Any, None], name: str) -> object: ...

    def moved(self) -> None: ...


class Deliveries:
    """Runs deliveries. `size` and `most_bytes` bound the records of one and the bytes of their outputs.

    It waits `linger_s` for more unless as much is there.
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
        substitute: Callable[[Entry, Unwritable], Sequence[Outbound]],
        journal: Journal | None,
        lost: Callable[[Partition], Awaitable[None]],
    ) -> None:
        self._delivery = delivery
        self._inflight = inflight
        self._metrics = metrics
        self._engine = engine
        self._size = size
        self._most_bytes = most_bytes
        self._linger_s = linger_s
        self._unwritable = substitute
        self._lost = lost
        self._wanted = asyncio.Event()
        self._journal = journal if journal is not None else Journal()
        self._journal.bind(inflight, self.wake, delivery.ahead)
        self._turn = 0
        self._running: dict[Partition | None, Batch] = {}  # by partition, or one for all

    def wake(self) -> None:
        """Something at the head of a partition is finished, or something is to be written in mid-handling."""
        self._wanted.set()

    def entries(self) -> Iterator[Entry]:
        """What is being delivered."""
        return (entry for batch in self._running.values() for entry in batch.entries)

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        while True:
            await self._wanted.wait()
            await self._linger()
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
                    self._journal.join(batch, partitions)
                    if batch.entries or batch.asides:
                        self._running[key] = batch
                        self._engine.job(self._deliver(key, batch), "deliver")

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._linger_s):
                while not (self._enough() or self._journal.waits):
                    self._wanted.clear()
                    await self._wanted.wait()

    def _enough(self) -> bool:
        """Whether a delivery is as large as it may become, so that waiting would bring nothing."""
        most = self._most_bytes
        return self._inflight.count >= self._size or sum(self._inflight.ready(most).values()) >= most

    async def _deliver(self, key: Partition | None, batch: Batch) -> None:
        written = False
        try:
            with self._metrics.delivery.time():
                await self._delivery.deliver(batch, self._substitute)
            written = not (self._delivery.by_partition and batch.partition.closed)  # else it may have been left
            self._inflight.delivered(batch)
            self._metrics.delivered.inc(len(batch.entries))
        except Lost:
            await self._lost(batch.partition)
        finally:
            settle(batch, written=written)
            del self._running[key]
            self._inflight.release(batch)
            self._engine.moved()
            self._wanted.set()

    def _substitute(self, owner: Entry | Aside, error: Unwritable) -> Sequence[Outbound]:
        if isinstance(owner, Entry):
            return self._unwritable(owner, error)
        if not owner.done.done():
            owner.done.set_exception(error)
        return ()
