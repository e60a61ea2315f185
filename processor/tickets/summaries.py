"""Tickets that tell of many faults, as of what was not filed in a storm. Their text is ours, and kept up to date."""

from __future__ import annotations

from dataclasses import replace

import structlog

from processor.tickets.desk import Desk
from processor.tickets.jira import Refused
from processor.tickets.messages import Command, TicketState

log = structlog.get_logger(__name__)


class Summaries:
    """Brings summaries up to date."""

    def __init__(self, desk: Desk) -> None:
        self._jira = desk.jira
        self._author = desk.author
        self._redact = desk.redact

    async def shown(self, state: TicketState, command: Command) -> TicketState:
        """The state once the ticket's summary and description say what the command's digest does."""
        if state.merged:  # it is another ticket's text
            return replace(state, shown=command.count)
        fields = self._author.draft(command).fields
        try:
            await self._jira.edit(state.key or "", {name: fields[name] for name in ("summary", "description")})
        except Refused as error:
            said = self._redact(str(error))
            log.warning("a summary can't be brought up to date", action="recount", key=state.key, error=said)
        return replace(state, shown=command.count)
