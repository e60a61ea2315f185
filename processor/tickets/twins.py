"""Closes tickets that should not be there as duplicates of their fault's; deletes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from processor.contract import TopicPartition
from processor.tickets.desk import Desk
from processor.tickets.filing import age
from processor.tickets.jira import Refused
from processor.tickets.messages import LABEL, Command, TicketEvent, TicketState, event
from processor.tickets.transitions import Way, closing

log = structlog.get_logger(__name__)

DUPLICATE: Final = "Duplicate"
"""The link, and the resolution, of a ticket that should not be there, as Jira comes."""


def _closing(ways: Sequence[Mapping[str, Any]]) -> Way | None:
    """The transition that closes a ticket, as a duplicate where it offers that."""
    return closing(ways, resolution=DUPLICATE) or closing(ways)


class Twins:
    """Closes a fault's other tickets as duplicates of the one that its state names. Repeats do no harm."""

    def __init__(self, desk: Desk) -> None:
        self._jira = desk.jira
        self._book = desk.book
        self._redact = desk.redact

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
