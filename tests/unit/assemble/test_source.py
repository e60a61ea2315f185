"""Between source and engine: what is read, paused and held."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from processor.assemble import AssemblingSource, AssemblyMetrics
from processor.assemble.assembly import GROUP_BYTES
from processor.contract import NO_NOTES, Notes, Outbound, Record, TopicPartition
from processor.errors import Retryable
from processor.testing.broker import MemoryBroker, MemorySource

from .conftest import Clock, plan, sent, texts

TP = TopicPartition("in", 0)


class Nobody:
    """Takes what it is told, and does nothing."""

    async def assigned(self, partitions: Collection[TopicPartition]) -> None: ...

    async def revoked(self, partitions: Collection[TopicPartition]) -> None: ...


async def begun(
    broker: MemoryBroker, clock: Clock, topics: tuple[str, ...] = ("in",), **options: Any
) -> tuple[AssemblingSource, MemorySource]:
    """A source of logs that has joined its group, and the one of lines."""
    inner = broker.source("group", topics)
    source = AssemblingSource(inner, {"in": plan()}, clock=clock, **options)
    await source.start(Nobody())
    return source, inner


async def drained(source: AssemblingSource, polls: int = 5) -> list[Record]:
    """What some polls bring."""
    return [record for _ in range(polls) for record in await source.poll(0, 100)]


async def test_other_topics_are_left_alone(clock: Clock) -> None:
    """Their records come as they are, under their own offsets."""
    broker = MemoryBroker()
    broker.produce(sent("a", "END"))
    broker.produce(Outbound("retry", None, b"whole"))
    source, _ = await begun(broker, clock, ("in", "retry"))
    assert sorted(texts(await drained(source))) == ["END", "whole"]
    await source.commit({TopicPartition("retry", 0): 1, TP: 1})
    assert broker.committed["group"] == {TopicPartition("retry", 0): 1, TP: 1}
    assert (broker.metadata["group"][TopicPartition("retry", 0)], await source.committed(TP)) == ("", 1)


async def test_the_engines_note_lives_beside_ours(clock: Clock) -> None:
    """It is told as it was written."""
    broker = MemoryBroker()
    broker.produce(sent("a", "END"))
    source, _ = await begun(broker, clock)
    await drained(source)
    await source.commit({TP: 0}, {TP: "fs starts=1 tries=0"})
    assert await source.metadata(TP) == "fs starts=1 tries=0"
    assert (await source.committed(TP), broker.committed["group"][TP]) == (0, 0)


async def test_a_paused_partition_gives_nothing(clock: Clock) -> None:
    """Neither logs that are complete nor lines."""
    broker = MemoryBroker()
    broker.produce(sent("a", "END"))
    source, _ = await begun(broker, clock)
    source.pause([TP])
    assert await drained(source) == []
    source.resume([TP])
    assert texts(await drained(source)) == ["END"]


async def test_it_is_as_though_nothing_was_read_when_the_engine_goes_back(clock: Clock) -> None:
    """What was not committed comes again under the same numbers."""
    broker = MemoryBroker()
    for run, text in [("a", "1"), ("b", "END"), ("a", "END")]:
        broker.produce(sent(run, text))
    source, _ = await begun(broker, clock)
    first = await drained(source)
    source.seek(TP, 0)
    assert await drained(source) == first
    await source.commit({TP: 1})
    source.seek(TP, 1)
    assert [(each.offset, each.first) for each in await drained(source)] == [(1, 0)]


async def test_memory_is_bounded_by_closing_the_log_that_was_silent_longest(clock: Clock) -> None:
    """And by waiting while the engine takes nothing."""
    broker = MemoryBroker()
    for at in range(40):
        broker.produce(sent(str(at % 20), "x" * 500))
    metrics = AssemblyMetrics.unregistered()
    most = 8 * GROUP_BYTES
    source, inner = await begun(broker, clock, most_bytes=most, metrics=metrics)
    (log,) = await source.poll(0, 1)
    assert log.first == 0
    for _ in range(5):
        await source.poll(0, 0)
    assert inner.positions[TP] < 40
    assert next(iter(metrics.bytes.collect())).samples[0].value < most + GROUP_BYTES + 501

    logs = [log, *await drained(source, 60)]
    clock.now += 61
    logs += await drained(source)
    assert sum(text.count("x") for text in texts(logs)) == 40 * 500


async def test_logs_that_nobody_finishes_pause_their_partition(clock: Clock) -> None:
    """Lines stay on the topic; it goes on when the first logs are committed."""
    broker = MemoryBroker()
    for at in range(400):
        broker.produce(sent(str(at), "END"))
    source, inner = await begun(broker, clock)
    found = await drained(source, 10)
    assert len(found) < 200
    assert inner.paused == {TP}
    await source.commit({TP: len(found)})
    assert len(await drained(source, 10)) > 100


async def test_a_partition_that_was_full_goes_on_when_some_room_is_there(clock: Clock) -> None:
    """Not with each log that is done: what the client has fetched ahead is thrown away at each pause."""
    broker = MemoryBroker()
    for at in range(400):
        broker.produce(sent(str(at), "END"))
    source, inner = await begun(broker, clock)
    found = await drained(source, 10)
    await source.commit({TP: 1})
    assert await drained(source) == []
    assert inner.paused == {TP}
    await source.commit({TP: len(found) // 3})
    assert len(await drained(source)) >= len(found) // 3


async def test_lines_that_were_taken_stay_where_the_next_request_fails(clock: Clock) -> None:
    """Two requests make a poll; the first one's lines are not asked for again."""
    broker = MemoryBroker()
    for run, text in [("a", "1"), ("b", "END"), ("a", "END")]:
        broker.produce(sent(run, text))
    source, inner = await begun(broker, clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inner, "poll", once(inner.poll))
        with pytest.raises(Retryable):
            await source.poll(0, 100)
    assert inner.positions[TP] == 3
    assert texts(await drained(source)) == ["END", "1\nEND"]


def once(poll: Any) -> Any:
    """Asks once; then the brokers are away."""
    asked: list[object] = []

    async def ask(*given: Any) -> Any:
        if asked:
            raise Retryable("away")
        asked.append(given)
        return await poll(*given)

    return ask


class Slow(Nobody):
    """Takes partitions only when it is told to, as the engine does once they are prepared."""

    source: AssemblingSource

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """They pause."""
        self.source.pause(partitions)


async def test_no_line_of_a_partition_that_was_added_is_lost(clock: Clock) -> None:
    """Nothing is committed on it, and lines come of it while nobody has looked up where it begins."""
    broker = MemoryBroker()
    broker.create("in", 1)
    source, listener = AssemblingSource(broker.source("group", ["in"]), {"in": plan()}, clock=clock), Slow()
    listener.source = source
    await source.start(listener)
    broker.create("in", 2)
    added = TopicPartition("in", 1)
    for text in ("1", "2", "END"):
        broker.produce(sent("a", text, added.partition))
    await broker.rebalance("group")
    polling = asyncio.create_task(source.poll(0.2, 100))
    for _ in range(5):
        await asyncio.sleep(0)
    source.resume([added])
    found = [*await polling, *await drained(source)]
    assert added not in broker.committed["group"]
    assert texts(found) == ["1\n2\nEND"]


async def test_a_look_that_was_overtaken_counts_for_nothing(clock: Clock) -> None:
    """Going back while it is looked up where to begin: it is looked up again."""
    broker = MemoryBroker()
    for run in "abc":
        broker.produce(sent(run, "END"))
    source, inner = await begun(broker, clock)

    async def overtaken(tp: TopicPartition) -> int | None:
        found = broker.committed["group"][tp]
        if not found:
            broker.committed["group"][tp], broker.metadata["group"][tp] = 2, ""
            source.seek(tp, 2)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inner, "committed", overtaken)
        found = await drained(source)
    assert [each.first for each in found] == [2]


async def test_open_logs_survive_a_change_of_partitions(clock: Clock) -> None:
    """They are read again, and what is done is not."""
    broker = MemoryBroker()
    for run, text in [("a", "1"), ("b", "END"), ("a", "2")]:
        broker.produce(sent(run, text))
    source, _ = await begun(broker, clock)
    (log,) = await drained(source)
    await source.commit({TP: log.offset + 1})
    await broker.rebalance("group")
    broker.produce(sent("a", "END"))
    assert texts(await drained(source)) == ["1\n2\nEND"]


async def test_an_old_end_of_the_topic_takes_no_line_away(clock: Clock) -> None:
    """A broker that led the partition before, and woke up, tells one: what was open is read again to its end."""
    broker = MemoryBroker()
    for run, text in [("a", "1"), ("b", "END"), ("a", "2"), ("b", "END"), ("c", "3")]:
        broker.produce(sent(run, text))
    source, inner = await begun(broker, clock)
    logs = await drained(source)
    await source.commit({TP: logs[-1].offset + 1})
    await broker.rebalance("group")
    former = broker._topics["in"][0]
    broker._topics["in"][0] = former[:2]
    for _ in range(3):
        clock.now += 1
        assert await drained(source) == []
    assert inner.positions[TP] == 2
    broker._topics["in"][0] = former
    broker.produce(sent("a", "END"))
    broker.produce(sent("c", "END"))
    assert texts(await drained(source)) == ["1\n2\nEND", "3\nEND"]


async def test_offset_and_note_are_of_one_answer(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for in turn, one may come of a broker that coordinates the group no more: together they mean nothing."""
    broker = MemoryBroker()
    for run, text in [("a", "1"), ("b", "END"), ("a", "2"), ("c", "END"), ("a", "END")]:
        broker.produce(sent(run, text))
    source, inner = await begun(broker, clock)
    logs = await drained(source)
    await source.commit({TP: logs[0].offset + 1})
    before = await inner.committed(TP), await inner.metadata(TP)
    await source.commit({TP: logs[-1].offset + 1})

    async def offset(_: TopicPartition) -> int | None:
        return before[0]

    async def both(_: TopicPartition) -> tuple[int | None, str]:
        return before

    monkeypatch.setattr(inner, "committed", offset)  # and the note is of now
    monkeypatch.setattr(inner, "noted", both)
    assert await source.committed(TP) == logs[0].offset + 1
    source.seek(TP, 0)
    assert [each.first for each in await drained(source)] == [each.first for each in logs[1:]]


async def test_nothing_ends_by_silence_while_the_brokers_are_away(clock: Clock) -> None:
    """Its next line may be there."""
    broker = MemoryBroker()
    broker.produce(sent("a", "x"))
    source, _ = await begun(broker, clock)
    assert await drained(source) == []
    clock.now += 61
    broker.fail("ends", Retryable("away"))
    assert await drained(source) == []
    clock.now += 1
    assert texts(await drained(source)) == ["x"]


async def test_the_lag_counts_lines_that_are_not_done(clock: Clock) -> None:
    """From the first line of the oldest open log on."""
    broker = MemoryBroker()
    for run, text in [("a", "END"), ("b", "1"), ("c", "END"), ("b", "2")]:
        broker.produce(sent(run, text))
    source, _ = await begun(broker, clock)
    found = await drained(source)
    await source.commit({TP: found[-1].offset + 1})
    assert (await source.ends([TP]))[TP] - (found[-1].offset + 1) == 3


@pytest.mark.parametrize("changed", [False, True])
async def test_lines_that_are_told_apart_otherwise_are_all_read_again(clock: Clock, changed: bool) -> None:
    """What the metadata tells of logs by another key says nothing."""
    broker = MemoryBroker()
    for run, text in [("a", "1"), ("b", "END")]:
        broker.produce(sent(run, text))
    source, inner = await begun(broker, clock)
    (log,) = await drained(source)
    await source.commit({TP: log.offset + 1})
    await inner.crash()
    other = AssemblingSource(
        broker.source("group", ["in"]), {"in": plan(key=["run_id", "job"] if changed else ["run_id"])}, clock=clock
    )
    await other.start(Nobody())
    assert texts(await drained(other)) == (["END"] if changed else [])


async def test_a_commit_that_came_too_late_makes_nothing_done(clock: Clock) -> None:
    """Its partition has gone and come back meanwhile: what is read again is done when that is committed."""
    broker = MemoryBroker()
    for run in "abc":
        broker.produce(sent(run, "END"))
    source, inner = await begun(broker, clock)
    assert len(await drained(source)) == 3
    commits, gate = inner.commit, asyncio.Event()

    async def late(offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        inner.commit = commits  # type: ignore[method-assign]
        await gate.wait()

    inner.commit = late  # type: ignore[method-assign]
    committing = asyncio.create_task(source.commit({TP: 3}))
    await asyncio.sleep(0)
    await broker.rebalance("group")
    assert len(await drained(source)) == 3
    gate.set()
    await committing
    await source.commit({TP: 1})
    assert broker.committed["group"][TP] == 1
