"""Which lines fit: the best-scored ones within a budget of tokens, in order, runs counted."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Final

from processor.contract import Excerpt, ExcerptLine
from processor.logs.tokens import TokenCounter

_GAP_COST: Final = 9
_COUNT_COST: Final = 8
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
    runs = _runs(texts)
    costs = {number: count(text) + 1 for number, text in texts.items()}
    costs.update((number, _COUNT_COST) for run in runs.values() for number in run[1:2])
    costs.update((number, 0) for run in runs.values() for number in run[2:])
    chosen: set[int] = set()
    spent = 2 * _GAP_COST
    for number in sorted(scores, key=lambda number: (-scores[number], number)):
        if number in chosen or not texts.get(number):
            continue
        run = runs.get(number, range(number, number + 1))
        added = {*run, *_bridge(run[0], -1, chosen, costs), *_bridge(run[-1], 1, chosen, costs)}
        touching = (min(added) - 1 in chosen) + (max(added) + 1 in chosen)
        cost = sum(costs[line] for line in added) + _GAP_COST * (1 - touching)
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


def _runs(texts: Mapping[int, str]) -> dict[int, range]:
    """By number the run of neighbouring lines with the same text that a line is part of, if it is in one."""
    runs: dict[int, range] = {}
    first = last = -1
    for number, text in (*texts.items(), (-1, "")):
        if text and number == last + 1 and text == texts[last]:
            last = number
            continue
        if last > first:
            runs.update(dict.fromkeys(range(first, last + 1), range(first, last + 1)))
        first = last = number
    return runs


def _bridge(number: int, step: int, chosen: set[int], costs: Mapping[int, int]) -> list[int]:
    """The few cheap lines between a line and a chosen neighbour: cheaper than the mark of a gap."""
    between: list[int] = []
    cost = 0
    for line in range(number + step, number + step * (_BRIDGE + 2), step):
        if line in chosen:
            return between
        cost += costs.get(line, _GAP_COST * 2)
        if cost > _GAP_COST * 2:
            break
        between.append(line)
    return []


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


def whole(texts: Sequence[str], scores: Mapping[int, float], ranked: tuple[int, ...], count: TokenCounter) -> Excerpt:
    """An excerpt of all of a log's lines."""
    total = len(texts)
    numbers = range(1, total + 1)
    if any(map(operator.eq, texts, texts[1:])):
        return assemble(numbers, dict(zip(numbers, texts, strict=True)), scores, ranked, total, count)
    lines = map(ExcerptLine, numbers, texts, [scores.get(number, 0.0) for number in numbers])
    return Excerpt(tuple(lines), total, ranked, count("\n".join(texts)))
