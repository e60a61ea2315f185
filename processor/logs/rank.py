"""Which lines tell the fault: scores from the patterns that hit, their neighbours and their place.

A score is high where a strong sign is, falls off with the distance from such a line (slower along a stack
trace than across prose, slower downwards than upwards), and is lowered for what is said often, for what comes
after the job has failed and for what is far before it. `likelihood` corrects the scores by what was learned.
"""

from __future__ import annotations

import bisect
import functools
import heapq
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from processor.logs.mask import template
from processor.logs.patterns import CONTINUING, DETAILS, SIGNS

Hits = Mapping[int, Sequence[int]]
"""By line number the indexes of the patterns that hit."""

Marks = dict[int, list[int]]
"""Hits while they are being collected."""

ANCHOR: Final = 4.0
"""From this weight on a line is an error line: it spreads its score and may be ranked."""
_SHORTLIST: Final = 80
_ABOVE: Final = 8
_BELOW: Final = 24
_MOST_READ: Final = 600
_OFTEN: Final = 16
"""What is marked alike more often than so is less likely to be worth reading."""

_WEAK: Final = 0.7
"""What a weight below `ANCHOR` counts for the score."""

# How scores fall off from an error line: downwards, along frames, upwards. Found by trying; all are flat optima.
_LENT_BELOW: Final = 0.8
_BELOW_DECAY: Final = 0.87
_FRAME_DECAY: Final = 0.94
_LENT_ABOVE: Final = 0.55
_ABOVE_DECAY: Final = 0.8
_NOTHING: Final = 0.05

# What the place is worth: lines at the job's failing end get a bonus, those far before it down to `_FLOOR`.
_END_BONUS: Final = 1.5
_END_LINES: Final = 25
_FLOOR: Final = 0.5
_FAR: Final = 150
_AFTER: Final = 0.65
"""What a line after the last failing exit is worth: clean-up mostly, but the exit may have been retried."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What lines say by themselves; the number of the line where the job failed; error lines by likelihood."""

    own: dict[int, float]
    failed: int
    ranked: tuple[int, ...]


@functools.lru_cache(maxsize=20_000)
def sign(indexes: tuple[int, ...]) -> tuple[float, bool, bool]:
    """The weight of the signs on one line, whether one says that a job failed, and whether that is all it says."""
    weights = sorted({index: SIGNS[index].weight for index in indexes}.values(), reverse=True)
    kinds = {SIGNS[index].kind for index in indexes}
    ends = "exit" in kinds
    return weights[0] + 0.25 * min(sum(weights[1:]), 8.0), ends, ends or "summary" in kinds


@functools.lru_cache(maxsize=20_000)
def detail(indexes: tuple[int, ...]) -> tuple[float, bool, bool]:
    """What the details on one line take off its weight (negative); whether it continues a line, or opens a step."""
    kinds = {DETAILS[index].kind for index in indexes}
    return min(DETAILS[index].weight for index in indexes), not kinds.isdisjoint(CONTINUING), "step" in kinds


def neighbourhood(marks: Hits, total: int, tail: int) -> list[int]:
    """The lines worth reading: those around the likeliest signs, and the log's last ones. Marks ascend."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, indexes in marks.items():
        # Sorted: in which order the hits of a line come depends on where the log was cut into pieces.
        alike.setdefault(tuple(sorted(indexes)), []).append(number)
    failed = max([numbers[-1] for key, numbers in alike.items() if sign(key)[1]], default=total)
    likeliest: list[tuple[float, int]] = []  # a heap
    for key, marked in alike.items():
        weight = sign(key)[0] / (1 + 0.2 * math.log2(max(1.0, len(marked) / _OFTEN)))
        cut = bisect.bisect_right(marked, failed + 1)
        # On either side of the failing end the last lines are worth the most: before one that is too weak all are.
        for side in (marked[max(0, cut - _SHORTLIST) : cut], marked[cut:][-_SHORTLIST:]):
            for number in reversed(side):
                worth = (weight * _place(number, failed), number)
                if len(likeliest) < _SHORTLIST:
                    heapq.heappush(likeliest, worth)
                elif worth > likeliest[0]:
                    heapq.heapreplace(likeliest, worth)
                else:
                    break
    numbers = set(range(max(1, total - tail), total + 1))
    for _, number in sorted(likeliest, reverse=True):
        if len(numbers) > _MOST_READ:
            break
        numbers.update(range(max(1, number - _ABOVE), min(total, number + _BELOW) + 1))
    return sorted(numbers)


def weigh(marks: Hits, details: Hits, lines: Mapping[int, bytes], total: int) -> Weights:
    """What each of `lines` says by itself; `marks`, which ascend, and `details` are the patterns that hit."""
    signs = {number: sign(tuple(marks[number])) for number in lines if number in marks}
    templates = {number: template(lines[number]) for number in signs}
    seen = Counter(templates.values())
    failed = next((number for number in reversed([*marks]) if sign(tuple(marks[number]))[1]), total)
    own: dict[int, float] = {}
    for number, form in templates.items():
        weight = signs[number][0]
        if number in details:
            against = min(0.0, detail(tuple(details[number]))[0])
            weight += against if weight < 7 else against / 3
        times = seen[form]
        own[number] = weight if times == 1 else weight / (1 + 0.2 * math.log2(times))
    ranked = sorted(
        (number for number, weight in own.items() if weight >= ANCHOR),
        # That a step failed is said alike by every fault: such a line is the anchor only where there is no other.
        key=lambda number: (signs[number][2], -own[number] * _place(number, failed), number),
    )
    return Weights(own, failed, tuple(ranked))


def spread(weights: Weights, details: Hits, groups: Sequence[Sequence[int]], total: int) -> dict[int, float]:
    """The score of every line that is worth something: its own weight or what its neighbours lend it.

    `groups` are the line numbers, ascending, that belong together: one group, or one for each of the programs whose
    output is mixed.
    """
    frames = {number for number, indexes in details.items() if detail(tuple(indexes))[1]}
    scores: dict[int, float] = {}
    for numbers in groups:
        _lend(scores, weights.own, frames, numbers)
    if not weights.ranked:  # a job that just stopped: what it did last, with all that the budget has room for
        scores.update((number, _END_BONUS) for numbers in groups for number in numbers if number not in scores)
    for number in range(max(1, weights.failed - _END_LINES), min(total, weights.failed + 2) + 1):
        scores[number] = scores.get(number, 0.0) + _END_BONUS
    return {number: score * _place(number, weights.failed) for number, score in scores.items()}


def _lend(scores: dict[int, float], own: Mapping[int, float], frames: Collection[int], numbers: Sequence[int]) -> None:
    """Down and up once: what an error line lends decays from line to line, so the strongest loan is what is carried."""
    carried, before = 0.0, -1
    for number in numbers:
        if number - before > _ABOVE:
            carried = 0.0
        before = number
        carried *= _FRAME_DECAY if number in frames else _BELOW_DECAY
        score = carried
        if number in own:
            weight = own[number]
            score = max(score, weight if weight >= ANCHOR else weight * _WEAK)
            if weight >= ANCHOR:
                carried = max(carried, weight * _LENT_BELOW)
        if score > _NOTHING:
            scores[number] = score
    carried, before = 0.0, numbers[-1] if numbers else 0
    for number in reversed(numbers):
        if before - number > _ABOVE:
            carried = 0.0
        before = number
        carried *= _ABOVE_DECAY
        if carried > scores.get(number, _NOTHING):
            scores[number] = carried
        if own.get(number, 0.0) >= ANCHOR:
            carried = max(carried, own[number] * _LENT_ABOVE)


_PLACES: Final = tuple(_FLOOR + (1 - _FLOOR) * math.exp(-before / _FAR) for before in range(-1, 8 * _FAR + 1))
"""By how many lines a line is before the failing end, from the one after it on."""


def _place(number: int, failed: int) -> float:
    before = failed - number + 1
    if before < 0:
        return _AFTER
    return _PLACES[before] if before < len(_PLACES) else _FLOOR
