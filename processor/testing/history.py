"""What lies on the topics of the broker in memory."""

# ruff: noqa: SLF001 (broker and history are one thing in two files)

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime

from processor.contract import Record, TopicPartition
from processor.sources.history import Span
from processor.testing.broker import MemoryBroker


class MemoryHistory:
    """See processor.sources.history.History."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def spans(
        self, topics: Collection[str], start: datetime | None = None, end: datetime | None = None
    ) -> dict[TopicPartition, Span]:
        """Its offsets, or those of a span of time."""
        await asyncio.sleep(0)
        self._broker._check("ends")
        found: dict[TopicPartition, Span] = {}
        for topic in topics:
            for partition, log in enumerate(self._broker._logs(topic)):
                first = _offset(log, start) if start else 0
                found[TopicPartition(topic, partition)] = Span(first, _offset(log, end) if end else len(log))
        return found

    async def between(self, spans: Mapping[TopicPartition, Span]) -> AsyncGenerator[Record, None]:
        """Its records of these offsets."""
        for tp, span in spans.items():
            for record in self._broker._logs(tp.topic)[tp.partition][span.start : span.end]:
                await asyncio.sleep(0)
                self._broker._check("poll")
                yield record


def _offset(log: Sequence[Record], time: datetime) -> int:
    """The offset of the first record from a time on; the end if there is none."""
    return next((record.offset for record in log if record.timestamp_ms >= time.timestamp() * 1000), len(log))
