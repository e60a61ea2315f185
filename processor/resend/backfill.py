"""Past events through one pipeline: they are read again from its source topics and sent to its retry topic.

How far it came is kept on the ledger, in the transaction that sends the events where the brokers have transactions:
what was begun is resumed where it stopped, and nothing is sent twice by accident. Ids come from where an event was
first read, so a finding that was made before has the same one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from processor.contract import NO_TICKETS_HEADER, ORIGIN_HEADER, Outbound, Record, TopicPartition
from processor.errors import Rejected
from processor.pipeline import Pipeline
from processor.resend.ledger import entries, entry
from processor.resend.sender import BATCH, BATCH_BYTES, Opening, Pace, Sender
from processor.sinks.dead_letters import OWN, dead_letter, encode_origin
from processor.sources.decode import Decoder
from processor.sources.history import History, Span


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
    """How far it has come: records that lay there, that were done before, and what became of the others."""

    there: int = 0
    before: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def said(self) -> dict[str, object]:
        """As JSON."""
        return {"there": self.there, "before": self.before, "kinds": dict(self.kinds)}


@dataclass(slots=True)
class _Way:
    """Where a backfill ends, and how far it has come; `bounds` are the ends of one that goes up to now."""

    ends: Mapping[TopicPartition, int]
    reached: dict[TopicPartition, int]
    bounds: Mapping[str, int]

    @property
    def spans(self) -> dict[TopicPartition, Span]:
        """What is left."""
        return {tp: Span(self.reached[tp], end) for tp, end in self.ends.items() if self.reached[tp] < end}

    def said(self, *, again: bool) -> dict[str, Any]:
        """As the ledger keeps it."""
        reached = {_text(tp): offset for tp, offset in self.reached.items()}
        return {"ends": self.bounds, "reached": reached, "again": again, "done": not self.spans}


class Backfill:
    """One pipeline's past, from Kafka to its retry topic."""

    def __init__(
        self,
        history: History,
        prefix: str,
        pipeline: Pipeline,
        decoder: Decoder,
        plan: Plan,
        *,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._history = history
        self._prefix = prefix
        self._pipeline = pipeline
        self._decoder = decoder
        self._plan = plan
        self._redact = redact
        self.counts = Counts()
        self._kinds: Counter[str] = Counter()  # of what is not sent yet

    @property
    def name(self) -> str:
        """Of the ledger's entry of a backfill from this time on, and, after the prefix, of its transactions."""
        return f"backfill.{self._pipeline.name}.{int(self._plan.start.timestamp())}"

    async def left(self) -> _Way:
        """What is still to be read; what a backfill of the same start has left, if there was one. Raises Retryable."""
        spans = await self._history.spans(self._pipeline.topics, self._plan.start, self._plan.end)
        kept = (await entries(self._history, self._prefix)).get(self.name, {})
        if self._plan.again and not (kept.get("again") and not kept.get("done")):
            kept = {}
        came: Mapping[str, int] = kept.get("reached", {})
        # What came after the first try began has been seen by the line itself.
        bounds: Mapping[str, int] = kept.get("ends", {})
        if self._plan.end is None:
            bounds = {_text(tp): min(span.end, bounds.get(_text(tp), span.end)) for tp, span in spans.items()}
        ends = {tp: span.end if self._plan.end else bounds[_text(tp)] for tp, span in spans.items()}
        way = _Way(ends, {tp: max(span.start, came.get(_text(tp), 0)) for tp, span in spans.items()}, bounds)
        self.counts.there = sum(max(0, ends[tp] - span.start) for tp, span in spans.items())
        self.counts.before = self.counts.there - sum(span.end - span.start for span in way.spans.values())
        return way

    async def run(
        self, opening: Opening, pace: Pace, stop: asyncio.Event, tell: Callable[[Counts], None] = lambda _: None
    ) -> None:
        """Sends what is left, as fast as `pace` allows; tells the counts after each batch. Ends early on `stop`.

        Raises Retryable, and Fenced where another one takes over: what was sent until then stays sent.
        """
        async with opening() as sender:
            # Read now: one that went before is shut out, and how far it came is known.
            way = await self.left()
            self._kinds.clear()
            outputs: list[Outbound] = []
            looked = 0
            async with aclosing(self._history.between(way.spans)) as records:
                async for record in records:
                    outputs += self._outputs(record)
                    way.reached[TopicPartition(record.topic, record.partition)] = record.offset + 1
                    looked += 1
                    full = len(outputs) >= pace.batch or sum(each.size for each in outputs) >= BATCH_BYTES
                    if full or looked >= BATCH:
                        await self._send(sender, way, outputs, tell)
                        await pace.sent(len(outputs), stop)
                        outputs, looked = [], 0
                        if stop.is_set():
                            return
            # The last offsets may be markers of transactions, which no record shows.
            way.reached |= {tp: span.end for tp, span in way.spans.items()}
            await self._send(sender, way, outputs, tell)

    async def _send(
        self, sender: Sender, way: _Way, outputs: Sequence[Outbound], tell: Callable[[Counts], None]
    ) -> None:
        kept = entry(self._prefix, self.name, way.said(again=self._plan.again))
        if refused := await sender.write(outputs, lambda _: [kept]):
            self._kinds.update(sent=-len(refused), refused=len(refused))
        self.counts.kinds.update(self._kinds)
        self._kinds.clear()
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
