"""What people order by hand: a fault's ticket is forgotten, or another one is taken for it.

An order's id stays in the state: read again after a crash, it must not undo what came after it.
"""

from __future__ import annotations

from dataclasses import replace

from processor.contract import TopicPartition
from processor.tickets.desk import Desk
from processor.tickets.jira import Refused
from processor.tickets.messages import LABEL, REMEMBERED, Command, TicketEvent, TicketState, event


class Orders:
    """Does what an order says, as the state allows."""

    def __init__(self, desk: Desk) -> None:
        self._jira = desk.jira
        self._save = desk.book.save
        self._redact = desk.redact

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState | None) -> TicketEvent:
        """Does it; the event says what came of it."""
        if state is None:
            return event("suppressed", command, reason="nothing is known of this fault")
        if state.status == "creating":
            return event("suppressed", command, reason="a ticket may be about to be created: order it again later")
        return await (self._adopt if command.action == "adopt" else self._forget)(at, command, state)

    async def _forget(self, at: TopicPartition, command: Command, state: TicketState) -> TicketEvent:
        await self._save(at, replace(_without_ticket(command, state), status="idle"))
        return event("forgotten", command, state.key, "ordered by hand; the fault's next finding files a new ticket")

    async def _adopt(self, at: TopicPartition, command: Command, state: TicketState) -> TicketEvent:
        """Takes a ticket for the fault's, and marks it so that it is found again."""
        key = command.key or ""
        try:
            await self._jira.mark(key, f"{LABEL}{command.fingerprint}")
        except Refused as error:
            return event("failed", command, key, self._redact(f"can't be adopted: {error}"))
        new = _without_ticket(command, state)
        previous = tuple(each for each in new.previous if each != key)
        project = key.rpartition("-")[0]
        await self._save(at, replace(new, status="open", key=key, project=project, previous=previous))
        return event("adopted", command, key, "ordered by hand" + (f", instead of {state.key}" if state.key else ""))


def _without_ticket(command: Command, state: TicketState) -> TicketState:
    """What stays of a state: counts, what was seen, and which tickets are not to be taken for the fault's again."""
    previous = state.previous if state.key in {None, *state.previous} else (*state.previous, str(state.key))
    return replace(
        state,
        key=None,
        previous=previous,
        seen=(*state.seen, command.id)[-REMEMBERED:],
        reason="",
        told=(),
        commented=0.0,
        touched=0.0,
        shown=-1,
        says="",
        waits=None,
        attached="",
        merged=False,
        noticed=(),
    )
