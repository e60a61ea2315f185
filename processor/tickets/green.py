"""What happens to a ticket whose fault is gone, or was only flaky: resolved, labelled, told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from processor.contract import TopicPartition
from processor.tickets.author import Recurrence
from processor.tickets.desk import Desk
from processor.tickets.jira import Refused, Standing
from processor.tickets.messages import Action, Command, TicketEvent, TicketState, event
from processor.tickets.transitions import Way, closing

log = structlog.get_logger(__name__)

FLAKY: Final = "flaky"
"""The label of tickets of flaky faults."""


class Green:
    """Does to a ticket what builds that pass say of its fault. Repeats do no harm."""

    def __init__(self, desk: Desk) -> None:
        self._jira = desk.jira
        self._author = desk.author
        self._save = desk.book.save
        self._keep = desk.book.keep
        self._redact = desk.redact

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState | None) -> list[TicketEvent]:
        """Resolves or labels the ticket, with a comment that names the build, unless a person has a hand in it."""
        if state is None or state.key is None:
            return [event("suppressed", command, reason="there is no ticket")]
        if state.status != "open":
            return [event("suppressed", command, state.key, "it is not known how the ticket stands")]
        rules = self._author.recurrence(command.pipeline)
        try:
            if command.action == "flaky":
                done = await self._flaky(at, command, state, state.key)
            else:
                done = await self._green(at, command, state, state.key, rules)
        except Refused as error:
            done = event("failed", command, state.key, self._redact(str(error)))
            log.warning("the ticket can't be told", action=command.action, key=state.key, error=done.reason)
        self._keep(at, state.done(command))
        return [done]

    async def _flaky(self, at: TopicPartition, command: Command, state: TicketState, key: str) -> TicketEvent:
        standing = await self._jira.standing(key)
        await self._jira.mark(key, FLAKY)
        if standing.resolution is None:
            await self._comment(at, command, state)
        return event("flaky", command, key, passed_in(command))

    async def _green(
        self, at: TopicPartition, command: Command, state: TicketState, key: str, rules: Recurrence
    ) -> TicketEvent:
        if rules.when_green == "nothing":
            return event("suppressed", command, key, "ticket.resolve.when_green: nothing")
        standing = await self._jira.standing(key)
        begun = state.commenting == command.id
        if standing.resolution is not None and not begun:
            return event("suppressed", command, key, f"{passed_in(command)}; resolved already: {standing.resolution}")
        why = _in_the_way(standing, state, rules) if standing.resolution is None else ""
        await self._save(at, replace(state, commenting=command.id))
        closes = not why and standing.resolution is None
        if closes and (why := await self._closed(key, rules)):
            log.warning("the ticket can't be closed", action="resolve", key=key, error=why)
        await self._comment(at, command, state, begun=begun)
        action: Action = "green" if why else "resolved"
        return event(action, command, key, "; ".join(part for part in (passed_in(command), why) if part))

    async def _closed(self, key: str, rules: Recurrence) -> str:
        """Closes it; why it can't be, if it can't."""
        try:
            done = await self._jira.transition(key, lambda ways: _way(ways, rules))
        except Refused as error:
            return self._redact(f"Jira does not close it: {error}; see ticket.resolve")
        return "" if done else "no transition closes it: see ticket.resolve"

    async def _comment(self, at: TopicPartition, command: Command, state: TicketState, *, begun: bool = False) -> None:
        """Says which build passed; once, whatever dies in between."""
        key, body = state.key or "", self._author.passed(command)
        begun = begun or state.commenting == command.id
        if not begun:
            await self._save(at, replace(state, commenting=command.id))
        if not (begun and await self._jira.said(key, body)):
            await self._jira.comment(key, body)


def _way(ways: Iterable[Mapping[str, Any]], rules: Recurrence) -> Way | None:
    return closing(ways, rules.transition, rules.resolution, rules.never_touch)


def _in_the_way(standing: Standing, state: TicketState, rules: Recurrence) -> str:
    """Why the ticket is not to be resolved; empty if it is."""
    if state.merged:
        return "it stands for more than this fault: somebody has closed the fault's own ticket as its duplicate"
    if rules.when_green == "comment":
        return "ticket.resolve.when_green: comment"
    # Filed and reopened tickets stand at a beginning: one that stands elsewhere was moved by a person.
    return "" if standing.category in {"new", ""} else "somebody is at work on it"


def passed_in(command: Command) -> str:
    """Which build passed, for an event."""
    build = command.build
    return f"{build.get('job') or 'the job'} passed: {build.get('url') or build.get('run_id') or build.get('id')}"
