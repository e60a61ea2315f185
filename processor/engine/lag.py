"""How far behind each partition is, for the metrics.

Asked of the brokers now and then: what the client knows by itself is as old as its last fetch, and a paused partition
is not fetched from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from processor.contract import TopicPartition
from processor.engine.inflight import Entry, InFlight, Partition
from processor.engine.ports import Source
from processor.errors import Retryable

log = structlog.get_logger(__name__)

EVERY_S = 15.0
"""Between two questions."""

FIRST_S = 1.0
"""The same, while there are partitions that have not been asked for yet."""


class Lag:
    """Records between what is committed and the end, by partition. `delivering`: entries that are no more in flight."""

    def __init__(self, source: Source, inflight: InFlight, delivering: Callable[[], Iterable[Entry]]) -> None:
        self._source = source
        self._inflight = inflight
        self._delivering = delivering
        self._ends: dict[TopicPartition, int] = {}
        self._begins: dict[Partition, int] = {}  # where a partition was taken over

    async def run(self) -> None:
        """Asks until it is cancelled."""
        while True:
            try:
                await self._ask()
            except Retryable as error:
                log.info("lag is not known", action="lag", error=str(error))
            known = self._ends.keys() >= self._inflight.partitions.keys()
            await asyncio.sleep(EVERY_S if known else FIRST_S)

    async def _ask(self) -> None:
        held = dict(self._inflight.partitions)
        self._ends = {tp: end for tp, end in self._ends.items() if tp in held}
        if held:
            self._ends |= await self._source.ends(list(held))
        self._begins = {partition: begin for partition, begin in self._begins.items() if not partition.closed}
        for tp, partition in held.items():
            if partition.position < 0 and partition not in self._begins:
                self._begins[partition] = await self._source.committed(tp) or 0

    def by_partition(self) -> dict[TopicPartition, int]:
        """The lag of each partition that is held and was asked for."""
        found = {}
        delivering: dict[Partition, int] = {}
        for entry in self._delivering():
            delivering.setdefault(entry.partition, entry.record.offset)
        for tp, partition in self._inflight.partitions.items():
            begin = delivering.get(partition)
            if begin is None:
                begin = partition.entries[0].record.offset if partition.entries else partition.position
            if begin < 0:
                begin = self._begins.get(partition, -1)
            if tp in self._ends and begin >= 0:
                found[tp] = max(0, self._ends[tp] - begin)
        return found

    def oldest(self) -> float | None:
        """When the oldest entry that is not committed was taken in, by the monotonic clock."""
        heads = [partition.entries[0] for partition in self._inflight.partitions.values() if partition.entries]
        return min((entry.since for entry in (*heads, *self._delivering())), default=None)
