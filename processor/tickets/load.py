"""Reads the writer's state: a partition of the compacted state topic, from its beginning to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from processor.cluster.client import KafkaClient
from processor.errors import Retryable
from processor.sources.history import KafkaHistory
from processor.tickets.messages import TicketState, Topics, read_state

log = structlog.get_logger(__name__)

AGAIN_S: Final = 2.0
"""Seconds before a load that the brokers did not allow is begun again."""


class StateLoader:
    """Loads partitions of the state topic; a callable, as the writer wants it."""

    def __init__(self, client: KafkaClient, topics: Topics) -> None:
        self._history = KafkaHistory(client)
        self._topic = topics.state

    async def __call__(self, partition: int) -> dict[str, TicketState]:
        """The last state of each fingerprint of the partition. Waits as long as the brokers are away."""
        while True:
            try:
                return fold([(each.key, each.value) async for each in self._history.all(self._topic, partition)])
            except Retryable as error:
                log.warning("ticket state waits", action="load", partition=partition, error=str(error))
                await asyncio.sleep(AGAIN_S)


def fold(records: Iterable[tuple[bytes | None, bytes | None]]) -> dict[str, TicketState]:
    """The last state by fingerprint; a record without a value takes it away, one that is no state is left out."""
    states: dict[str, TicketState] = {}
    for key, value in records:
        fingerprint = (key or b"").decode("utf-8", "replace")
        if value is None:
            states.pop(fingerprint, None)
        elif (state := read_state(value)) is not None:
            states[fingerprint] = state
        else:
            log.warning("a ticket state can't be read", action="load", fingerprint=fingerprint)
    return states
