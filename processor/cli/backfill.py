"""`faultstream backfill`: past events through one pipeline."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from processor import app
from processor.cli import options, sending
from processor.cluster.client import KafkaClient
from processor.errors import ConfigError
from processor.home import Homes
from processor.lang.problem import nearest
from processor.logs.redact import REDACTION, redactor
from processor.resend.backfill import Backfill, Lines, Plan
from processor.resend.sender import Opening, Pace, kafka_sender
from processor.settings import Settings
from processor.sinks.config import KafkaSinkConfig
from processor.sources.decode import Decoder
from processor.sources.history import KafkaHistory
from processor.sources.providers import Providers


def command(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    since: Annotated[str, typer.Option(help="From this time on (RFC 3339), or a span such as 24h or 3d.")],
    until: Annotated[str | None, typer.Option(help="Up to this time, or so long ago; by default up to now.")] = None,
    no_tickets: Annotated[bool, typer.Option("--no-tickets", help="Findings alone: no ticket comes of them.")] = False,
    rate: Annotated[float, typer.Option(min=0.001, help="Most events that are sent in a second.")] = 100,
    again: Annotated[bool, typer.Option("--again", help="From the beginning, though it was done before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and send nothing.")] = False,
    json: options.Json = False,
    text: options.PlainText = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Send PIPELINE's past events to it once more, those since a time, counting them first.

    A running daemon works on them beside the new ones. What was interrupted goes on where it stopped when the same
    command is given again; what is done is not done twice, unless --again asks for it. Findings keep their ids.
    """
    options.quiet_logs("warning")
    homes, settings = options.load(home, config)
    now = datetime.now(UTC).replace(microsecond=0)
    start, end = options.moment("--since", since, now), options.moment("--until", until, now) if until else None
    client, quiet = KafkaClient.of(settings.kafka), options.machine_readable(json, text)
    plan = Plan(start, end, tickets=not no_tickets, again=again)
    backfill = _backfill(client, settings, homes, pipeline, plan)
    opening = kafka_sender(KafkaSinkConfig.of(settings, client), f"{settings.topics.prefix}.{backfill.name}")
    ended = asyncio.run(_run(backfill, opening, None if dry_run else Pace(rate), plan, quiet))
    if quiet:
        options.print_json(
            {"since": sending.moment(start), "until": sending.moment(end) if end else None, **backfill.counts.said()}
        )
    if not ended:
        raise typer.Exit(1)


async def _run(backfill: Backfill, opening: Opening, pace: Pace | None, plan: Plan, quiet: bool) -> bool:
    """Counts, then sends if there is a pace; False if it was stopped."""
    way = await backfill.left()
    counts, console = backfill.counts, Console(highlight=False, quiet=quiet)
    before = f", {counts.before:,} of them done before" if counts.before else ""
    rest = sending.goes_on(plan.start, plan.end)
    console.print(f"{counts.there:,} records lie there{before} ({sending.times(plan.start, plan.end)})", soft_wrap=True)
    if pace is None or not way.spans:
        console.print("nothing sent" if pace is None else "nothing is left to do")
        return True
    left = counts.there - counts.before
    with sending.bar() as bar:
        task = bar.add_task("sending", total=left)

        async def send(stop: asyncio.Event) -> None:
            await backfill.run(opening, pace, stop, lambda told: bar.update(task, completed=told.read))

        ended = await sending.to_the_end(send, counts.kinds.total, rest)
    console.print(", ".join(f"{count:,} {kind}" for kind, count in counts.kinds.items()) or "nothing to send")
    if not ended:
        console.print(f"stopped; {rest}", soft_wrap=True)
    return ended


def _backfill(client: KafkaClient, settings: Settings, homes: Homes, name: str, plan: Plan) -> Backfill:
    there = app.load(settings, homes)
    found = [each for each in there if each.name == name]
    if not found:
        hint = nearest(name, [each.name for each in there])
        raise ConfigError(f"no pipeline {name} among those that this deployment runs; {hint}")
    lines = [Lines(each, settings.limits.assemble_bytes) for each in app.line_plans(found, settings, homes).values()]
    decoder = Decoder(found[0].decode, Providers.load(list(homes.providers().values())), settings.group)
    redact = redactor(homes.find(REDACTION)).redact_text
    one = lines[0] if lines else None
    return Backfill(KafkaHistory(client), settings.topics.prefix, found[0], decoder, plan, one, redact=redact)
