"""The one line that shows a fault best: what a ticket quotes, and what no evidence may lack.

It is often the line that the fault is named after (`anchor`), but has other duties: a name has to stay the same from
build to build, while this line is chosen for the person who reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from processor.contract import Candidate, Excerpt
from processor.logs.anchor import first_placed, near_error, said, sure_package, sure_tests, tells, test_name
from processor.logs.prose import is_empty

CLEAR: Final = 0.3
"""Share of the highest score in the excerpt from which on a line is taken for one that belongs to the fault."""

BEFORE, AFTER = 28, 2
"""Lines around one that says only that something failed, among which the fault is looked for."""

FAINT: Final = 0.1
"""Share of the highest score below which a line has nothing to do with the fault, whoever chose it."""


def cause(excerpt: Excerpt, candidates: Mapping[str, tuple[Candidate, ...]]) -> int:
    """The number of that line; 0 where the excerpt is empty.

    It is a line of the failing test, or of the package that an error blames; else the first place in the code that a
    compiler points at; else the line with the highest score that says something; else one beside the very highest.
    """
    texts = {line.number: line.text for line in excerpt.lines}
    scores = {line.number: line.score for line in excerpt.lines}
    places = {number: -place for place, number in enumerate(excerpt.ranked)}
    clear = CLEAR * max(scores.values(), default=0.0)

    def best(numbers: Iterable[int]) -> int:
        known = [number for number in numbers if number in scores]
        return max(known, key=lambda number: (scores[number], places.get(number, -len(scores))), default=0)

    tests = sure_tests(candidates)
    if tests:
        found = best(min(tests, key=lambda test: test_name(test.name)).lines)
    elif (package := sure_package(excerpt, candidates)) is not None:
        found = best(number for number in package.lines if near_error(number, excerpt))
    else:
        found = first_placed((number for number in excerpt.ranked if number in texts), candidates) or 0
    if found and scores[found] >= clear:
        return found
    telling = [number for number, text in texts.items() if _says(text)]
    likeliest = best(telling)
    if likeliest and scores[likeliest] >= clear > 0:
        return likeliest
    top = best(scores)
    beside = [number for number in telling if -BEFORE <= number - top <= AFTER]
    return max(beside, key=lambda number: (scores[number], -abs(number - top)), default=likeliest or top)


def _says(text: str) -> bool:
    return tells(said(text)) and not is_empty(text)


def near(excerpt: Excerpt) -> frozenset[int]:
    """The numbers of the lines that may have to do with the fault."""
    faint = FAINT * max((line.score for line in excerpt.lines), default=0.0)
    return frozenset(line.number for line in excerpt.lines if line.score >= faint)
