"""What a worker writes in mid-handling: it is there before the handler goes on, in order of its key, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Backoff, Delivery, ExactlyOnce, Journal
from processor.engine.inflight import Partition
from processor.errors import Retryable, Unwritable
from processor.testing.broker import BROKER_AWAY, MemoryBroker, MemorySource

from .conftest import Handler, Rig, Worker, echo, eventually

AT = TopicPartition("in", 0)


def state(text: str, key: bytes = b"k") -> Outbound:
    """A record of the worker's state."""
    return Outbound("state", key, text.encode(), partition=0)


def states(broker: MemoryBroker) -> list[str]:
    """All that was written of it."""
    return [(each.value or b"").decode() for each in broker.records("state")]


def delivery(source: MemorySource, broker: MemoryBroker) -> Delivery:
    """Exactly once, as the worker needs it."""
    return ExactlyOnce(source, broker.transactions(), "group", Backoff(0.001, 0.01), yield_s=0.01, stateful=True)


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "at least once"])
async def test_it_is_there_before_the_handler_goes_on_and_before_the_offset(rig: Rig, exactly_once: bool) -> None:
    """Intent, then what is done outside, then the outputs with the offset."""
    journal, done = Journal(), []

    async def handler(record: Record) -> Sequence[Outbound]:
        await journal(AT, [state(f"intent {record.offset}")])
        done.append((states(rig.broker)[-1], rig.committed()))
        return [state(f"done {record.offset}")]

    rig.fill(3)
    source = rig.broker.source("group", ["in"])
    way = delivery(source, rig.broker) if exactly_once else None
    async with rig.running(Worker(handler), source=source, delivery=way, journal=journal, key_of=lambda r: r.key):
        await eventually(lambda: rig.committed() == 3)
    assert [intent for intent, _ in done] == ["intent 0", "intent 1", "intent 2"]
    assert done[0][1] in {None, 0}
    assert states(rig.broker) == ["intent 0", "done 0", "intent 1", "done 1", "intent 2", "done 2"]


async def test_what_finished_under_its_key_goes_ahead_though_its_offset_has_to_wait(rig: Rig) -> None:
    """The first record holds the offsets back; of the others' key the last state written is the last one."""
    journal, gate, seen = Journal(), asyncio.Event(), list[str]()

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 0:
            await gate.wait()
            return []
        if record.offset == 2:
            await journal(AT, [state("intent 2")])
            seen.extend(states(rig.broker))
        return [state(f"done {record.offset}")]

    rig.fill(3)
    source = rig.broker.source("group", ["in"])
    way = delivery(source, rig.broker)
    async with rig.running(
        Worker(handler), source=source, delivery=way, journal=journal, key_of=lambda r: min(r.offset, 1)
    ):
        await eventually(lambda: seen)
        assert rig.committed() == 0
        gate.set()
        await eventually(lambda: rig.committed() == 3)
    assert seen == ["done 1", "intent 2"]
    assert states(rig.broker) == ["done 1", "intent 2", "done 2"]


@pytest.mark.parametrize("step", ["begin", "end", "settle", "markers"])
async def test_unknown_end_begins_the_partition_anew(rig: Rig, step: str) -> None:
    """Written or not, the handler does not go on: the state is loaded again, and the record handled again."""
    journal, passed = Journal(), list[int]()

    async def handler(record: Record) -> Sequence[Outbound]:
        await journal(AT, [state("intent")])
        passed.append(len(worker.held))
        return []

    rig.fill(1)
    worker = Worker(handler)
    rig.broker.fail(step, BROKER_AWAY)
    source = rig.broker.source("group", ["in"])
    async with rig.running(worker, source=source, delivery=delivery(source, rig.broker), journal=journal):
        await eventually(lambda: rig.committed() == 1)
    assert passed == [2]
    assert worker.let_go[:1] == worker.held[:1]


async def test_replaced_owner_never_gets_past_it(rig: Rig) -> None:
    """Another process has taken the partition over, unnoticed: what is to follow from the intent does not happen."""
    journal, begun, gate, passed = Journal(), asyncio.Event(), asyncio.Event(), list[Record]()

    async def handler(record: Record) -> Sequence[Outbound]:
        begun.set()
        await gate.wait()
        await journal(AT, [state("late")])
        passed.append(record)
        return []

    rig.fill(1)
    source = rig.broker.source("group", ["in"])
    way = ExactlyOnce(source, rig.broker.transactions(), "group", Backoff(0.001, 0.01), yield_s=60.0, stateful=True)
    async with rig.running(Worker(handler), source=source, delivery=way, journal=journal):
        await begun.wait()
        await rig.broker.transactions().open("group-in-0")
        gate.set()
        await asyncio.sleep(0.05)  # nothing tells that something will never happen
        assert (passed, states(rig.broker)) == ([], [])


async def test_several_at_once_share_a_transaction(rig: Rig) -> None:
    """What handlers of many keys write while one is under way leaves together."""
    journal = Journal()

    async def handler(record: Record) -> Sequence[Outbound]:
        await journal(AT, [state(f"intent {record.offset}", str(record.offset).encode())])
        return []

    rig.fill(50)
    source = rig.broker.source("group", ["in"])
    async with rig.running(Worker(handler), source=source, delivery=delivery(source, rig.broker), journal=journal):
        await eventually(lambda: rig.committed() == 50)
        delivered = rig.metrics.delivery.collect()
    assert sorted(states(rig.broker)) == sorted(f"intent {at}" for at in range(50))
    (count,) = [sample.value for metric in delivered for sample in metric.samples if sample.name.endswith("_count")]
    assert count < 25


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "at least once"])
async def test_refused_records_are_told_to_who_wrote_them(rig: Rig, exactly_once: bool) -> None:
    """Too large for the brokers: that handler alone hears of it, and the others' records are written."""
    journal, told = Journal(), list[str]()

    async def handler(record: Record) -> Sequence[Outbound]:
        size = 2_000_000 if record.offset == 1 else 1
        try:
            await journal(AT, [state("x" * size, str(record.offset).encode())])
        except Unwritable as error:
            told.append(f"{record.offset}: {error}")
        return []

    rig.fill(3)
    source = rig.broker.source("group", ["in"])
    way = delivery(source, rig.broker) if exactly_once else None
    async with rig.running(Worker(handler), source=source, delivery=way, journal=journal):
        await eventually(lambda: rig.committed() == 3)
    assert [text.partition(":")[0] for text in told] == ["1"]
    assert states(rig.broker) == ["x", "x"]


class Reading(Worker):
    """Writes something ahead before it takes a partition."""

    def __init__(self, journal: Journal, handler: Handler = echo) -> None:
        super().__init__(handler)
        self.journal = journal

    async def assigned(self, partition: TopicPartition) -> None:
        """Reads its state to there."""
        await self.journal.ahead(partition, [state(f"ahead {len(self.held)}")])
        await super().assigned(partition)


@pytest.mark.parametrize("exactly_once", [True, False], ids=["exactly once", "at least once"])
async def test_what_is_written_ahead_is_there_before_the_first_record(rig: Rig, exactly_once: bool) -> None:
    """However often the brokers are away."""
    journal = Journal()
    worker = Reading(journal)
    seen = list[str]()

    async def handler(record: Record) -> Sequence[Outbound]:
        seen.extend(states(rig.broker))
        return []

    worker.handler = handler
    rig.fill(1)
    rig.broker.fail("begin" if exactly_once else "publish", BROKER_AWAY, times=2)
    source = rig.broker.source("group", ["in"])
    way = delivery(source, rig.broker) if exactly_once else None
    async with rig.running(worker, source=source, delivery=way, journal=journal):
        await eventually(lambda: rig.committed() == 1)
    assert seen == ["ahead 0"]


async def test_who_was_replaced_writes_nothing_ahead(rig: Rig) -> None:
    """It takes the partition again, as its owner, and only then goes on."""
    journal = Journal()
    worker = Reading(journal)
    source = rig.broker.source("group", ["in"])
    once = ExactlyOnce(source, rig.broker.transactions(), "group", Backoff(0.001, 0.01), yield_s=0.01, stateful=True)
    committed, fencing = source.committed, [True]

    async def fenced(partition: TopicPartition) -> int | None:
        if fencing:
            fencing.pop()
            await rig.broker.transactions().open("group-in-0")
        return await committed(partition)

    source.committed = fenced  # type: ignore[method-assign]
    rig.fill(1)
    async with rig.running(worker, source=source, delivery=once, journal=journal):
        await eventually(lambda: rig.committed() == 1)
    assert (states(rig.broker), worker.held) == (["ahead 0"], [AT])


async def test_whose_producer_was_closed_writes_ahead_once_it_has_another(rig: Rig) -> None:
    """What it would write before is not written."""
    source = rig.broker.source("group", ["in"])
    once = ExactlyOnce(source, rig.broker.transactions(), "group", stateful=True)
    first = Partition(AT)
    await once.assigned(first)
    await once.revoked([first])
    with pytest.raises(Retryable, match="closed meanwhile"):
        await once.ahead(first, [state("too late")])
    await once.assigned(first)
    await once.ahead(first, [state("in time")])
    assert states(rig.broker) == ["in time"]


class Loading(Reading):
    """Takes a while to load its state, and writes an intent for each record."""

    async def assigned(self, partition: TopicPartition) -> None:
        """Long enough for others to want its producer."""
        await super().assigned(partition)
        await asyncio.sleep(0.01)

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """Between intent and result something happens outside."""
        await self.journal(TopicPartition("in", record.partition), [state("intent")])
        return await super().handle(record)


@pytest.mark.parametrize(("most", "partitions"), [(1, 2), (1, 5), (2, 5)])
async def test_partitions_take_turns_with_fewer_producers(rig: Rig, most: int, partitions: int) -> None:
    """Each delivers what it has before another takes its producer: none begins anew before it has delivered."""
    rig.fill(4 * partitions, partitions=partitions)
    journal = Journal()
    worker = Loading(journal)
    source = rig.broker.source("group", ["in"])
    transactions = rig.broker.transactions()
    once = ExactlyOnce(source, transactions, "group", Backoff(0.001, 0.01), most=most, stateful=True, quiet_s=0.05)
    async with rig.running(worker, source=source, delivery=once, journal=journal, key_of=lambda r: r.offset):
        await eventually(lambda: [rig.committed(each) for each in range(partitions)] == [4] * partitions)
        assert len(worker.held) < 2 * partitions
        rig.broker.produce(Outbound("in", b"k", b"0", partition=0))  # whose producer another one has
        await eventually(lambda: rig.committed(0) == 5)
    assert len(rig.broker.records("out")) == 4 * partitions + 1


async def test_a_partition_that_is_never_done_gives_its_producer_up_in_the_end(rig: Rig) -> None:
    """Others have work as well; it begins anew when it is its turn again."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.partition == 0:
            await gate.wait()
        return [Outbound("out", record.key, record.value)]

    rig.fill(2, partitions=2)
    journal = Journal()
    worker = Loading(journal, handler)
    source = rig.broker.source("group", ["in"])
    transactions = rig.broker.transactions()
    once = ExactlyOnce(
        source, transactions, "group", Backoff(0.001, 0.01), most=1, stateful=True, quiet_s=0.01, turn_s=0.1
    )
    async with rig.running(worker, source=source, delivery=once, journal=journal):
        await eventually(lambda: rig.committed(1) == 1)
        assert rig.committed(0) == 0
        gate.set()
        await eventually(lambda: rig.committed(0) == 1)
    assert sorted(rig.values()) == [0, 1]
