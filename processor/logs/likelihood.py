"""How likely a line is one that tells the fault, as learned: a correction of `rank`'s scores.

A logistic model over a few coarse features of a line, so that one table look-up per feature is all it costs. Its
weights (`lines.json`) are learned by `python -m tools.train_lines` from logs whose failing lines people marked; they
are small on purpose: what travels to other tools is the knowledge in `patterns`, not what a few hundred logs share.
"""

from __future__ import annotations

import functools
import json
import math
import operator
from bisect import bisect_right as _bucket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from processor.logs.rank import ANCHOR, Hits, Weights, detail

WEIGHTS: Final = Path(__file__).with_name("lines.json")
VERSION: Final = 2
MOST: Final = 160
"""So many lines are corrected: more than any usual budget holds."""

_RELATIVE: Final = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
_STRENGTH: Final = (0.3, 0.6, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10, 12)
_OWN: Final = (0.1, 1, 2, 3, 4, 6, 8, 9.5, 10.5, 12)
_DISTANCE: Final = (1, 2, 3, 4, 6, 9, 15, 30)
_INDENT: Final = (1, 2, 4, 8)
_LENGTH: Final = (1, 8, 16, 32, 64, 128, 256)
_END: Final = (1, 3, 7, 15, 31, 63, 127, 255, 511)
_DETAILS: Final = (1, 2, 3)

FEATURES: Final[Mapping[str, tuple[float, ...]]] = {
    "relative": _RELATIVE,  # the score beside the best one
    "strength": _STRENGTH,  # the score
    "own": _OWN,  # what the line says by itself
    "detail": _DETAILS,  # none, a frame, a step, noise
    "below": _DISTANCE,  # lines since the last error line
    "above": _DISTANCE,  # lines until the next one
    "indent": _INDENT,  # bytes of white space
    "length": _LENGTH,  # bytes of text
    "end": _END,  # lines until the log ends
}
"""By feature the bounds of its buckets: n bounds make n + 1 buckets."""
_FAR: Final = 99


@dataclass(frozen=True, slots=True)
class Model:
    """Learned weights: one table per feature of FEATURES, in its order, with one weight per bucket."""

    bias: float
    tables: tuple[tuple[float, ...], ...]

    def correct(self, scores: Mapping[int, float], rows: Mapping[int, Sequence[int]]) -> dict[int, float]:
        """The scores times their likelihood; nothing is left of the score of a line without features.

        Where no line has any, since none looks like an error, all scores stay as they are.
        """
        if not rows:
            return dict(scores)
        corrected = dict.fromkeys(scores, 0.0)
        for number, row in rows.items():
            total = functools.reduce(operator.add, map(operator.getitem, self.tables, row), self.bias)
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
    scores: Mapping[int, float], weights: Weights, details: Hits, raw: Mapping[int, bytes], total: int
) -> dict[int, tuple[int, ...]]:
    """By number the buckets of the features of the best-scored lines; of none where none looks like an error."""
    if not weights.ranked:
        return {}
    numbers = sorted(sorted(scores.keys() & raw.keys()), key=scores.__getitem__, reverse=True)[:MOST]
    numbers.sort()
    own = weights.own
    best = max(scores.values(), default=1.0) or 1.0
    below, above = _distances(numbers, own)
    rows: dict[int, tuple[int, ...]] = {}
    for number in numbers:
        score, size = scores[number], len(raw[number])
        bare = len(raw[number].lstrip())
        rows[number] = (
            _bucket(_RELATIVE, score / best),
            _bucket(_STRENGTH, score),
            _bucket(_OWN, own.get(number, 0.0)),
            _detailed(tuple(details[number])) if number in details else 0,
            _bucket(_DISTANCE, below[number]),
            _bucket(_DISTANCE, above[number]),
            _bucket(_INDENT, size - bare),
            _bucket(_LENGTH, bare),
            _bucket(_END, total - number),
        )
    return rows


@functools.lru_cache(maxsize=20_000)
def _detailed(indexes: tuple[int, ...]) -> int:
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
