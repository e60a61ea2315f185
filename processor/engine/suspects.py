"""Finds the record that kills the process, which would otherwise be read again by each successor and kill that too.

That a start has begun is written down where it survives the process: in the metadata of the partition's committed
offset, before the first record is worked on. It stays beside the offsets that are committed until the start has got
past `window` records, or past all there are; an orderly end takes it back. A partition on which more than `after`
starts in a row ended before that is suspect: its next `window` records are tried, no other suspect's beside them. First
all together, for most suspects only share the process with the cause; if it dies, by `FEW`; if it dies again, one by
one. Each trial has a mark of its own. The record that was tried singly when the process died is tried again, with
nothing else going on at all; if it dies again, that record is rejected.

So a record that kills the process costs no more than `after + TRIES + 2` deaths, and one that alone is there two less.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from processor.contract import TopicPartition
from processor.engine.delivery import Backoff, Delivery, Lost
from processor.engine.inflight import Entry, Partition
from processor.engine.ports import Source
from processor.errors import Retryable

log = structlog.get_logger(__name__)

TRIES: Final = 2
"""Deaths during a record's trial after which it is held to be the cause; the last trial is held alone."""

FEW: Final = 8
"""Records of the second trial, of those that were tried together when the process died."""

_NOTE: Final = re.compile(r"fs starts=(\d{1,6}) tries=(\d{1,6})(?: group=(\d{1,6}))?")


@dataclass(frozen=True, slots=True)
class Note:
    """What is written down: starts that did not get on, and trials of the record at the offset.

    `group`: how many from there on were tried together, if more than one.
    """

    starts: int = 0
    tries: int = 0
    group: int = 0

    @classmethod
    def parse(cls, metadata: str) -> Note:
        """The note in an offset's metadata; an empty one if there is none."""
        found = _NOTE.fullmatch(metadata)
        return cls(*(int(number or 0) for number in found.groups())) if found else cls()

    def __str__(self) -> str:
        """What goes into the metadata."""
        group = f" group={self.group}" if self.group else ""
        return f"fs starts={self.starts} tries={self.tries}{group}" if self != Note() else ""

    @property
    def suspected(self) -> int:
        """How many records from the offset on one of which is likelier the cause than any other; 0 if not known."""
        return self.group or min(self.tries, 1)

    def size(self, most: int) -> int:
        """How many of them are tried together next, at `most`."""
        if not self.suspected:
            return most
        return FEW if self.group > FEW else 1


@dataclass(slots=True, eq=False)
class _Watch:
    """A partition whose first records wait. `until`: the offset up to which they are tried one by one."""

    partition: Partition
    before: Note  # what was found
    held: deque[Entry] = field(default_factory=deque)
    cleared: bool = False  # nothing waits any more; kept for the mark that may have to be taken back
    until: int = -1
    narrow: int = -1  # before it, `size` are tried together; from it on, as many as there are
    size: int = 1
    pauses: bool = False
    note: Note | None = None  # the last mark
    marked: tuple[int, Note] | None = None  # its offset, and what an orderly end puts in its place


class _Engine(Protocol):
    """What is needed of the engine around it."""

    def job(self, work: Coroutine[Any, Any, None], name: str) -> object: ...

    def submit(self, entry: Entry) -> None: ...

    def poisoned(self, entry: Entry) -> None: ...

    async def begin_anew(self, partition: Partition) -> None: ...

    async def alone(self, entry: Entry | None) -> None: ...

    async def until(self, condition: Callable[[], bool], timeout_s: float | None) -> bool: ...


class Suspects:
    """Keeps watch over partitions from their assignment until they get on. `window` records of a suspect are tried."""

    def __init__(
        self, source: Source, delivery: Delivery, engine: _Engine, backoff: Backoff, *, after: int, window: int
    ) -> None:
        self._source = source
        self._delivery = delivery
        self._engine = engine
        self._backoff = backoff
        self._after = after
        self._window = window
        self._watches: dict[Partition, _Watch] = {}
        self._left: dict[TopicPartition, dict[Note, Note]] = {}  # by this process, which has not died: what was before
        self._trying = False

    async def assigned(self, partition: Partition) -> None:
        """Looks up what earlier starts have left. Raises Retryable."""
        found = Note.parse(await self._source.metadata(partition.tp))
        left = self._left.pop(partition.tp, {})
        self._watches[partition] = _Watch(partition, left.get(found, found))

    def holds(self, entry: Entry) -> bool:
        """Takes the entry if it has to wait; it is submitted later."""
        watch = self._watches.get(entry.partition)
        if watch is None or watch.cleared:
            return False
        watch.held.append(entry)
        if watch.marked is None and len(watch.held) == 1:
            self._engine.job(self._begin(watch), "mark")
        elif watch.until >= 0:
            self._pause(watch)
            self._try_next()
        return True

    async def let_go(self, partition: Partition, *, keeps: bool) -> None:
        """An orderly end: what was written down about it is taken back, unless it `keeps` that.

        Raises nothing, for the brokers may be away.
        """
        self._left.pop(partition.tp, None)
        watch = self._watches.pop(partition, None)
        if watch is None or watch.marked is None:
            return
        offset, clean = watch.marked
        if partition.delivered > offset:
            if partition.delivered >= partition.noted_until:
                return
            offset, clean = partition.delivered, Note(watch.before.starts)
        self._leave(watch)
        if keeps:
            return
        try:
            await self._delivery.mark(partition, offset, str(clean))
        except (Retryable, Lost) as error:
            log.warning("mark not taken back", action="suspects", error=str(error))

    def forget(self, partition: Partition) -> None:
        """It begins anew, and what was written down about it is no death."""
        watch = self._watches.pop(partition, None)
        if watch is not None:
            self._leave(watch)

    def _leave(self, watch: _Watch) -> None:
        """Keeps in mind what is written down and no death, should it come back to this process."""
        if watch.note is not None and watch.marked is not None:
            clean = Note(watch.before.starts)
            self._left[watch.partition.tp] = {Note.parse(watch.partition.note): clean, watch.note: watch.marked[1]}

    async def _begin(self, watch: _Watch) -> None:
        """The first record of an assignment is here: its start counts from now on."""
        before, offset = watch.before, watch.held[0].record.offset
        starts = before.starts + 1
        if not await self._mark(watch, offset, Note(starts, before.tries, before.group), before):
            return
        watch.partition.note, watch.partition.noted_until = str(Note(starts)), offset + self._window
        if not before.suspected and starts <= self._after:
            self._clear(watch)
            return
        watch.until = offset + self._window
        watch.narrow, watch.size = offset + before.suspected, before.size(self._window)
        where = f"{watch.partition.tp.topic}/{watch.partition.tp.partition}"
        told = {"action": "suspects", "partition": where, "offset": offset, "starts": starts}
        log.warning("the process ends before it gets past these records: tries them with care", **told)
        self._pause(watch)
        self._try_next()

    async def _mark(self, watch: _Watch, offset: int, note: Note, clean: Note) -> bool:
        """Whether the mark stands; else the partition is somebody else's, or begins anew."""
        attempt = 0
        while not watch.partition.closed:
            try:
                await self._delivery.mark(watch.partition, offset, str(note))
                watch.note, watch.marked = note, (offset, clean)
                return True
            except Retryable as error:
                attempt += 1
                log.warning("mark waits", action="suspects", attempt=attempt, error=str(error))
                await watch.partition.closing(self._backoff.seconds(attempt, error.wait))
            except Lost:
                await self._engine.begin_anew(watch.partition)
        return False

    def _pause(self, watch: _Watch) -> None:
        if not watch.pauses:
            watch.pauses = True
            watch.partition.held += 1

    def _resume(self, watch: _Watch) -> None:
        if watch.pauses:
            watch.pauses = False
            watch.partition.held -= 1

    def _clear(self, watch: _Watch) -> None:
        """No suspicion, or none any more."""
        watch.cleared = True
        self._resume(watch)
        while watch.held:
            self._engine.submit(watch.held.popleft())

    def _try_next(self) -> None:
        """Begins a trial if none is going on in this process."""
        watch = next((w for w in self._watches.values() if w.until >= 0 and w.held and not w.partition.closed), None)
        if watch is None or self._trying:
            return
        self._trying = True
        size = watch.size if watch.held[0].record.offset < watch.narrow else self._window
        entries = [watch.held.popleft() for _ in range(min(size, len(watch.held)))]
        self._engine.job(self._try(watch, entries), "trial")

    async def _try(self, watch: _Watch, entries: list[Entry]) -> None:
        first = entries[0]
        tried, watch.before = watch.before.tries, Note(watch.before.starts)
        try:
            if tried >= TRIES:
                self._engine.poisoned(first)
            else:
                if tried:
                    await self._engine.alone(first)
                single = len(entries) == 1
                note = Note(watch.before.starts, tried + 1) if single else Note(watch.before.starts, 0, len(entries))
                watch.partition.note = str(Note(note.starts, 0, note.group))
                if await self._mark(watch, first.record.offset, note, Note(note.starts, tried)):
                    for entry in entries:
                        self._engine.submit(entry)
            # Records that wait for a server have killed nothing: others need not wait for them.
            await self._engine.until(lambda: all(entry.attempt > 0 or _done(entry) for entry in entries), None)
            await self._engine.alone(None)
            await self._engine.until(lambda: _done(entries[-1]), None)
        finally:
            self._trying = False
            await self._engine.alone(None)
        if entries[-1].record.offset + 1 >= watch.until:
            watch.partition.note = str(Note(watch.before.starts))
            self._clear(watch)
        elif not watch.held:
            self._resume(watch)
        self._try_next()


def _done(entry: Entry) -> bool:
    return entry.partition.delivered > entry.record.offset or entry.partition.closed
