"""Excerpts for people: line numbers, gaps marked, error lines in colour, why each block is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from processor.contract import Excerpt
from processor.logs.why import Block, Reason

_SHOWN_PATTERNS: Final = 4
_SHOWN_LINES: Final = 3


def console() -> Console:
    """Standard output: in colour on a terminal, unless NO_COLOR is set; lines are never broken."""
    return Console(highlight=False, soft_wrap=True)


def show(excerpt: Excerpt, out: Console, blocks: Sequence[Block] = ()) -> None:
    """The excerpt with its line numbers; above each of `blocks` what it is there for."""
    width = len(str(excerpt.total_lines))
    told = {block.first: block for block in blocks}
    strong = set(excerpt.ranked[:3])
    last = 0
    for line in excerpt.lines:
        if line.number > last + 1:
            out.print(_gap(width, line.number - last - 1))
        if line.number in told:
            _tell(told[line.number], width, out)
        style = "bold red" if line.number in strong else "red" if line.number in excerpt.ranked else ""
        times = f"  × {line.repeated:,}" if line.repeated > 1 else ""
        out.print(Text.assemble((f"{line.number:>{width}} │ ", "dim"), (line.text, style), (times, "dim")))
        last = line.number + line.repeated - 1
    if excerpt.total_lines > last:
        out.print(_gap(width, excerpt.total_lines - last))
    kept = sum(line.repeated for line in excerpt.lines)
    out.print(Text(f"{kept:,} of {excerpt.total_lines:,} lines, {excerpt.tokens:,} tokens", style="dim"))


def _gap(width: int, lines: int) -> Text:
    return Text(f"{'⋮':>{width}}   {lines:,} line{'s' if lines > 1 else ''}", style="dim")


def _tell(block: Block, width: int, out: Console) -> None:
    place = f", error line no. {block.place}" if block.place else ""
    patterns: dict[str, list[Reason]] = {}
    for reason in block.reasons:
        patterns.setdefault(reason.pattern, []).append(reason)
    told = [
        f"{name} ({found[0].weight:+g}) on {', '.join(str(each.line) for each in found[:_SHOWN_LINES])}"
        + (f" and {len(found) - _SHOWN_LINES} more" if len(found) > _SHOWN_LINES else "")
        for name, found in list(patterns.items())[:_SHOWN_PATTERNS]
    ]
    if len(patterns) > _SHOWN_PATTERNS:
        told.append(f"{len(patterns) - _SHOWN_PATTERNS} more patterns")
    what = "; ".join(told) or "no pattern: it stands beside one, or ends the log"
    out.print(Text(f"{'▸':>{width}}   score {block.score:g}{place}: {what}", style="cyan"))


def as_json(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Blocks as they stand in JSON."""
    return [{**block._asdict(), "reasons": [reason._asdict() for reason in block.reasons]} for block in blocks]
