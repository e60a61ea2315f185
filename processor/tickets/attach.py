"""How a file gets to a ticket that is there: intent, POST, its name in the state; never twice.

It is work of its own that waits in the ticket's state, so that neither a kill nor Jira's limits nor its refusal to take
files costs the ticket anything. Where it is unknown whether a request has attached the file, that is looked up by its
name once the request must have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from processor.contract import TopicPartition
from processor.errors import Retryable
from processor.tickets.attachment import Attachment
from processor.tickets.book import Book
from processor.tickets.jira import JiraClient, Refused, Unsettled
from processor.tickets.messages import Command, TicketEvent, TicketState, event

log = structlog.get_logger(__name__)

_REMEDY: Final = "or set ticket.attach: none"


class Attach:
    """Attaches what waits in a ticket's state.

    `unsettled_s` is how long a request whose outcome is unknown may still have its effect; `lease` begins to count how
    long an intent is good for: see Filing.
    """

    def __init__(
        self,
        jira: JiraClient,
        book: Book,
        *,
        unsettled_s: float,
        lease: Callable[[], Callable[[], bool]],
        steady: Callable[[], float],
        redact: Callable[[str], str],
    ) -> None:
        self._jira = jira
        self._book = book
        self._unsettled_s = unsettled_s
        self._lease = lease
        self._steady = steady
        self._redact = redact
        self._warned: set[tuple[str, str]] = set()

    async def __call__(self, at: TopicPartition, command: Command, state: TicketState | None) -> None:
        """Attaches the file, unless it is there, or it is too early to know. Raises Retryable."""
        if state is None or state.waits is None or "attach" not in state.owed:
            return
        file = state.waits
        try:
            refused = await self._refusal(file)
            if not refused and file.name not in await self._jira.attachments(state.key or ""):
                if file.sent and self._steady() < self._book.settled_at(at, state.fingerprint):
                    self._book.put_off(at, state.fingerprint, "attach")
                    return
                await self._send(at, state, file)
        except Unsettled as error:
            self._book.await_issue(at, state.fingerprint, self._unsettled_s)
            self._book.put_off(at, state.fingerprint, "attach")
            log.warning("it is not known whether a file was attached", action="attach", error=self._redact(str(error)))
            return
        except Refused as error:
            refused = self._said(error, state)
        self._book.tell(at, self._told(command, state, file, refused))
        self._book.keep(at, replace(state, waits=None, attached="" if refused else file.name))

    async def _send(self, at: TopicPartition, state: TicketState, file: Attachment) -> None:
        """The intent, by which only the owner gets past, and the request. Raises Unsettled, Retryable or Refused."""
        sent = replace(state, waits=replace(file, sent=True))
        self._book.await_issue(at, state.fingerprint, self._unsettled_s)
        await self._book.save(at, sent)
        may = self._lease()
        try:
            await self._jira.attach(state.key or "", file.name, file.text.encode(), may)
        except Unsettled:
            raise
        except Retryable:  # not sent, or answered with a no
            await self._book.save(at, state)
            raise

    async def _refusal(self, file: Attachment) -> str:
        """Why Jira takes no such file; empty if it does, or does not say."""
        enabled, limit = await self._jira.attaching()
        if not enabled:
            return f"attachments are turned off in this Jira: have them turned on, {_REMEDY}"
        if limit is not None and len(file.text.encode()) > limit:
            return f"the file has {len(file.text.encode())} bytes, and this Jira takes {limit}: raise that, {_REMEDY}"
        return ""

    def _said(self, error: Refused, state: TicketState) -> str:
        said = self._redact(str(error))
        if error.status == 403:
            return f"{said}; give the account the right Create Attachments in project {state.project}, {_REMEDY}"
        if error.status == 404:
            return f"{said}; the ticket is out of sight, or attachments are turned off: ticket.attach"
        return f"{said}; ticket.attach"

    def _told(self, command: Command, state: TicketState, file: Attachment, refused: str) -> TicketEvent:
        command = replace(command, pipeline=state.pipeline)
        if not refused:
            log.info("file is attached", action="attached", key=state.key, file=file.name)
            return event("attached", command, state.key, file.name)
        if (state.project, refused) not in self._warned:
            self._warned.add((state.project, refused))
            log.warning("jira takes no file", action="unattached", key=state.key, project=state.project, reason=refused)
        return event("unattached", command, state.key, refused)
