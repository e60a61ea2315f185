"""`faultstream topics`: which topics there must be, which there are, and what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processor import app, topology
from processor.cli import options
from processor.cluster.client import KafkaClient
from processor.cluster.topics import (
    CLEANUP,
    FOREVER,
    LARGEST,
    RETENTION,
    Difference,
    Found,
    Rules,
    describe,
    differences,
    make,
    wishes,
)


def command(
    create: Annotated[bool, typer.Option("--create", help="Create those that are missing.")] = False,
    json: options.Json = False,
    text: options.PlainText = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Compare the topics that the pipelines need with those of the cluster. Exit code 1 if any is missing or differs.

    What is there already is never changed: each difference is told with the command that mends it.
    """
    options.quiet_logs("warning")  # else a line of the log stands among the JSON
    homes, settings = options.load(home, config)
    listed = topology.topics(settings.topics.prefix, app.load(settings, homes))
    rules = topology.rules(settings)
    found = asyncio.run(_look(KafkaClient.of(settings.kafka), listed, rules, create))
    differ = differences([topic.wanted for topic in listed], found, rules)
    rows = _rows(listed, found, rules, differ)
    if options.machine_readable(json, text):
        options.print_json(rows)
    else:
        _show(rows)
    if differ:
        raise typer.Exit(1)


async def _look(client: KafkaClient, listed: Sequence[topology.Topic], rules: Rules, create: bool) -> dict[str, Found]:
    """The topics that are there, after creating what is missing if `create`."""
    wanted, arguments = [topic.wanted for topic in listed], client.arguments()
    found = await describe(arguments, wanted)
    if create and len(found) < len(wanted):
        made = await make(arguments, wanted, found, rules)
        # The brokers learn of a new topic one after the other.
        async with asyncio.timeout(client.request_timeout_s):
            while not found.keys() >= set(made):
                await asyncio.sleep(0.1)
                found = await describe(arguments, wanted)
    return found


def _rows(
    listed: Sequence[topology.Topic], found: Mapping[str, Found], rules: Rules, differ: Sequence[Difference]
) -> list[dict[str, Any]]:
    wish = wishes([topic.wanted for topic in listed], found, rules)
    return [
        {
            "topic": topic.name,
            "holds": topic.holds,
            "wanted": asdict(wish[topic.name]),
            "found": _found(found.get(topic.name)),
            "differences": [{"text": d.text, "grave": d.grave} for d in differ if d.topic == topic.name],
        }
        for topic in listed
    ]


def _found(one: Found | None) -> dict[str, Any] | None:
    if one is None:
        return None
    has = one.config
    return {
        "partitions": one.partitions,
        "cleanup": has.get(CLEANUP),
        "retention_ms": int(has[RETENTION]) if RETENTION in has else None,
        "max_message_bytes": int(has[LARGEST]) if LARGEST in has else None,
    }


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("", "topic", "partitions", "cleanup", "retention", "largest record"):
        table.add_column(name, justify="right" if name in {"partitions", "retention", "largest record"} else "left")
    for row in rows:
        mark = Text("!!", style="bold red") if row["differences"] else Text("ok", style="green")
        table.add_row(mark, row["topic"], *_cells(row["found"]))
    console = Console(highlight=False, soft_wrap=True)
    options.print_table(table, console)
    for row in rows:
        for each in row["differences"]:
            console.print(Text.assemble((f"{row['topic']}: ", "bold"), each["text"]))


def _cells(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["missing"]
    keeps, largest = found["retention_ms"], found["max_message_bytes"]
    hours = "" if keeps is None else "forever" if keeps == FOREVER else f"{keeps / 3_600_000:g} h"
    return [str(found["partitions"]), found["cleanup"] or "", hours, f"{largest / 1e6:.1f} MB" if largest else ""]
