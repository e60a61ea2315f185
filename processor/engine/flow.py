"""How much is taken in: bounds on what is in flight, and which partitions pause."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from processor.contract import Record, TopicPartition
from processor.engine.inflight import InFlight
from processor.engine.limits import Limits
from processor.engine.ports import Source


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
        limits, inflight = self._limits, self._inflight
        return 4 * inflight.count <= 3 * limits.in_flight and (
            4 * inflight.bytes <= 3 * limits.in_flight_bytes or inflight.count == 0
        )

    @property
    def room(self) -> int:
        """Records to poll for: by count, and by bytes as if all were as large as the largest of the last poll."""
        limits, inflight = self._limits, self._inflight
        free = (limits.in_flight_bytes - inflight.bytes) // self._largest
        return max(1, min(limits.poll, limits.in_flight - inflight.count, free))

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
