"""What has been read and is not yet committed: per partition, in offset order.

Records finish in any order; only the finished prefix of a partition may be published and committed, so that a
crash at any point repeats records but never skips one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from processor.contract import Outbound, Record, TopicPartition

T = TypeVar("T")


class Entry:
    """A record in flight. `outputs` is None until it is finished."""

    __slots__ = ("attempt", "cause", "outputs", "partition", "record", "since", "size", "waits", "weight")

    def __init__(self, record: Record, partition: Partition, size: int, since: float) -> None:
        self.record = record
        self.partition = partition
        self.size = size  # bytes of the record
        self.since = since  # when it was taken in, by the monotonic clock
        self.outputs: Sequence[Outbound] | None = None
        self.weight = 0  # bytes of the outputs
        self.attempt = 0
        self.waits = False  # holds its partition, because it failed for a cause that is shared
        self.cause: str | None = None  # of its last failure, if that is shared


class Aside:
    """Records that a handler writes before it has finished; `done` when they are there, or with what went wrong."""

    __slots__ = ("done", "outputs", "partition")

    def __init__(self, partition: Partition, outputs: Sequence[Outbound]) -> None:
        self.partition = partition
        self.outputs = outputs
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Partition:
    """The records of one assignment of one partition. A new assignment makes a new one."""

    __slots__ = (
        "_bounds",
        "_ended",
        "closed",
        "delivered",
        "entries",
        "first",
        "held",
        "note",
        "noted_until",
        "position",
        "preparing",
        "since",
        "taking",
        "tp",
    )

    def __init__(self, tp: TopicPartition) -> None:
        self.tp = tp
        self.entries: deque[Entry] = deque()
        self.first = -1  # offset of the first record that was accepted
        self.position = -1  # offset after the last one
        self.delivered = -1  # offset after the last record that was delivered
        self.taking = False  # records are accepted and started: the worker has loaded what it needs, none leaves
        self.since = 0.0  # by the monotonic clock: when that began
        self.closed = False  # let go: nothing of it may be started, published or committed any more
        self.preparing: asyncio.Task[None] | None = None  # before it takes records
        self.held = 0  # entries that wait for something shared; above zero the partition pauses
        self.note = ""  # committed beside the offsets up to the next, while anything is in flight
        self.noted_until = -1
        self._ended = asyncio.Event()
        self._bounds: set[asyncio.Timeout] = set()  # of what is done only while it is held

    def take(self) -> None:
        """Records are accepted from now on, unless it was let go meanwhile."""
        self.taking, self.since = not self.closed, time.monotonic()

    def close(self) -> None:
        """Lets go of it."""
        self.closed = True
        self.taking = False
        self._ended.set()
        for bound in self._bounds:
            bound.reschedule(0)

    async def closing(self, seconds: float | None) -> None:
        """Waits, no longer than until it is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    async def unless_closed(self, work: Awaitable[T]) -> T | None:
        """What the work comes to; it is cancelled as soon as the partition is closed, and comes to None."""
        try:
            async with asyncio.timeout(0 if self.closed else None) as bound:
                self._bounds.add(bound)
                return await work
        except TimeoutError:
            if bound.expired():
                return None
            raise
        finally:
            self._bounds.discard(bound)

    def ready(self, most_bytes: int) -> int:
        """Bytes of the finished prefix's outputs; it is not counted beyond `most_bytes`."""
        found = 0
        for entry in self.entries:
            if entry.outputs is None or found >= most_bytes:
                break
            found += entry.weight
        return found

    def finished(self, batch: Batch, limit: int, most_bytes: int) -> None:
        """Moves the finished prefix into a batch, as far as its bounds allow; one entry fits into an empty one."""
        entries, taken = self.entries, batch.entries
        before = len(taken)
        while entries and (entry := entries[0]).outputs is not None and len(taken) < limit:
            if taken and batch.bytes + entry.weight > most_bytes:
                break
            batch.bytes += entry.weight
            taken.append(entries.popleft())
        if len(taken) > before:
            offset = batch.offsets[self.tp] = taken[-1].record.offset + 1
            if not entries:
                self.noted_until = -1
            if offset < self.noted_until:
                batch.notes[self.tp] = self.note


def _nobody() -> None:
    """Nobody waits for that."""


@dataclass(slots=True, eq=False)
class Batch:
    """Finished records whose outputs are published and whose offsets are committed together.

    With them goes what their partitions' handlers write in mid-handling (`asides`), and, before that, the outputs of
    finished records whose offsets still have to wait (`early`).
    """

    entries: list[Entry] = field(default_factory=list)
    early: list[Entry] = field(default_factory=list)
    asides: list[Aside] = field(default_factory=list)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    notes: dict[TopicPartition, str] = field(default_factory=dict)  # beside the offsets; none where there is none
    bytes: int = 0  # of the outputs
    published: Callable[[], None] = (
        _nobody  # told once all outputs are acknowledged, if the offsets follow by themselves
    )

    @property
    def owners(self) -> list[Entry | Aside]:
        """Those whose outputs it holds, in order."""
        return [*self.entries, *self.early, *self.asides]

    @property
    def partition(self) -> Partition:
        """The partition of a batch that holds one."""
        return self.owners[0].partition

    @property
    def outputs(self) -> list[Outbound]:
        """All outputs, in order."""
        return [output for owner in self.owners for output in owner.outputs or ()]

    def owner(self, position: int) -> Entry | Aside:
        """Whose the output at `position` of `outputs` is."""
        for owner in self.owners:
            position -= len(owner.outputs or ())
            if position < 0:
                return owner
        raise IndexError(position)


class InFlight:
    """All partitions that are held, and how much is in flight in them."""

    def __init__(self) -> None:
        self.partitions: dict[TopicPartition, Partition] = {}
        self.count = 0
        self.bytes = 0
        self.settling = 0  # bytes of outputs that are there while their offsets are not committed

    def open(self, tp: TopicPartition) -> Partition:
        """Begins a new assignment of a partition."""
        partition = self.partitions[tp] = Partition(tp)
        return partition

    def close(self, tp: TopicPartition) -> Partition | None:
        """Ends an assignment; what is left of it is dropped and will be read again by the next owner."""
        partition = self.partitions.pop(tp, None)
        if partition is not None:
            partition.close()
            self._release(partition.entries)
            partition.entries.clear()
        return partition

    def accept(self, partition: Partition, record: Record, since: float = 0.0) -> Entry | None:
        """Takes a record in; None for one that was taken before. `since` is now, by the monotonic clock."""
        if record.offset < partition.position:
            return None
        if partition.first < 0:
            partition.first = record.offset
        partition.position = record.offset + 1
        size = record.size
        entry = Entry(record, partition, size, since)
        partition.entries.append(entry)
        self.count += 1
        self.bytes += size
        return entry

    def take(self, partitions: Iterable[Partition], limit: int, most_bytes: int) -> Batch:
        """The finished prefixes of these partitions: at most `limit` records, whose outputs have `most_bytes` in all.

        An output that is larger goes alone. They count until `release`.
        """
        batch = Batch()
        for partition in partitions:
            partition.finished(batch, limit, most_bytes)
        return batch

    def ready(self, most_bytes: int) -> dict[TopicPartition, int]:
        """Bytes of outputs that wait for nothing but their delivery, by partition; not counted beyond `most_bytes`."""
        return {tp: partition.ready(most_bytes) for tp, partition in self.partitions.items()}

    def fills(self, partitions: Iterable[Partition], limit: int, most_bytes: int) -> bool:
        """Whether `take` would find as much as it may take."""
        count = size = 0
        for partition in partitions:
            for entry in partition.entries:
                if entry.outputs is None:
                    break
                count, size = count + 1, size + entry.weight
                if count >= limit or size >= most_bytes:
                    return True
        return False

    def delivered(self, batch: Batch) -> None:
        """The batch is committed."""
        for entry in batch.entries:
            entry.partition.delivered = entry.record.offset + 1

    def release(self, batch: Batch) -> None:
        """The batch is committed, or given up: it counts no more."""
        self._release(batch.entries)

    def pending(self) -> Iterator[Entry]:
        """Entries that are not finished."""
        return (e for p in self.partitions.values() for e in p.entries if e.outputs is None)

    def _release(self, entries: Collection[Entry]) -> None:
        self.count -= len(entries)
        self.bytes -= sum(entry.size for entry in entries)


def names(partitions: Iterable[TopicPartition]) -> list[str]:
    """Partitions as log lines name them."""
    return sorted(f"{tp.topic}/{tp.partition}" for tp in partitions)
