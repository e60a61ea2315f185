"""A record that kills the process, and what is not taken for one."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest

from processor.contract import Outbound, Record, TopicPartition
from processor.engine import AtLeastOnce, Backoff, Engine, ExactlyOnce, Limits
from processor.engine.delivery import Lost, Substitute
from processor.engine.dispatch import Dispatcher
from processor.engine.inflight import Batch, Entry, Partition
from processor.engine.suspects import TRIES, Note

from .conftest import QUICK, Rig, Worker, echo, eventually

LIMITS = replace(QUICK, concurrency=8, in_flight=64)


async def life(
    rig: Rig, total: int, poison: set[int], *, exactly_once: bool, lasts_s: float = 0.0, limits: Limits = LIMITS
) -> bool:
    """One life of a daemon; whether it ended by working all off, and not by a poisonous record, after `lasts_s`."""
    source, sink, transactions = rig.broker.source("group", ["in"]), rig.broker.sink(), rig.broker.transactions()
    died = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        await asyncio.sleep(0)
        if int(record.value or b"") in poison:
            await asyncio.sleep(lasts_s)
            died.set()
            await asyncio.Event().wait()
        return await echo(record)

    delivery = ExactlyOnce(source, transactions, "group", Backoff(0.001, 0.01), yield_s=0.01) if exactly_once else None
    engine = Engine(source, sink, Worker(handler), limits, delivery=delivery)
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    try:
        await eventually(lambda: died.is_set() or sum(rig.broker.committed["group"].values()) == total)
    finally:
        if died.is_set():
            await source.crash()
            sink.crash()
            transactions.crash()
            task.cancel()
        stop.set()
        await asyncio.wait([task])
    return not died.is_set()


@pytest.mark.parametrize("exactly_once", [False, True])
async def test_a_record_that_kills_the_process_is_rejected(rig: Rig, *, exactly_once: bool) -> None:
    """After a few starts, wherever it stands, and it alone; the rest has its outputs."""
    rig.fill(60, partitions=2)
    poison = {13, 50}
    for _ in range(40):
        if await life(rig, 60, poison, exactly_once=exactly_once):
            break
    letters = rig.broker.records("dead")
    assert {int(letter.value or b"") for letter in letters} == poison
    assert {dict(letter.headers)["reason"] for letter in letters} == {b"poison"}
    assert set(rig.values()) == set(range(60)) - poison
    if exactly_once:
        assert len(rig.values()) == 58


async def test_a_little_progress_of_each_start_does_not_hide_it(rig: Rig) -> None:
    """Starts that get on by less than the window are counted together."""
    rig.fill(30)
    deaths = 0
    while not await life(rig, 30, {6}, exactly_once=True, lasts_s=0.02):
        deaths += 1
        assert rig.committed() or deaths == 1
    assert deaths <= LIMITS.poison_starts + 1 + TRIES  # one of them with others of its group
    assert {int(letter.value or b"") for letter in rig.broker.records("dead")} == {6}


async def test_what_was_read_anew_is_no_death(rig: Rig) -> None:
    """A partition that another has written meanwhile begins anew; the note that this process left there counts not."""
    rig.fill(8)
    release = asyncio.Event()

    async def first_only(record: Record) -> Sequence[Outbound]:
        if record.offset:
            await release.wait()
        return await echo(record)

    source, transactions = rig.broker.source("group", ["in"]), rig.broker.transactions()
    delivery = ExactlyOnce(source, transactions, "group", Backoff(0.001, 0.01), yield_s=0.01)
    engine = Engine(source, rig.broker.sink(), Worker(first_only), replace(LIMITS, drain_s=0.05), delivery=delivery)
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    tp = TopicPartition("in", 0)

    def held() -> defaultdict[TopicPartition, Partition]:
        return defaultdict(lambda: Partition(tp), engine._inflight.partitions)

    for _ in range(5):
        await eventually(lambda: rig.committed() == 1 and held()[tp].note == rig.broker.metadata["group"][tp])
        assert held()[tp].note == str(Note(1))
        await engine.begin_anew(held()[tp])
    release.set()
    await eventually(lambda: rig.committed() == 8)
    stop.set()
    await task
    assert rig.broker.metadata["group"][tp] == ""


async def test_a_partition_without_a_commit_begins_anew_at_its_first_record(rig: Rig) -> None:
    """Nobody can say where another ended: what was read of it and dropped is read again."""
    rig.fill(8)
    source, transactions = rig.broker.source("group", ["in"]), rig.broker.transactions()

    class Fenced(ExactlyOnce):
        times = 0

        async def mark(self, partition: Partition, offset: int, note: str) -> None:
            self.times += 1
            if self.times == 1:
                rig.broker.committed["group"].clear()  # as of a partition that was added to its topic
                raise Lost
            await super().mark(partition, offset, note)

    engine = Engine(source, rig.broker.sink(), Worker(), LIMITS, delivery=Fenced(source, transactions, "group"))
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    await eventually(lambda: rig.committed() == 8)
    stop.set()
    await task
    assert rig.values() == list(range(8))


async def test_an_orderly_end_after_a_little_progress_is_no_death(rig: Rig) -> None:
    """The note stays beside the offsets until the start has got on, and goes with it."""
    rig.fill(20)
    tp = TopicPartition("in", 0)

    async def some(record: Record) -> Sequence[Outbound]:
        if record.offset >= 3:
            await asyncio.Event().wait()
        return await echo(record)

    for _ in range(2):
        async with rig.running(Worker(some), replace(LIMITS, drain_s=0.01)):
            await eventually(lambda: rig.committed() == 3 and rig.broker.metadata["group"][tp] == str(Note(1)))
        assert rig.broker.metadata["group"][tp] == ""


async def test_an_orderly_end_is_no_death(rig: Rig) -> None:
    """A partition that does not move over many restarts, because its model is down, is not suspected."""
    rig.fill(3)

    async def hang(record: Record) -> Sequence[Outbound]:
        await asyncio.Event().wait()
        return await echo(record)

    for _ in range(6):
        worker = Worker(hang)
        async with rig.running(worker, replace(LIMITS, drain_s=0.01)):
            await eventually(lambda: len(worker.handled) == 3)  # noqa: B023 (awaited here)
            assert rig.broker.metadata["group"][TopicPartition("in", 0)] == str(Note(1, 0))
        assert rig.broker.metadata["group"][TopicPartition("in", 0)] == ""


async def test_a_mark_stays_beside_a_delivery_that_does_not_end(rig: Rig) -> None:
    """Taking it back would commit the offset before that delivery, which may have gone through."""
    marks: list[tuple[int, str]] = []
    delivering = asyncio.Event()

    class Hanging(AtLeastOnce):
        async def deliver(self, batch: Batch, substitute: Substitute) -> None:
            delivering.set()
            await asyncio.Event().wait()

        async def mark(self, partition: Partition, offset: int, note: str) -> None:
            marks.append((offset, note))

    rig.fill(3)
    source, sink = rig.broker.source("group", ["in"]), rig.broker.sink()
    engine = Engine(source, sink, Worker(), replace(LIMITS, drain_s=0.05), delivery=Hanging(source, sink))
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    await delivering.wait()
    stop.set()
    await task
    assert marks == [(0, str(Note(1, 0)))]


async def test_a_mark_that_stays_through_a_rebalance_is_no_death(rig: Rig) -> None:
    """It could not be taken back, and the partition comes back to the process that has left it."""
    marks: list[str] = []

    class Hanging(AtLeastOnce):
        async def deliver(self, batch: Batch, substitute: Substitute) -> None:
            await asyncio.Event().wait()

        async def mark(self, partition: Partition, offset: int, note: str) -> None:
            marks.append(note)
            await super().mark(partition, offset, note)

    rig.fill(3)
    source, sink = rig.broker.source("group", ["in"]), rig.broker.sink()
    engine = Engine(source, sink, Worker(), replace(LIMITS, revoke_s=0.01), delivery=Hanging(source, sink))
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    await eventually(lambda: any(True for _ in engine._deliveries.entries()))
    await rig.broker.rebalance("group")
    await eventually(lambda: len(marks) == 2)
    stop.set()
    await task
    assert marks[:2] == [str(Note(1))] * 2


async def test_there_is_nothing_to_mark_by_while_a_transaction_is_settled(rig: Rig) -> None:
    """The partition has no transactor then; that is no defect."""
    delivery = ExactlyOnce(rig.broker.source("group", ["in"]), rig.broker.transactions(), "group")
    with pytest.raises(Lost):
        await delivery.mark(Partition(TopicPartition("in", 0)), 0, "")


async def test_an_entry_that_has_waited_does_not_go_before_the_one_that_is_alone() -> None:
    """Nothing at all would be begun then."""
    done: list[int] = []

    async def work(entry: Entry) -> None:
        done.append(entry.record.offset)

    dispatcher = Dispatcher(work, 4, None, lambda _: None, "test")
    partition = Partition(TopicPartition("in", 0))
    partition.taking = True
    alone, other = (Entry(Record("in", 0, offset, None, b""), partition, 0, 0.0) for offset in (0, 1))
    dispatcher.alone = alone
    dispatcher.submit(alone)
    dispatcher.again(other)
    await eventually(lambda: done == [0])
    dispatcher.alone = None
    dispatcher.wake()
    await eventually(lambda: done == [0, 1])
    await dispatcher.stop()


async def test_progress_wipes_the_mark_out(rig: Rig) -> None:
    """What was written down at the start is gone with the first delivery."""
    rig.fill(5)
    async with rig.running(Worker(), LIMITS):
        await eventually(lambda: rig.committed() == 5)
        assert rig.broker.metadata["group"][TopicPartition("in", 0)] == ""


async def test_suspects_that_are_innocent_are_tried_together(rig: Rig) -> None:
    """Most are suspects only because the process died of something else: they cost a trial, not one for each record."""
    rig.fill(40)
    tp = TopicPartition("in", 0)
    rig.broker.committed["group"][tp] = 0
    rig.broker.metadata["group"][tp] = str(Note(LIMITS.poison_starts))
    marks: list[str] = []

    class Marking(AtLeastOnce):
        async def mark(self, partition: Partition, offset: int, note: str) -> None:
            marks.append(note)
            await super().mark(partition, offset, note)

    source, sink = rig.broker.source("group", ["in"]), rig.broker.sink()
    engine = Engine(source, sink, Worker(), replace(LIMITS, concurrency=32), delivery=Marking(source, sink))
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    await eventually(lambda: rig.committed() == 40)
    stop.set()
    await task
    starts = LIMITS.poison_starts + 1
    assert marks[:2] == [str(Note(starts)), str(Note(LIMITS.poison_starts, group=32))]
    assert rig.values() == list(range(40))


@pytest.mark.parametrize("how", ["revoked", "begun anew"])
async def test_a_trial_whose_partition_goes_holds_up_no_other(rig: Rig, how: str) -> None:
    """It ends with the partition, though nothing else moves in the process."""
    rig.fill(2, partitions=2)
    first, other = (TopicPartition("in", number) for number in range(2))
    for tp in (first, other):
        rig.broker.committed["group"][tp] = 0
        rig.broker.metadata["group"][tp] = str(Note(LIMITS.poison_starts))
    begun: list[int] = []

    async def hangs_at_first(record: Record) -> Sequence[Outbound]:
        begun.append(record.partition)
        if len(begun) == 1:
            await asyncio.Event().wait()
        return await echo(record)

    source, sink = rig.broker.source("group", ["in"]), rig.broker.sink()
    engine = Engine(source, sink, Worker(hangs_at_first), replace(LIMITS, revoke_s=0.01, drain_s=0.01))
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    await eventually(lambda: len(begun) == 1)
    tried = engine._inflight.partitions[TopicPartition("in", begun[0])]
    if how == "revoked":
        await engine.revoked([tried.tp])
    else:
        await engine.begin_anew(tried)
    await eventually(lambda: 1 - begun[0] in begun)
    stop.set()
    await task
    assert rig.values()


async def test_a_group_in_which_the_process_died_is_narrowed_down(rig: Rig) -> None:
    """From many to few to one, and no further than what was tried together; a bounded number of deaths."""
    rig.fill(90)
    deaths = 0
    while not await life(rig, 90, {41}, exactly_once=True, limits=replace(LIMITS, concurrency=60)):
        deaths += 1
    assert deaths <= LIMITS.poison_starts + 2 + TRIES
    assert {int(letter.value or b"") for letter in rig.broker.records("dead")} == {41}
    assert sorted(rig.values()) == [value for value in range(90) if value != 41]


@pytest.mark.parametrize("text", ["", "something else", "fs starts=x tries=1", "fs starts=1"])
def test_foreign_metadata_is_no_note(text: str) -> None:
    """Another program may have committed the offset."""
    assert Note.parse(text) == Note()
    assert Note.parse(str(Note(4, 1))) == Note(4, 1)
    assert Note.parse(str(Note(4, 0, 60))) == Note(4, 0, 60)
