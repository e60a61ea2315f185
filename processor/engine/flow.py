"""How much is taken in: bounds on what is in flight, and which partitions pause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from processor.contract import Record, TopicPartition
from processor.engine.inflight import InFlight
from processor.engine.limits import Limits
from processor.engine.ports import Source

KEPT_S = 0.05
"""Between looks at partitions for which room is kept."""

BATCHES_READY = 2
"""So many deliveries' outputs may wait for the brokers; those whose offsets are being committed count, up to one."""

Until = Callable[[Callable[[], bool], float], Awaitable[bool]]
"""Waits for a condition, no longer than so many seconds; whether it came true."""


class Flow:
    """Asks for no more than there is room for."""

    def __init__(self, source: Source, inflight: InFlight, limits: Limits) -> None:
        self._source = source
        self._inflight = inflight
        self._limits = limits
        self._largest = 1
        self.paused: set[TopicPartition] = set()

    @property
    def full(self) -> bool:
        """Nothing more is taken in."""
        limits, inflight = self._limits, self._inflight
        over = inflight.count >= limits.in_flight or inflight.bytes >= limits.in_flight_bytes
        return over or self.ahead == []

    @property
    def ahead(self) -> list[TopicPartition] | None:
        """While as much waits for the brokers as two deliveries take: the partitions with less than an equal share.

        Reading more of the others would make nothing faster, and take memory. None: so much does not wait.
        """
        batch = self._limits.batch_bytes
        most = BATCHES_READY * batch - min(batch, self._inflight.settling)
        ready = self._inflight.ready(most)
        if sum(ready.values()) < most:
            return None
        held = self._inflight.partitions
        return [tp for tp, size in ready.items() if size * len(held) < most and held[tp].taking and not held[tp].held]

    @property
    def relaxed(self) -> bool:
        """A quarter is free again: polling for less costs more than it brings."""
        return self._inflight.count == 0 or not (self.crowded or self.ahead == [])

    @property
    def crowded(self) -> bool:
        """Three quarters are taken: what is left is kept for the partitions of `lesser`."""
        limits, inflight = self._limits, self._inflight
        return 4 * inflight.count >= 3 * limits.in_flight or 4 * inflight.bytes >= 3 * limits.in_flight_bytes

    @property
    def lesser(self) -> list[TopicPartition]:
        """The partitions that have less in flight than an equal share; none where there is but one."""
        held = self._inflight.partitions
        if len(held) < 2:
            return []
        share = self._limits.in_flight / len(held)
        return [tp for tp, each in held.items() if each.taking and not each.held and len(each.entries) < share]

    @property
    def room(self) -> int:
        """Records to poll for: by count, and by bytes as if all were as large as the largest of the last poll.

        Of their bytes no more than a delivery has: what comes of them may have to wait for the brokers.
        """
        limits, inflight = self._limits, self._inflight
        free = min(limits.in_flight_bytes - inflight.bytes, limits.batch_bytes) // self._largest
        return max(1, min(limits.poll, limits.in_flight - inflight.count, free))

    async def poll(self, until: Until) -> Sequence[Record]:
        """The next records that there is room for. Raises as the source.

        Once most of the room is taken, or much waits for the brokers, only of partitions that have less than their
        share, so that none starves.
        """
        if self.full:
            # Pausing throws away what the client has fetched ahead, so a short wait does without.
            if await until(lambda: self.relaxed, self._limits.poll_s):
                return ()
            self.apply(self._inflight.partitions)
            return await self._source.poll(0, 1)  # keeps the membership alive
        self.apply()
        chosen = self._chosen()
        if not chosen:
            return await self._source.poll(self._limits.poll_s, self.room)
        found = await self._source.poll(0, self.room, chosen)
        if not found:
            await until(lambda: not (self.crowded or self.ahead is not None), min(self._limits.poll_s, KEPT_S))
        return found

    def _chosen(self) -> list[TopicPartition]:
        """The partitions that are polled alone; none where all are."""
        lesser = self.lesser if self.crowded else []
        ahead = self.ahead
        return lesser if ahead is None else [tp for tp in ahead if tp in lesser] or ahead

    def polled(self, records: Sequence[Record]) -> None:
        """What the next poll is measured by."""
        if records:
            self._largest = max(1, *(record.size for record in records))

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """These pause until `apply` finds them ready."""
        self._source.pause(partitions)
        self.paused |= set(partitions)

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """These are not ours any more."""
        self.paused -= set(partitions)

    def apply(self, wanted: Collection[TopicPartition] = ()) -> None:
        """Pauses `wanted` and what can't take records now; all else is resumed."""
        held = self._inflight.partitions.items()
        pause = set(wanted) | {tp for tp, each in held if each.held or not each.taking}
        if pause != self.paused:
            self._source.resume(self.paused - pause)
            self._source.pause(pause - self.paused)
            self.paused.clear()
            self.paused |= pause
