"""Past events through one pipeline: they are read again from its source topics and sent to its retry topic.

Where its events are logs that are put together of lines, those are sent whose first line lies in the span of time. So
lines are read from before it, for what began earlier is no log of its own, and behind it, until the last one has ended.

How far it came is kept on the ledger, in the transaction that sends the events where the brokers have transactions:
what was begun is resumed where it stopped, and nothing is sent twice by accident. Ids come from where an event was
first read, so a finding that was made before has the same one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from processor.assemble import Plan as LinePlan
from processor.contract import NO_TICKETS_HEADER, ORIGIN_HEADER, Outbound, Record, TopicPartition
from processor.errors import Rejected
from processor.pipeline import Pipeline
from processor.resend.ledger import entries, entry
from processor.resend.past import Bounds, Past, PastEvents, PastLogs
from processor.resend.sender import BATCH, BATCH_BYTES, Opening, Pace, Sender
from processor.sinks.dead_letters import OWN, dead_letter, encode_origin
from processor.sources.decode import Decoder
from processor.sources.history import History, Span

_EPOCH: Final = datetime.fromtimestamp(0, UTC)

LINES: Final = 5_000
"""Most lines that are read before it is told how far they came."""


@dataclass(frozen=True, slots=True)
class Lines:
    """How lines become logs, of which `most_bytes` are held at once."""

    plan: LinePlan
    most_bytes: int = 128_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall be sent: the events of a pipeline's topics from `start` on, to `end` or now.

    `tickets`: whether tickets may come of them. `again`: from the beginning, though it was done before.
    """

    start: datetime
    end: datetime | None = None
    tickets: bool = True
    again: bool = False


@dataclass(slots=True)
class Counts:
    """How far it has come: records that lay there, that were done before or were read now, and what became of them."""

    there: int = 0
    before: int = 0
    read: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def said(self) -> dict[str, object]:
        """As JSON."""
        return {"there": self.there, "before": self.before, "kinds": dict(self.kinds)}


@dataclass(slots=True)
class _Way:
    """Where a backfill ends, and how far it has come; `bounds` are the ends of one that goes up to now.

    Of lines, `begin` says what is done from an offset on, and `wanted` where the first one of a log may lie; `at` is
    when the backfill was begun, in Unix milliseconds.
    """

    ends: Mapping[TopicPartition, int]
    reached: dict[TopicPartition, int]
    bounds: Mapping[str, int]
    wanted: Mapping[TopicPartition, Span]
    begin: dict[TopicPartition, tuple[int, str]]
    at: int

    @property
    def spans(self) -> dict[TopicPartition, Span]:
        """What is left."""
        return {tp: Span(self.reached[tp], end) for tp, end in self.ends.items() if self.reached[tp] < end}

    def said(self, *, again: bool) -> dict[str, Any]:
        """As the ledger keeps it."""
        reached = {_text(tp): offset for tp, offset in self.reached.items()}
        said = {"ends": self.bounds, "reached": reached, "again": again, "done": not self.spans, "at": self.at}
        notes = {_text(tp): note for tp, (_, note) in self.begin.items() if note}
        return said | ({"notes": notes} if notes else {})


class Backfill:
    """One pipeline's past, from Kafka to its retry topic."""

    def __init__(
        self,
        history: History,
        prefix: str,
        pipeline: Pipeline,
        decoder: Decoder,
        plan: Plan,
        lines: Lines | None = None,
        *,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._history = history
        self._prefix = prefix
        self._pipeline = pipeline
        self._decoder = decoder
        self._plan = plan
        self._lines = lines
        self._redact = redact
        self.counts = Counts()
        self._kinds: Counter[str] = Counter()  # of what is not sent yet
        self._read = 0  # likewise

    @property
    def name(self) -> str:
        """Of the ledger's entry of a backfill from this time on, and, after the prefix, of its transactions.

        One of lines has read more than it has sent, so that another end is another backfill.
        """
        name = f"backfill.{self._pipeline.name}.{int(self._plan.start.timestamp())}"
        return f"{name}.{int(self._plan.end.timestamp())}" if self._plan.end and self._lines else name

    async def left(self, sender: Sender | None = None) -> _Way:
        """What is still to be read; what a backfill of the same start has left, if there was one. Raises Retryable."""
        wanted = spans = await self._history.spans(self._pipeline.topics, self._plan.start, self._plan.end)
        if self._lines is not None:
            spans = await self._history.spans(self._pipeline.topics, *self._around(self._lines.plan.max_age_s))
        kept = (await entries(self._history, self._prefix, sender)).get(self.name, {})
        if self._plan.again and not (kept.get("again") and not kept.get("done")):
            kept = {}
        came: Mapping[str, int] = kept.get("reached", {})
        # What came after the first try began has been seen by the line itself.
        bounds: Mapping[str, int] = kept.get("ends", {})
        if self._plan.end is None:
            bounds = {_text(tp): min(span.end, bounds.get(_text(tp), span.end)) for tp, span in spans.items()}
            wanted = {tp: Span(span.start, bounds[_text(tp)]) for tp, span in wanted.items()}
        ends = {tp: span.end if self._plan.end else bounds[_text(tp)] for tp, span in spans.items()}
        reached = {tp: max(span.start, came.get(_text(tp), 0)) for tp, span in spans.items()}
        told: Mapping[str, str] = kept.get("notes", {})
        begin = {tp: (came.get(_text(tp), reached[tp]), told.get(_text(tp), "")) for tp in spans}
        way = _Way(ends, reached, bounds, wanted, begin, kept.get("at", int(time.time() * 1000)))
        self.counts.there = sum(max(0, ends[tp] - span.start) for tp, span in spans.items())
        self.counts.before = self.counts.there - sum(span.end - span.start for span in way.spans.values())
        return way

    def _around(self, max_age_s: float) -> tuple[datetime, datetime | None]:
        """From when on the lines of logs that begin in the plan's span may lie on the topics, and until when."""
        start, end, most = self._plan.start, self._plan.end, timedelta(seconds=max_age_s)
        return max(start - most, min(start, _EPOCH)), end and end + most

    def _past(self, way: _Way) -> Past:
        if self._lines is None:
            return PastEvents(way.spans)
        at, final = way.at / 1000, True
        if self._plan.end is not None:
            last = self._plan.end.timestamp() + self._lines.plan.max_age_s
            at, final = min(last, time.time()), last <= time.time()
        bounds = Bounds(way.wanted, at, final, self._lines.most_bytes)
        return PastLogs(self._lines.plan, bounds, way.begin, way.spans)

    async def run(
        self, opening: Opening, pace: Pace, stop: asyncio.Event, tell: Callable[[Counts], None] = lambda _: None
    ) -> None:
        """Sends what is left, as fast as `pace` allows; tells the counts after each batch. Ends early on `stop`.

        Raises Retryable, and Fenced where another one takes over: what was sent until then stays sent.
        """
        async with opening() as sender:
            # Read now: one that went before is shut out, and how far it came is known.
            way = await self.left(sender)
            past = self._past(way)
            self._kinds.clear()
            self._read = 0
            outputs: list[Outbound] = []
            size = 0
            async with aclosing(self._events(way, past)) as found:
                async for events in found:
                    made = [each for event in events for each in self._outputs(event)]
                    outputs += made
                    size += sum(each.size for each in made)
                    full = len(outputs) >= pace.batch or size >= BATCH_BYTES
                    if full or self._read >= (LINES if self._lines else BATCH):
                        await self._send(sender, way, past, outputs, tell)
                        await pace.sent(len(outputs), stop)
                        outputs, size = [], 0
                        if stop.is_set():
                            return
            if past.open:
                self._kinds["open"] = past.open
            await self._send(sender, way, past, outputs, tell)

    async def _events(self, way: _Way, past: Past) -> AsyncGenerator[Sequence[Record], None]:
        """What is complete with each record, and then without any more."""
        async with aclosing(self._history.between(way.spans)) as records:
            async for record in records:
                self._read += 1
                yield past.take(record)
        for tp in way.spans:
            for event in past.rest(tp):
                yield [event]

    async def _send(
        self, sender: Sender, way: _Way, past: Past, outputs: Sequence[Outbound], tell: Callable[[Counts], None]
    ) -> None:
        for tp in way.spans:
            way.begin[tp] = past.reached(tp)
            way.reached[tp] = way.begin[tp][0]
        kept = entry(self._prefix, self.name, way.said(again=self._plan.again))
        if refused := await sender.write(outputs, lambda _: [kept]):
            self._kinds.update(sent=-len(refused), refused=len(refused))
        past.sent()
        self.counts.kinds.update(self._kinds)
        self.counts.read += self._read
        self._kinds.clear()
        self._read = 0
        tell(self.counts)

    def _outputs(self, record: Record) -> list[Outbound]:
        """What becomes of a record: the event for the retry topic, a dead letter, or nothing if it isn't wanted."""
        try:
            event = self._decoder.decode(record)
            match = self._pipeline.match
            wanted = match is None or match.evaluate({"event": event.attributes})
        except Rejected as error:
            self._kinds["rejected"] += 1
            return [self._letter(record, error)]
        self._kinds["sent" if wanted else "not wanted"] += 1
        return [self._again(record)] if wanted else []

    def _again(self, record: Record) -> Outbound:
        theirs = tuple(header for header in record.headers if header[0] not in OWN)
        ours = [(ORIGIN_HEADER, encode_origin(self._decoder.origin(record)))]
        if not self._plan.tickets:
            ours.append((NO_TICKETS_HEADER, b"1"))
        topic = f"{self._prefix}.retry.{self._pipeline.name}"
        return Outbound(topic, record.key, record.value, (*theirs, *ours))

    def _letter(self, record: Record, error: Rejected) -> Outbound:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        origin, text = self._decoder.origin(record), self._redact(str(error))
        return dead_letter(self._prefix, record, error.reason, text, self._pipeline.name, origin, now)


def _text(tp: TopicPartition) -> str:
    return f"{tp.topic}/{tp.partition}"
