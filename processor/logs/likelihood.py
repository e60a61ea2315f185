"""How likely a line is one that tells the fault, as learned: a correction of `rank`'s scores.

A logistic model over a few coarse features of a line, so that one table look-up per feature is all it costs. Its
weights (`lines.json`) are learned by `python -m tools.train_lines` from logs whose failing lines people marked; they
are small on purpose: what travels to other tools is the knowledge in `patterns`, not what a few hundred logs share.
"""

from __future__ import annotations

import functools
import heapq
import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from processor.logs.mask import template
from processor.logs.rank import ANCHOR, Marks, Weights, detail, sign

WEIGHTS: Final = Path(__file__).with_name("lines.json")
VERSION: Final = 1
MOST: Final = 250
"""So many lines are corrected: more than any usual budget holds."""

FEATURES: Final[Mapping[str, tuple[float, ...]]] = {
    "relative": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97),
    "strength": (0.3, 0.6, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10, 12),
    "own": (0.1, 1, 2, 3, 4, 6, 8, 9.5, 10.5, 12),
    "signs": (1, 2, 3, 5),
    "kind": (1, 2, 3),
    "detail": (1, 2, 3),
    "alike": (2, 3, 5, 9, 33),
    "below": (1, 2, 3, 4, 6, 9, 15, 30),
    "above": (1, 2, 3, 4, 6, 9, 15, 30),
    "indent": (1, 2, 4, 8),
    "length": (1, 8, 16, 32, 64, 128, 256),
    "failed": (-512, -128, -64, -32, -16, -8, -4, -2, 0, 1, 2, 4, 8, 32),
    "end": (1, 3, 7, 15, 31, 63, 127, 255, 511),
    "total": (128, 256, 512, 1024, 2048, 8192),
    "anchors": (2, 4, 8, 16, 32, 64),
}
"""By feature the bounds of its buckets: n bounds make n + 1 buckets."""
_FAR: Final = 99


@dataclass(frozen=True, slots=True)
class Model:
    """Learned weights: one table per feature of FEATURES, in its order, with one weight per bucket."""

    bias: float
    tables: tuple[tuple[float, ...], ...]

    def correct(self, scores: Mapping[int, float], rows: Mapping[int, Sequence[int]]) -> dict[int, float]:
        """The scores times their likelihood; nothing is left of the score of a line without features."""
        corrected = dict.fromkeys(scores, 0.0)
        for number, row in rows.items():
            total = self.bias
            for table, bucket in zip(self.tables, row, strict=True):
                total += table[bucket]
            corrected[number] = scores[number] / (1 + math.exp(-total))
        return corrected


@functools.cache
def learned() -> Model:
    """The model that the package carries. Raises ValueError if its file is of another version."""
    content = json.loads(WEIGHTS.read_text())
    if content["version"] != VERSION or list(content["weights"]) != list(FEATURES):
        raise ValueError(f"{WEIGHTS.name} is of another version: run python -m tools.train_lines")
    return Model(content["bias"], tuple(tuple(row) for row in content["weights"].values()))


def features(
    scores: Mapping[int, float], weights: Weights, marks: Marks, details: Marks, raw: Mapping[int, bytes], total: int
) -> dict[int, tuple[int, ...]]:
    """By number the buckets of the features of the best-scored lines."""
    numbers = sorted(heapq.nlargest(MOST, scores.keys() & raw.keys(), key=lambda number: (scores[number], -number)))
    own = weights.own
    alike = Counter(map(template, raw.values()))
    best = max(scores.values(), default=1.0) or 1.0
    below, above = _distances(numbers, own)
    shared = (_bucket("total", total), _bucket("anchors", sum(weight >= ANCHOR for weight in own.values())))
    rows: dict[int, tuple[int, ...]] = {}
    for number in numbers:
        line, score = raw[number], scores[number]
        bare = line.lstrip()
        rows[number] = (
            _bucket("relative", score / best),
            _bucket("strength", score),
            _bucket("own", own.get(number, 0.0)),
            *_marked(tuple(marks.get(number, ()))),
            _detailed(tuple(details.get(number, ()))),
            _bucket("alike", alike[template(line)]),
            _bucket("below", below[number]),
            _bucket("above", above[number]),
            _bucket("indent", len(line) - len(bare)),
            _bucket("length", len(bare)),
            _bucket("failed", number - weights.failed),
            _bucket("end", total - number),
            *shared,
        )
    return rows


def _bucket(feature: str, value: float) -> int:
    return bisect_right(FEATURES[feature], value)


@functools.lru_cache(maxsize=20_000)
def _marked(indexes: tuple[int, ...]) -> tuple[int, int]:
    if not indexes:
        return 0, 0
    _, ends, bare = sign(indexes)
    return bisect_right(FEATURES["signs"], len(set(indexes))), 3 if ends else 2 if bare else 1


@functools.lru_cache(maxsize=20_000)
def _detailed(indexes: tuple[int, ...]) -> int:
    if not indexes:
        return 0
    against, frame, step = detail(indexes)
    return 1 if frame else 2 if step else 3 if against < 0 else 0


def _distances(numbers: Sequence[int], own: Mapping[int, float]) -> tuple[dict[int, int], dict[int, int]]:
    """By number how far below the nearest error line a line is, and how far above."""
    below: dict[int, int] = {}
    above: dict[int, int] = {}
    last = -_FAR
    for number in numbers:
        below[number] = min(_FAR, number - last)
        if own.get(number, 0.0) >= ANCHOR:
            last = number
    last = (numbers[-1] if numbers else 0) + _FAR
    for number in reversed(numbers):
        above[number] = min(_FAR, last - number)
        if own.get(number, 0.0) >= ANCHOR:
            last = number
    return below, above
