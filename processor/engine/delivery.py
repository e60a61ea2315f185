"""How finished records leave: outputs first, offsets after them.

A delivery that puts both into one transaction has the same interface.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import structlog

from processor.contract import Outbound
from processor.engine.inflight import Aside, Batch, Entry, Partition
from processor.engine.ports import Sink, Source
from processor.errors import Retryable, Unwritable

log = structlog.get_logger(__name__)

Substitute = Callable[[Entry | Aside, Unwritable], Sequence[Outbound]]
"""Makes the dead letters of a record whose outputs the broker refuses; whoever wrote in mid-handling is told."""


class Lost(Exception):
    """A partition was written by somebody else meanwhile: it has to be begun anew where that one ended."""


class Delivery(Protocol):
    """What the engine delivers through. `by_partition`: one batch per partition at a time, each on its own."""

    @property
    def by_partition(self) -> bool:
        """Whether a batch holds records of one partition only."""

    async def assigned(self, partition: Partition) -> int | None:
        """A partition is new here: fences off its previous owner. Raises Retryable.

        Returns where to read from, or None where the source may be trusted with that.
        """

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Partitions are let go. Must return at once."""

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        """Publishes the batch's outputs and commits its offsets, however long the brokers are away. Raises Lost."""

    async def mark(self, partition: Partition, offset: int, note: str) -> None:
        """Writes a note down beside the partition's committed offset, which is `offset`.

        Raises Retryable, or Lost where the partition has to be begun anew.
        """

    async def ahead(self, partition: Partition, records: Sequence[Outbound]) -> None:
        """Writes records as the owner of a partition that is being prepared. Raises Retryable, Unwritable."""

    async def stop(self) -> None:
        """Waits for what is still being let go."""


class Backoff:
    """Growing waits with jitter: `first_s` doubles up to `most_s`; each is between half and all of it."""

    def __init__(self, first_s: float = 0.1, most_s: float = 30.0) -> None:
        self.first_s = first_s
        self.most_s = most_s

    def seconds(self, attempt: int, least: float | None = None) -> float:
        """Seconds before try number `attempt` (from 1), never under `least`."""
        ceiling = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return max(least or 0.0, ceiling * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, no secret)


class AtLeastOnce:
    """Outputs are acknowledged before offsets are committed: a crash in between repeats, and never loses."""

    def __init__(self, source: Source, sink: Sink, backoff: Backoff | None = None) -> None:
        self._source = source
        self._sink = sink
        self._backoff = backoff or Backoff()

    @property
    def by_partition(self) -> bool:
        """One batch over all partitions: one request to each broker."""
        return False

    async def assigned(self, partition: Partition) -> int | None:  # noqa: ARG002
        """Nothing to fence without transactions."""
        return None

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Nothing to let go without transactions."""

    async def mark(self, partition: Partition, offset: int, note: str) -> None:
        """Commits the offset once more, with the note."""
        await self._source.commit({partition.tp: offset}, {partition.tp: note})

    async def ahead(self, partition: Partition, records: Sequence[Outbound]) -> None:  # noqa: ARG002
        """Publishes them."""
        await self._sink.publish(records)

    async def stop(self) -> None:
        """Nothing is left."""

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        """Publishes, awaits the acknowledgements, commits; each is repeated until it succeeds."""
        outputs = batch.outputs
        try:
            if outputs:
                await self._publish(outputs)
        except Unwritable as error:
            refused = {id(owner): owner for owner in map(batch.owner, error.positions)}
            await self._publish([letter for owner in refused.values() for letter in substitute(owner, error)])
        await self._commit(batch)

    async def _publish(self, outputs: list[Outbound]) -> None:
        attempt = 0
        while True:
            try:
                return await self._sink.publish(outputs)
            except Retryable as error:
                attempt += 1
                await self._wait("publish", attempt, error)

    async def _commit(self, batch: Batch) -> None:
        attempt = 0
        while True:
            # A partition that was lost meanwhile is its next owner's to commit.
            lost = {e.partition.tp for e in batch.entries if e.partition.closed}
            try:
                offsets = {tp: at for tp, at in batch.offsets.items() if tp not in lost}
                return await self._source.commit(offsets, batch.notes)
            except Retryable as error:
                attempt += 1
                await self._wait("commit", attempt, error)

    async def _wait(self, step: str, attempt: int, error: Retryable) -> None:
        seconds = self._backoff.seconds(attempt, error.wait)
        log.warning("delivery waits", action="deliver", step=step, attempt=attempt, wait_s=seconds, error=str(error))
        await asyncio.sleep(seconds)
