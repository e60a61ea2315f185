"""The writer's state is read to its end, whatever end a broker tells."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime

import pytest

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Retryable
from processor.sources import ended
from processor.sources.history import Span
from processor.tickets import load
from processor.tickets.book import Loaded
from processor.tickets.load import END, StateLoader, fold
from processor.tickets.messages import TicketState
from tests.unit.tickets.world import TOPICS

AT = TopicPartition(TOPICS.state, 1)


class Topic:
    """The state topic; the first `old` looks at its end are answered by a broker that has `known` of its records."""

    def __init__(self, states: Sequence[TicketState], *, known: int = 0, old: int = 0, first: int = 0) -> None:
        self.records = [each.record(TOPICS, AT.partition) for each in states]
        self.known, self.old, self.first = known, old, first
        self.looks = 0
        self.read: list[int] = []

    async def ahead(self, at: TopicPartition, records: Sequence[Outbound]) -> None:
        """Writes as the owner of the partition of the commands."""
        assert at == TopicPartition(TOPICS.commands, AT.partition)
        self.records += records

    async def spans(
        self, topics: Collection[str], start: datetime | None = None, end: datetime | None = None
    ) -> dict[TopicPartition, Span]:
        """See History."""
        assert (set(topics), start, end) == ({TOPICS.state}, None, None)
        self.looks += 1
        return {AT: Span(self.first, self.known if self.looks <= self.old else len(self.records))}

    async def between(self, spans: Mapping[TopicPartition, Span]) -> AsyncGenerator[Record, None]:
        """See History."""
        for offset in range(spans[AT].start, spans[AT].end):
            self.read.append(offset)
            each = self.records[offset]
            yield Record(each.topic, AT.partition, offset, each.key, each.value)

    async def loaded(self) -> Loaded:
        """What a new owner reads."""
        return await StateLoader(self, TOPICS, self.ahead)(AT.partition)


INTENT = TicketState("f1", "ci", "BUILD", "creating")
OPEN = TicketState("f1", "ci", "BUILD", "open", key="BUILD-1")
OTHER = TicketState("f2", "ci", "BUILD", "idle")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(ended, "LOOK_S", 0)
    monkeypatch.setattr(load, "AGAIN_S", 0)


@pytest.mark.parametrize("known", [0, 1, 2])
async def test_an_old_end_hides_no_intent(known: int) -> None:
    """A broker that led the partition before, and woke up, has not all of it: the rest is read of another."""
    topic = Topic([OTHER, INTENT, OPEN], known=known, old=4)
    assert await topic.loaded() == Loaded({"f1": OPEN, "f2": OTHER})
    assert topic.read == [0, 1, 2, 3]  # each once, and the owner's own record last


async def test_an_end_that_stays_old_is_told_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is believed before."""
    told = list[str]()
    monkeypatch.setattr(load.log, "warning", lambda *_, error, **__: told.append(error), raising=False)
    topic = Topic([INTENT], old=ended.LOOKS + 1)
    assert await topic.loaded() == Loaded({"f1": INTENT})
    assert len(told) == 1
    assert "old end" in told[0]


async def test_who_is_not_the_owner_loads_nothing() -> None:
    """It is the owner's own record that the state ends with."""

    async def fenced(at: TopicPartition, records: Sequence[Outbound]) -> None:
        raise Retryable("fenced")

    topic = Topic([INTENT])
    with pytest.raises(Retryable, match="fenced"):
        await StateLoader(topic, TOPICS, fenced)(AT.partition)
    assert topic.looks == 0


async def test_ends_of_before_are_no_states_that_were_erased() -> None:
    """What comes behind them counts, and of what was really taken away it is known."""
    topic = Topic([INTENT])
    await topic.loaded()
    topic.records += [OTHER.record(TOPICS, AT.partition), Outbound(TOPICS.state, b"f1", None, partition=AT.partition)]
    assert await topic.loaded() == Loaded({"f2": OTHER}, frozenset({"f1"}))
    assert sum((each.key or b"").startswith(END.encode()) for each in topic.records) == 2
    assert fold((each.key, each.value) for each in topic.records) == {"f2": OTHER}


async def test_a_beginning_that_is_gone_is_told() -> None:
    """Nobody knows whose states those were."""
    topic = Topic([INTENT, OTHER], first=1)
    assert await topic.loaded() == Loaded({"f2": OTHER}, cut=True)
