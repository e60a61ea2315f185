"""A breaker per replica: what fails rests, is tried by one request, and only then gets them all again.

States and their names as in Nygard, "Release It!" (2nd edition, 2018), chapter 5.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["closed", "open", "half_open"]

SOFT_FAILURES: Final = 3
"""So many bad answers in a row open it; one may be the request's own doing."""

FAILING_SHARE: Final = 0.6
"""So large a share of recent answers being bad opens it too, whatever stands between them."""

RECENT: Final = 20
"""How many answers that share is taken of."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long a failing server rests, seconds: the first time, and at most."""

    first_s: float = 0.5
    longest_s: float = 15.0

    def after(self, failures: int) -> float:
        """The rest after so many failures in a row, with jitter."""
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30)) * random.uniform(0.75, 1.25)  # noqa: S311


class Breaker:
    """How one replica has done lately. `clock` gives monotonic seconds."""

    def __init__(self, pauses: Pauses, clock: Callable[[], float]) -> None:
        self._pauses = pauses
        self._clock = clock
        self._failures = 0  # in a row
        self._share = 0.0  # of failures, over some RECENT answers
        self._answers = 0
        self._tripped = False
        self._until = 0.0

    @property
    def state(self) -> State:
        """Open: it rests. Half open: one request may try it. Closed: it is well."""
        if self._until > self._clock():
            return "open"
        return "half_open" if self._tripped else "closed"

    @property
    def rest(self) -> float:
        """Seconds until it may be tried again; 0 where it may be now."""
        return max(0.0, self._until - self._clock())

    def succeeded(self) -> None:
        """The server answered: it is well."""
        self._count(0.0)
        self._failures, self._tripped, self._until = 0, False, 0.0

    def failed(self, *, away: bool) -> None:
        """The server did not do its work. It opens if the server is `away`, or keeps failing."""
        self._failures += 1
        self._count(1.0)
        often = self._answers >= RECENT and self._share >= FAILING_SHARE
        if away or self._tripped or often or self._failures >= SOFT_FAILURES:
            self._tripped, self._share, self._answers = True, 0.0, 0
            self._until = self._clock() + self._pauses.after(self._failures)

    def pause(self, seconds: float) -> None:
        """The server asks to be left alone for so long, which is no failure."""
        self._until = max(self._until, self._clock() + seconds)

    def retry_now(self) -> None:
        """It may be tried at once."""
        self._until = 0.0

    def _count(self, failed: float) -> None:
        self._answers += 1
        self._share += (failed - self._share) / min(self._answers, RECENT)
