"""Looks now and then whether Jira has what the state says, and asks by command that a fault's own writer sees to it.

Second tickets: they can come of a process that stood still between its last look at who owns the partition and the
POST. Each is a new issue of our own with a fault's label that is not the fault's ticket.

Tickets that people have moved, deleted, merged or edited: of all known tickets a few at a time are looked for by the
labels of their faults. What comes of a search is a suspicion; the writer judges by the ticket itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from time import monotonic, time
from typing import Final, Literal

import orjson
import structlog

from processor.contract import FORMAT, Outbound, TopicPartition
from processor.errors import Retryable
from processor.tickets.book import Book
from processor.tickets.jira import Hit, JiraClient, Refused
from processor.tickets.jira.census import Look
from processor.tickets.jira.kinds import Kind, at_work
from processor.tickets.messages import LABEL, Command, TicketState, Topics
from processor.tickets.review import stands
from processor.tickets.whereabouts import EDITED, MISSING, UNLABELLED

log = structlog.get_logger(__name__)

EVERY_S: Final = 120.0
"""Between two looks: with the lag of Jira's search, a second ticket is found within ten minutes."""

BACK_S: Final = 3600.0
"""How far back a look for second tickets goes; the first one, after a start, goes back a day."""

BATCH: Final = 50
"""Tickets that one search is for: its address stays below 4,000 characters, which every server takes."""

MOST: Final = 500
"""Tickets that one look is for."""

MOST_ODD: Final = 20
"""Tickets that one look has judged: should Jira's index be empty, all of them would be suspects."""

ROUND_S: Final = 600.0
"""Least seconds from one look at all tickets of a partition to the next."""

Count = Callable[[Sequence[str]], Awaitable[Sequence[Look]]]
"""The issues that have one of these labels. Raises Retryable and Refused."""

Marks = Callable[[], Awaitable[Mapping[bytes, bytes]]]
"""Reads how far the looks came, by key. Raises Retryable."""


class Reconciler:
    """Looks, and asks by command. It knows the faults of the partitions that are held here; others see to the rest.

    `lag_s` is how long Jira's search may not know of a change.
    """

    def __init__(
        self,
        jira: JiraClient,
        book: Book,
        publish: Callable[[Sequence[Outbound]], Awaitable[None]],
        topics: Topics,
        *,
        redact: Callable[[str], str],
        census: Count,
        marks: Marks,
        lag_s: float,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time,
        steady: Callable[[], float] = monotonic,
    ) -> None:
        self._jira = jira
        self._census = census
        self._book = book
        self._publish = publish
        self._topics = topics
        self._redact = redact
        self._marks = marks
        self._lag_s = lag_s
        self._every_s = every_s
        self._clock = clock
        self._steady = steady
        self._back_s = 24 * BACK_S
        self._asked: set[str] = set()  # keys of second issues for which a command was published
        self._after: dict[TopicPartition, str] = {}  # the fingerprint up to which this round came
        self._begun: dict[TopicPartition, float] = {}  # when this round began

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until it is to stop."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_s)
                return
            for look in (self.look, self.review):
                try:
                    with at_work(Kind.LOOK):
                        await look()
                except (Retryable, Refused) as error:
                    log.warning("tickets can't be looked for", action="reconcile", error=self._redact(str(error)))

    async def look(self) -> int:
        """Asks for second tickets that one look finds, each once; for how many faults. Raises Retryable and Refused."""
        states = {
            f"{LABEL}{state.fingerprint}": state
            for at in tuple(self._book.partitions)
            for state in self._book.states(at)
            if state.status == "open"
        }
        found: dict[str, Hit] = {}
        for project in sorted({state.project for state in states.values()}):
            found |= {hit.key: hit for hit in await self._jira.recent(project, self._back_s)}
        suspects = {hit.key: states[label] for hit in found.values() for label in hit.labels if label in states}
        wanted = {key: state for key, state in suspects.items() if key not in {state.key, *state.previous}}
        new = {state.fingerprint: state for key, state in wanted.items() if key not in self._asked}
        if new:
            await self._publish([_command("reconcile", state).record(self._topics) for state in new.values()])
        self._asked, self._back_s = set(wanted), BACK_S
        return len(new)

    async def review(self) -> int:
        """Has tickets judged that do not look as they were left, up to MOST_ODD of those whose turn it is.

        Returns how many. Raises Retryable and Refused, with the turn as it was.
        """
        due, odd, after = await self._due(), list[TicketState](), dict[TopicPartition, str]()
        for first in range(0, len(due), BATCH):
            some = due[first : first + BATCH]
            suspects = await self._suspects([state for _, state in some])
            for at, state in some:
                if len(odd) < MOST_ODD:
                    after[at] = state.fingerprint
                    odd += [state] if state.fingerprint in suspects else []
            if len(odd) >= MOST_ODD:
                break
        if after:
            commands = [_command("review", state).record(self._topics) for state in odd]
            await self._publish([*commands, *(self._mark(at, name) for at, name in after.items())])
        self._after |= after
        return len(odd)

    async def _suspects(self, states: Sequence[TicketState]) -> set[str]:
        """The fingerprints of those that a search shows otherwise; of what was just touched it may not know yet."""
        known = {f"{LABEL}{each.fingerprint}": each for each in states if each.touched <= self._clock() - self._lag_s}
        by_label: dict[str, list[Look]] = {label: [] for label in known}
        for look in await self._census(list(known)) if known else ():
            for label in look.labels & known.keys():
                by_label[label].append(look)
        return {state.fingerprint for label, state in known.items() if _is_odd(state, by_label[label])}

    async def _due(self) -> list[tuple[TopicPartition, TicketState]]:
        """The tickets whose turn it is, as many of each partition."""
        held = tuple(self._book.partitions)
        if held:
            await self._resume(held)
        due: list[tuple[TopicPartition, TicketState]] = []
        for at in held:
            most = max(1, MOST // len(held))
            begun = self._begun.setdefault(at, self._steady())
            found = self._following(at, self._after[at], most)
            if not found and self._after[at] and self._steady() - begun >= ROUND_S:
                self._after[at], self._begun[at] = "", self._steady()
                found = self._following(at, "", most)
            due += [(at, state) for state in found]
            await asyncio.sleep(0)
        return due

    def _following(self, at: TopicPartition, after: str, most: int) -> list[TicketState]:
        tickets = [each for each in self._book.states(at) if each.status == "open" and each.fingerprint > after]
        return heapq.nsmallest(most, tickets, key=lambda each: each.fingerprint)

    async def _resume(self, held: Collection[TopicPartition]) -> None:
        """Partitions that are new here go on where their round stood; those that are gone are forgotten."""
        self._after = {at: name for at, name in self._after.items() if at in held}
        self._begun = {at: begun for at, begun in self._begun.items() if at in held}
        if new := set(held) - self._after.keys():
            marks = await self._marks()
            self._after |= {at: _read(marks.get(_name(at))) for at in new}

    def _mark(self, at: TopicPartition, name: str) -> Outbound:
        return Outbound(self._topics.heard, _name(at), orjson.dumps({"after": name, "v": FORMAT}))


def _is_odd(state: TicketState, found: Sequence[Look]) -> bool:
    """Whether what the search has found is not what the state says."""
    look = next((each for each in found if each.key == state.key), None)
    if look is None:
        return not {MISSING, UNLABELLED} & set(state.noticed)
    again = bool({MISSING, UNLABELLED} & set(state.noticed))
    merged = any(each not in state.previous for each in look.duplicates)
    return again or merged or stands(state, look.description) == (EDITED in state.noticed)


def _command(action: Literal["reconcile", "review"], state: TicketState) -> Command:
    return Command(
        action, state.fingerprint, state.pipeline, {}, state.count, state.first_seen, state.last_seen, state.key
    )


def _name(at: TopicPartition) -> bytes:
    return f"review/{at.partition}".encode()


def _read(value: bytes | None) -> str:
    """The fingerprint in a mark; empty for what is no mark."""
    try:
        return str(orjson.loads(value or b"{}")["after"])
    except (KeyError, TypeError, orjson.JSONDecodeError):
        return ""
