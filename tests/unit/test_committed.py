"""What was told to be committed is kept until it is shown to be true."""

from __future__ import annotations

from aiokafka.structs import OffsetAndMetadata

from processor.cluster.committed import MOST, Readings
from processor.contract import TopicPartition

AT = TopicPartition("in", 0)


def test_what_was_asked_before_does_not_count() -> None:
    """Whoever asked before a producer was made was rightly told what was true then, whenever the answer came."""
    readings = Readings()
    asked = readings.now()
    made = readings.now()
    readings.add("g", AT, OffsetAndMetadata(3, ""), asked)
    assert readings.since("g", AT, made) == []
    readings.add("g", AT, OffsetAndMetadata(4, ""), readings.now())
    readings.add("g", AT, None, readings.now())
    assert readings.since("g", AT, made) == [OffsetAndMetadata(4, ""), None]
    assert readings.since("other", AT, made) == []
    readings.forget("g", AT)
    assert readings.since("g", AT, made) == []


def test_an_answer_that_comes_again_counts_from_then_on() -> None:
    """The note beside an offset is part of it."""
    readings = Readings()
    readings.add("g", AT, OffsetAndMetadata(3, ""), readings.now())
    made = readings.now()
    readings.add("g", AT, OffsetAndMetadata(3, "note"), readings.now())
    assert readings.since("g", AT, made) == [OffsetAndMetadata(3, "note")]
    readings.add("g", AT, OffsetAndMetadata(3, ""), readings.now())
    assert set(readings.since("g", AT, made)) == {OffsetAndMetadata(3, "note"), OffsetAndMetadata(3, "")}


def test_answers_that_nobody_asks_for_have_a_bound() -> None:
    """As without transactions."""
    readings = Readings()
    for offset in range(10 * MOST):
        readings.add("g", AT, OffsetAndMetadata(offset, ""), readings.now())
    assert len(readings.since("g", AT, 0)) == MOST
