"""Which lines fit: the best-scored ones within a budget of tokens, in order, runs counted."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Final

from processor.contract import Excerpt, ExcerptLine
from processor.logs.tokens import TokenCounter

_DENSITY: Final = 0.2
"""How much the length of a line counts against it: 0 not at all, 1 as much as its score counts for it."""
_BYTES_PER_TOKEN: Final = 3
_BRIDGE: Final = 3
"""Gaps of at most so many lines are filled if that is cheap."""
_ENOUGH: Final = 0.97
"""A budget used to this share is used up."""
_ROUNDS: Final = 4
_MARK: Final = " … "


def choose(
    texts: Mapping[int, str],
    scores: Mapping[int, float],
    ranked: tuple[int, ...],
    total: int,
    budget: int,
    count: TokenCounter,
) -> Excerpt:
    """The excerpt of at most `budget` tokens (as `count` counts its text) with the highest scores.

    A likeliest line that is too long for the budget is cut.
    """
    excerpt = _fill(texts, scores, ranked, total, budget, count)
    first = ranked[0] if ranked else max(scores, key=scores.__getitem__, default=0)
    most = budget * 3 // 4 - 2 * count(f"[… {total} lines …]")
    if all(line.number != first for line in excerpt.lines) and (cost := count(texts.get(first, ""))) > most > 0:
        cut = _cut(texts[first], len(texts[first]) * most // cost * 9 // 10)
        return _fill({**texts, first: cut}, scores, ranked, total, budget, count)
    return excerpt


def _fill(
    texts: Mapping[int, str],
    scores: Mapping[int, float],
    ranked: tuple[int, ...],
    total: int,
    budget: int,
    count: TokenCounter,
) -> Excerpt:
    """An excerpt of what fits as it is.

    What lines cost one by one is a little more than what they cost together, so that what is left over after a
    first round is spent in further ones.
    """
    choice = _Choice(texts, total, count)
    order = _by_worth(texts, scores)
    excerpt = assemble((), texts, scores, ranked, total, count)
    spare = budget
    for _ in range(_ROUNDS):
        before = frozenset(choice.chosen)
        order = choice.spend(order, spare)
        if choice.chosen == before:
            break
        tried = assemble(sorted(choice.chosen), texts, scores, ranked, total, count)
        while tried.tokens > budget and choice.chosen:
            choice.chosen.remove(min(choice.chosen, key=lambda number: (scores.get(number, 0.0), -number)))
            tried = assemble(sorted(choice.chosen), texts, scores, ranked, total, count)
        excerpt, spare = tried, budget - tried.tokens
        if tried.tokens >= budget * _ENOUGH:
            break
    return excerpt


def _by_worth(texts: Mapping[int, str], scores: Mapping[int, float]) -> list[int]:
    """The lines that are not empty, the one to choose first first; most have no score, and come as they stand."""
    shown = sorted(number for number in scores if texts.get(number))
    worth = {number: _worth(scores[number], texts[number]) for number in shown if scores[number] > 0}
    scored = sorted(worth, key=worth.__getitem__, reverse=True)
    return scored + [number for number in shown if number not in worth]


def _cut(text: str, most: int) -> str:
    """So many characters of a line: of one that was cut before the middle, where its error stands; else both ends."""
    if _MARK in text:
        first = (len(text) - most) // 2
        return f"{_MARK}{text[first : first + most].strip()}{_MARK}"
    return f"{text[: most * 3 // 5]}{_MARK}{text[len(text) - most * 2 // 5 :]}"


def _worth(score: float, text: str) -> float:
    return score / math.pow(2 + len(text) / _BYTES_PER_TOKEN, _DENSITY)


class _Choice:
    """The lines chosen so far, and what more would cost."""

    def __init__(self, texts: Mapping[int, str], total: int, count: TokenCounter) -> None:
        self.chosen: set[int] = set()
        self._texts: Final = texts
        self._runs: Final = _runs(texts)
        self._count: Final = count
        self._gap: Final = count(f"[… {total} lines …]") + 1
        self._costs: Final[dict[int, int]] = {}

    def spend(self, order: Sequence[int], tokens: int) -> list[int]:
        """Chooses in this order what can be had for so many tokens; returns what could not."""
        left: list[int] = []
        if not self.chosen:
            tokens -= 2 * self._gap
        for number in order:
            if number in self.chosen:
                continue
            run = self._runs.get(number, range(number, number + 1))
            added = {*run, *self._bridge(run[0], -1), *self._bridge(run[-1], 1)}
            touching = (min(added) - 1 in self.chosen) + (max(added) + 1 in self.chosen)
            cost = sum(map(self._cost, added)) + self._gap * (1 - touching)
            if cost > tokens:
                left.append(number)
                continue
            self.chosen.update(added)
            tokens -= cost
            if tokens < self._gap:
                break
        return left

    def _cost(self, number: int) -> int:
        """Tokens of a line and its newline; of a run the first line pays for the count, the others nothing."""
        cost = self._costs.get(number)
        if cost is None:
            run = self._runs.get(number)
            if run is None:
                cost = self._count(self._texts[number]) + 1
            else:
                cost = self._count(f"{self._texts[number]} (× {len(run)})") + 1 if number == run[0] else 0
            self._costs[number] = cost
        return cost

    def _bridge(self, number: int, step: int) -> list[int]:
        """The few cheap lines between a line and a chosen neighbour: cheaper than the mark of a gap."""
        reach = range(number + step, number + step * (_BRIDGE + 2), step)
        if self.chosen.isdisjoint(reach):  # so that what cannot lead to a neighbour need not be counted
            return []
        between: list[int] = []
        cost = 0
        for line in reach:
            if line in self.chosen:
                return between
            if line not in self._texts:
                break
            cost += self._cost(line)
            if cost > self._gap * 2:
                break
            between.append(line)
        return []


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


def whole(
    texts: Sequence[str], scores: Mapping[int, float], ranked: tuple[int, ...], tokens: int, count: TokenCounter
) -> Excerpt:
    """An excerpt of all of a log's lines, which are at most `tokens`; `count` is asked where runs become one line."""
    total = len(texts)
    numbers = range(1, total + 1)
    if any(map(operator.eq, texts, texts[1:])):
        return assemble(numbers, dict(zip(numbers, texts, strict=True)), scores, ranked, total, count)
    lines = map(ExcerptLine, numbers, texts, [scores.get(number, 0.0) for number in numbers])
    return Excerpt(tuple(lines), total, ranked, tokens)
