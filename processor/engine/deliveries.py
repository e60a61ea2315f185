"""Takes what is finished out of what is in flight, and has it delivered: one batch at a time, or one per partition.

Where outputs are acknowledged before offsets are committed, the next batch is published while that goes on.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from processor.contract import Outbound
from processor.engine.delivery import Delivery, Lost
from processor.engine.inflight import Aside, Batch, Entry, InFlight, Partition
from processor.engine.journal import Journal, settle
from processor.engine.metrics import EngineMetrics
from processor.errors import Unwritable

AT_ONCE = 3
"""Batches of one kind that are being delivered: the last one is published while offsets of the others are committed."""


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
        self._running: defaultdict[Partition | None, list[Batch]] = defaultdict(list)  # by partition, or all as one
        self._publishing: set[Partition | None] = set()  # those whose last batch is not there yet

    def wake(self) -> None:
        """Something is to be written in mid-handling."""
        self._wanted.set()

    def finished(self, entry: Entry) -> None:
        """Of a partition's entries the first one lets a delivery begin; behind others, any may make one full."""
        entries = entry.partition.entries
        if (entries and entries[0] is entry) or (self._running and not self._publishing):
            self._wanted.set()

    def entries(self) -> Iterator[Entry]:
        """What is being delivered."""
        return (entry for batches in self._running.values() for batch in batches for entry in batch.entries)

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        while True:
            await self._wanted.wait()
            if not self._running or self._publishing:  # else only what is full is delivered
                await self._linger()
            self._wanted.clear()
            held = list(self._inflight.partitions.values())
            # Another begins each time: with one batch over all, the first with much to deliver would starve the rest.
            self._turn += 1
            first = self._turn % max(1, len(held))
            held = held[first:] + held[:first]
            groups = [(each, [each]) for each in held] if self._delivery.by_partition else [(None, held)]
            for key, partitions in groups:
                if self._may_begin(key, partitions):
                    self._begin(key, partitions)

    def _may_begin(self, key: Partition | None, partitions: Sequence[Partition]) -> bool:
        """Behind a batch whose offsets are being committed only a full one: smaller ones would cost more in all."""
        if key in self._publishing:
            return False
        running = len(self._running.get(key, ()))
        most = self._size, self._most_bytes
        return not running or (running < AT_ONCE and self._inflight.fills(partitions, *most))

    def _begin(self, key: Partition | None, partitions: Sequence[Partition]) -> None:
        batch = self._inflight.take(partitions, self._size, self._most_bytes)
        self._journal.join(batch, partitions)
        if not (batch.entries or batch.asides):
            return
        self._running[key].append(batch)
        self._publishing.add(key)
        if not batch.asides:  # what they leave to be said by later batches is known once all of this one is over
            batch.published = partial(self._written, key)
        self._engine.job(self._deliver(key, batch), "deliver")

    def _written(self, key: Partition | None) -> None:
        """All outputs of the last batch are there: the next one may follow."""
        batch = self._running[key][-1]
        for entry in batch.entries:
            entry.outputs = ()  # their memory is of use to the next ones
        self._inflight.settling += batch.bytes
        self._publishing.discard(key)
        self._wanted.set()

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
        except BaseException:
            for partition in {owner.partition for owner in batch.owners}:  # nothing of them is committed beyond it
                self._inflight.close(partition.tp)
            raise
        finally:
            settle(batch, written=written)
            self._leave(key, batch)
            self._inflight.release(batch)
            self._engine.moved()
            self._wanted.set()

    def _leave(self, key: Partition | None, batch: Batch) -> None:
        running = self._running[key]
        if batch is running[-1] and key in self._publishing:
            self._publishing.discard(key)
        else:
            self._inflight.settling -= batch.bytes
        running.remove(batch)
        if not running:
            del self._running[key]

    def _substitute(self, owner: Entry | Aside, error: Unwritable) -> Sequence[Outbound]:
        if isinstance(owner, Entry):
            return self._unwritable(owner, error)
        if not owner.done.done():
            owner.done.set_exception(error)
        return ()
