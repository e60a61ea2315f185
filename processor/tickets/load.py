"""Reads the writer's state: a partition of the compacted state topic, from its beginning to its end.

Its end is a record without a value that the partition's owner has written for that. All that owners of before have
written stands ahead of it, while what a broker says of the end may be old: one that led the partition before another,
and stood still, goes on for some hundred milliseconds with what it had.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final

import structlog

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Retryable
from processor.sources.history import History, Span
from processor.tickets.book import Loaded
from processor.tickets.messages import TicketState, Topics, read_state

log = structlog.get_logger(__name__)

AGAIN_S: Final = 2.0
"""Seconds before a load that the brokers did not allow is begun again."""

LOOK_S: Final = 0.1
"""Seconds before it is looked for more: a transaction's records can be read some milliseconds after its end."""

LOOKS: Final = 20
"""Most looks before it is said that the end can't be read, and all is read anew."""

END: Final = "(end) "
"""How the keys of the records begin that are written to find an end by."""

Ahead = Callable[[TopicPartition, Sequence[Outbound]], Awaitable[None]]
"""Writes records as the owner of a partition of the commands that is being assigned. Raises Retryable."""


class StateLoader:
    """Loads partitions of the state topic; a callable, as the writer wants it."""

    def __init__(self, history: History, topics: Topics, ahead: Ahead) -> None:
        self._history = history
        self._topics = topics
        self._ahead = ahead

    async def __call__(self, partition: int) -> Loaded:
        """What the partition holds. Waits as long as the brokers can't be read; raises Retryable."""
        end = f"{END}{uuid.uuid4().hex}".encode()
        mark = Outbound(self._topics.state, end, None, partition=partition)
        await self._ahead(TopicPartition(self._topics.commands, partition), [mark])
        while True:
            try:
                return await self._read(TopicPartition(self._topics.state, partition), end)
            except Retryable as error:
                log.warning("ticket state waits", action="load", partition=partition, error=str(error))
                await asyncio.sleep(AGAIN_S)

    async def _read(self, at: TopicPartition, end: bytes) -> Loaded:
        states, erased = dict[str, TicketState](), set[str]()
        cut, looked = False, 0
        for _ in range(LOOKS):
            span = await self._span(at)
            # Compaction leaves the beginning where it is: only who deletes records, or the topic's retention, moves it.
            cut = cut or span.start > 0
            async with aclosing(self._between(at, Span(max(span.start, looked), span.end))) as records:
                async for record in records:
                    if record.key == end:
                        return Loaded(states, frozenset(erased), cut)
                    _fold(record.key, record.value, states, erased)
            looked = max(looked, span.end)
            await asyncio.sleep(LOOK_S)
        told = "a broker tells an old end, or somebody's transaction is still open"
        raise Retryable(f"{at.topic}/{at.partition}: {told}")

    async def _span(self, at: TopicPartition) -> Span:
        spans = await self._history.spans([at.topic])
        if at not in spans:
            raise Retryable(f"topic {at.topic} has no partition {at.partition}")
        return spans[at]

    async def _between(self, at: TopicPartition, span: Span) -> AsyncGenerator[Record, None]:
        if span.start < span.end:
            async with aclosing(self._history.between({at: span})) as records:
                async for record in records:
                    yield record


def fold(records: Iterable[tuple[bytes | None, bytes | None]]) -> dict[str, TicketState]:
    """The last state by fingerprint; a record without a value takes it away, one that is no state is left out."""
    states: dict[str, TicketState] = {}
    for key, value in records:
        _fold(key, value, states, set())
    return states


def _fold(key: bytes | None, value: bytes | None, states: dict[str, TicketState], erased: set[str]) -> None:
    fingerprint = (key or b"").decode("utf-8", "replace")
    if fingerprint.startswith(END):
        return
    if value is None:
        states.pop(fingerprint, None)
        erased.add(fingerprint)
    elif (state := read_state(value)) is not None:
        states[fingerprint] = state
        erased.discard(fingerprint)
    else:
        log.warning("a ticket state can't be read", action="load", fingerprint=fingerprint)
