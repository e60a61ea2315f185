"""What an excerpt leaves out and extractors should still read: lines that blame packages, and downloads of artifacts.

A budget of tokens is spent on lines that tell the fault, and the second of two lines that say the same of two
packages is left out. The model need not see it, but may need to choose what it names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from processor.contract import ExcerptLine
from processor.logs.extract import classes
from processor.logs.extract.ecosystems import PATTERNS
from processor.logs.extract.patterns import LONGEST, Pattern
from processor.logs.scan import Scanner

MOST: Final = 64
"""Lines that are read beyond an excerpt."""
LEAST: Final = 0.45
"""How strongly a pattern must blame what it names, to be looked for beyond the excerpt: more than in passing."""

Find = Callable[[bytes], Iterable[tuple[int, bytes]]]
"""Lines of a log (number, clean bytes) that hold some bytes."""


def beyond(
    texts: Mapping[int, str], scores: Mapping[int, float], kept: Collection[int], find: Find
) -> tuple[ExcerptLine, ...]:
    """Lines that are not among `kept`: those that blame packages, and downloads of what Java errors name.

    `texts` and `scores` are the lines that the excerpt was chosen from.
    """
    scanner, by_cue = _patterns()
    numbers = list(texts)
    data = "\n".join(texts.values()).encode("utf-8", "replace")
    blaming: dict[int, None] = {}
    unknown: dict[str, None] = {}
    at = position = 0
    for cue, end in scanner.hits(data):
        at += data.count(b"\n", position, end)
        position = end
        number = numbers[at]
        if by_cue[cue]:
            unknown.update(dict.fromkeys(classes.unknown(texts[number][:LONGEST], by_cue[cue])))
        elif number not in kept:
            blaming.setdefault(number)
    strongest = sorted(blaming, key=lambda number: (-scores.get(number, 0.0), number))[:MOST]
    named = {number: texts[number] for number in strongest} | classes.downloads(unknown, find)
    return tuple(ExcerptLine(number, named[number]) for number in sorted(named) if number not in kept)


@functools.cache
def _patterns() -> tuple[Scanner, list[tuple[Pattern, ...]]]:
    """A scanner for lines that blame packages or classes, and by cue the patterns for classes."""
    strong = [one for one in PATTERNS if one.kind == "package" and one.weight >= LEAST]
    cues: dict[str, list[Pattern]] = {one.cue: [] for one in strong}
    for one in classes.PATTERNS:
        cues.setdefault(one.cue, []).append(one)
    return Scanner([(cue, False) for cue in cues]), [tuple(patterns) for patterns in cues.values()]
