"""The benchmark's own arithmetic: rounds within a time, ratios of rounds in turn, shares of right answers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.evaluate import Answer
from tools.labelled import Labelled


def rounds(most: int, seconds: float, clock: Callable[[], float] = time.perf_counter) -> Iterator[int]:
    """Numbers of rounds: one at least, `most` at most, and none that would end after `seconds` as things go."""
    began = clock()
    for number in range(most):
        if number and (clock() - began) * (number + 1) / number > seconds:
            return
        yield number


def in_turn(number: int, sides: Sequence[str]) -> Sequence[str]:
    """The order of a round: every other one is backwards, so that nobody always comes first."""
    return sides if number % 2 == 0 else tuple(reversed(sides))


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median over the rounds of one side's figure over the other's in the same round."""
    return statistics.median(one / other for one, other in zip(over, under, strict=True))


@dataclass(frozen=True)
class Right:
    """Shares of right answers among those that can be judged; None where there are none."""

    category: float | None
    dependency: float | None
    logs: int
    dependency_logs: int


def right(logs: Sequence[Labelled], answers: Mapping[str, Answer]) -> Right:
    """How many categories are right, and how many dependencies: the right name, or rightly none.

    A log without an answer counts as wrong.
    """
    judged = [log for log in logs if log.dependency_known]
    nothing = Answer("", "")
    categories = [answers.get(log.id, nothing).category in log.categories for log in logs]
    dependencies = [_same(answers.get(log.id, nothing).dependency, log) for log in judged]
    return Right(
        category=statistics.mean(categories) if categories else None,
        dependency=statistics.mean(dependencies) if dependencies else None,
        logs=len(logs),
        dependency_logs=len(judged),
    )


def _same(name: str | None, log: Labelled) -> bool:
    if name is None:
        return not log.names
    return name.lower() in {each.lower() for each in log.names}


def spread(logs: Sequence[Labelled], count: int, size: Callable[[Labelled], int]) -> list[Labelled]:
    """So many of the logs, evenly over their sizes."""
    ordered = sorted(logs, key=lambda log: (size(log), log.id))
    count = min(count, len(ordered))
    return [ordered[(2 * index + 1) * len(ordered) // (2 * count)] for index in range(count)]
