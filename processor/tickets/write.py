"""*write*: does in Jira what *decide* wants, so that a fault has exactly one ticket whatever dies in between.

Of each step the next begins only when it is acknowledged: intent on the state topic → POST → key on the state
topic → offset of the command. An intent without a key is settled by searching Jira, for as long as its search may
lag; never is a second POST sent while the outcome of the first is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from time import time
from typing import Any, Final, Protocol

import structlog

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Rejected, Retryable
from processor.tickets.jira import Hit, JiraClient, Refused, Unavailable, Unsettled
from processor.tickets.messages import LABEL, Command, Draft, TicketEvent, TicketState, Topics, letter, read_command

log = structlog.get_logger(__name__)

LOOK_AGAIN_S: Final = 5.0
"""Most seconds between two searches for an issue whose creation is unsettled."""

SETTINGS: Final[Mapping[str, str]] = {
    "project": "ticket.project",
    "issuetype": "ticket.type",
    "priority": "ticket.priority",
    "labels": "ticket.labels",
    "summary": "ticket.summary",
    "description": "ticket.description",
    "components": "ticket.components",
}
"""Which setting of the pipeline a field of Jira comes from."""


class Author(Protocol):
    """Writes the texts of tickets."""

    def draft(self, command: Command) -> Draft:
        """The new ticket of a command. Raises Rejected where its pipeline is not known here."""

    def seen(self, count: int, first: str, last: str) -> str:
        """The sentence of a description that says how often and when; the writer keeps it up to date."""

    def comment(self, command: Command) -> str:
        """The comment that says that the fault was seen again; the same command gives the same text."""


Publish = Callable[[Sequence[Outbound]], Awaitable[None]]
"""Writes records and awaits their acknowledgements."""

Load = Callable[[int], Awaitable[dict[str, TicketState]]]
"""Reads a partition of the state topic to its end: the last state of each fingerprint."""


class Writer:
    """A worker of the engine over `<p>.ticket-commands`, one command of a fingerprint at a time.

    `unsettled_s` is how long a created issue may stay unseen: the bound of one request and the search's lag.
    """

    def __init__(
        self,
        jira: JiraClient,
        author: Author,
        publish: Publish,
        load: Load,
        topics: Topics,
        *,
        unsettled_s: float,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time,
    ) -> None:
        self._jira = jira
        self._author = author
        self._publish = publish
        self._load = load
        self._topics = topics
        self._unsettled_s = unsettled_s
        self._redact = redact
        self._clock = clock
        self._states: dict[TopicPartition, dict[str, TicketState]] = {}
        self.trouble: str | None = None
        """Why Jira can't be written to at the moment; None while it can. Readiness shows it."""

    @staticmethod
    def key_of(record: Record) -> bytes | None:
        """What the engine serialises by: commands of one fingerprint are done one after the other."""
        return record.key

    async def assigned(self, partition: TopicPartition) -> None:
        """Loads the state of the partition's fingerprints."""
        self._states[partition] = await self._load(partition.partition)
        log.info(
            "ticket state loaded", action="assigned", partition=partition.partition, known=len(self._states[partition])
        )

    async def revoked(self, partition: TopicPartition) -> None:
        """Forgets the partition: its next owner reads the state anew."""
        self._states.pop(partition, None)

    def state(self, partition: TopicPartition, fingerprint: str) -> TicketState | None:
        """What is known of a fingerprint."""
        return self._states.get(partition, {}).get(fingerprint)

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        """The dead letter of a command; replayed, it is a command again."""
        return [letter(self._topics, self._topics.writer, record, error, self._redact)]

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """Does what the command says, unless its finding has been dealt with already.

        Raises Retryable while Jira is away or an earlier request's outcome is unknown, and Rejected where Jira
        refuses for good (`ticket_refused`; the state says so too, and the fault's next finding tries again).
        """
        command = read_command(record.value)
        at = TopicPartition(record.topic, record.partition)
        if at not in self._states:
            raise Retryable("the partition's ticket state is not loaded", shared=False)
        state = self.state(at, command.fingerprint)
        if state is not None and command.id in state.seen:
            return ()
        try:
            if state is None or state.status in {"idle", "failed"}:
                done = await self._create(at, command, state)
            elif state.status == "creating":
                done = await self._settle(at, command, state)
            else:
                done = await self._recur(at, command, state)
        except Unavailable as error:
            self._troubled(error)
            raise
        self._untroubled()
        return (*(event.record(self._topics) for event in done),)

    async def _create(self, at: TopicPartition, command: Command, last: TicketState | None) -> list[TicketEvent]:
        """Intent, POST, key."""
        command = current(command, last)
        draft = self._author.draft(command)
        state = TicketState(
            command.fingerprint,
            command.pipeline,
            draft.project,
            "creating",
            attempt=last.attempt + 1 if last else 1,
            since=self._clock(),
            count=last.count if last else 0,
            first_seen=last.first_seen if last else "",
        )
        await self._save(at, state)
        try:
            key = await self._jira.create(draft.fields)
        except Unsettled:
            raise
        except Unavailable:
            # The request was not sent, or answered with a no: nothing to settle, it may be sent again at once.
            await self._save(at, replace(state, status="idle"))
            raise
        except Refused as error:
            reason = self._redact(refusal(error, draft.project))
            await self._save(at, replace(state, status="failed", reason=reason))
            await self._publish([self._event("failed", command, reason=reason).record(self._topics)])
            raise Rejected("ticket_refused", reason) from error
        await self._save(at, replace(state, status="open", key=key).saw(command))
        log.info(
            "ticket created", action="created", key=key, fingerprint=command.fingerprint, pipeline=command.pipeline
        )
        return [self._event("created", command, key)]

    async def _settle(self, at: TopicPartition, command: Command, state: TicketState) -> list[TicketEvent]:
        """Looks for the issue that an earlier POST may have made; creates one only when there can be none."""
        settled_at = state.since + self._unsettled_s
        asked_at = self._clock()
        mark, me = f"{LABEL}{state.fingerprint}", await self._jira.myself()
        hits = [hit for hit in await self._jira.search(state.project, mark) if mark in hit.labels and hit.creator & me]
        if hits:
            oldest, *twins = sorted(hits, key=age)
            reason = f"found after attempt {state.attempt}"
            reason += f"; also there: {', '.join(twin.key for twin in twins)}" if twins else ""
            await self._save(at, replace(state, status="open", key=oldest.key).saw(command))
            log.info("ticket found", action="adopted", key=oldest.key, fingerprint=state.fingerprint, reason=reason)
            return [self._event("adopted", command, oldest.key, reason)]
        if asked_at < settled_at:
            raise Retryable(
                "it is not yet known whether Jira created the ticket; looking again",
                wait=min(LOOK_AGAIN_S, settled_at - asked_at),
                shared=False,
            )
        return await self._create(at, command, state)

    async def _recur(self, at: TopicPartition, command: Command, state: TicketState) -> list[TicketEvent]:
        """The fault was seen again: its ticket gets a comment, and new counts in its description."""
        key, command = state.key or "", current(command, state)
        body = self._author.comment(command)
        retried = state.commenting == command.id
        if not retried:
            await self._save(at, replace(state, commenting=command.id))
        try:
            if not (retried and body in [plain(text) for text in await self._jira.comments(key)]):
                await self._jira.comment(key, body)
            await self._recount(key, state, command)
        except Refused as error:
            return await self._unwelcome(at, command, state, error)
        await self._save(at, state.saw(command))
        return [self._event("commented", command, key, f"seen {command.count} times")]

    async def _recount(self, key: str, state: TicketState, command: Command) -> None:
        """Brings the sentence with the counts up to date where it still stands; what people wrote stays."""
        old = self._author.seen(state.count, state.first_seen, state.last_seen)
        new = self._author.seen(command.count, command.first_seen, command.last_seen)
        stands = plain(await self._jira.description(key))
        if stands.count(old) == 1:
            await self._jira.describe(key, stands.replace(old, new))

    async def _unwelcome(
        self, at: TopicPartition, command: Command, state: TicketState, error: Refused
    ) -> list[TicketEvent]:
        """A ticket that is gone is left alone, and never replaced; any other refusal is a dead letter."""
        if error.status == 404:
            await self._save(at, state.saw(command))
            log.warning("ticket is missing", action="missing", key=state.key, fingerprint=state.fingerprint)
            return [self._event("missing", command, state.key, "the ticket was deleted or moved out of sight")]
        reason = self._redact(refusal(error, state.project))
        await self._save(at, replace(state, commenting=None))
        await self._publish([self._event("failed", command, state.key, reason).record(self._topics)])
        raise Rejected("ticket_refused", reason) from error

    async def _save(self, at: TopicPartition, state: TicketState) -> None:
        """Publishes the state, awaits the acknowledgement, and only then believes it."""
        await self._publish([state.record(self._topics, at.partition)])
        if at in self._states:
            self._states[at][state.fingerprint] = state

    def _event(self, action: Any, command: Command, key: str | None = None, reason: str = "") -> TicketEvent:
        return TicketEvent(action, command.fingerprint, command.pipeline, command.id, key, reason)

    def _troubled(self, error: Unavailable) -> None:
        text = self._redact(str(error))
        if text != self.trouble:
            self.trouble = text
            log.warning("jira can't be written to", action="trouble", error=text)

    def _untroubled(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            log.info("jira can be written to again", action="recovered")


def current(command: Command, state: TicketState | None) -> Command:
    """The command with the counts that the writer and *decide* together know of."""
    if state is None:
        return command
    return replace(
        command,
        count=state.count_with(command),
        first_seen=state.first_seen or command.first_seen,
        last_seen=max(state.last_seen, command.last_seen),
    )


def plain(text: str) -> str:
    """Text as Jira gives it back, with the line ends that it was sent with."""
    return text.replace("\r\n", "\n").strip()


def age(hit: Hit) -> tuple[str, int, str]:
    """Sorts issues by age: by when they were created, then by their number."""
    number = hit.key.rpartition("-")[2]
    return hit.created, int(number) if number.isdigit() else 0, hit.key


def refusal(error: Refused, project: str) -> str:
    """What Jira refused, and which setting of the pipeline to look at."""
    if error.status == 403:
        remedy = f"give the account of jira.token the right to create issues in project {project}"
    elif settings := [SETTINGS.get(name, f"field {name}") for name in error.fields]:
        remedy = "check " + ", ".join(f"{name} ({project})" if name == "ticket.project" else name for name in settings)
    else:
        remedy = f"check ticket.project ({project})" if error.status == 404 else "check the pipeline's ticket section"
    return f"{error}; {remedy}"
