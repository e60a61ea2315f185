"""triage: how hard an event looks, by what is known of it before any model is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from processor.contract import Reading
from processor.logs.extract import BLAMED

Level = Literal["simple", "moderate", "complex"]

CLEAR, CLOSE = 0.5, 0.1
"""Lead of the likeliest value of a narrowed field over the next: this much is clear, less than that a toss-up."""

MANY: Final = 8
"""Candidates that an error blames, beyond which none stands out."""

LARGE, SHOWN = 5_000, 0.01
"""A log of so many lines of which less than this share is shown."""


@dataclass(frozen=True, slots=True)
class Triaged:
    """How hard an event looks, and why, in words of a code."""

    level: Level
    why: tuple[str, ...] = ()


def triage(reading: Reading) -> Triaged:
    """Weighs the signals: each that speaks for a hard case adds one, a rule's hint or a clear ranking takes one away.

    Nothing that says what failed (no line that looks like an error) makes it complex by itself.
    """
    excerpt = reading.excerpt
    hard: list[str] = []
    if not excerpt.ranked:
        hard += ["no_error_line"] * 2
    leads = [_lead(ranked) for ranked in reading.narrowed.values()]
    if any(lead < CLOSE for lead in leads):
        hard.append("close_ranking")
    if sum(each.score >= BLAMED for found in reading.candidates.values() for each in found) > MANY:
        hard.append("many_candidates")
    if excerpt.total_lines >= LARGE and len(excerpt.lines) < SHOWN * excerpt.total_lines:
        hard.append("little_shown")
    easy = (reading.rule is not None) + (bool(leads) and min(leads) >= CLEAR)
    weight = len(hard) - easy
    level: Level = "complex" if weight >= 2 else "moderate" if weight == 1 else "simple"
    return Triaged(level, tuple(dict.fromkeys(hard)))


def _lead(ranked: tuple[tuple[str, float], ...]) -> float:
    """By how much the likeliest value leads."""
    return 1.0 if len(ranked) < 2 else ranked[0][1] - ranked[1][1]
