"""`faultstream replay`: dead letters go back to the pipeline that rejected them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from processor.cli import options, sending
from processor.cluster.client import KafkaClient
from processor.cluster.topics import Wanted, describe
from processor.errors import ConfigError
from processor.home import Homes
from processor.lang.problem import nearest
from processor.reasons import REASONS
from processor.resend.ledger import ledger
from processor.resend.letters import Choice, Count, Progress, Replay
from processor.resend.sender import Pace, kafka_sender
from processor.settings import Settings
from processor.sinks.config import KafkaSinkConfig
from processor.sources.history import KafkaHistory


def command(
    reason: Annotated[
        list[str] | None, typer.Option(help="Only letters with this reason; may be repeated, as the next two.")
    ] = None,
    pipeline: Annotated[list[str] | None, typer.Option(help="Only letters of this pipeline.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Only letters whose record had this key.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only letters since this time (RFC 3339), or of a span such as 24h.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only letters before this time; a span is so long ago.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All letters.")] = False,
    rate: Annotated[float, typer.Option(min=0.001, help="Most letters that are sent in a second.")] = 100,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that were sent before, which makes further findings of them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Send without asking, on a terminal too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and send nothing.")] = False,
    json: options.Json = False,
    text: options.PlainText = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Count dead letters, then send those that are chosen back to the pipeline that rejected them.

    A letter is sent once, whatever is chosen later; what was interrupted goes on when the same command is given again.
    Findings keep their ids. A letter that fails once more is a new one, and may be sent as well.
    """
    options.quiet_logs("warning")
    homes, settings = options.load(home, config)
    pipelines, now = _pipelines(settings, homes), datetime.now(UTC).replace(microsecond=0)
    choice = Choice(
        frozenset(reason or ()),
        frozenset(pipeline or ()),
        frozenset(each.encode() for each in key or ()),
        options.moment("--since", since, now) if since else None,
        options.moment("--until", until, now) if until else None,
    )
    chosen = all_ or choice != Choice()
    quiet, piped = options.machine_readable(json, text), options.machine_readable(json)
    client = KafkaClient.of(settings.kafka)
    replay = Replay(KafkaHistory(client), settings.topics.prefix, choice, frozenset(pipelines), again=again)
    count = asyncio.run(_count(client, settings, replay))
    _check("--reason", choice.reasons, {*REASONS, *count.reasons})
    _check("--pipeline", choice.pipelines, {*pipelines, *count.pipelines})
    rest = sending.goes_on(choice.since, choice.until)
    if not quiet:
        _show(count, sending.times(choice.since, choice.until))
    ended = True
    if chosen and not dry_run and count.due and (yes or piped or _agreed(count, rate)):
        ended = asyncio.run(_send(client, settings, replay, count, Pace(rate), rest))
    if quiet:
        options.print_json(_said(count, replay.progress))
    else:
        print(_told(count, replay.progress, chosen=chosen, dry_run=dry_run, rest=None if ended else rest))
    if not ended:
        raise typer.Exit(1)


def _pipelines(settings: Settings, homes: Homes) -> list[str]:
    """The names of the pipelines that this deployment runs."""
    return [name for name in homes.pipelines() if settings.pipelines is None or name in settings.pipelines]


def _check(option: str, given: Iterable[str], valid: Iterable[str]) -> None:
    """Raises ConfigError, with the nearest valid name, for one that there is not: neither here nor in any letter."""
    for name in sorted(set(given) - set(valid)):
        raise ConfigError(f"{option}: there is no {option[2:]} {name!r}; {nearest(name, valid, most=99)}")


def _agreed(count: Count, rate: float) -> bool:
    once_more = sum(row.repeats for row in count.rows.values())
    repeats = f", {once_more:,} of them once more, which makes further findings of them" if once_more else ""
    takes = timedelta(seconds=round(count.due / rate))
    return typer.confirm(f"Send {count.due:,} back{repeats}, at most {rate:g} a second ({takes})?")


async def _count(client: KafkaClient, settings: Settings, replay: Replay) -> Count:
    prefix = settings.topics.prefix
    wanted = [Wanted(name) for name in (f"{prefix}.dead-letters", ledger(prefix))]
    await _there(client, wanted)
    with sending.bar() as bar:
        task = bar.add_task("counting", total=None)
        return await replay.count(lambda looked, total: bar.update(task, completed=looked, total=total))


async def _there(client: KafkaClient, wanted: Sequence[Wanted]) -> None:
    """Raises ConfigError for topics that are missing, or that we may not see."""
    found = await describe(client.arguments(), wanted)
    if missing := [topic.name for topic in wanted if topic.name not in found]:
        raise ConfigError(f"there is no topic {' and no '.join(missing)} (topics.prefix): faultstream topics --create")


async def _send(client: KafkaClient, settings: Settings, replay: Replay, count: Count, pace: Pace, rest: str) -> bool:
    """Sends what was counted; False if it was stopped."""
    prefix = settings.topics.prefix
    going = {pipeline for (_, pipeline), row in count.rows.items() if row.due and pipeline}
    await _there(client, [Wanted(f"{prefix}.retry.{name}") for name in sorted(going)])
    opening = kafka_sender(KafkaSinkConfig.of(settings, client), f"{prefix}.replay")
    with sending.bar() as bar:
        task = bar.add_task("sending", total=count.due)

        async def send(stop: asyncio.Event) -> None:
            await replay.send(opening, count.spans, pace, stop, lambda done: bar.update(task, completed=done.sent))

        return await sending.to_the_end(send, lambda: replay.progress.sent, rest)


def _show(count: Count, times: str) -> None:
    console = Console(highlight=False)
    columns = {"letters": "letters", "before": "sent before", "due": "to send", "stay": "nowhere to go"}
    rows = sorted(count.rows.items(), key=lambda each: -each[1].letters)
    shown = [name for name in columns if name in {"letters", "due"} or any(getattr(row, name) for _, row in rows)]
    table = Table(box=None, pad_edge=False)
    for name in ("reason", "pipeline"):
        table.add_column(name)
    for name in shown:
        table.add_column(columns[name], justify="right")
    for (reason, pipeline), row in rows:
        table.add_row(reason, pipeline or "-", *(f"{getattr(row, name):,}" for name in shown))
    if rows:
        options.print_table(table, console)
    else:
        console.print("no such dead letters")
    if times:
        console.print(f"chosen by {times}", soft_wrap=True)
    if any(row.stay for _, row in rows):
        console.print("nowhere to go: no pipeline had taken them, or theirs is not in this deployment")
    if count.anew:
        console.print("the topic was made anew since letters were last sent back: none of these counts as sent before")
    if count.repeat:
        console.print(f"goes on with the repeat that was begun at {count.repeat}")


def _told(count: Count, progress: Progress, *, chosen: bool, dry_run: bool, rest: str | None) -> str:
    """How it ended, in a line; `rest` says how to go on, if it was stopped."""
    if rest is not None:
        return f"stopped: {progress.sent:,} of {count.due:,} sent; {rest}"
    if progress.refused:
        return f"{progress.sent:,} sent back; {progress.refused:,} refused by the brokers: see max.message.bytes"
    if progress.sent:
        return f"{progress.sent:,} sent back"
    if count.rows and not chosen and not dry_run:
        return "nothing sent: choose with --reason, --pipeline, --key, --since or --until, or say --all"
    if any(row.before for row in count.rows.values()) and not count.due:
        return "nothing to send: they were sent before; --again would send them once more"
    return "nothing sent"


def _said(count: Count, progress: Progress) -> dict[str, Any]:
    """The same as JSON."""
    rows = [
        {
            "reason": reason,
            "pipeline": pipeline,
            "letters": row.letters,
            "sent_before": row.before,
            "to_send": row.due,
            "nowhere_to_go": row.stay,
        }
        for (reason, pipeline), row in sorted(count.rows.items())
    ]
    return {"letters": rows, "sent": progress.sent, "refused": progress.refused}
