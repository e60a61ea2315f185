"""The time that an event has for its questions to models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(slots=True, eq=False)
class Bound:
    """So many seconds for all questions of one event together, by the event loop's clock.

    They run from when the first question is sent, which sets `until`: before, an event waits as the line does.
    """

    seconds: float
    until: float | None = None

    def begin(self, now: float) -> float:
        """When it is over; it begins now unless it has begun."""
        if self.until is None:
            self.until = now + self.seconds
        return self.until

    def within(self, seconds: float, now: float) -> Self:
        """What has begun and ends in so many seconds, or with this one if that is sooner."""
        until = now + seconds
        return type(self)(seconds, until if self.until is None else min(until, self.until))
