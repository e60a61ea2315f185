"""Excerpts for people: line numbers, gaps marked, error lines in colour, why each block is there."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from processor.contract import Excerpt
from processor.logs.why import Block, Reason

_SHOWN_PATTERNS: Final = 4
_SHOWN_LINES: Final = 3


def console() -> Console:
    """Standard output: in colour on a terminal, unless NO_COLOR is set; lines are never broken.

    What the locale's encoding lacks is replaced.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, soft_wrap=True)


def show(excerpt: Excerpt, out: Console, blocks: Sequence[Block] = ()) -> None:
    """The excerpt with its line numbers; above each of `blocks` what it is there for."""
    width = len(str(excerpt.total_lines))
    told = {block.first: block for block in blocks}
    strong = set(excerpt.ranked[:3])
    rows: list[Text] = []
    last = 0
    for line in excerpt.lines:
        if line.number > last + 1:
            rows.append(_gap(width, line.number - last - 1))
        if line.number in told:
            rows.append(_why(told[line.number], width))
        style = "bold red" if line.number in strong else "red" if line.number in excerpt.ranked else ""
        times = f"  × {line.repeated:,}" if line.repeated > 1 else ""
        rows.append(Text.assemble((f"{line.number:>{width}} │ ", "dim"), (line.text, style), (times, "dim")))
        last = line.number + line.repeated - 1
    if excerpt.total_lines > last:
        rows.append(_gap(width, excerpt.total_lines - last))
    kept = sum(line.repeated for line in excerpt.lines)
    rows.append(Text(f"{kept:,} of {excerpt.total_lines:,} lines, {excerpt.tokens:,} tokens", style="dim"))
    out.print(Text("\n").join(rows))  # at once: a progress bar is drawn anew below each print


def _gap(width: int, lines: int) -> Text:
    return Text(f"{'⋮':>{width}}   {lines:,} line{'s' if lines > 1 else ''}", style="dim")


def _why(block: Block, width: int) -> Text:
    place = f", error line no. {block.place}" if block.place else ""
    patterns: dict[str, list[Reason]] = {}
    for reason in block.reasons:
        patterns.setdefault(reason.pattern, []).append(reason)
    told = [_hits(name, found) for name, found in list(patterns.items())[:_SHOWN_PATTERNS]]
    more = len(patterns) - len(told)
    if more:
        told.append(f"{more} more pattern{'s' if more > 1 else ''}")
    what = "; ".join(told) or "no pattern: it stands beside one, or ends the log"
    return Text(f"{'▸':>{width}}   score {block.score:g}{place}: {what}", style="cyan")


def _hits(name: str, found: Sequence[Reason]) -> str:
    lines = ", ".join(str(each.line) for each in found[:_SHOWN_LINES])
    more = len(found) - _SHOWN_LINES
    return f"{name} ({found[0].weight:+g}) on {lines}" + (f" and {more} more" if more > 0 else "")


def as_json(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Blocks as they stand in JSON."""
    return [{**block._asdict(), "reasons": [reason._asdict() for reason in block.reasons]} for block in blocks]
