"""An excerpt as a text file for people: the lines of the log with their numbers, gaps marked, in plain ASCII beside."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from processor.contract import Excerpt, ExcerptLine

MOST: Final = 65_536
"""Most bytes of the text in UTF-8: more than any model reads at once, and little beside a topic's largest record."""


def numbered(excerpt: Excerpt, marked: Collection[int], most: int = MOST) -> str:
    """The excerpt's lines, each behind its number in the log; `marked` ones have a `>` before it.

    At most `most` bytes: the earliest lines go first, since logs end with what went wrong.
    """
    width = len(str(excerpt.total_lines))
    room, kept = most - 2 * (width + _AROUND), list[str]()
    after = excerpt.total_lines + 1  # the first line of the log that is told of already
    for line in reversed(excerpt.lines):
        gap = after - line.number - line.repeated
        made = [_line(line, width, marked=line.number in marked), *([_gap(gap, width)] if gap > 0 else [])]
        size = sum(len(each.encode()) + 1 for each in made)
        if size > room:
            break
        room -= size
        kept += reversed(made)
        after = line.number
    if after > 1:
        kept.append(_gap(after - 1, width))
    return "\n".join(reversed(kept))


_AROUND: Final = 32
"""Bytes of a line that marks a gap, its number's width apart."""


def _line(line: ExcerptLine, width: int, *, marked: bool) -> str:
    times = f"  [{line.repeated} times]" if line.repeated > 1 and line.text else ""
    return f"{'>' if marked else ' '} {line.number:>{width}} | {line.text}{times}".rstrip()


def _gap(lines: int, width: int) -> str:
    return f"  {'':>{width}} | [... {lines} lines ...]"
