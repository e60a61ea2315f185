"""What a former leader tells of the end of a partition makes *decide* neither forget nor begin anew."""

from __future__ import annotations

import pytest

from processor.contract import Outbound, TopicPartition
from processor.errors import Retryable
from processor.testing.broker import MemoryBroker
from processor.testing.history import MemoryHistory
from processor.tickets import ends
from processor.tickets.ends import Ends

AT = TopicPartition("signals", 0)


@pytest.fixture
async def broker() -> MemoryBroker:
    """With 20 records, as their leader knows."""
    made = MemoryBroker()
    made.create(AT.topic, 1)
    await made.sink().publish([Outbound(AT.topic, None, b"x")] * 20)
    return made


async def test_what_was_there_when_it_was_assigned_counts(broker: MemoryBroker) -> None:
    """Whatever a fetch tells; from then on, only one that tells less has it asked again."""
    known = Ends(MemoryHistory(broker))
    assert await known.at_least(AT, 10) == 20
    broker.fail("ends", AssertionError("asked again"))
    assert [await known.at_least(AT, told) for told in (20, 25)] == [20, 25]


async def test_others_may_have_written_since_it_was_ours_last(broker: MemoryBroker) -> None:
    """So it is asked again."""
    known = Ends(MemoryHistory(broker))
    await known.at_least(AT, 20)
    await broker.sink().publish([Outbound(AT.topic, None, b"x")] * 5)
    known.forget()
    assert await known.at_least(AT, 21) == 25


async def test_a_topic_that_was_made_anew_ends_before(broker: MemoryBroker) -> None:
    """That is told, and then true."""
    known = Ends(MemoryHistory(broker))
    assert await known.at_least(AT, 20) == 20
    known = Ends(MemoryHistory(anew := MemoryBroker()))
    known._known[AT] = 20
    anew.create(AT.topic, 1)
    await anew.sink().publish([Outbound(AT.topic, None, b"x")] * 3)
    assert await known.at_least(AT, 3) == 3


async def test_brokers_that_are_away_are_waited_for(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decided meanwhile."""
    monkeypatch.setattr(ends, "AGAIN_S", 0.0)
    broker.fail("ends", Retryable("away"), 3)
    assert await Ends(MemoryHistory(broker)).at_least(AT, 0) == 20
