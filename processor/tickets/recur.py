"""What happens to a ticket whose fault is seen again: comments, counts, opened again, or replaced by a new one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from processor.contract import TopicPartition
from processor.errors import Rejected
from processor.tickets.jira import JiraClient, Refused, Standing
from processor.tickets.messages import Action, Author, Command, TicketEvent, TicketState, current, event
from processor.tickets.refusals import refusal
from processor.tickets.text import news

log = structlog.get_logger(__name__)

Save = Callable[[TopicPartition, TicketState], Awaitable[None]]
"""Writes a state down as the partition's owner, and returns when it is there: before anything is done in Jira."""

Keep = Callable[[TopicPartition, TicketState], None]
"""Has a state leave with the command's offset: the last one, of which nothing in Jira follows."""

Renew = Callable[[TopicPartition, Command, TicketState], Awaitable[None]]
"""Creates a ticket for a fault that had one."""

Tell = Callable[[TopicPartition, TicketEvent], None]
"""Has an event leave with the command's offset, for where a dead letter follows."""


class Recur:
    """Adds a finding to its fault's ticket; `touch_s` are left between two looks at one that has nothing new to say."""

    def __init__(
        self,
        jira: JiraClient,
        author: Author,
        *,
        save: Save,
        keep: Keep,
        renew: Renew,
        tell: Tell,
        redact: Callable[[str], str],
        clock: Callable[[], float],
        touch_s: float,
    ) -> None:
        self._jira = jira
        self._author = author
        self._save = save
        self._keep = keep
        self._renew = renew
        self._tell = tell
        self._redact = redact
        self._clock = clock
        self._touch_s = touch_s

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState) -> list[TicketEvent]:
        """The fault was seen again: a comment where there is news, counts in the description, open again if closed.

        In a storm counts are only remembered; `catch_up` brings them to the ticket.
        """
        key, command, rules = state.key or "", current(command, state), self._author.recurrence(command.pipeline)
        asked_at, said = self._clock(), news(command)
        retried = state.commenting == command.id
        tells = retried or (said not in state.told and asked_at - state.commented >= rules.comment_every)
        rises = command.priority not in {"", state.raised}
        if not tells and not rises and asked_at - state.touched < self._touch_s:
            self._keep(at, state.saw(command))
            return [event("counted", command, key, _quiet(said, state))]
        try:
            standing = await self._jira.standing(key)
            if standing.key not in {"", key}:
                state, key = _moved(state, standing.key), standing.key
            if standing.resolution in rules.never_touch:
                self._keep(at, replace(state.saw(command), shown=command.count, touched=asked_at))
                reason = f"resolved as {standing.resolution}: ticket.recur.never_touch"
                return [event("suppressed", command, key, reason)]
            if standing.resolution and not retried and asked_at - standing.resolved_at > rules.reopen_within:
                await self._renew(at, command, replace(state, previous=(*state.previous, key)))
                return []
            if tells or standing.resolution:
                state = await self._comment(at, command, state, reopens=standing.resolution is not None)
            state = await self._recount(standing, state, command)
            state, raised = await self._raise(standing, state, command.priority)
        except Refused as error:
            return await self._unwelcome(at, command, state, error)
        seen = replace(state.saw(command), touched=asked_at)
        if not tells and not standing.resolution:
            self._keep(at, seen)
            return [event("counted", command, key, raised or _quiet(said, state))]
        self._keep(at, replace(seen.telling(said), commented=asked_at))
        action: Action = "reopened" if standing.resolution else "commented"
        return [event(action, command, key, "; ".join(filter(None, (f"seen {command.count} times", raised))))]

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
        """Brings the counts of a ticket's description up to date, if it still is behind."""
        if state is None or not state.behind:
            return
        known = replace(command, count=state.count, first_seen=state.first_seen, last_seen=state.last_seen)
        try:
            standing = await self._jira.standing(state.key or "")
            if standing.resolution is None:
                state = await self._recount(standing, state, known)
        except Refused as error:
            said = self._redact(str(error))
            log.warning("counts can't be brought up to date", action="recount", key=state.key, error=said)
        self._keep(at, replace(state, shown=state.count, touched=self._clock()))

    async def _unwelcome(
        self, at: TopicPartition, command: Command, state: TicketState, error: Refused
    ) -> list[TicketEvent]:
        """A ticket that is gone is left alone, and never replaced; any other refusal is a dead letter."""
        if error.status == 404:
            self._keep(at, state.saw(command))
            log.warning("ticket is missing", action="missing", key=state.key, fingerprint=state.fingerprint)
            return [event("missing", command, state.key, "the ticket was deleted or moved out of sight")]
        reason = self._redact(refusal(error, state.project))
        self._keep(at, replace(state, commenting=None))
        self._tell(at, event("failed", command, state.key, reason))
        raise Rejected("ticket_refused", reason) from error


def _moved(state: TicketState, key: str) -> TicketState:
    """The state once somebody has moved the ticket to another project."""
    log.info("ticket was moved", action="moved", key=key, before=state.key, fingerprint=state.fingerprint)
    return replace(state, key=key, project=key.rpartition("-")[0])


def _quiet(said: str, state: TicketState) -> str:
    """Why there is no comment."""
    return "nothing new to say" if said in state.told else "the last comment is younger than ticket.recur.comment_every"
