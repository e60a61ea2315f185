"""What happens to a ticket whose fault is seen again: comments, counts, opened again, or replaced by a new one.

So it is with tickets of one fault and with summaries of many: these have a text that is ours, and a comment only when
they are opened again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from processor.contract import TopicPartition
from processor.errors import Rejected
from processor.tickets.desk import Desk
from processor.tickets.digests import headline
from processor.tickets.jira import Refused, Standing
from processor.tickets.messages import Action, Command, TicketEvent, TicketState, current, event
from processor.tickets.refusals import refusal
from processor.tickets.summaries import Summaries
from processor.tickets.text import news
from processor.tickets.whereabouts import GONE, MISSING, Whereabouts, noting

log = structlog.get_logger(__name__)

Renew = Callable[[TopicPartition, Command, TicketState], Awaitable[None]]
"""Creates a ticket for a fault that had one."""


class Recur:
    """Adds a finding to its fault's ticket; see Desk for how often one without news is looked at."""

    def __init__(self, desk: Desk, where: Whereabouts, renew: Renew) -> None:
        self._jira = desk.jira
        self._author = desk.author
        self._save = desk.book.save
        self._keep = desk.book.keep
        self._tell = desk.book.tell
        self._redact = desk.redact
        self._clock = desk.clock
        self._touch_s = desk.touch_s
        self._summaries = Summaries(desk)
        self._where = where
        self._renew = renew

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState) -> list[TicketEvent]:
        """The fault was seen again: a comment where there is news, counts in the description, open again if closed.

        In a storm counts are only remembered; `catch_up` brings them to the ticket.
        """
        command, rules = current(command, state), self._author.recurrence(command.pipeline)
        state = replace(state, digest=command.digest)
        asked_at, said = self._clock(), "" if command.digest else news(command)
        retried = state.commenting == command.id
        tells = retried or _has_news(said, state, asked_at, rules.comment_every)
        rises = command.priority not in {"", state.raised}
        if not tells and not rises and asked_at - state.touched < self._touch_s:
            self._keep(at, state.saw(command))
            return [event("counted", command, state.key, _quiet(said, state))]
        try:
            state, standing = await self._where(at, command, state)
            tells = retried or _has_news(said, state, asked_at, rules.comment_every)  # a merged one's are another's
            if standing.resolution in rules.never_touch:
                self._keep(at, replace(state.saw(command), shown=command.count, touched=asked_at))
                reason = f"resolved as {standing.resolution}: ticket.recur.never_touch"
                return [event("suppressed", command, state.key, reason)]
            if standing.resolution and not retried and asked_at - standing.resolved_at > rules.reopen_within:
                await self._renew(at, command, replace(state, previous=(*state.previous, state.key or "")))
                return []
            if tells or standing.resolution:
                state = await self._comment(at, command, state, reopens=standing.resolution is not None)
            state = await self._shown(standing, state, command)
            state, raised = await self._raise(standing, state, command.priority)
        except Refused as error:
            return await self._unwelcome(at, command, state, error)
        seen, key = replace(state.saw(command), touched=asked_at), state.key
        if not tells and not standing.resolution:
            self._keep(at, seen)
            return [event("counted", command, key, raised or _quiet(said, state))]
        self._keep(at, replace(seen.telling(said) if said else seen, commented=asked_at))
        action: Action = "reopened" if standing.resolution else "commented"
        return [event(action, command, key, "; ".join(filter(None, (f"seen {command.count} times", raised))))]

    async def _shown(self, standing: Standing, state: TicketState, command: Command) -> TicketState:
        """Brings what the ticket says up to date."""
        if command.digest:
            return await self._summaries.shown(state, command)
        return await self._recount(standing, state, command)

    async def _comment(self, at: TopicPartition, command: Command, state: TicketState, *, reopens: bool) -> TicketState:
        """Intent, transition out of the resolution, comment; of each only what has not been done."""
        key, body = state.key or "", self._author.comment(command)
        retried = state.commenting == command.id
        if not retried:
            state = replace(state, commenting=command.id)
            await self._save(at, state)
        if reopens and not await self._jira.reopen(key):
            log.warning("no transition opens the ticket again", action="reopen", key=key)
        if not (retried and await self._jira.said(key, body)):
            await self._jira.comment(key, body)
        return state

    async def _recount(self, standing: Standing, state: TicketState, command: Command) -> TicketState:
        """Brings the sentence with the counts up to date where it still stands; what people wrote stays."""
        known = self._author.seen(state.count, state.first_seen, state.last_seen)  # said, if we died before we noted it
        new = self._author.seen(command.count, command.first_seen, command.last_seen)
        stands = standing.description
        old = next((said for said in (state.says, known) if said and stands.count(said) == 1), new)
        if old != new:
            await self._jira.reword(state.key or "", standing, old, new)
        return replace(state, shown=command.count, says=new)

    async def _raise(self, standing: Standing, state: TicketState, wanted: str) -> tuple[TicketState, str]:
        """Gives the ticket the priority that its fault has spread far enough for, and says so; each is tried once.

        Upwards only, and never over one that a person has set.
        """
        ours = state.priority or standing.priority
        if wanted in {"", state.raised}:
            return replace(state, priority=ours), ""
        state = replace(state, priority=ours, raised=wanted)
        if standing.priority == wanted:
            return replace(state, priority=wanted), ""
        if standing.priority != ours:
            return state, f"not raised to {wanted}: somebody has set the priority to {standing.priority}"
        try:
            order = await self._jira.priorities()
            if wanted not in order:
                return state, f"not raised: Jira has no priority {wanted} (ticket.escalate)"
            if ours in order and order.index(ours) < order.index(wanted):
                return state, ""
            await self._jira.edit(state.key or "", {"priority": {"name": wanted}})
        except Refused as error:
            return state, self._redact(f"not raised to {wanted}: {error} (ticket.escalate)")
        return replace(state, priority=wanted), f"priority raised to {wanted}"

    async def caught_up(self, at: TopicPartition, command: Command, state: TicketState | None) -> None:
        """Brings what a ticket says up to date, if it still is behind."""
        if state is None or not state.behind:
            return
        seen = (state.count, state.first_seen, state.last_seen)
        known = replace(command, count=seen[0], first_seen=seen[1], last_seen=seen[2], digest=state.digest)
        try:
            standing = await self._jira.standing(state.key or "")
            if standing.resolution is None:
                state = await self._shown(standing, state, known)
        except Refused as error:
            said = self._redact(str(error))
            log.warning("counts can't be brought up to date", action="recount", key=state.key, error=said)
        self._keep(at, replace(state, shown=state.count, touched=self._clock()))

    async def _unwelcome(
        self, at: TopicPartition, command: Command, state: TicketState, error: Refused
    ) -> list[TicketEvent]:
        """A ticket that is gone is left alone, and never replaced; any other refusal is a dead letter."""
        if error.status == 404:
            self._keep(at, noting(state.saw(command), MISSING))
            log.warning("ticket is missing", action="missing", key=state.key, fingerprint=state.fingerprint)
            return [event("missing", command, state.key, GONE)]
        reason = self._redact(refusal(error, state.project))
        self._keep(at, replace(state, commenting=None))
        self._tell(at, event("failed", command, state.key, reason))
        raise Rejected("ticket_refused", reason) from error


def _has_news(said: str, state: TicketState, now: float, every: float) -> bool:
    """Whether there is something to be said in a comment, and it is time for one."""
    return bool(said) and said not in state.told and now - state.commented >= every


def _quiet(said: str, state: TicketState) -> str:
    """Why there is no comment."""
    if state.digest:
        return headline(state.digest)
    return "nothing new to say" if said in state.told else "the last comment is younger than ticket.recur.comment_every"
