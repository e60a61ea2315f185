"""What has been read and is not yet committed: per partition, in offset order.

Records finish in any order; only the finished prefix of a partition may be published and committed, so that a
crash at any point repeats records but never skips one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from processor.contract import Outbound, Record, TopicPartition


class Entry:
    """A record in flight. `outputs` is None until it is finished."""

    __slots__ = ("attempt", "outputs", "partition", "record", "waits")

    def __init__(self, record: Record, partition: Partition) -> None:
        self.record = record
        self.partition = partition
        self.outputs: Sequence[Outbound] | None = None
        self.attempt = 0
        self.waits = False  # holds its partition, because the cause of its last failure is shared


class Partition:
    """The records of one assignment of one partition. A new assignment makes a new one."""

    __slots__ = ("_ended", "closed", "delivered", "entries", "held", "position", "taking", "tp")

    def __init__(self, tp: TopicPartition) -> None:
        self.tp = tp
        self.entries: deque[Entry] = deque()
        self.position = -1  # offset after the last record that was accepted
        self.delivered = -1  # offset after the last record that was delivered
        self.taking = False  # records are accepted and started: the worker has loaded what it needs, none leaves
        self.closed = False  # let go: nothing of it may be started, published or committed any more
        self.held = 0  # entries that wait for something shared; above zero the partition pauses
        self._ended = asyncio.Event()

    def close(self) -> None:
        """Lets go of it."""
        self.closed = True
        self.taking = False
        self._ended.set()

    async def closing(self, seconds: float) -> None:
        """Waits, no longer than until it is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    def finished(self, limit: int) -> list[Entry]:
        """Takes out at most `limit` entries of the finished prefix."""
        entries = self.entries
        taken: list[Entry] = []
        while entries and entries[0].outputs is not None and len(taken) < limit:
            taken.append(entries.popleft())
        return taken


@dataclass(slots=True)
class Batch:
    """Finished records whose outputs are published and whose offsets are committed together."""

    entries: list[Entry] = field(default_factory=list)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)

    @property
    def outputs(self) -> list[Outbound]:
        """All outputs, in order."""
        return [output for entry in self.entries for output in entry.outputs or ()]

    def owner(self, position: int) -> Entry:
        """The entry that the output at `position` of `outputs` belongs to."""
        for entry in self.entries:
            position -= len(entry.outputs or ())
            if position < 0:
                return entry
        raise IndexError(position)


class InFlight:
    """All partitions that are held, and how much is in flight in them."""

    def __init__(self) -> None:
        self.partitions: dict[TopicPartition, Partition] = {}
        self.count = 0
        self.bytes = 0

    def open(self, tp: TopicPartition) -> Partition:
        """Begins a new assignment of a partition."""
        partition = self.partitions[tp] = Partition(tp)
        return partition

    def close(self, tp: TopicPartition) -> Partition | None:
        """Ends an assignment; what is left of it is dropped and will be read again by the next owner."""
        partition = self.partitions.pop(tp, None)
        if partition is not None:
            partition.close()
            for entry in partition.entries:
                self._release(entry)
            partition.entries.clear()
        return partition

    def accept(self, partition: Partition, record: Record) -> Entry | None:
        """Takes a record in; None for one that was taken before."""
        if record.offset < partition.position:
            return None
        partition.position = record.offset + 1
        entry = Entry(record, partition)
        partition.entries.append(entry)
        self.count += 1
        self.bytes += record.size
        return entry

    def take(self, partitions: Iterable[Partition], limit: int) -> Batch:
        """The finished prefixes of these partitions, `limit` records at most. They count until `release`."""
        batch = Batch()
        for partition in partitions:
            taken = partition.finished(limit - len(batch.entries))
            if taken:
                batch.entries += taken
                batch.offsets[partition.tp] = taken[-1].record.offset + 1
                if len(batch.entries) >= limit:
                    break
        return batch

    def delivered(self, batch: Batch) -> None:
        """The batch is committed."""
        for entry in batch.entries:
            entry.partition.delivered = entry.record.offset + 1

    def release(self, batch: Batch) -> None:
        """The batch is committed, or given up: it counts no more."""
        for entry in batch.entries:
            self._release(entry)

    def pending(self) -> Iterator[Entry]:
        """Entries that are not finished."""
        return (e for p in self.partitions.values() for e in p.entries if e.outputs is None)

    def _release(self, entry: Entry) -> None:
        self.count -= 1
        self.bytes -= entry.record.size


def names(partitions: Iterable[TopicPartition]) -> list[str]:
    """Partitions as log lines name them."""
    return sorted(f"{tp.topic}/{tp.partition}" for tp in partitions)
