"""Which lines fit: the best-scored ones within a budget of tokens, in order, runs counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from processor.contract import Excerpt, ExcerptLine
from processor.logs.tokens import TokenCounter

_GAP_COST: Final = 9


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
    for number in sorted(texts, key=lambda number: (-scores.get(number, 0.0), number)):
        cost = costs[number]
        if number - 1 not in chosen and number + 1 not in chosen:
            cost += _GAP_COST
        if spent + cost > budget:
            if spent > budget * 0.9:
                break
            continue
        chosen.add(number)
        spent += cost
    while True:
        excerpt = assemble(sorted(chosen), texts, scores, ranked, total, count)
        if excerpt.tokens <= budget or not chosen:
            return excerpt
        chosen.remove(min(chosen, key=lambda number: (scores.get(number, 0.0), -number)))


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
