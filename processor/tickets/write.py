"""*write*: does in Jira what *decide* wants, so that a fault has exactly one ticket whatever dies in between.

Of each step the next begins only when it is committed: intent on the state topic → POST → key on the state
topic → offset of the command. What is written is written under the partition's fencing id, where the brokers have
transactions: who is not the owner any more can't commit an intent, and so doesn't POST. An intent without a key is
settled by searching Jira, for as long as its search may lag; never is a second POST sent while the outcome of the first
is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import monotonic, time
from typing import Final

import structlog

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Rejected, Retryable
from processor.tickets.jira import Hit, JiraClient, Late, Refused, Unavailable, Unsettled
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

HOLD_S: Final = 10.0
"""How long an intent is good for: a request that has not been sent by then needs another, which only the owner gets."""

Publish = Callable[[Sequence[Outbound]], Awaitable[None]]
"""Writes records and awaits their acknowledgements."""

Journal = Callable[[TopicPartition, Sequence[Outbound]], Awaitable[None]]
"""Writes records as the owner of a partition, as one, and awaits that they are there; raises what gives it up."""

Load = Callable[[int], Awaitable[dict[str, TicketState]]]
"""Reads a partition of the state topic to its end: the last state of each fingerprint."""


Fault = tuple[TopicPartition, str]
"""A partition and a fingerprint of it."""


class Writer:
    """A worker of the engine over `<p>.ticket-commands`, one command of a fingerprint at a time.

    `unsettled_s` is how long a created issue may stay unseen: the bound of one request and the search's lag. It is
    measured by the steady clock from when the request was given up, or from when another's intent was read: neither
    wall clocks that jump nor those of other machines matter.
    """

    def __init__(
        self,
        jira: JiraClient,
        author: Author,
        journal: Journal,
        publish: Publish,
        load: Load,
        topics: Topics,
        *,
        unsettled_s: float,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time,
        steady: Callable[[], float] = monotonic,
        touch_s: float = TOUCH_S,
        hold_s: float = HOLD_S,
    ) -> None:
        self._jira = jira
        self._author = author
        self._journal = journal
        self._publish = publish
        self._load = load
        self._topics = topics
        self._unsettled_s = unsettled_s
        self._redact = redact
        self._clock = clock
        self._steady = steady
        self._touch_s = touch_s
        self._hold_s = hold_s
        self._states: dict[TopicPartition, dict[str, TicketState]] = {}
        self._unsettled: dict[Fault, float] = {}  # until when, by the steady clock, a create request may show late
        self._kept: dict[Fault, list[Outbound]] = {}  # by what is being handled: what leaves with its offset
        self._recur = Recur(
            jira,
            author,
            save=self._save,
            keep=self._keep,
            renew=self._create,
            tell=self._tell,
            redact=redact,
            clock=clock,
            touch_s=touch_s,
        )
        self._orders = Orders(jira, self._save, redact)
        self._behind: set[Fault] = set()  # whose tickets say less than is known
        self._asked: set[Fault] = set()  # those of them for which a command was published
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
        # Its writer may still have been about to send it when it was fenced off.
        until = self._steady() + self._hold_s + self._unsettled_s
        for state in loaded.values():
            if state.status == "creating":
                self._unsettled[partition, state.fingerprint] = until
        log.info(
            "ticket state loaded", action="assigned", partition=partition.partition, known=len(self._states[partition])
        )

    async def revoked(self, partition: TopicPartition) -> None:
        """Forgets the partition: its next owner reads the state anew."""
        self._states.pop(partition, None)
        self._behind = {(at, fingerprint) for at, fingerprint in self._behind if at != partition}
        self._asked &= self._behind
        self._unsettled = {name: until for name, until in self._unsettled.items() if name[0] != partition}
        self._kept = {name: kept for name, kept in self._kept.items() if name[0] != partition}

    def state(self, partition: TopicPartition, fingerprint: str) -> TicketState | None:
        """What is known of a fingerprint."""
        return self._states.get(partition, {}).get(fingerprint)

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        """The dead letter of a command, with what its handling had to say; replayed, it is a command again."""
        at = TopicPartition(record.topic, record.partition)
        kept = self._kept.pop((at, (record.key or b"").decode("utf-8", "replace")), [])
        return [*kept, letter(self._topics, self._topics.writer, record, error, self._redact)]

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """Does what the command says, unless its finding has been dealt with already.

        Raises Retryable while Jira is away or an earlier request's outcome is unknown, and Rejected where Jira
        refuses for good (`ticket_refused`; the state says so too, and the fault's next finding tries again).
        """
        command = read_command(record.value)
        at = TopicPartition(record.topic, record.partition)
        if at not in self._states:
            raise Retryable("the partition's ticket state is not loaded", shared=False)
        kept: list[Outbound] = []
        self._kept[at, command.fingerprint] = kept
        try:
            await self._do(at, command)
        except Unavailable as error:
            await self._flush(at, kept)
            self._troubled(error)
            raise
        except Retryable:
            await self._flush(at, kept)
            raise
        self._untroubled()
        del self._kept[at, command.fingerprint]
        return tuple(kept)

    async def _flush(self, at: TopicPartition, kept: list[Outbound]) -> None:
        """What was to leave with the offset leaves before it, since the command is handled again."""
        if kept:
            await self._journal(at, tuple(kept))
            kept.clear()

    async def _do(self, at: TopicPartition, command: Command) -> None:
        state = self.state(at, command.fingerprint)
        if state is not None and command.id in state.seen:
            return
        ordered = command.action in {"forget", "adopt"}
        if not ordered and self._author.dry_run(command.pipeline):
            if command.action != "recount":
                self._tell(at, self._dry(command, state))
            return
        done: list[TicketEvent] = []
        if ordered:
            done = [await self._orders(at, command, state)]
        elif command.action == "recount":
            await self._recur.caught_up(at, command, state)
        elif state is None or state.status in {"idle", "failed"}:
            await self._create(at, command, state)
        elif state.status == "creating":
            await self._settle(at, command, state)
        else:
            done = await self._recur(at, command, state)
        for each in done:
            self._tell(at, each)

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

    async def _create(self, at: TopicPartition, command: Command, last: TicketState | None) -> None:
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
        await self._save(at, state)  # by which only the owner gets past
        name, may = (at, command.fingerprint), self._lease()
        self._unsettled[name] = self._steady() + self._hold_s + self._unsettled_s
        try:
            key, reason = await self._posted(draft, may)
        except Unsettled:
            self._unsettled[name] = self._steady() + self._unsettled_s
            raise
        except (Unavailable, Late):
            # The request was not sent, or answered with a no: nothing to settle, it may be sent again at once.
            await self._save(at, replace(state, status="idle"))
            raise
        except Refused as error:
            reason = self._redact(refusal(error, draft.project))
            await self._save(at, replace(state, status="failed", reason=reason))
            self._tell(at, event("failed", command, reason=reason))
            raise Rejected("ticket_refused", reason) from error
        await self._opened(at, command, state, key, reason)

    def _lease(self) -> Callable[[], bool]:
        """Tells whether an intent that was committed now is still good: no clock has gone on for long since."""
        steady, wall = self._steady(), self._clock()
        return lambda: max(self._steady() - steady, self._clock() - wall) < self._hold_s

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
        self._tell(at, event(action, command, key, reason))
        await self._save(at, opened.saw(command).telling(news(command)))
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

    async def _settle(self, at: TopicPartition, command: Command, state: TicketState) -> None:
        """Looks for the issue that an earlier POST may have made; creates one only when there can be none."""
        asked_at = self._steady()
        settled_at = self._unsettled.get((at, state.fingerprint), asked_at)
        mark, me = f"{LABEL}{state.fingerprint}", await self._jira.myself()
        found = await self._jira.search(state.project, mark)
        hits = [hit for hit in found if mark in hit.labels and hit.creator & me and hit.key not in state.previous]
        if hits:
            oldest, *twins = sorted(hits, key=age)
            reason = f"found after attempt {state.attempt}"
            reason += f"; also there: {', '.join(twin.key for twin in twins)}" if twins else ""
            await self._opened(at, command, state, oldest.key, reason, "adopted")
        elif asked_at < settled_at:
            raise Retryable(
                "it is not yet known whether Jira created the ticket; looking again",
                wait=min(LOOK_AGAIN_S, settled_at - asked_at),
                shared=False,
            )
        else:
            await self._create(at, command, state)

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

    def _late(self) -> list[tuple[Fault, Command]]:
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
        """Writes the state down, with what was kept before it, and only then believes it."""
        kept = self._kept.get((at, state.fingerprint), [])
        await self._journal(at, (*kept, state.record(self._topics, at.partition)))
        kept.clear()
        self._believe(at, state)

    def _keep(self, at: TopicPartition, state: TicketState) -> None:
        """Has the state leave with the command's offset: for the last one, of which nothing outside is to follow."""
        self._kept.setdefault((at, state.fingerprint), []).append(state.record(self._topics, at.partition))
        self._believe(at, state)

    def _believe(self, at: TopicPartition, state: TicketState) -> None:
        name = (at, state.fingerprint)
        if at in self._states:
            self._states[at][state.fingerprint] = state
            (self._behind.add if state.behind else self._behind.discard)(name)
            if not state.behind:
                self._asked.discard(name)
            if state.status != "creating":
                self._unsettled.pop(name, None)

    def _tell(self, at: TopicPartition, told: TicketEvent) -> None:
        """Has the event leave with the command's offset, or with the next state."""
        self._kept.setdefault((at, told.fingerprint), []).append(told.record(self._topics))

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
