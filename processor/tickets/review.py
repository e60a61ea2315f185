"""Looks at a ticket that does not look as it was left, and says what people have done with it, each thing once."""

from __future__ import annotations

import structlog

from processor.contract import TopicPartition
from processor.tickets.desk import Desk
from processor.tickets.jira import Refused, Standing
from processor.tickets.messages import LABEL, Command, TicketState, event
from processor.tickets.whereabouts import (
    EDITED,
    GONE,
    MISSING,
    RELABELLED,
    UNLABELLED,
    Whereabouts,
    noting,
    without,
)

log = structlog.get_logger(__name__)


class Review:
    """Judges what the reconciler's search made suspicious, by the ticket itself. Repeats do no harm."""

    def __init__(self, desk: Desk, where: Whereabouts) -> None:
        self._jira = desk.jira
        self._book = desk.book
        self._redact = desk.redact
        self._where = where

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState | None) -> None:
        """Looks, and remembers what it has told. Puts the fault's label back the first time that it is off."""
        if state is None or state.status != "open" or state.key is None:
            return
        try:
            state, standing = await self._where(at, command, state)
        except Refused as error:
            self._refused(at, command, state, error)
            return
        state = await self._labelled(at, command, state, standing)
        self._book.keep(at, self._read(at, command, state, standing))

    def _refused(self, at: TopicPartition, command: Command, state: TicketState, error: Refused) -> None:
        if error.status != 404:
            said = self._redact(str(error))
            log.warning("a ticket can't be looked at", action="review", key=state.key, error=said)
        elif MISSING not in state.noticed:
            log.warning("ticket is missing", action="missing", key=state.key, fingerprint=state.fingerprint)
            self._book.tell(at, event("missing", command, state.key, GONE))
            self._book.keep(at, noting(state, MISSING))

    async def _labelled(
        self, at: TopicPartition, command: Command, state: TicketState, standing: Standing
    ) -> TicketState:
        """Without its label a ticket is not found if its state is lost: it is put back, once; then people are right."""
        mark, key = f"{LABEL}{state.fingerprint}", state.key or ""
        if mark in standing.labels:
            return without(state, UNLABELLED)
        if UNLABELLED in state.noticed:
            return state
        why = "it was taken off again, and is left off"
        if RELABELLED not in state.noticed:
            try:
                await self._jira.mark(key, mark)
            except Refused as error:
                why = self._redact(f"it can't be put back: {error}")
            else:
                self._book.tell(at, event("relabelled", command, key, f"somebody has taken off the label {mark}"))
                return noting(state, RELABELLED)
        said = f"without the label {mark}: {why}. If the state topic is lost, this ticket is not found again"
        self._book.tell(at, event("unlabelled", command, key, said))
        return noting(state, UNLABELLED)

    def _read(self, at: TopicPartition, command: Command, state: TicketState, standing: Standing) -> TicketState:
        """Whether the sentence with the counts still stands."""
        if stands(state, standing.description):
            return without(state, EDITED)
        if EDITED in state.noticed:
            return state
        said = "somebody has changed the sentence with the counts: the description is left alone from now on"
        self._book.tell(at, event("edited", command, state.key, said))
        return noting(state, EDITED)


def stands(state: TicketState, description: str) -> bool:
    """Whether a description still has what the writer keeps up to date in it."""
    return not state.says or bool(state.digest) or description.count(state.says) == 1
