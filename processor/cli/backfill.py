"""`faultstream backfill`: past events through one pipeline."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from processor import app
from processor.backfill import Backfill, Counts, Plan
from processor.cli import options
from processor.cluster.client import KafkaClient
from processor.errors import ConfigError
from processor.home import Homes
from processor.logs.redact import REDACTION, redactor
from processor.settings import Settings
from processor.sources.decode import Decoder
from processor.sources.providers import Providers


def command(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    since: Annotated[str, typer.Option(help="From this time on (RFC 3339).")],
    until: Annotated[str | None, typer.Option(help="Up to this time; by default up to now.")] = None,
    no_tickets: Annotated[bool, typer.Option("--no-tickets", help="Findings alone: no ticket comes of them.")] = False,
    rate: Annotated[float, typer.Option(min=0.001, help="Most events that are sent in a second.")] = 100,
    again: Annotated[bool, typer.Option("--again", help="From the beginning, though it was done before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and send nothing.")] = False,
    json: options.Json = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Send PIPELINE's past events to it once more, those since a time, counting them first.

    A running daemon works on them beside the new ones. What was interrupted goes on where it stopped when the same
    command is given again; what is done is not done twice, unless --again asks for it. Findings keep their ids.
    """
    homes, settings = options.load(home, config)
    end = _time("--until", until) if until else None
    plan = Plan(_time("--since", since), end, tickets=not no_tickets, again=again, rate=rate)
    counts = asyncio.run(_run(settings, homes, pipeline, plan, dry_run, options.machine_readable(json)))
    if options.machine_readable(json):
        options.print_json(counts.said())


def _time(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is no time; write it as 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _run(settings: Settings, homes: Homes, name: str, plan: Plan, dry_run: bool, quiet: bool) -> Counts:
    backfill = _backfill(settings, homes, name, plan)
    left = await backfill.left()
    counts = backfill.counts
    console = Console(highlight=False, quiet=quiet)
    before = f", {counts.before} of them done before" if counts.before else ""
    console.print(f"{counts.there} records since {plan.start.isoformat()}{before}")
    if dry_run or not left:
        console.print("nothing sent" if dry_run else "nothing is left to do")
        return counts
    with Progress(console=console, disable=quiet) as bar:
        task = bar.add_task("sent", total=counts.there - counts.before)
        await backfill.run(lambda told: bar.update(task, completed=told.kinds.total()))
    console.print(", ".join(f"{count} {kind}" for kind, count in counts.kinds.items()) or "nothing to send")
    return counts


def _backfill(settings: Settings, homes: Homes, name: str, plan: Plan) -> Backfill:
    found = [each for each in app.load(settings, homes) if each.name == name]
    if not found:
        raise ConfigError(f"no pipeline {name} among those that this deployment runs")
    client = KafkaClient.of(settings.kafka)
    decoder = Decoder(found[0].decode, Providers.load(list(homes.providers().values())), settings.group)
    redact = redactor(homes.find(REDACTION)).redact_text
    sink = app.sink_config(settings, client)
    return Backfill(client, sink, settings.topics.prefix, found[0], decoder, plan, redact=redact)
