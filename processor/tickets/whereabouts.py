"""Where a fault's ticket is by now: moved to another project, closed as a duplicate of another ticket, out of sight."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import structlog

from processor.contract import TopicPartition
from processor.tickets.desk import Desk
from processor.tickets.jira import Refused, Standing
from processor.tickets.messages import LABEL, Command, TicketState, event

log = structlog.get_logger(__name__)

HOPS: Final = 5
"""Duplicates of duplicates that are followed."""

MISSING: Final = "missing"
RELABELLED: Final = "relabelled"
UNLABELLED: Final = "unlabelled"
EDITED: Final = "edited"
"""What a state remembers to have noticed of its ticket: each is told once."""

GONE: Final = "the ticket was deleted or moved out of sight"


class Whereabouts:
    """Follows a ticket to where people have put it."""

    def __init__(self, desk: Desk) -> None:
        self._jira = desk.jira
        self._author = desk.author
        self._book = desk.book
        self._redact = desk.redact

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState) -> tuple[TicketState, Standing]:
        """How the fault's ticket stands, and the state with the key that it has now. Raises Refused where it is gone.

        A ticket that a person has closed as a duplicate is left for the one that it duplicates.
        """
        key = state.key or ""
        standing = await self._jira.standing(key)
        if MISSING in state.noticed:
            self._book.tell(at, event("found", command, key, "the ticket was missing, and is there again"))
            state = without(state, MISSING)
        if standing.key not in {"", key}:
            log.info("ticket was moved", action="moved", key=standing.key, before=key, fingerprint=state.fingerprint)
            self._book.tell(at, event("moved", command, standing.key, f"somebody has moved it; it was {key}"))
            state = replace(state, key=standing.key, project=_project(standing.key))
        if standing.resolution is not None and self._author.recurrence(command.pipeline).follow_duplicates:
            return await self._followed(at, command, state, standing)
        return state, standing

    async def _followed(
        self, at: TopicPartition, command: Command, state: TicketState, standing: Standing
    ) -> tuple[TicketState, Standing]:
        """The ticket that this one was closed as a duplicate of, at the end of the chain, if it can be seen."""
        last, key, passed = standing, state.key or "", {state.key or "", *state.previous}
        for _ in range(HOPS):
            following = next((each for each in last.duplicates if each not in passed), None)
            if last.resolution is None or following is None:
                break
            try:
                last = await self._jira.standing(following)
            except Refused as error:
                said = self._redact(str(error))
                log.warning("a duplicate can't be followed", action="merged", key=following, error=said)
                break
            key = last.key or following
            passed |= {key, following}
        if key == state.key:
            return state, standing
        merged = replace(
            state,
            key=key,
            project=_project(key),
            previous=(*state.previous, state.key or ""),
            merged=True,
            noticed=(),
            told=(),
            commented=0.0,
            shown=-1,
            says="",
        )
        label = f"{LABEL}{state.fingerprint}"
        reason = f"somebody has closed {state.key} as a duplicate of it: what happens to the fault is told there"
        try:
            await self._jira.mark(key, label)
            last = replace(last, labels=last.labels | {label})
        except Refused as error:
            reason += self._redact(f"; it can't be given the fault's label: {error}")
            merged = noting(merged, RELABELLED, UNLABELLED)
        log.info("ticket was merged", action="merged", key=key, before=state.key, fingerprint=state.fingerprint)
        self._book.tell(at, event("merged", command, key, reason))
        return merged, last


def noting(state: TicketState, *words: str) -> TicketState:
    """The state once this was noticed."""
    return replace(state, noticed=tuple(dict.fromkeys((*state.noticed, *words))))


def without(state: TicketState, word: str) -> TicketState:
    """The state once that is so no more."""
    return replace(state, noticed=tuple(each for each in state.noticed if each != word))


def _project(key: str) -> str:
    return key.rpartition("-")[0]
