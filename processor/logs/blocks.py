"""Which lines fit: the best-scored ones within a budget of tokens, in order, runs counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from processor.contract import Excerpt, ExcerptLine
from processor.logs.tokens import TokenCounter

_GAP_COST: Final = 9
_BRIDGE: Final = 3
"""Gaps of at most so many lines are filled if that is cheap."""


def choose(
    texts: Mapping[int, str],
    scores: Mapping[int, float],
    ranked: tuple[int, ...],
    total: int,
    budget: int,
    count: TokenCounter,
) -> Excerpt:
    """The excerpt of at most `budget` tokens (as `count` counts its text) with the highest scores."""
    costs = {number: count(text) + 1 for number, text in texts.items()}
    chosen: set[int] = set()
    spent = 2 * _GAP_COST
    for number in sorted(scores, key=lambda number: (-scores[number], number)):
        if number in chosen or not texts.get(number):
            continue
        added = _with_bridges(number, chosen, costs)
        cost = sum(costs[line] for line in added)
        cost += _GAP_COST * (1 - (number - 1 in chosen) - (number + 1 in chosen) - (len(added) > 1))
        if spent + cost > budget:
            if spent > budget * 0.95:
                break
            continue
        chosen.update(added)
        spent += cost
    while True:
        excerpt = assemble(sorted(chosen), texts, scores, ranked, total, count)
        if excerpt.tokens <= budget or not chosen:
            return excerpt
        chosen.remove(min(chosen, key=lambda number: (scores.get(number, 0.0), -number)))


def _with_bridges(number: int, chosen: set[int], costs: Mapping[int, int]) -> list[int]:
    """A line, with the few cheap ones between it and a chosen neighbour: cheaper than the mark of a gap."""
    added = [number]
    for step in (-1, 1):
        between: list[int] = []
        cost = 0
        for line in range(number + step, number + step * (_BRIDGE + 2), step):
            if line in chosen:
                added += between
                break
            cost += costs.get(line, _GAP_COST * 2)
            if cost > _GAP_COST * 2:
                break
            between.append(line)
    return added


def assemble(
    numbers: Sequence[int],
    texts: Mapping[int, str],
    scores: Mapping[int, float],
    ranked: tuple[int, ...],
    total: int,
    count: TokenCounter,
) -> Excerpt:
    """An excerpt of these lines; runs of neighbours with the same text become one with a count."""
    lines: list[ExcerptLine] = []
    first, repeated, held = 0, 0, ""
    for number in numbers:
        text = texts[number]
        if repeated and text == held and number == first + repeated:
            repeated += 1
            continue
        if repeated:
            lines.append(ExcerptLine(first, held, scores.get(first, 0.0), repeated))
        first, repeated, held = number, 1, text
    if repeated:
        lines.append(ExcerptLine(first, held, scores.get(first, 0.0), repeated))
    kept = set(numbers)
    order = tuple([number for number in ranked if number in kept])
    excerpt = Excerpt(tuple(lines), total, order)
    return Excerpt(excerpt.lines, total, order, count(excerpt.text))
