"""What is open of any producer, in all topics of a deployment: asked by whoever takes a partition over.

Of a partition that has no leader nobody can tell. An election is waited for. But one partition that stays away would
have all take-overs of the deployment wait as long: they go on without it then, and look before they write there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import LeaderNotAvailableError

from processor.cluster.hanging import named, open_in

log = structlog.get_logger(__name__)

LEADERLESS_S: Final = 60.0
"""How long a partition without a leader holds up whoever takes over: several elections, not an outage of its own."""


@dataclass(frozen=True)
class Leftovers:
    """Where a producer has something open; `unseen` are partitions of which nobody can tell."""

    found: Sequence[ClientPartition]
    unseen: Collection[ClientPartition] = ()


class Looks:
    """Looks for what is open of any producer in topics that begin so; whoever asks meanwhile shares the next look.

    Many partitions are taken over at once, and each broker tells of all its producers.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._one = asyncio.Lock()
        self._begun = self._done = 0
        self._found: dict[int, list[ClientPartition]] = {}
        self._without: dict[ClientPartition, float] = {}  # those without a leader, and since when
        self._looked = -LEADERLESS_S  # when that was seen last

    async def left_open(self, producer: AIOKafkaProducer) -> Leftovers:
        """Where the producer has something open, by a look that begins after now.

        Raises KafkaError, also where a partition has no leader, unless that has been so for LEADERLESS_S.
        """
        before = self._begun
        async with self._one:
            if self._done <= before:
                self._begun += 1
                number = self._begun
                found, without = await open_in(producer.client, lambda tp: tp.topic.startswith(self._prefix))
                self._wait_for(without)
                self._found, self._done = found, number
            found_of = self._found.get(producer._txn_manager.producer_id, [])  # noqa: SLF001
            return Leftovers(found_of, frozenset(self._without))

    def _wait_for(self, without: Collection[ClientPartition]) -> None:
        """Raises LeaderNotAvailableError while it is worth to wait for a leader of one."""
        now = time.monotonic()
        # What was long ago says nothing: it may have had a leader since.
        before = self._without if now - self._looked < LEADERLESS_S else {}
        self._without, self._looked = {tp: before.get(tp, now) for tp in without}, now
        if not without:
            return
        lasts = now - max(self._without.values())
        if lasts < LEADERLESS_S:
            raise LeaderNotAvailableError(f"{named(without)} has no leader")
        told = {"action": "take_over", "partitions": named(without), "seconds": round(lasts)}
        log.warning("goes on without partitions that have no leader: what is written there waits for one", **told)
