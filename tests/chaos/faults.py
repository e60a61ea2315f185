"""The schedule: which fault when, for how long, on whom. The same seed makes the same schedule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NETWORK: Final = ("refuse", "silence", "deafen", "slow_network")
"""Faults of a daemon's network."""

DAEMON: Final = ("kill", "term", "freeze", "freeze_in_commit", "kill_in_commit", "late_commit", "clock", *NETWORK)
"""Faults of one daemon, or of its network."""

ALL: Final = ("kill_all", "freeze_all")
"""Faults of all daemons at once."""

WORK: Final = ("slow", "hang", "sick")
"""Faults of what a daemon works with."""

BROKER: Final = ("broker_kill", "broker_term", "broker_freeze", "broker_kill_in_rebalance", "brokers_kill")
"""Faults of brokers; with three of them, one that leads or coordinates, or (`brokers_kill`) one after the other."""

EVENTS: Final = ("poison", "grow")
"""What comes in: an event that kills whoever works on it; one partition more."""

KINDS: Final = (*DAEMON, *ALL, *WORK, *BROKER, *EVENTS, "storm")

PACES: Final = (0.5, 1.0, 1.0, 2.5)
"""By which the gaps between faults are multiplied, from one round of all kinds to the next: some have time to heal."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at `at` seconds, that lasts for `lasts` seconds, on the daemon in `slot`."""

    at: float
    kind: str
    slot: int
    lasts: float

    def __str__(self) -> str:
        where = f" daemon {self.slot}" if self.kind in DAEMON or self.kind in WORK else ""
        return f"{self.at:6.1f} s  {self.kind}{where} for {self.lasts:.1f} s"


def schedule(
    seed: int,
    seconds: float,
    daemons: int,
    session_s: float,
    kinds: Sequence[str] = KINDS,
    gap_s: float = 2.5,
    paces: Sequence[float] = PACES,
) -> list[Fault]:
    """Faults over so many seconds, some of them at once. Every kind comes before one comes again."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    faults: list[Fault] = []
    bag: list[str] = []
    pace = 1.0
    at = chance.uniform(0.5, 2)
    while at < seconds:
        if not bag:
            bag = chance.sample(kinds, len(kinds))
            pace = chance.choice(paces)
        kind = bag.pop()
        faults.append(Fault(at, kind, chance.randrange(daemons), _lasts(kind, chance, session_s)))
        at += 0.2 if chance.random() < 0.25 else chance.uniform(0.4, 1.6) * gap_s * pace
    return faults


def _lasts(kind: str, chance: random.Random, session_s: float) -> float:
    if kind in {"freeze", "freeze_in_commit", "freeze_all", "late_commit", "silence", "deafen", "refuse"}:
        # Most beyond the session's time-out: the group gives the partitions to others meanwhile.
        return chance.uniform(0.5, 2.5) * session_s
    if kind in {"kill", "term", "kill_in_commit", "kill_all"}:
        return chance.choice([0, 0.5, 1.5 * session_s])
    if kind == "storm":  # a daemon more or less every two seconds
        return chance.uniform(6, 10)
    if kind == "sick":  # long enough that events are parked
        return chance.uniform(4, 12)
    return chance.uniform(1.5, 6)
