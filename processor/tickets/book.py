"""What the writer knows of the fingerprints of its partitions, and how that is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

import structlog

from processor.contract import Outbound, TopicPartition
from processor.tickets.messages import Owing, TicketEvent, TicketState, Topics

log = structlog.get_logger(__name__)

Journal = Callable[[TopicPartition, Sequence[Outbound]], Awaitable[None]]
"""Writes records as the owner of a partition, as one, and awaits that they are there; raises what gives it up."""

Fault = tuple[TopicPartition, str]
"""A partition and a fingerprint of it."""

Owed = tuple[TopicPartition, str, Owing]
"""A fault, and the action of a command of the writer's own that its ticket waits for."""

LONG_AGO: Final = float("-inf")

ACTIONS: Final = get_args(Owing)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a partition of the state topic holds: the last state of each fingerprint, and what is not there any more.

    `erased`: fingerprints whose state was taken away; `cut`: the partition's first records are gone, and nobody knows
    whose states they were.
    """

    states: dict[str, TicketState] = field(default_factory=dict)
    erased: frozenset[str] = frozenset()
    cut: bool = False


Load = Callable[[int], Awaitable[Loaded]]
"""Reads a partition of the state topic to its end."""


class Book:
    """The states by partition; `late_s` is how long an issue that another writer was about to create may be unseen."""

    def __init__(
        self,
        journal: Journal,
        load: Load,
        topics: Topics,
        *,
        steady: Callable[[], float],
        late_s: float,
        told: Callable[[TicketEvent], None] = lambda _: None,
    ) -> None:
        self._journal = journal
        self._load = load
        self._topics = topics
        self._steady = steady
        self._late_s = late_s
        self._told = told
        self._held: dict[TopicPartition, dict[str, TicketState]] = {}
        self._loaded: dict[TopicPartition, tuple[Loaded, float]] = {}  # and when, by the steady clock
        self._kept: dict[Fault, list[Outbound]] = {}  # by what is being handled: what leaves with its offset
        self._unsettled: dict[Fault, float] = {}
        self.owed: set[Owed] = set()
        """What tickets are still to get: counts in the description, files."""
        self.asked: set[Owed] = set()
        """For what of it a command was published."""

    async def open(self, at: TopicPartition) -> None:
        """Loads the states of a partition that is ours now."""
        loaded = await self._load(at.partition)
        now = self._steady()
        self._held[at] = states = dict(loaded.states)
        self._loaded[at] = loaded, now
        self.owed |= {(at, state.fingerprint, action) for state in states.values() for action in state.owed}
        # Whose intent it was may still have been about to send the request when it was fenced off.
        intended = [state.fingerprint for state in states.values() if _intends(state)]
        self._unsettled |= dict.fromkeys(((at, each) for each in intended), now + self._late_s)
        log.info("ticket state loaded", action="assigned", partition=at.partition, known=len(states), cut=loaded.cut)

    def close(self, at: TopicPartition) -> None:
        """Forgets a partition: its next owner reads the state anew."""
        self._held.pop(at, None)
        self._loaded.pop(at, None)
        self.owed = {name for name in self.owed if name[0] != at}
        self.asked &= self.owed
        self._unsettled = {name: until for name, until in self._unsettled.items() if name[0] != at}
        self._kept = {name: kept for name, kept in self._kept.items() if name[0] != at}

    @property
    def partitions(self) -> Collection[TopicPartition]:
        """The partitions whose states are loaded."""
        return self._held.keys()

    def states(self, at: TopicPartition) -> Collection[TicketState]:
        """The states of a partition."""
        return self._held.get(at, {}).values()

    def state(self, at: TopicPartition, fingerprint: str) -> TicketState | None:
        """What is known of a fingerprint."""
        return self._held.get(at, {}).get(fingerprint)

    # What is unsettled

    def await_issue(self, at: TopicPartition, fingerprint: str, seconds: float) -> None:
        """A request may have been sent: for so long from now its issue, or its file, may stay unseen."""
        self._unsettled[at, fingerprint] = self._steady() + seconds

    def settled_at(self, at: TopicPartition, fingerprint: str) -> float:
        """From when on, by the steady clock, a look that finds nothing means that there is nothing."""
        return self._unsettled.get((at, fingerprint), LONG_AGO)

    def ask(self, at: TopicPartition, state: TicketState, action: Owing) -> None:
        """Has a command for what a ticket is owed leave with the next state, so that nobody need ask for it later."""
        self.asked.add((at, state.fingerprint, action))
        self.add(at, state.fingerprint, state.ours(action).record(self._topics))

    def put_off(self, at: TopicPartition, fingerprint: str, action: Owing) -> None:
        """What was asked for is not done yet: it is asked for again."""
        self.asked.discard((at, fingerprint, action))

    def erased_until(self, at: TopicPartition, fingerprint: str) -> float | None:
        """None if nothing speaks for a lost state of the fingerprint; else as `settled_at`."""
        loaded, when = self._loaded[at]
        return when + self._late_s if loaded.cut or fingerprint in loaded.erased else None

    # Writing

    def begin(self, at: TopicPartition, fingerprint: str) -> None:
        """A command of the fingerprint is handled from now on."""
        self._kept[at, fingerprint] = []

    def end(self, at: TopicPartition, fingerprint: str) -> tuple[Outbound, ...]:
        """What leaves with the command's offset."""
        return tuple(self._kept.pop((at, fingerprint), ()))

    async def flush(self, at: TopicPartition, fingerprint: str) -> None:
        """What was to leave with the offset leaves before it, since the command is handled again."""
        if kept := self.end(at, fingerprint):
            await self._journal(at, kept)

    async def save(self, at: TopicPartition, state: TicketState) -> None:
        """Writes the state down, with what was kept before it, and only then believes it."""
        kept = self._kept.get((at, state.fingerprint), [])
        await self._journal(at, (*kept, state.record(self._topics, at.partition)))
        kept.clear()
        self._believe(at, state)

    def keep(self, at: TopicPartition, state: TicketState) -> None:
        """Has the state leave with the command's offset: for the last one, of which nothing outside is to follow."""
        self._kept.setdefault((at, state.fingerprint), []).append(state.record(self._topics, at.partition))
        self._believe(at, state)

    def tell(self, at: TopicPartition, told: TicketEvent) -> None:
        """Has the event leave with the command's offset, or with the next state."""
        self._told(told)
        self._kept.setdefault((at, told.fingerprint), []).append(told.record(self._topics))

    def add(self, at: TopicPartition, fingerprint: str, record: Outbound) -> None:
        """Has a record leave with the command's offset, or with the next state."""
        self._kept.setdefault((at, fingerprint), []).append(record)

    def _believe(self, at: TopicPartition, state: TicketState) -> None:
        name = (at, state.fingerprint)
        if at not in self._held:
            return
        self._held[at][state.fingerprint] = state
        for action in ACTIONS:
            if action in state.owed:
                self.owed.add((*name, action))
            else:
                self.owed.discard((*name, action))
                self.asked.discard((*name, action))
        if not _intends(state):
            self._unsettled.pop(name, None)


def _intends(state: TicketState) -> bool:
    """Whether a request may be under way whose outcome is to be looked up before it is sent again."""
    return state.status == "creating" or (state.waits is not None and state.waits.sent)
