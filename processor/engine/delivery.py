"""How finished records leave: outputs first, offsets after them.

A delivery that puts both into one transaction has the same interface.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import structlog

from processor.contract import Outbound, TopicPartition
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
        """Publishes the batch's outputs and commits its offsets, however long the brokers are away. Raises Lost.

        Where it says in between that the batch is `published`, it may get the next one meanwhile.
        """

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
    """Outputs are acknowledged before offsets are committed: a crash in between repeats, and never loses.

    While offsets are on their way the next batch is published. One commit is under way at a time; the next one takes
    along all that was published meanwhile.
    """

    def __init__(self, source: Source, sink: Sink, backoff: Backoff | None = None) -> None:
        self._source = source
        self._sink = sink
        self._backoff = backoff or Backoff()
        self._uncommitted: list[Batch] = []  # in order; all of their outputs are acknowledged
        self._committing = asyncio.Lock()

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
        await self._write(batch, substitute)
        batch.published()
        await self._commit(batch)

    async def _write(self, batch: Batch, substitute: Substitute) -> None:
        outputs = batch.outputs
        try:
            if outputs:
                await self._publish(outputs)
        except Unwritable as error:
            refused = {id(owner): owner for owner in map(batch.owner, error.positions)}
            await self._publish([letter for owner in refused.values() for letter in substitute(owner, error)])

    async def _publish(self, outputs: list[Outbound]) -> None:
        attempt = 0
        while True:
            try:
                return await self._sink.publish(outputs)
            except Retryable as error:
                attempt += 1
                await self._wait("publish", attempt, error)

    async def _commit(self, batch: Batch) -> None:
        self._uncommitted.append(batch)
        async with self._committing:
            attempt = 0
            while batch in self._uncommitted:  # else it went along with an earlier one
                together = list(self._uncommitted)
                try:
                    await self._source.commit(*_reached(together))
                except Retryable as error:
                    attempt += 1
                    await self._wait("commit", attempt, error)
                else:
                    del self._uncommitted[: len(together)]

    async def _wait(self, step: str, attempt: int, error: Retryable) -> None:
        seconds = self._backoff.seconds(attempt, error.wait)
        log.warning("delivery waits", action="deliver", step=step, attempt=attempt, wait_s=seconds, error=str(error))
        await asyncio.sleep(seconds)


def _reached(batches: Iterable[Batch]) -> tuple[dict[TopicPartition, int], dict[TopicPartition, str]]:
    """The offsets after all of these batches, which are in order, and the notes beside them.

    A partition that was lost meanwhile is its next owner's to commit, be that this process again.
    """
    offsets: dict[TopicPartition, int] = {}
    notes: dict[TopicPartition, str] = {}
    for batch in batches:
        lost = {entry.partition.tp for entry in batch.entries if entry.partition.closed}
        for tp in batch.offsets.keys() - lost:
            offsets[tp], notes[tp] = batch.offsets[tp], batch.notes.get(tp, "")
    return offsets, notes
