"""At least once: the next batch is published while offsets are committed, in order, and never beyond a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.contract import NO_NOTES, Notes, Outbound, Record, TopicPartition
from processor.engine import AtLeastOnce, Backoff, Engine, ExactlyOnce, Journal
from processor.engine.deliveries import AT_ONCE
from processor.engine.inflight import Partition
from processor.errors import Retryable
from processor.testing.broker import (
    BROKER_AWAY,
    MemoryBroker,
    MemorySink,
    MemorySource,
    MemoryTransactions,
    MemoryTransactor,
)

from .conftest import QUICK, Rig, Worker, echo, eventually

AT = TopicPartition("in", 0)
BATCH = 3
SMALL = replace(QUICK, batch=BATCH, poll=BATCH)


class GatedSource(MemorySource):
    """Offsets are on their way until `gate` is set; keeps what was sent, and what has arrived."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker, "group", ("in",), "earliest")
        self.gate = asyncio.Event()
        self.sent: list[int] = []
        self.arrived: list[int] = []
        self.refusals = 0  # so many commits fail once the gate is open

    async def commit(self, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        """Notes of the start go through."""
        if not offsets or offsets[AT] == 0:
            return await super().commit(offsets, notes)
        self.sent.append(offsets[AT])
        await self.gate.wait()
        if self.refusals:
            self.refusals -= 1
            raise Retryable("coordinator away")
        await super().commit(offsets, notes)
        self.arrived.append(offsets[AT])
        return None


async def test_the_next_batches_are_published_while_offsets_are_on_their_way(rig: Rig) -> None:
    """So many as may be; what has come by then is committed by one request."""
    rig.fill(5 * BATCH)
    source = GatedSource(rig.broker)
    async with rig.running(Worker(), SMALL, source=source):
        await eventually(lambda: len(rig.values()) == AT_ONCE * BATCH)
        await eventually(lambda: rig.source.polls > 20)
        assert (rig.values(), source.sent, rig.committed()) == (list(range(AT_ONCE * BATCH)), [BATCH], 0)
        source.gate.set()
        await eventually(lambda: rig.committed() == 5 * BATCH)
    assert source.arrived[:2] == [BATCH, AT_ONCE * BATCH]
    assert rig.values() == list(range(5 * BATCH))


async def test_what_waits_for_offsets_counts_as_waiting_for_the_brokers(rig: Rig) -> None:
    """Behind it one delivery is read ahead, not two: what is held in all stays the same."""
    rig.fill(10 * BATCH, size=999)
    source, worker = GatedSource(rig.broker), Worker()
    async with rig.running(worker, replace(QUICK, poll=BATCH, batch_bytes=BATCH * 1_000), source=source):
        await eventually(lambda: len(rig.values()) == AT_ONCE * BATCH and AT in source.paused)
        assert len(worker.handled) == (AT_ONCE + 1) * BATCH
        source.gate.set()
        await eventually(lambda: rig.committed() == 10 * BATCH)
        assert rig.engine._inflight.settling == 0
    assert rig.values() == list(range(10 * BATCH))


async def test_a_batch_that_has_become_full_waits_no_longer(rig: Rig) -> None:
    """Though what made it full was not the first of its partition."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 2 * BATCH - 1:
            await gate.wait()
        return await echo(record)

    rig.fill(2 * BATCH)
    source, worker = GatedSource(rig.broker), Worker(handler)
    async with rig.running(worker, SMALL, source=source):
        await eventually(lambda: len(worker.handled) == 2 * BATCH and source.sent and source.polls > 20)
        assert len(rig.values()) == BATCH
        gate.set()
        await eventually(lambda: len(rig.values()) == 2 * BATCH)
        assert rig.committed() == 0
        source.gate.set()


async def test_what_fills_no_batch_waits_for_the_offsets(rig: Rig) -> None:
    """Smaller batches would cost more than the wait."""
    rig.fill(2 * BATCH - 1)
    source = GatedSource(rig.broker)
    worker = Worker()
    async with rig.running(worker, SMALL, source=source):
        await eventually(lambda: len(worker.handled) == 2 * BATCH - 1 and source.sent)
        await eventually(lambda: rig.source.polls > 20)
        assert len(rig.values()) == BATCH
        source.gate.set()
        await eventually(lambda: rig.committed() == 2 * BATCH - 1)


async def test_a_commit_that_fails_is_made_again_with_what_came_meanwhile(rig: Rig) -> None:
    """No offset is committed after a later one."""
    rig.fill(AT_ONCE * BATCH)
    source = GatedSource(rig.broker)
    source.refusals = 2
    async with rig.running(Worker(), SMALL, source=source):
        await eventually(lambda: len(rig.values()) == AT_ONCE * BATCH)
        source.gate.set()
        await eventually(lambda: rig.committed() == AT_ONCE * BATCH)
    assert source.sent == [BATCH, AT_ONCE * BATCH, AT_ONCE * BATCH]
    assert source.arrived == [AT_ONCE * BATCH]


async def test_the_end_waits_for_the_last_offsets(rig: Rig) -> None:
    """What was published is committed before the engine lets go."""
    rig.fill(2 * BATCH)
    source = GatedSource(rig.broker)
    async with rig.running(Worker(), SMALL, source=source) as task:
        await eventually(lambda: len(rig.values()) == 2 * BATCH)
        asyncio.get_running_loop().call_later(0.05, source.gate.set)
    assert task.done()
    assert (rig.committed(), source.arrived) == (2 * BATCH, [BATCH, 2 * BATCH])


async def test_offsets_of_a_partition_that_went_are_not_sent_again(rig: Rig) -> None:
    """They did not get through in time, and it has come back: only what is read from then on is committed."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        if len(worker.handled) > 2 * BATCH:
            await gate.wait()
        return await echo(record)

    rig.fill(2 * BATCH)
    source, worker = GatedSource(rig.broker), Worker(handler)
    source.refusals = 1
    async with rig.running(worker, replace(SMALL, revoke_s=0.01), source=source):
        await eventually(lambda: len(rig.values()) == 2 * BATCH)
        await rig.broker.rebalance("group")
        await eventually(lambda: len(worker.handled) > 2 * BATCH)
        source.gate.set()
        await eventually(lambda: not any(rig.engine._deliveries.entries()))
        assert (rig.committed(), source.sent) == (0, [BATCH])
        gate.set()
        await eventually(lambda: rig.committed() == 2 * BATCH)
    assert rig.values() == [*range(2 * BATCH)] * 2


async def test_behind_what_was_written_in_mid_handling_nothing_is_published(rig: Rig) -> None:
    """Its last word under a key stays the last: what went ahead of it does not come again behind it."""
    journal, first, second = Journal(), asyncio.Event(), asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 0:
            await first.wait()
        elif record.offset == 1:
            await second.wait()
        elif record.offset == BATCH + 1:
            first.set()
            await journal(AT, [Outbound("out", b"k", b"100")])
        return await echo(record)

    rig.fill(BATCH + 2)
    source = GatedSource(rig.broker)
    async with rig.running(Worker(handler), SMALL, source=source, journal=journal):
        await eventually(lambda: source.sent)
        second.set()
        await eventually(lambda: rig.engine._inflight.fills(rig.engine._inflight.partitions.values(), BATCH, 1_000))
        await eventually(lambda: rig.source.polls > 20)
        assert rig.values() == [0, 2, 3, 100]
        source.gate.set()
        await eventually(lambda: rig.committed() == BATCH + 2)
    assert rig.values() == [0, 2, 3, 100, 1, 4]


class Defect:
    """The second call fails in a way that nobody has foreseen."""

    def __init__(self) -> None:
        self.calls = 0

    def check(self) -> None:
        """One more call."""
        self.calls += 1
        if self.calls == 2:
            raise RuntimeError("a defect")


class FailingSink(MemorySink):
    """A producer with a defect."""

    def __init__(self, broker: MemoryBroker, defect: Defect) -> None:
        super().__init__(broker)
        self._defect = defect

    async def publish(self, records: Sequence[Outbound]) -> None:
        self._defect.check()
        await super().publish(records)


class FailingTransactions(MemoryTransactions):
    """Transactions with a defect, of which one that only writes notes is none."""

    def __init__(self, broker: MemoryBroker, defect: Defect) -> None:
        super().__init__(broker)
        self._defect = defect

    async def open(self, name: str) -> MemoryTransactor:
        opened = await super().open(name)
        write = opened.write

        async def failing(records: Sequence[Outbound], *rest: Any) -> None:
            if records:
                self._defect.check()
            await write(records, *rest)

        opened.write = failing  # type: ignore[assignment]
        return opened


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "at least once"])
async def test_nothing_is_committed_beyond_what_failed_for_good(rig: Rig, *, exactly_once: bool) -> None:
    """The engine ends, in no time, and what follows is read again."""
    rig.fill(6 * BATCH)
    source, defect = rig.broker.source("group", ["in"]), Defect()
    once = ExactlyOnce(source, FailingTransactions(rig.broker, defect), "group")
    delivery = once if exactly_once else None
    engine = Engine(source, FailingSink(rig.broker, defect), Worker(), SMALL, delivery=delivery)
    with pytest.raises(RuntimeError, match="a defect"):
        await asyncio.wait_for(engine.run(asyncio.Event()), 5)
    assert rig.values() == list(range(BATCH))
    assert rig.committed() == BATCH


class Checked:
    """One life's source and sink, each call of which takes some turns; checks every commit."""

    def __init__(self, broker: MemoryBroker, turns: Sequence[int]) -> None:
        self.source, self.sink = broker.source("group", ["in"]), broker.sink()
        self._broker = broker
        self._turns = list(turns)
        self._at = 0
        self._now = 0
        self.plain, self._publish = self.source.commit, self.sink.publish
        self.source.commit = self.commit  # type: ignore[method-assign]
        self.sink.publish = self.publish  # type: ignore[method-assign]

    async def _pass(self) -> None:
        self._at += 1
        for _ in range(self._turns[self._at % len(self._turns)]):
            await asyncio.sleep(0)

    async def publish(self, records: Sequence[Outbound]) -> None:
        """In its time."""
        await self._pass()
        await self._publish(records)

    async def commit(self, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        """Everything below has its output by now, whatever comes of it."""
        done = {int(record.value or b"") for record in self._broker.records("out")}
        for tp, offset in offsets.items():
            below = {int(each.value or b"") for each in self._broker.records("in") if each.partition == tp.partition}
            assert {number for number in below if number // PARTITIONS < offset} <= done
        self._now += 1
        assert self._now <= 1, "two at a time may change places"
        try:
            await self._pass()
            await self.plain(offsets, notes)
        finally:
            self._now -= 1


class Unmarked(AtLeastOnce):
    """Its marks are not checked: they go by themselves."""

    def __init__(self, checked: Checked) -> None:
        super().__init__(checked.source, checked.sink, Backoff(0.0, 0.001))
        self._checked = checked

    async def mark(self, partition: Partition, offset: int, note: str) -> None:
        """As it is."""
        await self._checked.plain({partition.tp: offset}, {partition.tp: note})


PARTITIONS = 2


async def life(
    broker: MemoryBroker, checked: Checked, delays: Sequence[int], rebalances: Sequence[int], dies: int | None
) -> None:
    """One life of a daemon: dies after so many turns of the loop, or ends when all is committed."""

    async def handler(record: Record) -> Sequence[Outbound]:
        for _ in range(delays[record.offset % len(delays)]):
            await asyncio.sleep(0)
        return await echo(record)

    async def unrest() -> None:
        for turns in rebalances:
            for _ in range(turns):
                await asyncio.sleep(0)
            await broker.rebalance("group")

    limits = replace(SMALL, batch=2, drain_s=0.01, revoke_s=0.001, poison_starts=1_000)
    stop = asyncio.Event()
    made = Engine(checked.source, checked.sink, Worker(handler), limits, delivery=Unmarked(checked))
    engine = asyncio.create_task(made.run(stop))
    changes = asyncio.create_task(unrest())
    if dies is None:
        total = len(broker.records("in"))
        await eventually(lambda: engine.done() or sum(broker.committed["group"].values()) == total)
        await changes
        stop.set()
        await engine
        return
    for _ in range(dies):
        await asyncio.sleep(0)
    changes.cancel()
    await checked.source.crash()
    checked.sink.crash()
    engine.cancel()
    await asyncio.wait([engine, changes])
    assert engine.cancelled(), engine.exception()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_never_a_gap_and_never_a_loss(data: st.DataObject) -> None:
    """Any time that publishing and committing take, any fault of either, any death, any change of partitions."""
    broker = MemoryBroker()
    broker.create("in", PARTITIONS)
    total = data.draw(st.integers(1, 24), "records")
    for number in range(total):
        broker.produce(Outbound("in", None, b"%d" % number, partition=number % PARTITIONS))
    few = st.lists(st.integers(0, 8), min_size=1, max_size=6)

    async def lives() -> None:
        for dies in [*data.draw(st.lists(st.integers(0, 120), max_size=3), "deaths"), None]:
            for step in data.draw(st.lists(st.sampled_from(["publish", "ack", "commit"]), max_size=3), "faults"):
                broker.fail(step, BROKER_AWAY)
            rebalances = data.draw(st.lists(st.integers(0, 60), max_size=2), "rebalances")
            checked = Checked(broker, data.draw(few, "turns"))
            await life(broker, checked, data.draw(few, "delays"), rebalances, dies)

    asyncio.run(lives())
    assert {int(record.value or b"") for record in broker.records("out")} == set(range(total))
    assert sum(broker.committed["group"].values()) == total
