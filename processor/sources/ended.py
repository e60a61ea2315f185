"""Reads partitions up to records that were written to find an end by.

What a broker says of the end may be old: one that led a partition before another, and stood still, goes on for some
hundred milliseconds with what it had. But whoever has shut out those that wrote before, and then writes a record, has
all of theirs ahead of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from processor.contract import Record, TopicPartition
from processor.errors import Retryable
from processor.sources.history import History, Span

LOOK_S: Final = 0.1
"""Seconds before it is looked for more: a transaction's records can be read some milliseconds after its end."""

LOOKS: Final = 20
"""Most looks before it is said that the end can't be read."""


async def ahead_of(history: History, ends: Mapping[TopicPartition, bytes]) -> AsyncGenerator[Record, None]:
    """The records of each partition ahead of the one with its key. Raises Retryable."""
    left, looked = dict(ends), dict.fromkeys(ends, 0)
    for _ in range(LOOKS):
        there = await history.spans({tp.topic for tp in left})
        spans = {tp: Span(max(looked[tp], there[tp].start), there[tp].end) for tp in left if tp in there}
        spans = {tp: span for tp, span in spans.items() if span.start < span.end}
        if spans:
            async with aclosing(history.between(spans)) as records:
                async for record in records:
                    tp = TopicPartition(record.topic, record.partition)
                    if record.key == left.get(tp):
                        del left[tp]
                    elif tp in left:
                        yield record
        if not left:
            return
        looked |= {tp: span.end for tp, span in spans.items()}
        await asyncio.sleep(LOOK_S)
    names = ", ".join(f"{tp.topic}/{tp.partition}" for tp in sorted(left))
    raise Retryable(f"{names}: a broker tells an old end, or somebody's transaction is still open")
