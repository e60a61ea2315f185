"""Reads the writer's state: a partition of the compacted state topic, from its beginning to its end.

Its end is a record without a value that the partition's owner has written for that (see `processor.sources.ended`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final

import structlog

from processor.contract import Outbound, TopicPartition
from processor.errors import Retryable
from processor.sources.ended import ahead_of
from processor.sources.history import History
from processor.tickets.book import Loaded
from processor.tickets.messages import TicketState, Topics, read_state

log = structlog.get_logger(__name__)

AGAIN_S: Final = 2.0
"""Seconds before a load that the brokers did not allow is begun again."""

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
        spans = await self._history.spans([at.topic])
        if at not in spans:
            raise Retryable(f"topic {at.topic} has no partition {at.partition}")
        states, erased = dict[str, TicketState](), set[str]()
        async with aclosing(ahead_of(self._history, {at: end})) as records:
            async for record in records:
                _fold(record.key, record.value, states, erased)
        # Compaction leaves the beginning where it is: only who deletes records, or the topic's retention, moves it.
        return Loaded(states, frozenset(erased), cut=spans[at].start > 0)


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
