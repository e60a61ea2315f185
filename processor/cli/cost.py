"""`faultstream cost`: what findings cost, by day and pipeline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processor.cli import options
from processor.cluster.client import KafkaClient
from processor.costs.ledger import Ledger, Tariff
from processor.costs.report import Report
from processor.errors import ConfigError
from processor.settings import Settings
from processor.sources.history import KafkaHistory

COLUMNS: Final = (
    "day", "pipeline", "findings", "asked", "known", "up", "review", "dead", "prompt", "cached", "written", "cost $",
    "per 1000 $", "saved $", "large $", "naive $",
)  # fmt: skip


def command(
    pipelines: Annotated[
        list[str] | None, typer.Argument(metavar="[PIPELINE]...", help="By default all that there are.")
    ] = None,
    since_: Annotated[str, typer.Option("--since", help="A time (RFC 3339), or a span such as 24h or 7d.")] = "7d",
    json: options.Json = False,
    text: options.PlainText = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Add up what findings cost, by day (UTC) and pipeline, from the topics that hold them.

    Beside it what the same events would have cost on a large model at list price: with our prompts ("large"), and with
    whole logs and no cache ("naive"). What has no price is left open.
    """
    homes, settings = options.load(home, config)
    known = settings.pipelines or sorted(homes.pipelines())
    unknown = [name for name in pipelines or () if name not in known]
    if unknown:
        raise ConfigError(f"no pipeline {', '.join(unknown)}; there are {', '.join(known)}")
    start = options.moment("--since", since_).replace(minute=0, second=0, microsecond=0)  # the hour that is meant
    report = asyncio.run(_read(settings, known, pipelines or known, start))
    if options.machine_readable(json, text):
        options.print_json(report.said())
    else:
        show(report, Console(highlight=False))


async def _read(settings: Settings, known: Sequence[str], names: Sequence[str], start: datetime) -> Report:
    """The report of `names`. Of replica-hours each has its share among all pipelines: so all `known` ones are read."""
    history = KafkaHistory(KafkaClient.of(settings.kafka))
    ledger = Ledger(Tariff.of(settings.models, settings.costs))
    prefix = settings.topics.prefix
    topics = [f"{prefix}.{kind}.{name}" for kind in ("findings", "shadow") for name in known]
    topics.append(f"{prefix}.dead-letters")
    spans = await history.spans(await history.existing(topics), start)  # only some pipelines have shadows
    async with aclosing(history.between(spans)) as records:
        async for record in records:
            ledger.add(record)
    return Report.of(ledger, start.timestamp(), time.time(), names)


def show(report: Report, out: Console) -> None:
    """The report as a table."""
    table = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in {"day", "pipeline"} else "right")
    said = report.said()
    for row in said["days"]:
        table.add_row(*_cells(row))
    table.add_section()
    for row in (*said["pipelines"], said["total"]):
        table.add_row(*_cells(row), style="bold")
    options.print_table(table, out)
    if report.idle_usd:
        out.print(Text(f"{report.idle_usd:.2f} $ more for replica-hours in which nobody asked anything", style="dim"))
    if said["total"]["cost_usd"] is None:
        out.print(Text("what shows no cost has no price: see models.<tier>.usd_per_…", style="dim"))


def _cells(row: dict[str, Any]) -> list[str]:
    counts = (
        "findings", "asked", "reused", "escalated", "review", "dead_letters", "prompt_tokens", "cached_tokens",
        "completion_tokens",
    )  # fmt: skip
    cost, per = row["cost_usd"], row["per_finding_usd"]
    return [
        row["day"] or "all",
        row["pipeline"] or "all",
        *("unknown" if row[name] is None else f"{row[name]:,}" for name in counts),
        _usd(cost),
        _usd(None if per is None else per * 1000),
        _usd(row["saved_usd"]),
        _usd(row["large_model_usd"]),
        _usd(row["naive_usd"]),
    ]


def _usd(amount: float | None) -> str:
    return "" if amount is None else f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.2g}"
