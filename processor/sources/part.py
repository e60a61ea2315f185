"""A partition that librdkafka fetches for a member of a group."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from processor.contract import Record, TopicPartition


@dataclass(slots=True, eq=False)
class Part:
    """A partition. `next` is what librdkafka gives next, None until that is known."""

    tp: TopicPartition
    next: int | None = None
    assigned: bool = False
    """librdkafka reads it, from where we want it to."""
    known: bool = False
    """librdkafka reads it, maybe from elsewhere."""
    paused: bool = False
    stopped: bool = False
    """It pauses in librdkafka, for too much of it waits here."""
    aside: deque[Record] = field(default_factory=deque)
    bytes: int = 0
    end: int = 0
    """Where librdkafka found the end last, after markers of transactions."""
    locating: asyncio.Task[None] | None = None

    def move(self, offset: int) -> None:
        """Goes on at `offset`."""
        self.aside.clear()
        self.bytes = self.end = 0
        self.next, self.assigned = offset, False
        if self.locating is not None:
            self.locating.cancel()
            self.locating = None
