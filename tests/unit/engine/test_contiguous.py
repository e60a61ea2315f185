"""Any order of completion, any point of a crash: never a gap, never a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from processor.contract import NO_NOTES, Notes, Outbound, Record, TopicPartition
from processor.engine import Backoff, Engine, ExactlyOnce
from processor.engine.inflight import InFlight
from processor.testing.broker import BROKER_AWAY, MemoryBroker

from .conftest import QUICK, Worker, echo, eventually

STEPS = ["open", "begin", "end", "settle", "markers", "settling"]
"""Where a transaction can fail."""


class WatchedBroker(MemoryBroker):
    """Checks at each commit that everything below it has its output."""

    def __init__(self, partitions: int) -> None:
        super().__init__(partitions)
        self.gaps: list[tuple[TopicPartition, int, set[int]]] = []

    def check(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Called with what is about to be committed."""
        done = {int(record.value or b"") for record in self.records("out")}
        for tp, offset in offsets.items():
            wanted = {int(record.value or b"") for record in self.records("in") if record.partition == tp.partition}
            below = {n for n in wanted if n // self._partitions < offset}
            if below - done:
                self.gaps.append((tp, offset, below - done))


class Orderly:
    """Has handlers finish in a given order."""

    def __init__(self, order: Sequence[int], until: int) -> None:
        self.order = list(order)
        self.until = until  # after so many completions nothing finishes any more
        self.gates: dict[int, asyncio.Event] = {number: asyncio.Event() for number in order}

    async def handle(self, record: Record) -> Sequence[Outbound]:
        await self.gates[int(record.value or b"")].wait()
        return await echo(record)

    async def release(self) -> None:
        for number in self.order[: self.until]:
            self.gates[number].set()
            await asyncio.sleep(0)


async def life(
    broker: WatchedBroker, orderly: Orderly, total: int, *, crash: bool, exactly_once: bool = False, most: int = 100
) -> None:
    """One life of a daemon: to its crash, or until all is committed."""
    source, sink, transactions = broker.source("group", ["in"]), broker.sink(), broker.transactions()
    commit = source.commit

    async def watched(offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        broker.check(offsets)
        await commit(offsets, notes)

    source.commit = watched  # type: ignore[method-assign]
    stop = asyncio.Event()
    limits = replace(QUICK, drain_s=0.01, revoke_s=0.0, batch=3)
    delivery = ExactlyOnce(source, transactions, "group", Backoff(0.001, 0.01), yield_s=0.01, most=most)
    engine = Engine(source, sink, Worker(orderly.handle), limits, delivery=delivery if exactly_once else None)
    task = asyncio.create_task(engine.run(stop))
    await orderly.release()
    if crash:
        await source.crash()
        sink.crash()
        transactions.crash()
        task.cancel()
    else:
        await eventually(lambda: sum(broker.committed["group"].values()) == total)
        stop.set()
    await asyncio.wait([task])


def filled(data: st.DataObject, partitions: int) -> tuple[int, WatchedBroker]:
    """Some records that are their number, dealt to the partitions in turn; how many there are, and their broker."""
    total = data.draw(st.integers(1, 24), "records")
    broker = WatchedBroker(partitions)
    broker.create("in", partitions)
    for number in range(total):
        broker.produce(Outbound("in", None, b"%d" % number, partition=number % partitions))
    return total, broker


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_gap_and_no_loss_over_crashes(data: st.DataObject) -> None:
    """Crash after any number of completions in any order, with faults of the broker, then run to the end."""
    total, broker = filled(data, data.draw(st.integers(1, 3), "partitions"))

    async def lives() -> None:
        for _ in range(data.draw(st.integers(0, 3), "crashes")):
            for step in data.draw(st.lists(st.sampled_from(["publish", "ack", "commit"]), max_size=3), "faults"):
                broker.fail(step, BROKER_AWAY)
            order = data.draw(st.permutations(range(total)), "order")
            await life(broker, Orderly(order, data.draw(st.integers(0, total), "until")), total, crash=True)
        order = data.draw(st.permutations(range(total)), "last order")
        await life(broker, Orderly(order, total), total, crash=False)

    asyncio.run(lives())
    assert broker.gaps == []
    assert {int(record.value or b"") for record in broker.records("out")} == set(range(total))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_exactly_once_over_crashes(data: st.DataObject) -> None:
    """As above, with transactions: each record has its output once, whatever died, and whenever that was learnt."""
    total, broker = filled(data, data.draw(st.integers(1, 3), "partitions"))
    most = data.draw(st.integers(1, 3), "transactors at once")

    async def lives() -> None:
        for more in [True] * data.draw(st.integers(0, 3), "crashes") + [False]:
            for step in data.draw(
                st.lists(st.sampled_from(["open", "begin", "end", "settle", "markers", "settling"]), max_size=4),
                "faults",
            ):
                broker.fail(step, BROKER_AWAY)
            orderly = Orderly(
                data.draw(st.permutations(range(total)), "order"),
                data.draw(st.integers(0, total), "until") if more else total,
            )
            await life(broker, orderly, total, crash=more, exactly_once=True, most=most)

    asyncio.run(lives())
    assert sorted(int(record.value or b"") for record in broker.records("out")) == list(range(total))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_exactly_once_beside_frozen_owners(data: st.DataObject) -> None:
    """Owners that were dropped by their group, and do not know, go on beside the new one: each output comes once.

    As an output or as a dead letter: where owners keep replacing each other on one record, and none gets past it, that
    looks as if it killed them.
    """
    total, broker = filled(data, data.draw(st.integers(1, 2), "partitions"))
    most = data.draw(st.integers(1, 2), "transactors at once")

    async def lives() -> None:
        zombies = []
        for _ in range(data.draw(st.integers(1, 3), "zombies")):
            source = broker.source("group", ["in"])
            order = data.draw(st.permutations(range(total)), "order")
            orderly = Orderly(order, data.draw(st.integers(0, total), "until"))
            transactions, backoff = broker.transactions(), Backoff(0.001, 0.01)
            delivery = ExactlyOnce(source, transactions, "group", backoff, yield_s=0.005, most=most)
            engine = Engine(source, broker.sink(), Worker(orderly.handle), replace(QUICK, batch=3), delivery=delivery)
            zombies.append(asyncio.create_task(engine.run(asyncio.Event())))
            await orderly.release()
            await source.crash()
            for gate in orderly.gates.values():
                gate.set()
        await life(broker, Orderly(range(total), total), total, crash=False, exactly_once=True, most=most)
        for zombie in zombies:
            zombie.cancel()
        await asyncio.wait(zombies)

    asyncio.run(lives())
    ended = [*broker.records("out"), *broker.records("dead")]
    assert sorted(int(record.value or b"") for record in ended) == list(range(total))
    assert {record.headers for record in broker.records("dead")} <= {(("reason", b"poison"),)}


@given(order=st.permutations(range(12)), takes=st.sets(st.integers(0, 11)))
def test_only_the_finished_prefix_is_taken(order: list[int], takes: set[int]) -> None:
    """`InFlight.take` at any time gives exactly the finished prefix, once."""
    inflight = InFlight()
    tp = TopicPartition("in", 0)
    partition = inflight.open(tp)
    # Offsets with holes, as compaction and transaction markers leave them.
    entries = [inflight.accept(partition, Record("in", 0, 3 * at, None, b"")) for at in range(12)]
    taken: list[int] = []
    for step, at in enumerate(order):
        entry = entries[at]
        assert entry is not None
        entry.outputs = ()
        if step in takes:
            batch = inflight.take([partition], 100, 1_000_000)
            taken += [e.record.offset // 3 for e in batch.entries]
            done = set(order[: step + 1])
            prefix = next((n for n in range(12) if n not in done), 12)
            assert taken == list(range(prefix))
            assert batch.offsets == ({tp: 3 * (prefix - 1) + 1} if batch.entries else {})
            inflight.release(batch)
    assert inflight.count == 12 - len(taken)


def test_a_record_that_comes_twice_is_taken_once() -> None:
    """After a seek back the client may return what is in flight already."""
    inflight = InFlight()
    partition = inflight.open(TopicPartition("in", 0))
    first = inflight.accept(partition, Record("in", 0, 7, None, b"x"))
    again = inflight.accept(partition, Record("in", 0, 7, None, b"x"))
    assert (first is not None, again, inflight.count, inflight.bytes) == (True, None, 1, 1)


def test_closing_a_partition_drops_what_is_left() -> None:
    """Counts go down once, for what a delivery has taken as well."""
    inflight = InFlight()
    partition = inflight.open(TopicPartition("in", 0))
    entries = [inflight.accept(partition, Record("in", 0, at, None, b"xy")) for at in range(3)]
    assert entries[0] is not None
    entries[0].outputs = ()
    batch = inflight.take([partition], 10, 1_000_000)
    inflight.close(partition.tp)
    assert (inflight.count, inflight.bytes, partition.closed) == (1, 2, True)
    inflight.release(batch)
    assert (inflight.count, inflight.bytes) == (0, 0)


def test_a_batch_is_bounded_by_bytes_of_outputs() -> None:
    """What is over the bound waits for the next batch; what is larger than the bound goes alone."""
    inflight = InFlight()
    partition = inflight.open(TopicPartition("in", 0))
    for at, weight in enumerate((40, 60, 1, 500, 99)):
        entry = inflight.accept(partition, Record("in", 0, at, None, b""))
        assert entry is not None
        entry.outputs, entry.weight = (), weight
    batches = [inflight.take([partition], 100, 100) for _ in range(5)]
    assert [[entry.weight for entry in batch.entries] for batch in batches] == [[40, 60], [1], [500], [99], []]
    assert [list(batch.offsets.values()) for batch in batches] == [[2], [3], [4], [5], []]
