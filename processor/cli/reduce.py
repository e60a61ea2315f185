"""`faultstream reduce LOG`: the lines of a log that tell its fault."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text

from processor.cli import options
from processor.contract import Excerpt
from processor.errors import FaultstreamError, Rejected
from processor.logs.redact import redactor
from processor.logs.reduce import reduce
from processor.logs.text import require_text
from processor.sources.compression import unpack


def command(
    log: options.Log,
    budget: Annotated[int, typer.Option(help="Most tokens of the excerpt.", min=16)] = 1000,
    lines: Annotated[bool, typer.Option("--lines", help="Only the kept line numbers, as one JSON list.")] = False,
    json: options.Json = False,
) -> None:
    """Print the lines of LOG that tell its fault, with their numbers, within a budget of tokens."""
    body = options.read(log)
    try:
        text = require_text(unpack(body, 2_000_000_000))
        excerpt = reduce(redactor().redact(text), budget)
    except Rejected as error:
        raise FaultstreamError(f"{log}: {error}") from error
    if lines:
        print(orjson.dumps([line.number for line in excerpt.lines]).decode())
    elif options.machine_readable(json):
        print(orjson.dumps({**_parts(excerpt), "text": excerpt.text}).decode())
    else:
        show(excerpt, Console(highlight=False, soft_wrap=True))


def _parts(excerpt: Excerpt) -> dict[str, object]:
    return {
        "total_lines": excerpt.total_lines,
        "tokens": excerpt.tokens,
        "lines": [{"number": x.number, "text": x.text, "repeated": x.repeated} for x in excerpt.lines],
        "ranked": excerpt.ranked,
    }


def show(excerpt: Excerpt, console: Console) -> None:
    """The excerpt for a person: line numbers, error lines in colour, gaps marked."""
    width = len(str(excerpt.total_lines))
    strong = set(excerpt.ranked[:3])
    last = 0
    for line in excerpt.lines:
        if line.number > last + 1:
            console.print(Text(f"{'⋮':>{width}}   {line.number - last - 1:,} lines", style="dim"))
        style = "bold red" if line.number in strong else "red" if line.number in excerpt.ranked else ""
        times = f"  × {line.repeated}" if line.repeated > 1 else ""
        console.print(Text(f"{line.number:>{width}} │ ", style="dim").append(line.text, style=style).append(times))
        last = line.number + line.repeated - 1
    if excerpt.total_lines > last:
        console.print(Text(f"{'⋮':>{width}}   {excerpt.total_lines - last:,} lines", style="dim"))
    console.print(
        Text(f"{len(excerpt.lines)} of {excerpt.total_lines:,} lines, about {excerpt.tokens:,} tokens", style="dim")
    )
