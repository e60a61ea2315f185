"""Finds tickets that should not be there, and has the fault's own writer close them as duplicates; deletes nothing.

A second ticket can come of a process that stood still between its last look at who owns the partition and the POST. It
is a new issue of our own with a fault's label that is not the fault's ticket.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from processor.contract import Outbound, TopicPartition
from processor.errors import Retryable
from processor.tickets.book import Book
from processor.tickets.filing import age
from processor.tickets.jira import Hit, JiraClient, Refused
from processor.tickets.messages import LABEL, Command, TicketEvent, TicketState, Topics, event
from processor.tickets.transitions import Way, closing

log = structlog.get_logger(__name__)

EVERY_S: Final = 120.0
"""Between two looks: with the lag of Jira's search, a second ticket is found within ten minutes."""

BACK_S: Final = 3600.0
"""How far back a look goes; the first one, after a start, goes back a day."""

DUPLICATE: Final = "Duplicate"
"""The link, and the resolution, of a ticket that should not be there, as Jira comes."""


def _closing(ways: Sequence[Mapping[str, Any]]) -> Way | None:
    """The transition that closes a ticket, as a duplicate where it offers that."""
    return closing(ways, resolution=DUPLICATE) or closing(ways)


class Twins:
    """Closes a fault's other tickets as duplicates of the one that its state names. Repeats do no harm."""

    def __init__(self, jira: JiraClient, book: Book, *, redact: Callable[[str], str]) -> None:
        self._jira = jira
        self._book = book
        self._redact = redact

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState | None) -> None:
        """Looks for them anew, and links and closes each."""
        if state is None or state.status != "open" or state.key is None:
            return
        mark, me = f"{LABEL}{state.fingerprint}", await self._jira.myself()
        found = await self._jira.search(state.project, mark)
        others = [hit for hit in found if mark in hit.labels and hit.creator & me and hit.key != state.key]
        for twin in sorted(others, key=age):
            if twin.key not in state.previous:
                self._book.tell(at, await self._close(command, twin.key, state.key))
                # Ahead of those that it had, the last of which is the one that a successor is linked to.
                state = replace(state, previous=(twin.key, *state.previous))
                self._book.keep(at, state)

    async def _close(self, command: Command, twin: str, key: str) -> TicketEvent:
        named = {"key": twin, "of": key, "fingerprint": command.fingerprint}
        try:
            await self._jira.link(twin, key, DUPLICATE)
            standing = await self._jira.standing(twin)
            open_ = standing.resolution is None and not await self._jira.transition(twin, _closing)
            reason = f"a second ticket, a duplicate of {key}" + ("; no transition closes it" if open_ else "")
        except Refused as error:
            reason = f"a second ticket beside {key}; it can't be closed: {self._redact(str(error))}"
        log.warning("a fault had a second ticket", action="duplicate", **named, reason=reason)
        return event("duplicate", command, twin, reason)


class Reconciler:
    """Looks now and then for new issues of ours that are not their fault's ticket, and asks by command to close them.

    It knows the faults of the partitions that are held here; those of others are another process' business.
    """

    def __init__(
        self,
        jira: JiraClient,
        book: Book,
        publish: Callable[[Sequence[Outbound]], Awaitable[None]],
        topics: Topics,
        *,
        redact: Callable[[str], str],
        every_s: float = EVERY_S,
    ) -> None:
        self._jira = jira
        self._book = book
        self._publish = publish
        self._topics = topics
        self._redact = redact
        self._every_s = every_s
        self._back_s = 24 * BACK_S
        self._asked: set[str] = set()  # keys of issues for which a command was published

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until it is to stop."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_s)
                return
            try:
                await self.look()
            except (Retryable, Refused) as error:
                log.warning("second tickets can't be looked for", action="reconcile", error=self._redact(str(error)))

    async def look(self) -> int:
        """Asks for what one look finds, each once; returns for how many faults. Raises Retryable and Refused."""
        states = {
            f"{LABEL}{state.fingerprint}": state
            for at in tuple(self._book.partitions)
            for state in self._book.states(at)
            if state.status == "open"
        }
        found: dict[str, Hit] = {}
        for project in sorted({state.project for state in states.values()}):
            found |= {hit.key: hit for hit in await self._jira.recent(project, self._back_s)}
        suspects = {hit.key: states[label] for hit in found.values() for label in hit.labels if label in states}
        wanted = {key: state for key, state in suspects.items() if key not in {state.key, *state.previous}}
        new = {state.fingerprint: state for key, state in wanted.items() if key not in self._asked}
        if new:
            await self._publish([_command(state).record(self._topics) for state in new.values()])
        self._asked, self._back_s = set(wanted), BACK_S
        return len(new)


def _command(state: TicketState) -> Command:
    return Command(
        "reconcile", state.fingerprint, state.pipeline, {}, state.count, state.first_seen, state.last_seen, state.key
    )
