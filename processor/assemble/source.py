"""A source whose partitions hold whole logs, around one whose partitions hold lines.

To the engine the logs of a partition are numbered without gaps; it pauses, seeks, commits and notes by these numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from processor.assemble.assembly import Assembly
from processor.assemble.checkpoint import Checkpoint, foreign, note_of
from processor.assemble.metrics import AssemblyMetrics
from processor.assemble.plan import Plan
from processor.contract import NO_NOTES, Notes, Outbound, Record, TopicPartition
from processor.engine.ports import Listener, Source, Transactions, Transactor
from processor.errors import Retryable

log = structlog.get_logger(__name__)

LINES = 500
"""Lines that are read at once."""

LOOK_S = 0.5
"""Between looks at what is due, and most that is waited for lines."""

EASED: Final = 0.75
"""Of the bounds: a partition that pauses goes on below it. The client throws away what it has fetched at each pause."""


class LineSource(Source, Protocol):
    """What is needed of the source around."""

    async def behind(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Records of each partition that have not been read, markers of transactions aside. Raises Retryable."""

    async def position(self, partition: TopicPartition) -> int:
        """The offset to be read next, markers that were read aside. Raises Retryable."""

    async def noted(self, partition: TopicPartition) -> tuple[int | None, str]:
        """The group's committed offset and the note that was committed with that very one. Raises Retryable."""


@dataclass(slots=True, eq=False)
class _Seat:
    """One assignment of a partition. Without `fresh` the assembly only tells what was given out."""

    plan: Plan
    assembly: Assembly | None = None
    fresh: bool = False
    begun: int | None = None  # the first offset that was read, for a group that has never committed


@dataclass(frozen=True, slots=True)
class Committing:
    """Offsets and their metadata for numbers of logs.

    The numbers are those of the assignment in which it was begun: of the next one, which may be there before this has
    ended, and without that it came to anything, they say nothing.
    """

    numbers: Mapping[TopicPartition, int]
    offsets: Mapping[TopicPartition, int]
    notes: Notes
    assemblies: Mapping[TopicPartition, Assembly]

    def done(self) -> None:
        """They are committed."""
        for tp, assembly in self.assemblies.items():
            assembly.done(self.numbers[tp])


class AssemblingSource:
    """See processor.engine.ports.Source. Lines of the topics in `plans` become logs; other topics are left alone.

    `most_bytes` bounds what it holds of all partitions: beyond, the log that has been silent longest is closed.
    """

    def __init__(
        self,
        source: LineSource,
        plans: Mapping[str, Plan],
        metrics: AssemblyMetrics | None = None,
        *,
        most_bytes: int = 128_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._plans = plans
        self._metrics = metrics or AssemblyMetrics.unregistered()
        self._most_bytes = most_bytes
        self._clock = clock
        self._seats: dict[TopicPartition, _Seat] = {}
        self._paused: set[TopicPartition] = set()  # by the engine
        self._full: set[TopicPartition] = set()  # by us
        self._listener: Listener | None = None
        self._looked = 0.0
        self._turn = 0
        self._metrics.watch(
            lambda: sum(len(each.open) for each in self._assemblies),
            lambda: sum(len(each.ready) for each in self._assemblies),
            lambda: self._bytes,
        )

    @property
    def _assemblies(self) -> list[Assembly]:
        return [seat.assembly for seat in self._seats.values() if seat.assembly is not None and seat.fresh]

    @property
    def _bytes(self) -> int:
        return sum(each.bytes for each in self._assemblies)

    # Partitions

    async def start(self, listener: Listener) -> None:
        """Joins the group. Raises Retryable while the brokers are away."""
        self._listener = listener
        await self._source.start(self)

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """New partitions: what is done of them is looked up before their first line is taken."""
        self._full -= set(partitions)
        for tp in partitions:
            if plan := self._plans.get(tp.topic):
                self._seats[tp] = _Seat(plan)
        if self._listener is not None:
            await self._listener.assigned(partitions)

    async def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Partitions go; their open logs are read again by the next owner."""
        if self._listener is not None:
            await self._listener.revoked(partitions)
        for tp in partitions:
            self._seats.pop(tp, None)
        self._full -= set(partitions)
        self._paused -= set(partitions)

    async def _restore(self) -> None:
        """Begins at what is committed wherever that is not known; not before the engine has taken the partition."""
        for tp, seat in [(tp, seat) for tp, seat in self._seats.items() if not seat.fresh and tp not in self._paused]:
            offset, metadata = await self._source.noted(tp)
            if self._seats.get(tp) is not seat:
                continue
            offset = seat.begun if offset is None else offset
            if offset is None:  # a partition that was added: begins with its first line, wherever that lies
                self._source.seek(tp, 0)
                seat.assembly = None
            else:
                begin = Checkpoint.parse(offset, metadata, seat.plan.told_apart_by)
                if foreign(metadata, seat.plan.told_apart_by):
                    log.warning("logs are told apart in another way: some may come again", action="assemble", at=tp)
                self._source.seek(tp, offset)
                seat.assembly = Assembly(tp, seat.plan, begin, self._metrics)
            seat.fresh = True

    # Reading

    async def poll(self, timeout_s: float, limit: int, partitions: Collection[TopicPartition] = ()) -> Sequence[Record]:
        """At most `limit` logs, or records of other topics; none as soon as lines have come that make no log."""
        await self._restore()
        self._apply()
        lines = [tp for tp in self._seats if not partitions or tp in partitions]
        if lines:
            self._take(await self._source.poll(0, LINES, lines))
        waits = any(each.ready for tp in lines if tp not in self._paused and (each := self._live(tp)))
        told = await self._source.poll(0 if waits else min(timeout_s, LOOK_S), limit, partitions)
        plain = self._take(told)
        await self._look()
        return [*plain, *self._given(limit - len(plain), lines)]

    def _live(self, tp: TopicPartition) -> Assembly | None:
        seat = self._seats.get(tp)
        return seat.assembly if seat is not None and seat.fresh else None

    def _take(self, records: Sequence[Record]) -> list[Record]:
        """Takes lines in; returns the records of other topics."""
        plain: list[Record] = []
        now = self._clock()
        rest: set[TopicPartition] = set()
        for record in records:
            tp = TopicPartition(record.topic, record.partition)
            seat = self._seats.get(tp)
            if seat is None:
                if record.topic not in self._plans:
                    plain.append(record)
                continue
            if not seat.fresh or tp in rest:
                continue
            if seat.begun is None:
                seat.begun = record.offset
            if seat.assembly is None:
                begin = Checkpoint(record.offset, record.offset, record.offset)
                seat.assembly = Assembly(tp, seat.plan, begin, self._metrics)
            if seat.assembly.full or not self._room():
                rest.add(tp)
                self._source.seek(tp, record.offset)
                continue
            seat.assembly.accept(record, now)
        if rest:
            self._apply()
        return plain

    def _room(self) -> bool:
        """Whether a line may be taken in: makes room where what is complete does not take all of it."""
        while self._bytes >= self._most_bytes:
            open_ = [each for each in self._assemblies if each.open and not each.again]
            if any(each.ready for each in self._assemblies):
                return False
            if not open_:
                return True  # lines that are read again were within the bound when they were read first
            silent = min(open_, key=lambda each: next(iter(each.open.values())).seen)
            if not silent.crowd():
                return True
        return True

    def _apply(self) -> None:
        """Pauses what takes no lines now."""
        most = self._most_bytes * EASED if self._full else self._most_bytes
        over = self._bytes >= most and any(each.ready for each in self._assemblies)
        reading = (tp for tp in self._seats if tp not in self._paused)
        again = next((tp for tp in reading if (each := self._live(tp)) and each.again), None)
        full = {
            tp
            for tp in self._seats
            if (each := self._live(tp))
            and (each.full or over or (each.again and tp != again) or (tp in self._full and each.busy))
        }
        if full != self._full:
            self._source.resume(self._full - full - self._paused)
            self._source.pause(full - self._full)
            self._full = full

    async def _look(self) -> None:
        """Closes what is due; whether all lines have been read is asked of the brokers, for nobody else knows."""
        now = self._clock()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        waiting = {tp: each for tp in self._seats if (each := self._live(tp)) is not None and each.waits(now)}
        if not waiting:
            return
        try:
            behind = await self._source.behind(list(waiting))
            read = {tp: await self._source.position(tp) for tp in behind}
        except Retryable as error:
            log.info("it is not known if logs are complete", action="assemble", error=str(error))
            return
        for tp, each in waiting.items():
            if self._live(tp) is each and tp in behind:
                each.due(now, caught_up=behind[tp] == 0, read=read[tp])

    def _given(self, limit: int, partitions: Sequence[TopicPartition]) -> list[Record]:
        """Complete logs, of the partitions in turn."""
        found: list[Record] = []
        self._turn += 1
        first = self._turn % max(1, len(partitions))
        for tp in [*partitions[first:], *partitions[:first]]:
            each = self._live(tp)
            while each is not None and each.ready and tp not in self._paused and len(found) < limit:
                found.append(each.give())
        return found

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Takes nothing more from these partitions."""
        self._paused |= set(partitions)
        self._source.pause(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Takes from these partitions again."""
        self._paused -= set(partitions)
        self._source.resume([tp for tp in partitions if tp not in self._full])

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Begins at what is committed, wherever the engine wants to go back to: it never wants to go further."""
        seat = self._seats.get(partition)
        if seat is None:
            self._source.seek(partition, offset)
        else:  # another one, so that what is being looked up for this one is of no more use
            self._seats[partition] = replace(seat, fresh=False)

    # Committing

    def committing(self, offsets: Mapping[TopicPartition, int], notes: Notes) -> Committing:
        """What the numbers of logs that the engine commits come to."""
        at, beside = dict(offsets), dict(notes)
        made: dict[TopicPartition, Assembly] = {}
        for tp, number in offsets.items():
            if tp.topic not in self._plans:
                continue
            seat = self._seats.get(tp)
            if seat is None or seat.assembly is None:
                del at[tp]  # somebody else's
                continue
            made[tp] = seat.assembly
            checkpoint = seat.assembly.at(number)
            at[tp], beside[tp] = checkpoint.offset, checkpoint.encode(seat.plan.told_apart_by, notes.get(tp, ""))
        return Committing(offsets, at, beside, made)

    async def commit(self, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        """Commits the numbers to go on with, some with a note. Raises Retryable."""
        committing = self.committing(offsets, notes)
        await self._source.commit(committing.offsets, committing.notes)
        committing.done()

    async def committed(self, partition: TopicPartition) -> int | None:
        """The number of the first log that is not done. Raises Retryable."""
        offset, metadata = await self._source.noted(partition)
        plan = self._plans.get(partition.topic)
        if offset is None or plan is None:
            return offset
        return Checkpoint.parse(offset, metadata, plan.told_apart_by).number

    async def metadata(self, partition: TopicPartition) -> str:
        """The engine's note."""
        return note_of(await self._source.metadata(partition))

    async def ends(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The number after the last log, were each line that is not done a log. Raises Retryable."""
        ends = dict(await self._source.ends(partitions))
        for tp in partitions:
            if (each := self._live(tp)) is not None and tp in ends:
                ends[tp] = each.number + max(0, ends[tp] - each.at(each.number).offset)
        return ends

    async def stop(self) -> None:
        """Leaves the group."""
        await self._source.stop()


class AssemblingTransactions:
    """See processor.engine.ports.Transactions: what they commit of the source's logs is translated."""

    def __init__(self, transactions: Transactions, source: AssemblingSource) -> None:
        self._transactions = transactions
        self._source = source

    async def open(self, name: str) -> Transactor:
        """The transactor of that name. Raises Retryable."""
        return _Transactor(await self._transactions.open(name), self._source)

    async def stop(self) -> None:
        """Waits until what was closed is gone."""
        await self._transactions.stop()


class _Transactor:
    def __init__(self, transactor: Transactor, source: AssemblingSource) -> None:
        self._transactor = transactor
        self._source = source

    async def write(
        self, records: Sequence[Outbound], group: str, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES
    ) -> None:
        """Writes records and commits, in one transaction."""
        committing = self._source.committing(offsets, notes)
        await self._transactor.write(records, group, committing.offsets, committing.notes)
        committing.done()

    async def settle(self, group: str, partition: TopicPartition) -> None:
        """Ends what was left open. Raises Retryable."""
        await self._transactor.settle(group, partition)

    def close(self) -> None:
        """Lets go."""
        self._transactor.close()
