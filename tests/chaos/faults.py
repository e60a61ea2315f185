"""The schedule: which fault when, for how long, on whom. The same seed makes the same schedule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DAEMON: Final = ("kill", "term", "freeze", "freeze_in_commit", "kill_in_commit", "refuse", "silence", "clock")
"""Faults of one daemon, or of its network."""

WORK: Final = ("slow", "hang")
"""Faults of what a daemon works with."""

BROKER: Final = ("broker_kill", "broker_freeze")
"""Faults of a broker; with three of them it is the one that leads."""

KINDS: Final = (*DAEMON, *WORK, *BROKER, "storm")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at `at` seconds, that lasts for `lasts` seconds, on the daemon in `slot`."""

    at: float
    kind: str
    slot: int
    lasts: float

    def __str__(self) -> str:
        where = "" if self.kind in BROKER or self.kind == "storm" else f" daemon {self.slot}"
        return f"{self.at:6.1f} s  {self.kind}{where} for {self.lasts:.1f} s"


def schedule(
    seed: int, seconds: float, daemons: int, session_s: float, kinds: Sequence[str] = KINDS, gap_s: float = 2.5
) -> list[Fault]:
    """Faults over so many seconds, some of them at once. Every kind comes before one comes again."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    faults: list[Fault] = []
    bag: list[str] = []
    at = chance.uniform(0.5, 2)
    while at < seconds:
        if not bag:
            bag = chance.sample(kinds, len(kinds))
        kind = bag.pop()
        faults.append(Fault(at, kind, chance.randrange(daemons), _lasts(kind, chance, session_s)))
        at += 0.2 if chance.random() < 0.25 else chance.uniform(0.4, 1.6) * gap_s
    return faults


def _lasts(kind: str, chance: random.Random, session_s: float) -> float:
    if kind in {"freeze", "freeze_in_commit", "silence", "refuse"}:
        # Most beyond the session's time-out: the group gives the partitions to others meanwhile.
        return chance.uniform(0.5, 2.5) * session_s
    if kind in {"kill", "term", "kill_in_commit"}:
        return chance.choice([0, 0.5, 1.5 * session_s])
    if kind == "storm":  # a daemon more or less every two seconds
        return chance.uniform(6, 10)
    return chance.uniform(1.5, 6)
