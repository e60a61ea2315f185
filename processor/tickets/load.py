"""Reads the writer's state: a partition of the compacted state topic, from its beginning to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Final

import structlog

from processor.cluster.client import KafkaClient
from processor.contract import TopicPartition
from processor.errors import Retryable
from processor.sources.history import KafkaHistory
from processor.tickets.book import Loaded
from processor.tickets.messages import TicketState, Topics, read_state

log = structlog.get_logger(__name__)

AGAIN_S: Final = 2.0
"""Seconds before a load that the brokers did not allow is begun again."""


class StateLoader:
    """Loads partitions of the state topic; a callable, as the writer wants it."""

    def __init__(self, client: KafkaClient, topics: Topics) -> None:
        self._history = KafkaHistory(client)
        self._topic = topics.state

    async def __call__(self, partition: int) -> Loaded:
        """What the partition holds. Waits as long as the brokers are away."""
        while True:
            try:
                return await self._read(partition)
            except Retryable as error:
                log.warning("ticket state waits", action="load", partition=partition, error=str(error))
                await asyncio.sleep(AGAIN_S)

    async def _read(self, partition: int) -> Loaded:
        spans = await self._history.spans([self._topic])
        at = TopicPartition(self._topic, partition)
        if at not in spans:
            raise Retryable(f"topic {self._topic} has no partition {partition}")
        states, erased = dict[str, TicketState](), set[str]()
        async with aclosing(self._history.between({at: spans[at]})) as records:
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
    if value is None:
        states.pop(fingerprint, None)
        erased.add(fingerprint)
    elif (state := read_state(value)) is not None:
        states[fingerprint] = state
        erased.discard(fingerprint)
    else:
        log.warning("a ticket state can't be read", action="load", fingerprint=fingerprint)
