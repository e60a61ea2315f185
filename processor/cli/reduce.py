"""`faultstream reduce LOG …`: the lines of logs that tell their faults."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from processor.cli import options, work
from processor.cli.inputs import gather
from processor.cli.show import as_json, console, show
from processor.errors import ConfigError


def command(
    logs: options.Logs,
    budget: Annotated[int, typer.Option(help="Most tokens of an excerpt.", min=16)] = 1000,
    lines: Annotated[
        bool,
        typer.Option("--lines", help="Only the numbers of the kept lines: a JSON list; of many logs an object each."),
    ] = False,
    json: options.Json = False,
    text: options.PlainText = False,
    why: options.Why = False,
    baseline: Annotated[
        str | None, typer.Option(help="The log of a passing run of the same job: what it also says is no fault.")
    ] = None,
    tokenizer: options.Tokenizer = None,
    jobs: options.Jobs = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Print the lines of each LOG that tell its fault, with their numbers, within a budget of tokens.

    LOG: a file, a folder (all logs in it, however deep), - for standard input,
    or an address of a host that the settings' fetch.allow lists. What is packed
    (.gz, .zst, .xz, .bz2, .lz4) is unpacked; secrets are taken out.

    Exit codes: 0 fine, 1 a log failed (the others are read), 2 usage.
    """
    if sum((lines, json, text)) > 1 or (lines and why):
        raise ConfigError("--lines, --json and --text exclude each other, and --why says nothing beside --lines")
    settings = options.Lazy(home, config)
    inputs = gather(logs, settings.fetch)
    passing = gather([baseline], settings.fetch) if baseline else [None]
    if len(passing) > 1:
        raise ConfigError(f"--baseline {baseline}: one log is expected, and this folder has {len(passing)}")
    job = work.Job(budget, tokenizer or settings.tokenizer(), passing[0], why, settings.redaction())
    machine = lines or options.machine_readable(json, text)
    out = console()
    many = len(inputs) > 1 or inputs[0].name != logs[0]
    failed = 0
    for read in work.each(inputs, job, jobs, None if machine else out):
        failed += read.excerpt is None
        if machine:
            _print(_numbers(read, many) if lines else _parts(read), many, read)
        else:
            _show(read, many, out)
        if read.excerpt is None:
            options.complain(f"{read.name}: {read.error}")
    if failed:
        raise typer.Exit(1)


def _print(value: Any, many: bool, read: work.Read) -> None:
    if many or read.excerpt is not None:  # one log's error is told once, on standard error
        options.print_json(value)


def _numbers(read: work.Read, many: bool) -> Any:
    if read.excerpt is None:
        return _error(read)
    numbers = [line.number for line in read.excerpt.lines]
    return {"file": read.name, "lines": numbers} if many else numbers


def _error(read: work.Read) -> dict[str, Any]:
    return {"file": read.name, "error": {"reason": read.reason, "text": read.error}}


def _parts(read: work.Read) -> dict[str, Any]:
    excerpt = read.excerpt
    if excerpt is None:
        return _error(read)
    parts: dict[str, Any] = {
        "file": read.name,
        "total_lines": excerpt.total_lines,
        "tokens": excerpt.tokens,
        "lines": [{"number": x.number, "text": x.text, "repeated": x.repeated} for x in excerpt.lines],
        "ranked": excerpt.ranked,
        "text": excerpt.text,
    }
    if read.blocks is not None:
        parts["blocks"] = as_json(read.blocks)
    return parts


def _show(read: work.Read, many: bool, out: Console) -> None:
    if many:
        out.print(Text(f"── {read.name}", style="bold"))
    if read.excerpt is not None:
        show(read.excerpt, out, read.blocks or ())
    if many:
        out.print()
