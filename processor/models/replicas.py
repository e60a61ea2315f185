"""The replicas of a tier: which of several servers the next request goes to.

Rotation, leaving out those that fail until their pause is over. Placement by prefix affinity and load can take
the place of `pick` without its callers noticing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from processor.errors import Retryable
from processor.models.chat import Capabilities

SOFT_FAILURES: Final = 3
"""So many bad answers in a row rest a server; one may be the request's own doing."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long a failing server rests, seconds: the first time, and at most."""

    first_s: float = 0.5
    longest_s: float = 15.0

    def after(self, failures: int) -> float:
        """The rest after so many failures in a row, with jitter."""
        return min(self.longest_s, self.first_s * 2.0 ** (failures - 1)) * random.uniform(0.75, 1.25)  # noqa: S311


class Replica:
    """One server: its address, how it has done lately, and how many requests it may hold at once."""

    def __init__(self, url: str, concurrency: int) -> None:
        self.url = url.rstrip("/")
        self.slots = asyncio.Semaphore(concurrency)
        self.probing = asyncio.Lock()
        self.capabilities: Capabilities | None = None
        self.failures = 0
        self.resting_until = 0.0

    def succeeded(self) -> None:
        """The server answered: it is healthy."""
        self.failures = 0
        self.resting_until = 0.0


class Replicas:
    """The servers of one tier. `clock` gives monotonic seconds."""

    def __init__(
        self,
        urls: Sequence[str],
        concurrency: int,
        pauses: Pauses | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replicas = tuple(Replica(url, concurrency) for url in urls)
        self._pauses = pauses or Pauses()
        self._clock = clock
        self._next = 0

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._replicas)

    def pick(self, affinity: str, avoid: Replica | None = None) -> Replica:
        """The replica for the next request of `affinity` (the adapter's name, or "" for the base).

        `avoid` is the one that has just failed; it is taken only where there is no other. Raises Retryable with
        the time until the first may be tried again where all of them rest.
        """
        del affinity  # rotation needs none; placement by prefix will
        now = self._clock()
        ready = [replica for replica in self._replicas if replica.resting_until <= now]
        if not ready:
            wait = min(replica.resting_until for replica in self._replicas) - now
            raise Retryable(f"no healthy model server among {', '.join(r.url for r in self._replicas)}", wait=wait)
        self._next += 1
        others = [replica for replica in ready if replica is not avoid] or ready
        return others[self._next % len(others)]

    def failed(self, replica: Replica, *, away: bool, wait: float | None = None) -> None:
        """Notes that `replica` did not do its work; it rests if it is `away`, asks for it (`wait`), or keeps failing.

        It is probed anew afterwards: what comes back may be another engine with another model.
        """
        replica.failures += 1
        if not away and wait is None and replica.failures < SOFT_FAILURES:
            return
        if away:
            replica.capabilities = None
        pause = self._pauses.after(replica.failures) if wait is None else wait
        replica.resting_until = self._clock() + pause

    def resting(self, replica: Replica) -> float:
        """Seconds until `replica` may be tried again; 0 where it may be now."""
        return max(0.0, replica.resting_until - self._clock())

    @property
    def healthy(self) -> int:
        """How many replicas are not resting."""
        now = self._clock()
        return sum(1 for replica in self._replicas if replica.resting_until <= now)
