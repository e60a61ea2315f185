"""Tickets that tell of many faults, as of what was not filed in a storm. Their text is ours, and kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from processor.contract import TopicPartition
from processor.tickets.digests import headline
from processor.tickets.jira import JiraClient, Refused
from processor.tickets.messages import Author, Command, TicketEvent, TicketState, event
from processor.tickets.recur import Keep

log = structlog.get_logger(__name__)


class Summaries:
    """Brings summaries up to date, each at most every `touch_s` seconds."""

    def __init__(
        self,
        jira: JiraClient,
        author: Author,
        *,
        keep: Keep,
        redact: Callable[[str], str],
        clock: Callable[[], float],
        touch_s: float,
    ) -> None:
        self._jira = jira
        self._author = author
        self._keep = keep
        self._redact = redact
        self._clock = clock
        self._touch_s = touch_s

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState) -> list[TicketEvent]:
        """One more fault, or one more sight of one."""
        state = replace(state.saw(command), digest=command.digest)
        if self._clock() - state.touched >= self._touch_s:
            state = await self._shown(command, state)
        self._keep(at, state)
        return [event("counted", command, state.key, headline(command.digest))]

    async def caught_up(self, at: TopicPartition, command: Command, state: TicketState | None) -> None:
        """Brings one up to date that has been left alone for a while, if it still is behind."""
        if state is not None and state.behind:
            self._keep(at, await self._shown(replace(command, digest=state.digest), state))

    async def _shown(self, command: Command, state: TicketState) -> TicketState:
        fields = self._author.draft(command).fields
        try:
            await self._jira.edit(state.key or "", {name: fields[name] for name in ("summary", "description")})
        except Refused as error:
            said = self._redact(str(error))
            log.warning("a summary can't be brought up to date", action="recount", key=state.key, error=said)
        return replace(state, shown=state.count, touched=self._clock())
