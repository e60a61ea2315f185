"""Which replica a request goes to, so that the prefix that it begins with is there already.

A server computes a system prompt once and keeps it, per adapter. So requests of one pipeline and adapter go to the same
few replicas: each replica has a score for each key, the highest wins (rendezvous hashing: Thaler and Ravishankar,
"Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking, 1998), and when replicas come or
go, no key moves that need not. No replica takes more than `bound` times its share of what is in flight; what would be
too much goes to the key's next one, always the same (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with
bounded loads", SODA 2018).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

_KEYS: Final = 20_000
"""Keys whose order is remembered."""


class Loaded(Protocol):
    """What placement needs to know of a replica."""

    @property
    def url(self) -> str:
        """Its name."""
        ...

    @property
    def load(self) -> int:
        """Requests that it holds or that wait for it."""
        ...

    @property
    def limit(self) -> int:
        """Requests that it may hold at once."""
        ...

    @property
    def floor(self) -> int:
        """Requests that cost it next to nothing."""
        ...


Target = TypeVar("Target", bound=Loaded)


class Placement(Protocol):
    """A way of choosing."""

    def choose(self, key: str, replicas: Sequence[Target], holds: Callable[[Target], bool]) -> Target:
        """One of `replicas`, which are one at least. `holds` says whether one has the adapter already."""
        ...


class BoundedRendezvous:
    """Rendezvous hashing with bounded loads. `bound` is how many times its share a replica may take."""

    def __init__(self, bound: float = 1.25) -> None:
        self._bound = bound
        self._scores: dict[str, dict[str, int]] = {}

    def choose(self, key: str, replicas: Sequence[Target], holds: Callable[[Target], bool]) -> Target:
        """The key's first choice, or the next that has room, rather one that holds the adapter."""
        if len(replicas) == 1:
            return replicas[0]
        order = self.order(key, replicas)
        room = _room(replicas, self._bound)
        first = order[0]
        if first.load < min(room(first), first.limit):
            return first
        free = [replica for replica in order[1:] if replica.load < min(room(replica), replica.limit)]
        if free:
            return next((replica for replica in free if holds(replica)), free[0])
        # All are full: it waits where its prefix is, but for no longer than others wait.
        waits = [replica for replica in order if replica.load < room(replica)]
        return waits[0] if waits else min(order, key=lambda replica: replica.load / replica.limit)

    def order(self, key: str, replicas: Sequence[Target]) -> list[Target]:
        """The replicas in the order in which the key wants them."""
        scores = self._scores.get(key)
        if scores is None:
            if len(self._scores) >= _KEYS:
                self._scores.clear()
            scores = self._scores[key] = {}
        for replica in replicas:
            if replica.url not in scores:
                scores[replica.url] = _score(key, replica.url)
        return sorted(replicas, key=lambda replica: scores[replica.url], reverse=True)


def _room(replicas: Sequence[Target], bound: float) -> Callable[[Target], float]:
    """How much each may take: its share by what it can hold; below its floor it costs less than a cold prefix."""
    total = 1 + sum([replica.load for replica in replicas])
    share = bound * total / max(1, sum([replica.limit for replica in replicas]))
    return lambda replica: max(replica.floor, math.ceil(share * replica.limit))


def _score(key: str, url: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{key}\n{url}".encode(), digest_size=8).digest())
