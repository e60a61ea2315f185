"""`faultstream tickets`: which ticket each fault has, what was done and why, and orders by hand."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processor.cli import options, replay
from processor.cluster.client import KafkaClient
from processor.cluster.topics import Wanted, describe
from processor.errors import ConfigError
from processor.settings import Settings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sources.history import KafkaHistory
from processor.tickets.digests import headline
from processor.tickets.load import fold
from processor.tickets.messages import Command, TicketState, Topics, now

KEY: Final = r"^[A-Z][A-Z0-9_]+-[0-9]+$"


def command(
    fingerprint: Annotated[str | None, typer.Option(help="One fault, by its fingerprint or the start of it.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only faults of this pipeline.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only faults in this state: open, creating, idle, failed, or missing.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Send the fault's refused commands to Jira again.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget the fault's ticket: its next finding files a new one.")
    ] = False,
    adopt: Annotated[
        str | None, typer.Option(metavar="KEY", help="Take this ticket for the fault's from now on.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Order without asking, on a terminal too.")] = False,
    json: options.Json = False,
    text: options.PlainText = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """List faults and their tickets; of one fault also its history: what was done with its ticket or left, and why.

    Orders (--retry, --forget, --adopt) go to the ticket role as commands, and are done in turn with all else.
    """
    options.quiet_logs("warning")
    _, settings = options.load(home, config)
    orders = [name for name, given in (("--retry", retry), ("--forget", forget), ("--adopt", adopt)) if given]
    if len(orders) > 1 or (orders and fingerprint is None):
        raise ConfigError(f"{', '.join(orders)}: give one order, and the fault that it is for (--fingerprint)")
    states = asyncio.run(_states(settings))
    chosen = {
        name: state
        for name, state in sorted(states.items(), key=lambda each: (each[1].last_seen, each[0]))
        if (pipeline in {None, state.pipeline}) and (status in {None, state.status, *state.noticed})
    }
    if fingerprint is None:
        _list(chosen, as_json=options.machine_readable(json, text))
        return
    name = _one(fingerprint, states)
    if retry:
        replay.command(reason=["ticket_refused"], key=[name], rate=100, yes=yes, json=json, home=home, config=config)
    elif orders:
        _order(settings, states, name, adopt, yes=yes or options.machine_readable(json))
    else:
        _show(states.get(name), asyncio.run(_history(settings, name)), as_json=options.machine_readable(json, text))


async def _states(settings: Settings) -> dict[str, TicketState]:
    """The state of each fault, as the ticket role has written it down. Raises ConfigError where there is none."""
    client, topics = KafkaClient.of(settings.kafka), Topics(settings.topics.prefix)
    if topics.state not in await describe(client.arguments(), [Wanted(topics.state)]):
        raise ConfigError(f"there is no topic {topics.state} (topics.prefix): faultstream topics --create")
    history = KafkaHistory(client)
    return fold([(each.key, each.value) async for each in history.all(topics.state)])


async def _history(settings: Settings, fingerprint: str) -> list[dict[str, Any]]:
    """What was done for a fault and why, the oldest first, as far as the topic remembers."""
    history = KafkaHistory(KafkaClient.of(settings.kafka))
    wanted = fingerprint.encode()
    spans = await history.spans([Topics(settings.topics.prefix).events])
    async with aclosing(history.between(spans)) as records:
        told = [orjson.loads(each.value) async for each in records if each.key == wanted and each.value]
    return sorted(told, key=lambda each: str(each.get("time", "")))


def _one(start: str, states: Mapping[str, TicketState]) -> str:
    """The fingerprint that begins so. Raises ConfigError for none, or several."""
    found = [name for name in states if name.startswith(start)]
    if len(found) > 1:
        shown = ", ".join(sorted(found)[:5])
        raise ConfigError(f"--fingerprint: {len(found)} faults begin with {start!r}: {shown}; give more of it")
    if not found:
        raise ConfigError(f"--fingerprint: no fault begins with {start!r}; faultstream tickets lists all")
    return found[0]


def _order(settings: Settings, states: Mapping[str, TicketState], name: str, adopt: str | None, *, yes: bool) -> None:
    state = states[name]
    if adopt is not None and not re.fullmatch(KEY, adopt):
        raise ConfigError(f"--adopt: {adopt!r} is no issue key, such as BUILD-123")
    what = f"take {adopt} for the ticket" if adopt else f"forget {state.key or 'the ticket'}"
    if not yes and not typer.confirm(
        f"{what.capitalize()} of fault {name} ({state.pipeline}, seen {state.count} times)?"
    ):
        raise typer.Exit(1)
    action, identity = ("adopt", adopt) if adopt else ("forget", None)
    order = Command(
        action,  # type: ignore[arg-type]
        name,
        state.pipeline,
        {"id": f"order-{uuid.uuid4().hex}"},
        state.count,
        state.first_seen,
        state.last_seen or now(),
        key=identity,
    )
    asyncio.run(_send(settings, order))
    print(f"ordered: {what} of {name}; faultstream tickets --fingerprint {name} tells what came of it")


async def _send(settings: Settings, order: Command) -> None:
    sink = KafkaSink(KafkaSinkConfig.of(settings, KafkaClient.of(settings.kafka)))
    await sink.start()
    try:
        await sink.publish([order.record(Topics(settings.topics.prefix))])
    finally:
        await sink.stop()


def _said(state: TicketState) -> dict[str, Any]:
    """A state for people and programs: without the ids and digests that only the writer needs."""
    hidden = {"seen", "told", "says", "v", "commented", "touched", "shown", "since", "attempt", "heard", "digest"}
    said = {name: value for name, value in asdict(state).items() if name not in hidden}
    said["waits"] = state.waits.name if state.waits is not None else None
    return {
        **said,
        "intent": intent(state, time.time()),
        "summary_of": headline(state.digest) if state.digest else None,
    }


def intent(state: TicketState, now: float) -> str | None:
    """What the writer is about to do, or has to look after; None for nothing. `now` is Unix time."""
    if state.status == "creating":
        waited = f" for {now - state.since:.0f} s" if state.since else ""
        return f"creating{waited}, attempt {state.attempt}: whether Jira has made it is not settled"
    if state.commenting is not None:
        return f"adding a comment on {state.commenting}"
    if state.waits is not None:
        looked = ": whether Jira has it is not settled" if state.waits.sent else ""
        return f"attaching {state.waits.name}{looked}"
    return "the counts in the description are behind" if state.behind else None


def _list(states: Mapping[str, TicketState], *, as_json: bool) -> None:
    if as_json:
        options.print_json([_said(state) for state in states.values()])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("fault", "pipeline", "ticket", "state", "seen", "last seen", "why, or what is under way"):
        table.add_column(column, justify="right" if column == "seen" else "left")
    for name, state in states.items():
        style, said = "red" if state.status == "failed" else "", _said(state)
        row = (
            name[:16],
            state.pipeline,
            state.key or "",
            state.status,
            str(state.count),
            state.last_seen,
            "; ".join(str(each) for each in (state.reason, said["intent"], *state.noticed, said["summary_of"]) if each),
        )
        table.add_row(*map(Text, row), style=style)
    out = Console(highlight=False)
    options.print_table(table, out)
    waiting = sum(state.status != "open" for state in states.values())
    under_way = sum(intent(state, 0) is not None for state in states.values())
    intents = f", {under_way} with something under way" if under_way else ""
    out.print(f"{len(states)} faults, {len(states) - waiting} with a ticket, {waiting} without{intents}")


def _show(state: TicketState | None, history: list[dict[str, Any]], *, as_json: bool) -> None:
    said = _said(state) if state is not None else {}
    if as_json:
        options.print_json({**said, "history": history})
        return
    out = Console(highlight=False)
    for name, value in said.items():
        if value not in (None, "", ()):
            out.print(Text(f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, tuple) else value}"))
    table = Table(box=None, pad_edge=False)
    for each in history:
        row = (each.get("time"), each.get("action"), each.get("key"), each.get("reason"))
        table.add_row(*(Text(str(value or "")) for value in row))
    out.print(table if history else "nothing was told of it on the topic of ticket events")
