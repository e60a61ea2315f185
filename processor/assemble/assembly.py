"""One partition's lines become its logs. No input or output: lines come in, logs go out, and what is done is known."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from processor.assemble.checkpoint import MOST, Checkpoint, Undone
from processor.assemble.metrics import AssemblyMetrics
from processor.assemble.pieces import Joiner
from processor.assemble.plan import LOOKED_AT, Line, Plan
from processor.contract import ASSEMBLED_HEADER, ATTRIBUTES, Headers, Record, TopicPartition
from processor.errors import Rejected

log = structlog.get_logger(__name__)

OPEN_MOST: Final = MOST // 2
"""Open logs of a partition; beyond, the one that has been silent longest is closed."""

COMPLETE_MOST: Final = MOST - OPEN_MOST - 2
"""Logs that are complete and not finished; beyond, no line is taken in."""

GROUP_BYTES: Final = 1_000
"""What an open log takes in memory beside its lines."""

Key = tuple[str, ...]


@dataclass(slots=True)
class Group:
    """A log that is being put together. `until`: its last line, known from an earlier life."""

    first: int
    since: float
    record: Record  # the first line's
    attributes: dict[str, Any]
    late: bool = False
    until: Undone | None = None
    last: int = -1
    seen: float = 0.0
    begun_ms: int = 0
    seen_ms: int = 0
    records: int = 0
    lines: int = 0
    text: bytearray = field(default_factory=bytearray)
    cut: Joiner = field(default_factory=Joiner)
    tail: bytes = b""  # of the latest line

    def add(self, record: Record, line: Line, now: float) -> list[bytes]:
        """Adds a record, and what it knows about the build that the others did not; returns the lines now whole."""
        self.records += 1
        self.last, self.seen, self.seen_ms = record.offset, now, record.timestamp_ms
        ours = self.attributes
        for name, value in line.attributes.items():
            if value != ours[name] and ours[name] == ATTRIBUTES[name].default:
                ours[name] = value
        return self._written(self.cut.add(line.piece))

    def rest(self) -> list[bytes]:
        """Takes lines for whole of which more was to come, and returns them."""
        return self._written(self.cut.rest())

    def _written(self, lines: list[bytes]) -> list[bytes]:
        for each in lines:
            if self.lines:
                self.text += b"\n"
            self.text += each
            self.lines += 1
            self.tail = each[-LOOKED_AT - 1 :]
        return lines

    @property
    def length(self) -> int:
        """Bytes of its lines."""
        return len(self.text) + self.cut.held

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self.length + GROUP_BYTES


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is complete, as a record; its offset is its number once it is given out."""

    undone: Undone
    record: Record


class Assembly:
    """The logs of one assignment of a partition, from a checkpoint on; clocks are monotonic seconds."""

    def __init__(self, tp: TopicPartition, plan: Plan, begin: Checkpoint, metrics: AssemblyMetrics) -> None:
        self._tp = tp
        self._plan = plan
        self._metrics = metrics
        self.position = begin.offset
        self.number = begin.number
        self.bytes = 0
        self.open: OrderedDict[Key, Group] = OrderedDict()  # the one that has been silent longest first
        self.ready: deque[Log] = deque()
        self._given: deque[tuple[int, Undone]] = deque()  # by number, not committed
        self._horizon = begin.horizon
        self._expected = {each.first: each for each in begin.undone}
        self._order = deque(each for each in begin.undone if each.last is not None)  # in which they were given before
        self._held: dict[int, Log] = {}  # complete again, and not their turn; by first line
        self._covers: dict[Key, Undone] = {}  # while lines are read again: what of a key is not done
        self._done: dict[Key, Joiner] = {}  # while lines are read again: those that are done, and cut
        self._ended: OrderedDict[Key, tuple[float, int]] = OrderedDict()  # lately, by their last line: clock, its time
        self._stream_ms = 0  # the latest of the lines' times

    @property
    def again(self) -> bool:
        """Whether lines are read again that an earlier life has read."""
        return self.position < self._horizon

    @property
    def full(self) -> bool:
        """Whether no line may be taken in before the engine has taken, and finished, some logs.

        Lines that are read again make no more logs than there were.
        """
        return not self.again and len(self.ready) + len(self._given) >= COMPLETE_MOST

    @property
    def busy(self) -> bool:
        """Whether one that was full had better wait for some more logs to be finished."""
        return not self.again and 4 * (len(self.ready) + len(self._given)) >= 3 * COMPLETE_MOST

    # Lines come

    def accept(self, record: Record, now: float) -> None:
        """Takes a line in. One that was taken before, or that is done, is left out."""
        if record.offset < self.position:
            return
        if self.again and record.offset >= self._horizon:
            self.reached()
        self.position = record.offset + 1
        self._stream_ms = max(self._stream_ms, record.timestamp_ms)
        self._metrics.lines.inc()
        try:
            line = self._plan.read(record)
        except Rejected as error:
            self._refuse(record, error)
        else:
            self._add(record, line, now)
        if self._horizon and not self.again:
            self.reached()

    def _refuse(self, record: Record, error: Rejected) -> None:
        if record.offset < self._horizon and self._expected.pop(record.offset, None) is None:
            self._metrics.skipped.inc()
            return
        told = _header({"refused": error.reason, "error": str(error)[:500]})
        self._complete(
            Undone(record.offset, record.offset, "refused"),
            Record(*self._tp, -1, record.key, record.value, record.headers + told, record.timestamp_ms, record.offset),
        )

    def _add(self, record: Record, line: Line, now: float) -> None:
        known = self._known(record.offset, line.key) if record.offset < self._horizon else None
        if known is None and record.offset < self._horizon:
            self._leave_out(record, line, now)
            return
        group = self.open.get(line.key)
        if group is not None and known is not None and group.first != known.first:
            self.close(line.key, "idle")  # its last line is gone from the topic
            group = None
        if group is not None and known is None and group.length + len(line.piece.text) >= self._plan.max_bytes:
            self.close(line.key, "size")
            group = None
        if group is None:
            group = self._opened(record, line, now)
            group.until = known if known is not None and known.last is not None else None
        before = group.size
        whole = group.add(record, line, now)
        self.bytes += group.size - before
        self.open.move_to_end(line.key)
        if how := self._how(group, known, whole):
            self.close(line.key, how)
        elif len(self.open) > OPEN_MOST and known is None:
            self.crowd()

    def _leave_out(self, record: Record, line: Line, now: float) -> None:
        """A line that is done; that it was a last one is remembered."""
        self._metrics.skipped.inc()
        cut = self._done.setdefault(line.key, Joiner())
        if any(map(self._plan.ends, cut.add(line.piece))):
            self._has_ended(line.key, now, record.timestamp_ms)
        if not cut.held:
            del self._done[line.key]

    def _how(self, group: Group, known: Undone | None, lines: list[bytes]) -> str | None:
        """How a record ends its log, if it does. One that is read again ends where it had ended, and not before."""
        if group.until is not None:
            return group.until.ended if group.last == group.until.last else None
        return "end" if known is None and any(map(self._plan.ends, lines)) else None

    def _known(self, offset: int, key: Key) -> Undone | None:
        """The log of which a line that is read again is part; None if the line is done."""
        begins = self._expected.pop(offset, None)
        if begins is not None:
            self._covers[key] = begins
        known = self._covers.get(key)
        return known if known is not None and known.holds(offset) else None

    def _opened(self, record: Record, line: Line, now: float) -> Group:
        clock, ms = self._ended.get(line.key, (-math.inf, 0))
        group = Group(record.offset, now, record, dict(line.attributes), begun_ms=record.timestamp_ms)
        # By its own time as well: lines that waited on the topic are read at once.
        idle = self._plan.idle_s
        group.late = now - clock < idle and record.timestamp_ms - ms < 1000 * idle
        self.open[line.key] = group
        self.bytes += GROUP_BYTES
        return group

    def reached(self) -> None:
        """All that an earlier life had read has been read again, or is not there any more."""
        self.position = max(self.position, self._horizon)
        self._horizon = 0
        if self._expected:
            gone = len(self._expected)
            log.warning("first lines are gone from the topic, and with them logs", action="assemble", logs=gone)
        self._covers.clear()
        self._done.clear()
        self._expected.clear()
        for key in [key for key, group in self.open.items() if group.until is not None]:
            self.close(key, "idle")  # its last line is gone from the topic
        self.ready += (self._held[each.first] for each in self._order if each.first in self._held)
        self._order.clear()
        self._held.clear()

    # Logs end

    def due(self, now: float, *, caught_up: bool, read: float = math.inf) -> None:
        """Closes what has been silent, or open, for too long. Below the offset `read` all that is there has been read.

        How long is a matter of the clock here and of what has been read: while lines wait on the topic, only the times
        of those that were read tell that a log's own would have come.
        """
        if self.again:
            # Of what an earlier life has read: a broker that led the partition before, and woke up, tells an older end.
            if not caught_up or read < self._horizon:
                return
            self.reached()
        for key in list(self._overdue(now)):
            group = self.open[key]
            silent = self._stream_ms - group.seen_ms
            if now - group.seen >= self._plan.idle_s and (caught_up or silent >= 1000 * self._plan.idle_s):
                self.close(key, "idle")
            elif now - group.since >= self._plan.max_age_s and (
                caught_up or self._stream_ms - group.begun_ms >= 1000 * self._plan.max_age_s
            ):
                self.close(key, "age")
        while self._ended and now - next(iter(self._ended.values()))[0] >= self._plan.idle_s:
            self._ended.popitem(last=False)

    def _overdue(self, now: float) -> Iterator[Key]:
        idle, age = self._plan.idle_s, self._plan.max_age_s
        return (key for key, group in self.open.items() if now - group.seen >= idle or now - group.since >= age)

    def waits(self, now: float) -> bool:
        """Whether it has to be known if all of the topic has been read."""
        return self.again or next(self._overdue(now), None) is not None

    def crowd(self) -> bool:
        """Closes the log that has been silent longest, to make room; False if there is none that may be closed."""
        key = next((key for key, group in self.open.items() if group.until is None), None)
        if self.again or key is None:
            return False
        silent = self._stream_ms - self.open[key].seen_ms
        self.close(key, "idle" if silent >= 1000 * self._plan.idle_s else "crowded")
        return True

    def close(self, key: Key, how: str) -> None:
        """A log is complete."""
        group = self.open.pop(key)
        self.bytes -= group.size
        rest = group.rest()
        if how in {"idle", "age", "crowded"} and group.until is None and any(map(self._plan.ends, rest)):
            how = "end"  # no newline came behind its last line
        if how == "end":
            group.attributes["type"] = self._plan.type_of(group.tail) or group.attributes["type"]
            self._has_ended(key, group.seen, group.seen_ms)
        elif group.late and how in {"idle", "age", "crowded"}:
            how = "late"
        record = self._record(group, how)
        self._complete(Undone(group.first, group.last, how), record)

    def _has_ended(self, key: Key, now: float, ms: int) -> None:
        """A last line was seen: what comes behind it and has none of its own is late."""
        self._ended[key] = now, ms
        self._ended.move_to_end(key)
        if len(self._ended) > 4 * MOST:
            self._ended.popitem(last=False)

    def _record(self, group: Group, how: str) -> Record:
        cut = how != "end" and (self._plan.end is not None or how != "idle")
        told = {"ended_by": how, "records": group.records, "last_offset": group.last, "incomplete": cut}
        headers = tuple(
            (f"ce_{name}", str(value).encode("utf-8", "replace"))
            for name, value in group.attributes.items()
            if value not in ("", ATTRIBUTES[name].default)
        )
        kept = tuple(each for each in group.record.headers if each[0] in {"traceparent", "ce_traceparent"})
        first = group.record
        return Record(
            *self._tp,
            -1,
            first.key,
            bytes(group.text),
            (("content-type", b"text/plain"), *headers, *kept, *_header(told)),
            first.timestamp_ms,
            group.first,
        )

    def _complete(self, undone: Undone, record: Record) -> None:
        self._metrics.ended(undone.ended)
        self.bytes += record.size
        made = Log(undone, record)
        if all(each.first != undone.first for each in self._order):
            self.ready.append(made)
            return
        self._held[undone.first] = made
        while self._order and self._order[0].first in self._held:
            self.ready.append(self._held.pop(self._order.popleft().first))

    # Logs go

    def give(self) -> Record:
        """The next complete log, under its number."""
        made = self.ready.popleft()
        number, self.number = self.number, self.number + 1
        self._given.append((number, made.undone))
        r = made.record
        self.bytes -= r.size
        return Record(r.topic, r.partition, number, r.key, r.value, r.headers, r.timestamp_ms, r.first)

    def at(self, number: int) -> Checkpoint:
        """What is to be committed when all logs below a number are done.

        Those that have ended come first, in the order of their numbers: read again, they get the same ones.
        """
        undone = [each for given, each in self._given if given >= number]
        undone += (each.undone for each in self.ready)
        undone += self._order
        undone += (Undone(group.first) for group in self.open.values() if group.until is None)
        undone += (each for each in self._expected.values() if each.last is None)
        horizon = max(self.position, self._horizon)
        offset = min((each.first for each in undone), default=horizon)
        return Checkpoint(offset, number, horizon, tuple(undone))

    def done(self, number: int) -> None:
        """All logs below a number are committed."""
        while self._given and self._given[0][0] < number:
            self._given.popleft()


def _header(told: Mapping[str, Any]) -> Headers:
    return ((ASSEMBLED_HEADER, orjson.dumps(told)),)
