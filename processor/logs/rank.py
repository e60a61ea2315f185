"""Which lines tell the fault: scores from the patterns that hit, their neighbours and their place.

A score is high where a strong pattern hits, falls off with the distance from such a line (slower along a
stack trace than across prose, slower downwards than upwards), and is lowered for what is said often, for
what comes after the job has failed and for what is far before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from processor.logs.patterns import PATTERNS

_WEIGHTS: Final = [pattern.weight for pattern in PATTERNS]
_KINDS: Final = [pattern.kind for pattern in PATTERNS]
_ANCHOR: Final = 4.0
"""From this weight on a line is an error line: it spreads its score and may be ranked."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores by line number, and the numbers of the error lines, likeliest first."""

    scores: dict[int, float]
    errors: tuple[int, ...]


def weigh(patterns: Sequence[int]) -> tuple[float, bool, bool]:
    """What the patterns on one line say: its own weight, whether it ends a step, whether it is a frame."""
    best = extra = least = 0.0
    ends = frame = False
    for index in patterns:
        weight = _WEIGHTS[index]
        kind = _KINDS[index]
        if kind == "exit":
            ends = True
        elif kind == "frame":
            frame = True
        if weight > best:
            extra += best
            best = weight
        elif weight > 0:
            extra += weight
        else:
            least = min(least, weight)
    own = best + 0.25 * min(extra, 8.0)
    return own + (least if best < 7 else least / 3), ends, frame


def rank(marks: Mapping[int, Sequence[int]], repeats: Mapping[int, int], total: int) -> Ranking:
    """Scores the lines of a log of `total` lines.

    `marks` are the patterns on each line that any hit; `repeats` says how often a line's template occurs.
    """
    own: dict[int, float] = {}
    frames: set[int] = set()
    ends: list[int] = []
    for number, patterns in marks.items():
        weight, end, frame = weigh(patterns)
        if frame:
            frames.add(number)
        if end and weight > 0:
            ends.append(number)
        own[number] = weight / (1 + 0.2 * math.log2(repeats.get(number, 1)))
    failed = max(ends, default=total)
    scores: dict[int, float] = {}
    for number, weight in own.items():
        scores[number] = max(scores.get(number, 0.0), weight)
        if weight >= _ANCHOR:
            _spread(scores, frames, number, weight, total)
    for number in range(max(1, failed - 25), min(total, failed + 2) + 1):
        scores[number] = scores.get(number, 0.0) + 1.5
    placed = {number: score * _place(number, failed) for number, score in scores.items() if score > 0}
    ranked = sorted(
        (number for number, weight in own.items() if weight >= _ANCHOR),
        key=lambda number: (-own[number] * _place(number, failed), number),
    )
    return Ranking(placed, tuple(ranked))


def _spread(scores: dict[int, float], frames: set[int], number: int, weight: float, total: int) -> None:
    value = weight * 0.7
    for below in range(number + 1, min(total, number + 40) + 1):
        value *= 0.97 if below in frames else 0.87
        if value < 1:
            break
        if scores.get(below, 0.0) < value:
            scores[below] = value
    value = weight * 0.55
    for above in range(number - 1, max(0, number - 10), -1):
        value *= 0.8
        if scores.get(above, 0.0) < value:
            scores[above] = value


def _place(number: int, failed: int) -> float:
    if number > failed + 1:
        return 0.55
    return 0.55 + 0.45 * math.exp((number - failed) / 150)
