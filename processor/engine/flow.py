"""How much is taken in: bounds on what is in flight, and which partitions pause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from processor.contract import Record, TopicPartition
from processor.engine.inflight import InFlight
from processor.engine.limits import Limits
from processor.engine.ports import Source

KEPT_S = 0.05
"""Between looks at partitions for which room is kept."""

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
        return inflight.count >= limits.in_flight or inflight.bytes >= limits.in_flight_bytes

    @property
    def relaxed(self) -> bool:
        """A quarter is free again: polling for less costs more than it brings."""
        return not self.crowded or self._inflight.count == 0

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
        """Records to poll for: by count, and by bytes as if all were as large as the largest of the last poll."""
        limits, inflight = self._limits, self._inflight
        free = (limits.in_flight_bytes - inflight.bytes) // self._largest
        return max(1, min(limits.poll, limits.in_flight - inflight.count, free))

    async def poll(self, until: Until) -> Sequence[Record]:
        """The next records that there is room for. Raises as the source.

        Once most of the room is taken, only of partitions that have less than their share, so that none starves.
        """
        if self.full:
            # Pausing throws away what the client has fetched ahead, so a short wait does without.
            if await until(lambda: self.relaxed, self._limits.poll_s):
                return ()
            self.apply(self._inflight.partitions)
            return await self._source.poll(0, 1)  # keeps the membership alive
        self.apply()
        lesser = self.lesser if self.crowded else []
        if not lesser:
            return await self._source.poll(self._limits.poll_s, self.room)
        found = await self._source.poll(0, self.room, lesser)
        if not found:
            await until(lambda: not self.crowded, min(self._limits.poll_s, KEPT_S))
        return found

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
