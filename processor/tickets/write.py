"""*write*: does in Jira what *decide* wants, so that a fault has exactly one ticket whatever dies in between.

Of each step the next begins only when it is acknowledged: intent on the state topic → POST → key on the state
topic → offset of the command. An intent without a key is settled by searching Jira, for as long as its search may
lag; never is a second POST sent while the outcome of the first is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import time
from typing import Final

import structlog

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Rejected, Retryable
from processor.tickets.jira import Hit, JiraClient, Refused, Unavailable, Unsettled
from processor.tickets.messages import (
    LABEL,
    Action,
    Author,
    Command,
    Draft,
    TicketEvent,
    TicketState,
    Topics,
    current,
    event,
    letter,
    read_command,
)
from processor.tickets.orders import Orders
from processor.tickets.recur import Recur
from processor.tickets.refusals import refusal
from processor.tickets.text import news

log = structlog.get_logger(__name__)

TOUCH_S: Final = 10.0
"""Least seconds between two looks at a ticket that has nothing new to be told."""

LOOK_AGAIN_S: Final = 5.0
"""Most seconds between two searches for an issue whose creation is unsettled."""

Publish = Callable[[Sequence[Outbound]], Awaitable[None]]
"""Writes records and awaits their acknowledgements."""

Load = Callable[[int], Awaitable[dict[str, TicketState]]]
"""Reads a partition of the state topic to its end: the last state of each fingerprint."""


Behind = tuple[TopicPartition, str]
"""A partition and a fingerprint of it, whose ticket says less than is known."""


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
        touch_s: float = TOUCH_S,
    ) -> None:
        self._jira = jira
        self._author = author
        self._publish = publish
        self._load = load
        self._topics = topics
        self._unsettled_s = unsettled_s
        self._redact = redact
        self._clock = clock
        self._touch_s = touch_s
        self._states: dict[TopicPartition, dict[str, TicketState]] = {}
        self._recur = Recur(
            jira,
            author,
            save=self._save,
            renew=self._create,
            tell=self._tell,
            redact=redact,
            clock=clock,
            touch_s=touch_s,
        )
        self._orders = Orders(jira, self._save, redact)
        self._behind: set[Behind] = set()
        self._asked: set[Behind] = set()  # those of them for which a command was published
        self.trouble: str | None = None
        """Why Jira can't be written to at the moment; None while it can. Readiness shows it."""

    @staticmethod
    def key_of(record: Record) -> bytes | None:
        """What the engine serialises by: commands of one fingerprint are done one after the other."""
        return record.key

    async def assigned(self, partition: TopicPartition) -> None:
        """Loads the state of the partition's fingerprints."""
        self._states[partition] = loaded = await self._load(partition.partition)
        self._behind |= {(partition, state.fingerprint) for state in loaded.values() if state.behind}
        log.info(
            "ticket state loaded", action="assigned", partition=partition.partition, known=len(self._states[partition])
        )

    async def revoked(self, partition: TopicPartition) -> None:
        """Forgets the partition: its next owner reads the state anew."""
        self._states.pop(partition, None)
        self._behind = {(at, fingerprint) for at, fingerprint in self._behind if at != partition}
        self._asked &= self._behind

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
        ordered = command.action in {"forget", "adopt"}
        if not ordered and self._author.dry_run(command.pipeline):
            return () if command.action == "recount" else (self._dry(command, state).record(self._topics),)
        done: list[TicketEvent] = []
        try:
            if ordered:
                done = [await self._orders(at, command, state)]
            elif command.action == "recount":
                await self._recur.caught_up(at, command, state)
            elif state is None or state.status in {"idle", "failed"}:
                done = await self._create(at, command, state)
            elif state.status == "creating":
                done = await self._settle(at, command, state)
            else:
                done = await self._recur(at, command, state)
        except Unavailable as error:
            self._troubled(error)
            raise
        self._untroubled()
        return (*(each.record(self._topics) for each in done),)

    def _dry(self, command: Command, state: TicketState | None) -> TicketEvent:
        """What would be done, and nothing is."""
        command = current(command, state)
        if state is not None and state.key is not None:
            would = f"would add to {state.key}: {self._author.comment(command)}"
        else:
            draft = self._author.draft(command)
            would = f"would create in {draft.project}: {draft.fields['summary']}"
        log.info("dry run", action="dry_run", fingerprint=command.fingerprint, pipeline=command.pipeline, would=would)
        return event("dry_run", command, state.key if state is not None else None, would)

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
            last_seen=last.last_seen if last else "",
            seen=last.seen if last else (),
            previous=last.previous if last else (),
        )
        await self._save(at, state)
        try:
            key, reason = await self._posted(draft)
        except Unsettled:
            raise
        except Unavailable:
            # The request was not sent, or answered with a no: nothing to settle, it may be sent again at once.
            await self._save(at, replace(state, status="idle"))
            raise
        except Refused as error:
            reason = self._redact(refusal(error, draft.project))
            await self._save(at, replace(state, status="failed", reason=reason))
            await self._tell(event("failed", command, reason=reason))
            raise Rejected("ticket_refused", reason) from error
        return [await self._opened(at, command, state, key, reason)]

    async def _opened(
        self,
        at: TopicPartition,
        command: Command,
        state: TicketState,
        key: str,
        reason: str,
        action: Action = "created",
    ) -> TicketEvent:
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
        await self._save(at, opened.saw(command).telling(news(command)))
        named = {"key": key, "fingerprint": command.fingerprint, "pipeline": command.pipeline}
        log.info("ticket is there", action=action, **named, reason=reason)
        return event(action, command, key, reason)

    async def _posted(self, draft: Draft) -> tuple[str, str]:
        """The new issue's key, and what is wrong with it; one whose assignee Jira refuses has none."""
        try:
            return await self._jira.create(draft.fields), ""
        except Refused as error:
            if set(error.fields) != {"assignee"}:
                raise
            name = draft.fields["assignee"]["name"]
            fields = {name: value for name, value in draft.fields.items() if name != "assignee"}
            return await self._jira.create(fields), f"without its assignee: Jira refuses {name} (ticket.assignee)"

    async def _settle(self, at: TopicPartition, command: Command, state: TicketState) -> list[TicketEvent]:
        """Looks for the issue that an earlier POST may have made; creates one only when there can be none."""
        settled_at = state.since + self._unsettled_s
        asked_at = self._clock()
        mark, me = f"{LABEL}{state.fingerprint}", await self._jira.myself()
        found = await self._jira.search(state.project, mark)
        hits = [hit for hit in found if mark in hit.labels and hit.creator & me and hit.key not in state.previous]
        if hits:
            oldest, *twins = sorted(hits, key=age)
            reason = f"found after attempt {state.attempt}"
            reason += f"; also there: {', '.join(twin.key for twin in twins)}" if twins else ""
            return [await self._opened(at, command, state, oldest.key, reason, "adopted")]
        if asked_at < settled_at:
            raise Retryable(
                "it is not yet known whether Jira created the ticket; looking again",
                wait=min(LOOK_AGAIN_S, settled_at - asked_at),
                shared=False,
            )
        return await self._create(at, command, state)

    async def catch_up(self, stop: asyncio.Event) -> None:
        """Asks now and then, by commands, that tickets be brought up to date which have fallen behind in a storm."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._touch_s)
            try:
                await self.ask_for_counts()
            except Retryable as error:
                log.warning("tickets stay behind", action="recount", error=self._redact(str(error)))

    async def ask_for_counts(self) -> int:
        """Puts commands on the topic for tickets that are behind, for each once until it is done. Raises Retryable."""
        late = self._late()
        if late:
            await self._publish([each.record(self._topics) for _, each in late])
        self._asked |= {behind for behind, _ in late}
        return len(late)

    def _late(self) -> list[tuple[Behind, Command]]:
        """The commands for tickets whose counts are behind, and that have been left alone for a while."""
        since = self._clock() - self._touch_s
        states = [((at, name), self._states[at][name]) for at, name in self._behind - self._asked]
        return [
            (
                behind,
                Command("recount", each.fingerprint, each.pipeline, {}, each.count, each.first_seen, each.last_seen),
            )
            for behind, each in states
            if each.touched <= since
        ]

    async def _save(self, at: TopicPartition, state: TicketState) -> None:
        """Publishes the state, awaits the acknowledgement, and only then believes it."""
        await self._publish([state.record(self._topics, at.partition)])
        if at in self._states:
            self._states[at][state.fingerprint] = state
            (self._behind.add if state.behind else self._behind.discard)((at, state.fingerprint))
            if not state.behind:
                self._asked.discard((at, state.fingerprint))

    async def _tell(self, told: TicketEvent) -> None:
        await self._publish([told.record(self._topics)])

    def _troubled(self, error: Unavailable) -> None:
        text = self._redact(str(error))
        if text != self.trouble:
            self.trouble = text
            log.warning("jira can't be written to", action="trouble", error=text)

    def _untroubled(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            log.info("jira can be written to again", action="recovered")


def age(hit: Hit) -> tuple[str, int, str]:
    """Sorts issues by age: by when they were created, then by their number."""
    number = hit.key.rpartition("-")[2]
    return hit.created, int(number) if number.isdigit() else 0, hit.key
