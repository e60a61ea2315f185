"""Past events through one pipeline: they are read again from its source topics and sent to its retry topic.

Progress is kept as the offsets of a group of its own, in the transaction that sends the events where the brokers have
transactions: what was begun is resumed where it stopped, and nothing is sent twice by accident. Ids come from where an
event was first read, so a finding that was made before has the same one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from processor.cluster.client import KafkaClient
from processor.contract import NO_TICKETS_HEADER, ORIGIN_HEADER, Outbound, Record, TopicPartition
from processor.errors import Rejected
from processor.pipeline import Pipeline
from processor.sinks.dead_letters import OWN, dead_letter, encode_origin
from processor.sinks.kafka import KafkaSink, KafkaSinkConfig
from processor.sinks.transactions import KafkaTransactions
from processor.sources.decode import Decoder
from processor.sources.history import Bookmarks, Span, between, since

BATCH: Final = 200
BATCH_BYTES: Final = 8_000_000
"""Most events, and about the most bytes, that are sent at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall be sent: the events of a pipeline's topics from `start` on, to `end` or now.

    `tickets`: whether tickets may come of them. `rate`: most events in a second.
    """

    start: datetime
    end: datetime | None = None
    tickets: bool = True
    again: bool = False
    rate: float = 100.0


@dataclass(slots=True)
class Counts:
    """How far it has come: records that lay there, that were done before, and what became of the others."""

    there: int = 0
    before: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def said(self) -> dict[str, object]:
        """As JSON."""
        return {"there": self.there, "before": self.before, "kinds": dict(self.kinds)}


class Backfill:
    """One pipeline's past, from Kafka to its retry topic."""

    def __init__(
        self,
        client: KafkaClient,
        sink: KafkaSinkConfig,
        prefix: str,
        pipeline: Pipeline,
        decoder: Decoder,
        plan: Plan,
        *,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._client = client
        self._sink = sink
        self._prefix = prefix
        self._pipeline = pipeline
        self._decoder = decoder
        self._plan = plan
        self._redact = redact
        self._spans: Mapping[TopicPartition, Span] = {}
        self.counts = Counts()

    @property
    def name(self) -> str:
        """The group that keeps the progress of a backfill from this time on."""
        return f"{self._prefix}.backfill.{self._pipeline.name}.{int(self._plan.start.timestamp())}"

    async def left(self) -> dict[TopicPartition, Span]:
        """The offsets that are still to be read; what a backfill of the same start has left, if there was one."""
        spans = await since(self._client, self._pipeline.topics, self._plan.start, self._plan.end)
        async with Bookmarks(self._client, self.name) as done, Bookmarks(self._client, f"{self.name}.end") as ends:
            known = {} if self._plan.again else await ends.read(spans)
            came = await done.read(spans) if known else {}
        # What came after the first try began has been seen by the line itself.
        self._spans = {tp: Span(span.start, known.get(tp, span.end)) for tp, span in spans.items()}
        left = {tp: Span(max(span.start, came.get(tp, span.start)), span.end) for tp, span in self._spans.items()}
        self.counts.there = sum(span.end - span.start for span in self._spans.values())
        self.counts.before = self.counts.there - sum(max(0, span.end - span.start) for span in left.values())
        return {tp: span for tp, span in left.items() if span.start < span.end}

    async def run(self, tell: Callable[[Counts], None] = lambda _: None) -> None:
        """Sends what is left, at most `rate` events a second; tells the counts after each batch.

        Raises Retryable, also where another one of the same pipeline and start takes over.
        """
        async with _Writer(self._client, self._sink, self.name) as writer:
            # Read now: where there are transactions, one that went before has been ended, and its progress settled.
            left = await self.left()
            async with Bookmarks(self._client, self.name) as done, Bookmarks(self._client, f"{self.name}.end") as ends:
                if self._plan.again:
                    await done.write({tp: span.start for tp, span in self._spans.items()})
                await ends.write({tp: span.end for tp, span in self._spans.items()})
            batch: list[Record] = []
            async with aclosing(between(self._client, left)) as records:
                async for record in records:
                    batch.append(record)
                    if len(batch) >= BATCH or sum(each.size for each in batch) >= BATCH_BYTES:
                        await self._send(writer, batch, tell)
                        batch = []
            if batch:
                await self._send(writer, batch, tell)
            await writer.write([], {tp: span.end for tp, span in self._spans.items()})

    async def _send(self, writer: _Writer, batch: Sequence[Record], tell: Callable[[Counts], None]) -> None:
        began = time.monotonic()
        outputs = [out for record in batch for out in self._outputs(record)]
        await writer.write(outputs, {TopicPartition(each.topic, each.partition): each.offset + 1 for each in batch})
        tell(self.counts)
        await asyncio.sleep(max(0.0, len(outputs) / self._plan.rate - (time.monotonic() - began)))

    def _outputs(self, record: Record) -> list[Outbound]:
        """What becomes of a record: the event for the retry topic, a dead letter, or nothing if it isn't wanted."""
        try:
            event = self._decoder.decode(record)
            match = self._pipeline.match
            wanted = match is None or match.evaluate({"event": event.attributes})
        except Rejected as error:
            self.counts.kinds["rejected"] += 1
            return [self._letter(record, error)]
        self.counts.kinds["sent" if wanted else "not wanted"] += 1
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


class _Writer:
    """Events and progress as one where the brokers have transactions, else the events first."""

    def __init__(self, client: KafkaClient, sink: KafkaSinkConfig, name: str) -> None:
        self._transactions = KafkaTransactions(sink)
        self._plain = KafkaSink(sink)
        self._marks = Bookmarks(client, name)
        self._name = name
        self._transactional = False

    async def __aenter__(self) -> Self:
        self._transactional = await self._transactions.available(self._name)
        if self._transactional:
            self._transactor = await self._transactions.open(self._name)
        else:
            await self._plain.start()
            await self._marks.__aenter__()
        return self

    async def write(self, records: Sequence[Outbound], reached: Mapping[TopicPartition, int]) -> None:
        """Sends the records and keeps how far that was. Raises Retryable, Unwritable."""
        if self._transactional:
            return await self._transactor.write(records, self._name, reached)
        await self._plain.publish(records)
        return await self._marks.write(reached)

    async def __aexit__(self, *_: object) -> None:
        if self._transactional:
            self._transactor.close()
        else:
            await self._plain.stop()
            await self._marks.__aexit__()
        await self._transactions.stop()
