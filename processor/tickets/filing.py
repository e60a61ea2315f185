"""How a ticket comes into being: intent, POST, key; and how an intent without a key is settled.

An intent is written under the partition's fencing id, where the brokers have transactions: who is not the owner any
more can't write one, and so doesn't POST. Never is a second POST sent while the outcome of the first is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from processor.contract import TopicPartition
from processor.errors import Rejected, Retryable
from processor.tickets.author import Author, Draft
from processor.tickets.book import LONG_AGO, Book
from processor.tickets.jira import Hit, JiraClient, Late, Refused, Unavailable, Unsettled
from processor.tickets.messages import LABEL, Action, Command, TicketState, current, event
from processor.tickets.refusals import refusal
from processor.tickets.text import news

log = structlog.get_logger(__name__)

LOOK_AGAIN_S: Final = 5.0
"""Most seconds between two searches for an issue whose creation is unsettled."""


class Filing:
    """Creates tickets, each once.

    `unsettled_s` is how long a created issue may stay unseen: the bound of one request and the search's lag. It is
    measured by the steady clock from when the request was given up, or from when another's intent was read: neither
    wall clocks that jump nor those of other machines matter. `hold_s` is how long an intent is good for: who stood
    still for longer before the request was sent needs another, which only the owner gets.
    """

    def __init__(
        self,
        jira: JiraClient,
        author: Author,
        book: Book,
        *,
        unsettled_s: float,
        hold_s: float,
        redact: Callable[[str], str],
        clock: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self._jira = jira
        self._author = author
        self._book = book
        self._unsettled_s = unsettled_s
        self._hold_s = hold_s
        self._redact = redact
        self._clock = clock
        self._steady = steady

    async def first(self, at: TopicPartition, command: Command) -> None:
        """Files the ticket of a fault of which nothing is known.

        Searches before where something may have been known: its state was taken away, or it was seen before.
        """
        until = self._book.erased_until(at, command.fingerprint)
        if until is None and command.action == "create":
            return await self.create(at, command, None)
        state = TicketState(command.fingerprint, command.pipeline, self._author.draft(command).project, "idle", 0)
        lost = "its state was lost"
        return await self._look(at, command, state, LONG_AGO if until is None else until, lost)

    async def create(self, at: TopicPartition, command: Command, last: TicketState | None) -> None:
        """Intent, POST, key; as many at once as Jira takes while their intents are good. Raises Limited."""
        with self._jira.room():
            await self._create(at, command, last)

    async def _create(self, at: TopicPartition, command: Command, last: TicketState | None) -> None:
        command = current(command, last)
        draft = self._author.draft(command)
        known = last or TicketState(command.fingerprint, command.pipeline, draft.project, "idle", 0)
        state = TicketState(
            command.fingerprint,
            command.pipeline,
            draft.project,
            "creating",
            attempt=known.attempt + 1,
            since=self._clock(),
            count=known.count,
            first_seen=known.first_seen,
            last_seen=known.last_seen,
            seen=known.seen,
            previous=known.previous,
            priority=(draft.fields.get("priority") or {}).get("name", ""),
            digest=command.digest,
        )
        await self._book.save(at, state)  # by which only the owner gets past
        may = self.lease()
        self._book.await_issue(at, command.fingerprint, self._hold_s + self._unsettled_s)
        try:
            key, refused = await self._posted(draft, may)
        except Unsettled:
            self._book.await_issue(at, command.fingerprint, self._unsettled_s)
            raise
        except (Unavailable, Late):
            # The request was not sent, or answered with a no: nothing to settle, it may be sent again at once.
            await self._book.save(at, replace(state, status="idle"))
            raise
        except Refused as error:
            reason = self._redact(refusal(error, draft.project))
            await self._book.save(at, replace(state, status="failed", reason=reason))
            self._book.tell(at, event("failed", command, reason=reason))
            raise Rejected("ticket_refused", reason) from error
        await self._opened(at, command, state, key, "; ".join(filter(None, (*draft.notes, refused))))

    async def settle(self, at: TopicPartition, command: Command, state: TicketState) -> None:
        """Looks for the issue that an earlier POST may have made; creates one only when there can be none."""
        until = self._book.settled_at(at, state.fingerprint)
        await self._look(at, command, state, until, f"attempt {state.attempt}")

    async def _look(self, at: TopicPartition, command: Command, state: TicketState, until: float, after: str) -> None:
        asked_at = self._steady()
        mark, me = f"{LABEL}{state.fingerprint}", await self._jira.myself()
        found = await self._jira.search(state.project, mark)
        hits = [hit for hit in found if mark in hit.labels and hit.creator & me and hit.key not in state.previous]
        if hits:
            oldest, *twins = sorted(hits, key=age)
            reason = f"found after {after}"
            reason += f"; also there: {', '.join(twin.key for twin in twins)}" if twins else ""
            await self._opened(at, command, state, oldest.key, reason, "adopted")
        elif asked_at < until:
            raise Retryable(
                "it is not yet known whether Jira created the ticket; looking again",
                wait=min(LOOK_AGAIN_S, until - asked_at),
                shared=False,
            )
        else:
            await self.create(at, command, state)

    async def _opened(
        self,
        at: TopicPartition,
        command: Command,
        state: TicketState,
        key: str,
        reason: str,
        action: Action = "created",
    ) -> None:
        """Links a ticket that is there to the one before it, and remembers it as the fault's."""
        if state.previous:
            action = "renewed" if action == "created" else action
            reason = "; ".join(part for part in (reason, f"after {state.previous[-1]}") if part)
            try:
                await self._jira.link(key, state.previous[-1])
            except Refused as error:
                log.warning("tickets can't be linked", action="link", key=key, error=self._redact(str(error)))
        said = self._author.seen(command.count, command.first_seen, command.last_seen)
        opened = replace(state, status="open", key=key, shown=command.count, says=said, touched=self._clock())
        if state.attempt:  # no ticket of before, the state of which was lost
            opened = replace(opened, waits=self._author.attachment(command))
        self._book.tell(at, event(action, command, key, reason))
        if opened.waits is not None:
            self._book.ask(at, opened, "attach")
        await self._book.save(at, opened.saw(command).telling(news(command)))
        named = {"key": key, "fingerprint": command.fingerprint, "pipeline": command.pipeline}
        log.info("ticket is there", action=action, **named, reason=reason)

    async def _posted(self, draft: Draft, may: Callable[[], bool]) -> tuple[str, str]:
        """The new issue's key, and what is wrong with it; one whose assignee Jira refuses has none."""
        try:
            return await self._jira.create(draft.fields, may), ""
        except Refused as error:
            if set(error.fields) != {"assignee"}:
                raise
            name = draft.fields["assignee"]["name"]
            fields = {name: value for name, value in draft.fields.items() if name != "assignee"}
            return await self._jira.create(fields, may), f"without its assignee: Jira refuses {name} (ticket.assignee)"

    def lease(self) -> Callable[[], bool]:
        """Tells whether an intent that was written now is still good: no clock has gone on for long since."""
        steady, wall = self._steady(), self._clock()
        return lambda: max(self._steady() - steady, self._clock() - wall) < self._hold_s


def age(hit: Hit) -> tuple[str, int, str]:
    """Sorts issues by age: by when they were created, then by their number."""
    number = hit.key.rpartition("-")[2]
    return hit.created, int(number) if number.isdigit() else 0, hit.key
