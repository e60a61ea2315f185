"""Why lines are in an excerpt: the patterns that hit on them, their scores, their places among the error lines."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from processor.contract import Excerpt, ExcerptLine
from processor.logs.patterns import DETAILS, SIGNS, Kind, Pattern, scanner
from processor.logs.scan import Scanner

_PATTERNS: Final[tuple[Pattern, ...]] = (*SIGNS, *DETAILS)


class Reason(NamedTuple):
    """A pattern that hit on a line; `weight` speaks for the line, or against it where it is negative."""

    line: int
    pattern: str
    kind: Kind
    weight: float


class Block(NamedTuple):
    """Neighbouring lines that were kept, the best of their scores, and what hit on them, strongest first.

    `place` is that of its likeliest line among the log's error lines, from 1; None where it has none. Without
    reasons a block is there for what it stands beside: an error line's surroundings, or the log's end.
    """

    first: int
    last: int
    score: float
    place: int | None
    reasons: tuple[Reason, ...]


def why(excerpt: Excerpt) -> list[Block]:
    """The blocks of an excerpt, in order."""
    places = {number: place for place, number in enumerate(excerpt.ranked, 1)}
    reasons = _reasons(excerpt.lines)
    return [
        Block(
            block[0].number,
            block[-1].number + block[-1].repeated - 1,
            round(max(line.score for line in block), 2),
            min((places[line.number] for line in block if line.number in places), default=None),
            tuple(
                sorted(
                    (reason for line in block for reason in reasons.get(line.number, ())),
                    key=lambda reason: (-reason.weight, reason.line),
                )
            ),
        )
        for block in _blocks(excerpt.lines)
    ]


def _blocks(lines: Sequence[ExcerptLine]) -> Iterator[list[ExcerptLine]]:
    block: list[ExcerptLine] = []
    for line in lines:
        if block and line.number != block[-1].number + block[-1].repeated:
            yield block
            block = []
        block.append(line)
    if block:
        yield block


@functools.cache
def _scanner() -> Scanner:
    return scanner(_PATTERNS)


def _reasons(lines: Sequence[ExcerptLine]) -> dict[int, tuple[Reason, ...]]:
    """By line the patterns that hit on it, each once."""
    return {
        line.number: tuple(Reason(line.number, each.name, each.kind, each.weight) for each in hit)
        for line in lines
        if (hit := _hit(line.text))
    }


def _hit(text: str) -> list[Pattern]:
    return [_PATTERNS[index] for index in sorted({index for index, _ in _scanner().hits(text.encode())})]
