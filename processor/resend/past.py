"""What past records are: events as they lie there, or lines that become logs (see processor.assemble)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from processor.assemble.assembly import Assembly
from processor.assemble.checkpoint import Checkpoint, foreign
from processor.assemble.metrics import AssemblyMetrics
from processor.assemble.plan import Plan
from processor.contract import Record, TopicPartition
from processor.sources.history import Span

log = structlog.get_logger(__name__)

LOOK_S: Final = 1.0
"""Between looks at which logs are silent, by the records' times."""


class Past(Protocol):
    """Makes events of records, of which those of a partition come in order.

    `open`: how many events were not complete at the end.
    """

    open: int

    def take(self, record: Record) -> Sequence[Record]:
        """The events that are complete with this record."""

    def rest(self, tp: TopicPartition) -> Iterator[Record]:
        """Those that are complete now that all of a partition has been read."""

    def reached(self, tp: TopicPartition) -> tuple[int, str]:
        """Where to go on, were all events done that were given: the next offset, and a note."""

    def sent(self) -> None:
        """All events that were given are done."""


@dataclass(slots=True)
class PastEvents:
    """Each record is one. `left` is what has not been read."""

    left: dict[TopicPartition, Span]
    open: int = 0

    def take(self, record: Record) -> Sequence[Record]:
        """See Past."""
        tp = TopicPartition(record.topic, record.partition)
        self.left[tp] = Span(record.offset + 1, self.left[tp].end)
        return (record,)

    def rest(self, tp: TopicPartition) -> Iterator[Record]:
        """See Past. The last offsets may be markers of transactions, which no record shows."""
        self.left[tp] = Span(self.left[tp].end, self.left[tp].end)
        return iter(())

    def reached(self, tp: TopicPartition) -> tuple[int, str]:
        """See Past."""
        return self.left[tp].start, ""

    def sent(self) -> None:
        """See Past."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which logs are wanted: those whose first line lies in `wanted`; lines around it are read as well, up to `at_s`.

    `at_s` is Unix time. `final`: no more lines will be read, so that what is open then is left out.
    """

    wanted: Mapping[TopicPartition, Span]
    at_s: float
    final: bool
    most_bytes: int


@dataclass(slots=True)
class _Part:
    """One partition. `now` is Unix time, by its records."""

    assembly: Assembly
    end: int
    now: float = -math.inf
    looked: float = -math.inf
    over: bool = False


@dataclass(slots=True)
class PastLogs:
    """Lines become logs. Silence and age go by the records' times, as if each had been read when it was written.

    `begin` is what was reached before, `left` what has not been read.
    """

    plan: Plan
    bounds: Bounds
    begin: Mapping[TopicPartition, tuple[int, str]]
    left: Mapping[TopicPartition, Span]
    open: int = 0
    _parts: dict[TopicPartition, _Part] = field(default_factory=dict)

    def __post_init__(self) -> None:
        key = self.plan.told_apart_by
        for tp, span in self.left.items():
            offset, note = self.begin[tp]
            if foreign(note, key):
                log.warning("logs are told apart in another way: some may come again", action="backfill", at=tp)
            begin = Checkpoint.parse(offset, note, key)
            self._parts[tp] = _Part(Assembly(tp, self.plan, begin, AssemblyMetrics.unregistered()), span.end)

    def take(self, record: Record) -> Sequence[Record]:
        """See Past."""
        tp = TopicPartition(record.topic, record.partition)
        part = self._parts[tp]
        part.now = max(part.now, record.timestamp_ms / 1000)
        if part.now >= part.looked + LOOK_S and not part.assembly.again:
            part.looked = part.now
            part.assembly.due(part.now, caught_up=True)
        part.assembly.accept(record, part.now)
        given = list(self._given(tp))
        if self._crowded():
            given += [each for other in self._parts for each in self._given(other)]
        return given

    def rest(self, tp: TopicPartition) -> Iterator[Record]:
        """See Past."""
        part = self._parts[tp]
        part.assembly.due(self.bounds.at_s, caught_up=True)
        yield from self._given(tp)
        self.open += sum(self._wanted(tp, each.first) for each in part.assembly.open.values())
        part.over = True

    def reached(self, tp: TopicPartition) -> tuple[int, str]:
        """See Past."""
        part = self._parts[tp]
        if part.over and self.bounds.final:
            return part.end, ""
        checkpoint = part.assembly.at(part.assembly.number)
        return checkpoint.offset, checkpoint.encode(self.plan.told_apart_by)

    def sent(self) -> None:
        """See Past."""
        for part in self._parts.values():
            part.assembly.done(part.assembly.number)

    def _given(self, tp: TopicPartition) -> Iterator[Record]:
        """The complete logs of a partition that are wanted."""
        assembly = self._parts[tp].assembly
        while assembly.ready:
            made = assembly.give()
            if self._wanted(tp, made.place):
                yield made

    def _wanted(self, tp: TopicPartition, first: int) -> bool:
        span = self.bounds.wanted[tp]
        return span.start <= first < span.end

    def _crowded(self) -> bool:
        """Closes the log that is silent longest where there is no room for all; False if there is."""
        if sum(each.assembly.bytes for each in self._parts.values()) < self.bounds.most_bytes:
            return False
        parts = [each.assembly for each in self._parts.values() if each.assembly.open and not each.assembly.again]
        silent = min(parts, key=lambda each: next(iter(each.open.values())).seen, default=None)
        return silent is not None and silent.crowd()
