"""*write*: does in Jira what *decide* wants, so that a fault has exactly one ticket whatever dies in between.

Of each step the next begins only when it is committed: intent on the state topic → POST → key on the state
topic → offset of the command, with the last state and the events.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic, time
from typing import Final

import structlog

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Rejected, Retryable
from processor.tickets.attach import Attach
from processor.tickets.author import Author
from processor.tickets.book import Book, Journal, Load, Owed
from processor.tickets.desk import Desk
from processor.tickets.document import plain
from processor.tickets.feedback import Heard
from processor.tickets.filing import Filing
from processor.tickets.green import Green
from processor.tickets.jira import JiraClient, Limited, Unavailable
from processor.tickets.jira.kinds import Kind, at_work
from processor.tickets.messages import Command, TicketEvent, TicketState, Topics, current, event, letter, read_command
from processor.tickets.orders import Orders
from processor.tickets.recur import Recur
from processor.tickets.review import Review
from processor.tickets.twins import Twins
from processor.tickets.whereabouts import Whereabouts

log = structlog.get_logger(__name__)

TOUCH_S: Final = 10.0
"""Least seconds between two looks at a ticket that has nothing new to be told."""

HOLD_S: Final = 10.0
"""How long an intent to create is good for."""

RANKS: Final = {
    "comment": Kind.COMMENT,
    "green": Kind.COMMENT,
    "flaky": Kind.COMMENT,
    "recount": Kind.EDIT,
    "attach": Kind.EDIT,
    "review": Kind.LOOK,
}
"""How the requests of a command rank; those of all others rank first."""

Publish = Callable[[Sequence[Outbound]], Awaitable[None]]
"""Writes records and awaits their acknowledgements."""


class Writer:
    """A worker of the engine over `<p>.ticket-commands`, one command of a fingerprint at a time.

    `unsettled_s` and `hold_s`: see Filing. `publish` puts commands on the topic. `held` hears
    how many partitions it has, at each change.
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
        told: Callable[[TicketEvent], None] = lambda _: None,
        held: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._author = author
        self._held = held
        self._publish = publish
        self._topics = topics
        self._redact = redact
        self._clock = clock
        self._steady = steady
        self._touch_s = touch_s
        self.book = Book(journal, load, topics, steady=steady, late_s=hold_s + unsettled_s, told=told)
        self._filing = Filing(
            jira,
            author,
            self.book,
            unsettled_s=unsettled_s,
            hold_s=hold_s,
            redact=redact,
            clock=clock,
            steady=steady,
        )
        desk = Desk(jira, author, self.book, redact, clock, touch_s)
        where = Whereabouts(desk)
        self._recur = Recur(desk, where, self._filing.create)
        self._green = Green(desk)
        self._attach = Attach(
            jira,
            self.book,
            unsettled_s=unsettled_s,
            lease=self._filing.lease,
            steady=steady,
            redact=redact,
        )
        self._heard = Heard(self.book, topics, redact)
        self._orders = Orders(desk)
        self._twins = Twins(desk)
        self._review = Review(desk, where)
        self.trouble: str | None = None
        """Why Jira can't be written to at the moment; None while it can. Readiness shows it."""

    @staticmethod
    def key_of(record: Record) -> bytes | None:
        """What the engine serialises by: commands of one fingerprint are done one after the other."""
        return record.key

    async def assigned(self, partition: TopicPartition) -> None:
        """Loads the state of the partition's fingerprints."""
        await self.book.open(partition)
        self._held(len(self.book.partitions))

    async def revoked(self, partition: TopicPartition) -> None:
        """Forgets the partition."""
        self.book.close(partition)
        self._held(len(self.book.partitions))

    def holds(self, partition: int) -> bool:
        """Whether the commands of a partition are ours."""
        return TopicPartition(self._topics.commands, partition) in self.book.partitions

    def state(self, partition: TopicPartition, fingerprint: str) -> TicketState | None:
        """What is known of a fingerprint."""
        return self.book.state(partition, fingerprint)

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        """The dead letter of a command, with what its handling had to say; replayed, it is a command again."""
        at = TopicPartition(record.topic, record.partition)
        kept = self.book.end(at, (record.key or b"").decode("utf-8", "replace"))
        return [*kept, letter(self._topics, self._topics.writer, record, error, self._redact)]

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """Does what the command says, unless its finding has been dealt with already.

        Raises Retryable while Jira is away or an earlier request's outcome is unknown, and Rejected where Jira
        refuses for good (`ticket_refused`; the state says so too, and the fault's next finding tries again).
        """
        command = read_command(record.value)
        at = TopicPartition(record.topic, record.partition)
        if at not in self.book.partitions:
            raise Retryable("the partition's ticket state is not loaded", shared=False)
        self.book.begin(at, command.fingerprint)
        try:
            with at_work(RANKS.get(command.action, Kind.CREATE), command.fingerprint):
                await self._do(at, command)
        except Retryable as error:
            await self.book.flush(at, command.fingerprint)
            if isinstance(error, Unavailable) and not isinstance(error, Limited):
                self._troubled(error)
            raise
        self._untroubled()
        return self.book.end(at, command.fingerprint)

    async def _do(self, at: TopicPartition, command: Command) -> None:
        state = self.state(at, command.fingerprint)
        if command.action == "heard":
            self._heard(at, command, state)
            return
        if state is not None and command.id in state.seen:
            return
        ordered = command.action in {"forget", "adopt"}
        if not ordered and self._author.dry_run(command.pipeline):
            if command.action not in {"recount", "attach", "reconcile", "review"}:
                self.book.tell(at, self._dry(command, state))
            return
        for each in await self._done(at, command, state):
            self.book.tell(at, each)

    async def _done(self, at: TopicPartition, command: Command, state: TicketState | None) -> Sequence[TicketEvent]:
        """Does it; the events that are still to be told."""
        match command.action:
            case "forget" | "adopt":
                return [await self._orders(at, command, state)]
            case "recount":
                await self._recur.caught_up(at, command, state)
            case "attach":
                await self._attach(at, command, state)
            case "reconcile":
                await self._twins(at, command, state)
            case "review":
                await self._review(at, command, state)
            case "green" | "flaky":
                return await self._green(at, command, state)
            case _ if state is None:
                await self._filing.first(at, command)
            case _ if state.status in {"idle", "failed"}:
                await self._filing.create(at, command, state)
            case _ if state.status == "creating":
                await self._filing.settle(at, command, state)
            case _:
                return await self._recur(at, command, state)
        return ()

    def _dry(self, command: Command, state: TicketState | None) -> TicketEvent:
        """What would be done, and nothing is."""
        if command.action in {"green", "flaky"}:
            would = f"would tell {state.key if state else 'no ticket'}: {plain(self._author.passed(command))}"
        elif state is not None and state.key is not None:
            command = current(command, state)
            would = f"would add to {state.key}: {plain(self._author.comment(command))}"
        else:
            draft = self._author.draft(current(command, state))
            file = self._author.attachment(command)
            attached = f"; would attach {file.name} ({len(file.text.encode())} bytes)" if file is not None else ""
            would = f"would create in {draft.project}: {draft.fields['summary']}{attached}"
        log.info("dry run", action="dry_run", fingerprint=command.fingerprint, pipeline=command.pipeline, would=would)
        return event("dry_run", command, state.key if state is not None else None, would)

    async def catch_up(self, stop: asyncio.Event) -> None:
        """Asks now and then, by commands, that tickets get what they are owed: counts after a storm, files."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._touch_s)
            try:
                await self.ask_for_counts()
            except Retryable as error:
                log.warning("tickets stay behind", action="recount", error=self._redact(str(error)))

    async def ask_for_counts(self) -> int:
        """Puts commands on the topic for what tickets are owed, for each once until it is done. Raises Retryable."""
        late = self._late()
        asked = {owed for owed, _ in late}
        self.book.asked |= asked  # before they may be done
        try:
            if late:
                await self._publish([each.record(self._topics) for _, each in late])
        except Retryable:
            self.book.asked -= asked
            raise
        return len(late)

    def _late(self) -> list[tuple[Owed, Command]]:
        """The commands for what tickets are owed: counts once a ticket has been left alone for a while, files."""
        found: list[tuple[Owed, Command]] = []
        for owed in self.book.owed - self.book.asked:
            at, name, action = owed
            state = self.state(at, name)
            if state is None or not self._due(at, state, action):
                continue
            found.append((owed, state.ours(action)))
        return found

    def _due(self, at: TopicPartition, state: TicketState, action: str) -> bool:
        if action == "attach":
            return self.book.settled_at(at, state.fingerprint) <= self._steady()
        return state.touched <= self._clock() - self._touch_s

    def _troubled(self, error: Unavailable) -> None:
        text = self._redact(str(error))
        if text != self.trouble:
            self.trouble = text
            log.warning("jira can't be written to", action="trouble", error=text)

    def _untroubled(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            log.info("jira can be written to again", action="recovered")
