"""The engine on the in-memory broker: order of commit, errors, bounds, rebalances, drain."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Backoff, ExactlyOnce
from processor.errors import Fatal, Rejected, Retryable
from processor.telemetry import RECORD
from processor.testing.broker import BROKER_AWAY, MemoryBroker, MemorySource, MemoryTransactions, MemoryTransactor

from .conftest import QUICK, Rig, Worker, echo, eventually


async def test_every_record_has_its_output_and_is_committed(rig: Rig) -> None:
    """The plain way."""
    rig.fill(100, partitions=3)
    async with rig.running(Worker()):
        await eventually(lambda: [rig.committed(p) for p in range(3)] == [34, 33, 33])
    assert sorted(rig.values()) == list(range(100))


async def test_a_restart_goes_on_where_the_commit_ended(rig: Rig) -> None:
    """Nothing is done twice after a clean stop."""
    rig.fill(10)
    async with rig.running(Worker()):
        await eventually(lambda: rig.committed() == 10)
    rig.fill(3)
    worker = Worker()
    async with rig.running(worker):
        await eventually(lambda: rig.committed() == 13)
    assert [record.offset for record in worker.handled] == [10, 11, 12]


async def test_a_slow_record_holds_back_the_commit_and_nothing_else(rig: Rig) -> None:
    """Later records finish; their outputs and offsets wait for the earlier one."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 2:
            await gate.wait()
        return await echo(record)

    rig.fill(6)
    worker = Worker(handler)
    async with rig.running(worker):
        await eventually(lambda: len(worker.handled) == 6 and rig.committed() == 2)
        assert rig.values() == [0, 1]
        gate.set()
        await eventually(lambda: rig.committed() == 6)
    assert rig.values() == list(range(6))


async def test_handlers_run_concurrently_up_to_the_limit(rig: Rig) -> None:
    """`concurrency` handlers at once, never more."""
    running = most = 0

    async def handler(record: Record) -> Sequence[Outbound]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return ()

    rig.fill(60)
    async with rig.running(Worker(handler), replace(QUICK, concurrency=7)):
        await eventually(lambda: rig.committed() == 60)
    assert most == 7


async def test_handlers_that_never_suspend_let_the_loop_turn(rig: Rig) -> None:
    """Heartbeats and acknowledgements come in between, however many records wait."""

    async def handler(record: Record) -> Sequence[Outbound]:
        began = time.perf_counter()
        while time.perf_counter() - began < 0.002:
            pass
        return await echo(record)

    rig.fill(400)
    worker = Worker(handler)
    between = []
    async with rig.running(worker):
        while rig.committed() != 400:
            before = len(worker.handled)
            await asyncio.sleep(0)
            between.append(len(worker.handled) - before)
    assert 0 < max(between) <= 5


async def test_the_same_record_again_after_retryable(rig: Rig) -> None:
    """Neither lost nor a dead letter, however often it fails."""
    tries: dict[int, int] = defaultdict(int)

    async def handler(record: Record) -> Sequence[Outbound]:
        tries[record.offset] += 1
        if record.offset == 1 and tries[1] < 12:
            raise Retryable("model away", shared=False)
        return await echo(record)

    rig.fill(4)
    async with rig.running(Worker(handler)):
        await eventually(lambda: rig.committed() == 4)
    assert (tries[1], rig.values(), rig.values("dead")) == (12, [0, 1, 2, 3], [])


async def test_what_has_waited_goes_before_what_is_newer(rig: Rig) -> None:
    """The commits of all others wait for it: it isn't put behind all that is in flight."""
    failed = False

    async def handler(record: Record) -> Sequence[Outbound]:
        nonlocal failed
        if record.offset == 0 and not failed:
            failed = True
            raise Retryable("model away", shared=False)
        await asyncio.sleep(0.002)
        return await echo(record)

    rig.fill(100)
    worker = Worker(handler)
    async with rig.running(worker, replace(QUICK, concurrency=1)):
        await eventually(lambda: rig.committed() == 100)
    again = [record.offset for record in worker.handled].index(0, 1)
    assert again < 50


async def test_a_shared_cause_pauses_the_partition_while_polling_goes_on(rig: Rig) -> None:
    """What is in flight goes on; nothing new is taken until it is over."""
    away = True

    async def handler(record: Record) -> Sequence[Outbound]:
        if away and record.partition == 0:
            raise Retryable("no replica", shared=True)
        return await echo(record)

    rig.fill(2, partitions=2)
    async with rig.running(Worker(handler)):
        await eventually(lambda: rig.source.paused == {TopicPartition("in", 0)})
        polls = rig.source.polls
        rig.fill(2, partitions=2)
        await eventually(lambda: rig.committed(1) == 2 and rig.source.polls > polls + 2)
        assert rig.source.positions.get(TopicPartition("in", 0)) == 1
        away = False
        await eventually(lambda: rig.committed(0) == 2)
    assert not rig.source.paused


async def test_a_shared_cause_is_told_once_for_all_that_wait(rig: Rig) -> None:
    """An hour's outage does not fill the log with a line for each record and try."""
    away = True

    async def handler(record: Record) -> Sequence[Outbound]:
        if away:
            raise Retryable("model away")
        return await echo(record)

    rig.fill(100)
    worker = Worker(handler)
    with capture_logs() as lines:
        async with rig.running(worker):
            await eventually(lambda: len(worker.handled) >= 500)
            away = False
            await eventually(lambda: rig.committed() == 100)
    told = [line for line in lines if line["event"] == "record waits"]
    assert 1 <= len(told) <= 30
    assert max(line["waiting"] for line in told) == 100


async def test_a_failure_that_comes_as_its_partition_goes_is_nobodys(rig: Rig) -> None:
    """A handler that is cancelled may still end in an error; the record is read again by the next owner."""

    async def handler(record: Record) -> Sequence[Outbound]:
        if len(worker.handled) > 1:
            return await echo(record)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            raise Retryable("the connection was closed") from cancelled
        raise AssertionError

    rig.fill(1)
    worker = Worker(handler)
    async with rig.running(worker, replace(QUICK, revoke_s=0.01)):
        await eventually(lambda: worker.handled)
        await rig.broker.rebalance("group")
        await eventually(lambda: rig.committed() == 1)
    assert rig.values() == [0]


async def test_all_that_wait_for_the_same_go_on_once_one_has_got_through(rig: Rig) -> None:
    """Nothing waits out the long pauses that it got while the model was away; what waits for another thing does."""
    away = True

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 48:
            raise Retryable("another thing is away", wait=1800)
        if away:
            raise Retryable("model away", wait=3600 if record.offset == 49 else None)
        return await echo(record)

    rig.fill(50)
    worker = Worker(handler)
    longer = replace(QUICK, backoff_first_s=2, backoff_most_s=3600)
    async with rig.running(worker, longer):
        await eventually(lambda: len({record.offset for record in worker.handled}) == 50)
        away = False
        await eventually(lambda: rig.committed() == 48)
        tries = Counter(record.offset for record in worker.handled)
    assert max(tries[offset] for offset in range(48)) == 2
    assert (tries[48], tries[49]) == (1, 1)


async def test_the_wait_that_an_error_asks_for_is_kept(rig: Rig) -> None:
    """`Retryable(wait=…)` is the least, whatever the back-off would be."""
    times: list[float] = []

    async def handler(record: Record) -> Sequence[Outbound]:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            raise Retryable("slow down", wait=0.1)
        return ()

    rig.fill(1)
    async with rig.running(Worker(handler)):
        await eventually(lambda: rig.committed() == 1)
    assert times[1] - times[0] >= 0.099


async def test_rejected_becomes_a_dead_letter_and_the_line_goes_on(rig: Rig) -> None:
    """With its reason and its bytes."""

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 1:
            raise Rejected("binary")
        return await echo(record)

    rig.fill(3)
    async with rig.running(Worker(handler)):
        await eventually(lambda: rig.committed() == 3)
    [dead] = rig.broker.records("dead")
    assert (dead.value, dead.headers, rig.values()) == (b"1", (("reason", b"binary"),), [0, 2])


async def test_a_defect_costs_its_own_record_only(rig: Rig) -> None:
    """An unexpected exception is a dead letter with reason `internal`."""

    async def handler(record: Record) -> Sequence[Outbound]:
        return await echo(record) if record.offset else [].pop()

    rig.fill(2)
    async with rig.running(Worker(handler)):
        await eventually(lambda: rig.committed() == 2)
    assert rig.broker.records("dead")[0].headers == (("reason", b"internal"),)


async def test_fatal_drains_and_comes_out_of_run(rig: Rig) -> None:
    """What was finished before it is committed; the rest is left for the restart."""

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 5:
            raise Fatal("adapter's base model differs")
        return await echo(record)

    rig.fill(8)
    async with rig.running(Worker(handler)) as task:
        with pytest.raises(Fatal, match="adapter's base model"):
            await task
    assert rig.committed() == 5


async def test_in_flight_is_bounded_by_count(rig: Rig) -> None:
    """At the bound the partitions pause, and polling goes on."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        await gate.wait()
        return ()

    rig.fill(50)
    worker = Worker(handler)
    async with rig.running(worker, replace(QUICK, in_flight=10)):
        await eventually(lambda: rig.source.paused)
        polls = rig.source.polls
        await eventually(lambda: rig.source.polls > polls + 2)
        assert len(worker.handled) == 10
        gate.set()
        await eventually(lambda: rig.committed() == 50)


async def test_in_flight_is_bounded_by_bytes(rig: Rig) -> None:
    """At most one poll goes over it, and that by its first size alone."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        await gate.wait()
        return ()

    rig.fill(1, size=1000)
    worker = Worker(handler)
    async with rig.running(worker, replace(QUICK, in_flight_bytes=10_000)):
        await eventually(lambda: worker.handled)
        rig.fill(49, size=1000)
        await eventually(lambda: rig.source.paused)
        assert len(worker.handled) <= 10
        gate.set()
        await eventually(lambda: rig.committed() == 50)


async def test_partitions_take_turns(rig: Rig) -> None:
    """What waits of a partition with much does not go before what another has."""
    rig.fill(200)
    worker = Worker()
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        await gate.wait()
        return await echo(record)

    worker.handler = handler
    rig.broker.create("in", 2)
    async with rig.running(worker, replace(QUICK, concurrency=4)):
        await eventually(lambda: rig.engine.problem() is None and len(worker.handled) == 4)
        rig.broker.produce(Outbound("in", b"k", b"200", partition=1))
        rig.broker.produce(Outbound("in", b"k", b"201", partition=1))
        await eventually(lambda: rig.source.positions.get(TopicPartition("in", 1)) == 2)
        gate.set()
        await eventually(lambda: rig.committed() == 200 and rig.committed(1) == 2)
    turns = [record.partition for record in worker.handled]
    assert turns[:4] == [0, 0, 0, 0]
    assert 1 in turns[4:6]
    assert turns[4:9].count(1) == 2


async def test_a_partition_that_has_much_leaves_room_to_the_others(rig: Rig) -> None:
    """Though all of its records wait for an answer, those of another are taken and worked on."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.partition == 0:
            await gate.wait()
        return await echo(record)

    rig.fill(300)
    rig.broker.create("in", 2)
    async with rig.running(Worker(handler), replace(QUICK, in_flight=40, concurrency=40, poll=10)):
        await eventually(lambda: rig.source.positions.get(TopicPartition("in", 0)) == 30)
        for number in range(300, 320):
            rig.broker.produce(Outbound("in", b"k", b"%d" % number, partition=1))
        await eventually(lambda: rig.committed(1) == 20)
        assert rig.committed() == 0
        gate.set()
        await eventually(lambda: rig.committed() == 300)
    assert sorted(rig.values()) == list(range(320))


async def test_records_of_a_key_run_one_after_the_other(rig: Rig) -> None:
    """With `key_of`, in order, a wait for a retry included; other keys go on."""
    seen: list[tuple[bytes | None, bytes | None]] = []
    failed: set[int] = set()

    async def handler(record: Record) -> Sequence[Outbound]:
        await asyncio.sleep(0)
        if record.offset % 5 == 0 and record.offset not in failed:
            failed.add(record.offset)
            raise Retryable(shared=False)
        seen.append((record.key, record.value))
        return ()

    rig.broker.create("in", 1)
    for number in range(30):
        rig.broker.produce(Outbound("in", b"ab"[number % 2 : number % 2 + 1], b"%d" % number))
    async with rig.running(Worker(handler), key_of=lambda record: record.key):
        await eventually(lambda: rig.committed() == 30)
    for key in (b"a", b"b"):
        values = [int(value or b"") for k, value in seen if k == key]
        assert values == sorted(values)


@pytest.mark.parametrize("step", ["publish", "ack", "commit", "poll", "start"])
async def test_a_broker_that_is_away_costs_time_only(rig: Rig, step: str) -> None:
    """Each step is repeated; a lost acknowledgement repeats outputs, never loses them."""
    rig.fill(20)
    rig.broker.fail(step, BROKER_AWAY, times=3)
    async with rig.running(Worker()):
        await eventually(lambda: rig.committed() == 20)
    assert set(rig.values()) == set(range(20))
    assert len(rig.values()) == (80 if step == "ack" else 20)


async def test_offsets_are_committed_after_the_acknowledgement(rig: Rig) -> None:
    """As long as outputs are not acknowledged, nothing is committed."""
    rig.fill(5)
    rig.broker.fail("ack", Retryable("away", wait=0.02), times=2)
    async with rig.running(Worker()):
        await eventually(rig.values)
        assert rig.committed() == 0
        await eventually(lambda: rig.committed() == 5)


async def test_an_output_over_the_limit_becomes_a_dead_letter(rig: Rig) -> None:
    """Whole if it fits, without its body if it does not; the line goes on."""
    rig.broker.max_bytes = 20_000

    async def handler(record: Record) -> Sequence[Outbound]:
        return (Outbound("out", None, b"x" * 30_000),)

    rig.fill(1, size=10)
    rig.fill(1, size=19_000)
    async with rig.running(Worker(handler)):
        await eventually(lambda: rig.committed() == 2)
    small, large = rig.broker.records("dead")
    assert (small.value, large.value) == (b"0".ljust(10), None)
    assert dict(large.headers)["fs-body-left-out"] == b"19000"


async def test_a_rebalance_commits_what_is_finished_and_drops_the_rest(rig: Rig) -> None:
    """The dropped handler is cancelled, and its record is read again."""
    gate = asyncio.Event()
    cancelled: list[int] = []

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 3:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.append(record.offset)
                raise
        return await echo(record)

    rig.fill(5)
    worker = Worker(handler)
    async with rig.running(worker, replace(QUICK, revoke_s=0.05)):
        await eventually(lambda: rig.committed() == 3)
        await rig.broker.rebalance("group")
        assert (cancelled, worker.let_go, rig.committed()) == ([3], [TopicPartition("in", 0)], 3)
        gate.set()
        await eventually(lambda: rig.committed() == 5)
    assert rig.values() == list(range(5))


async def test_pauses_are_applied_again_after_a_rebalance(rig: Rig) -> None:
    """A rebalance forgets them; the bound does not."""
    away = True

    async def handler(record: Record) -> Sequence[Outbound]:
        if away:
            raise Retryable("no replica")
        return await echo(record)

    rig.fill(3)
    async with rig.running(Worker(handler), replace(QUICK, revoke_s=0.01)):
        await eventually(lambda: rig.source.paused)
        await rig.broker.rebalance("group")
        await eventually(lambda: rig.source.paused == {TopicPartition("in", 0)})
        away = False
        await eventually(lambda: rig.committed() == 3)
    assert rig.values() == [0, 1, 2]


async def test_nothing_is_taken_before_the_worker_has_loaded(rig: Rig) -> None:
    """`assigned` of the worker may take long, and may fail for a while."""
    loaded = asyncio.Event()
    tries = 0

    class Loading(Worker):
        async def assigned(self, partition: TopicPartition) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise Retryable("state topic away")
            await loaded.wait()

    rig.fill(3)
    worker = Loading()
    async with rig.running(worker):
        await eventually(lambda: tries == 2 and rig.source.polls > 2)
        assert worker.handled == []
        loaded.set()
        await eventually(lambda: rig.committed() == 3)


async def test_a_failed_assignment_is_fatal(rig: Rig) -> None:
    """State that can't be loaded stops the engine instead of leaving a partition without an owner."""

    class Broken(Worker):
        async def assigned(self, partition: TopicPartition) -> None:
            raise Fatal("ticket state is of a newer version")

    async with rig.running(Broken()) as task:
        with pytest.raises(Fatal, match="newer version"):
            await asyncio.wait_for(task, 5)


async def test_stop_finishes_what_is_worked_on(rig: Rig) -> None:
    """Handlers that run are awaited, what is queued is left for the next owner."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        await gate.wait()
        return await echo(record)

    rig.fill(10)
    worker = Worker(handler)
    async with rig.running(worker, replace(QUICK, concurrency=4)):
        await eventually(lambda: len(worker.handled) == 4)
        asyncio.get_running_loop().call_later(0.05, gate.set)
    assert (rig.values(), rig.committed(), len(worker.handled)) == ([0, 1, 2, 3], 4, 4)


async def test_stop_is_bounded(rig: Rig) -> None:
    """A handler that never ends is dropped after `drain_s`, uncommitted."""
    rig.fill(2)

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 1:
            await asyncio.Event().wait()
        return await echo(record)

    loop = asyncio.get_running_loop()
    async with rig.running(Worker(handler), replace(QUICK, drain_s=0.1)):
        await eventually(lambda: rig.committed() == 1)
        before = loop.time()
    assert loop.time() - before < 1
    assert rig.committed() == 1


async def test_stop_while_the_broker_is_away_at_the_start(rig: Rig) -> None:
    """It waits for the broker, and still stops at once."""
    rig.broker.fail("start", Retryable("away", wait=60), times=100)
    async with rig.running(Worker()) as task:
        await eventually(lambda: rig.engine.problem() == "not connected")
    assert task.done()


async def test_stop_while_a_start_does_not_return(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits without a bound for its first assignment when the brokers go away meanwhile."""
    begun = asyncio.Event()

    async def joining(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(MemorySource, "start", joining)
    async with rig.running(Worker()) as task:
        await begun.wait()
    assert task.exception() is None


async def test_handlers_see_their_record_for_their_log_lines(rig: Rig) -> None:
    """Also after they have waited while others ran."""
    seen: list[bool] = []

    async def handler(record: Record) -> Sequence[Outbound]:
        await asyncio.sleep(0)
        seen.append(RECORD.get() is record)
        return ()

    rig.fill(40)
    async with rig.running(Worker(handler), replace(QUICK, concurrency=8)):
        await eventually(lambda: rig.committed() == 40)
    assert seen == [True] * 40


async def test_a_timeout_in_a_handler_hits_that_handler_alone(rig: Rig) -> None:
    """Handlers share tasks one after the other; a time-out must not reach into the next one."""

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset % 2:
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.Event().wait()
            except TimeoutError:
                raise Rejected("reference_failed") from None
        return await echo(record)

    rig.fill(20)
    async with rig.running(Worker(handler), replace(QUICK, concurrency=3)):
        await eventually(lambda: rig.committed() == 20)
    assert (rig.values(), sorted(rig.values("dead"))) == (list(range(0, 20, 2)), list(range(1, 20, 2)))


async def test_metrics_and_readiness(rig: Rig) -> None:
    """Counted per batch; ready once connected."""
    rig.fill(5)
    async with rig.running(Worker()):
        await eventually(lambda: rig.committed() == 5)
        assert rig.engine.problem() is None
    registry = rig.metrics.families
    assert registry.delivered.labels("engine")._value.get() == 5


class Endless(MemoryTransactions):
    """Take-over number `which` of partition 0 does not end by itself."""

    def __init__(self, broker: MemoryBroker, which: int) -> None:
        super().__init__(broker)
        self.which = which
        self.opened = 0
        self.begun = asyncio.Event()
        self.given_up = asyncio.Event()

    async def open(self, name: str) -> MemoryTransactor:
        self.opened += name == "group-in-0"
        if name != "group-in-0" or self.opened != self.which:
            return await super().open(name)
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()
        raise AssertionError


async def test_a_take_over_ends_when_its_partition_goes(rig: Rig) -> None:
    """At once, though another partition has its time to finish; it would fence off the next owner."""
    gate = asyncio.Event()
    transactions = Endless(rig.broker, 1)

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.partition == 1:
            await gate.wait()
        return await echo(record)

    rig.fill(2, partitions=2)
    source, worker = rig.broker.source("group", ["in"]), Worker(handler)
    delivery = ExactlyOnce(source, transactions, "group")
    async with rig.running(worker, replace(QUICK, revoke_s=30), delivery=delivery, source=source):
        await transactions.begun.wait()
        await eventually(lambda: worker.handled)
        rebalance = asyncio.create_task(rig.broker.rebalance("group"))
        await asyncio.wait_for(transactions.given_up.wait(), 5)
        assert not rebalance.done()
        gate.set()
        await rebalance
        await eventually(lambda: sorted(rig.values()) == [0, 1])


async def test_a_commit_that_the_brokers_lose_is_made_again(rig: Rig) -> None:
    """It was acknowledged, and is not there when the next transaction is settled: read again, not skipped."""
    rig.fill(3)
    source = rig.broker.source("group", ["in"])
    delivery = ExactlyOnce(source, rig.broker.transactions(), "group", Backoff(0.001, 0.01))
    async with rig.running(Worker(), delivery=delivery, source=source):
        await eventually(lambda: rig.committed() == 3)
        rig.broker.committed["group"][TopicPartition("in", 0)] = 1
        rig.broker.fail("begin", BROKER_AWAY)
        rig.broker.produce(Outbound("in", b"k", b"3"))
        await eventually(lambda: rig.committed() == 4)
    assert rig.values() == [0, 1, 2, 1, 2, 3]


class Counted(MemoryTransactions):
    """Counts the transactors that are open, and how many were opened."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.now = self.most = self.made = 0

    async def open(self, name: str) -> MemoryTransactor:
        made = await super().open(name)
        self.now, self.made = self.now + 1, self.made + 1
        self.most = max(self.most, self.now)
        close = made.close

        def closed() -> None:
            self.now -= 1
            close()

        made.close = closed  # type: ignore[method-assign]
        return made


async def test_transactors_are_bounded(rig: Rig) -> None:
    """Of many partitions only so many hold one; another is opened when there is something to deliver."""
    transactions = Counted(rig.broker)
    rig.fill(64, partitions=16)
    delivery = ExactlyOnce(rig.broker.source("group", ["in"]), transactions, "group", Backoff(0.001, 0.01), most=3)
    async with rig.running(Worker(), delivery=delivery):
        await eventually(lambda: [rig.committed(p) for p in range(16)] == [4] * 16)
        made = transactions.made
        rig.broker.produce(Outbound("in", b"k", b"64", partition=0))
        await eventually(lambda: rig.committed(0) == 5)
    assert sorted(rig.values()) == list(range(65))
    assert transactions.most == 3
    assert made >= 16


async def test_settling_a_transaction_ends_when_its_partition_goes(rig: Rig) -> None:
    """The successor settles it."""
    transactions = Endless(rig.broker, 2)

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.offset == 0:
            rig.broker.fail("end", BROKER_AWAY)
        return await echo(record)

    rig.fill(1)
    source = rig.broker.source("group", ["in"])
    delivery = ExactlyOnce(source, transactions, "group", Backoff(0.001, 0.01))
    async with rig.running(Worker(handler), replace(QUICK, revoke_s=0.01), delivery=delivery, source=source):
        await transactions.begun.wait()
        await rig.broker.rebalance("group")
        await asyncio.wait_for(transactions.given_up.wait(), 5)
        rig.fill(1)
        await eventually(lambda: rig.committed() == 2)
    assert rig.values() == [0, 0], "each of the two records, whose number is 0, once"


async def test_what_is_loaded_for_a_partition_is_given_up_with_it(rig: Rig) -> None:
    """The worker hears that it is revoked only after its loading has ended."""
    told: list[str] = []

    class Loading(Worker):
        async def assigned(self, partition: TopicPartition) -> None:
            told.append("begins")
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)  # closing what it reads from takes a while
                told.append("ends")

        async def revoked(self, partition: TopicPartition) -> None:
            told.append("revoked")

    rig.fill(1)
    async with rig.running(Loading()):
        await eventually(lambda: told)
        await rig.broker.rebalance("group")
        assert told[:3] == ["begins", "ends", "revoked"]


async def test_a_start_that_is_cancelled_from_within_is_no_orderly_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the client's futures may be: the process must not end as if it had been told to."""

    async def cancelled(_self: MemorySource, _listener: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(MemorySource, "start", cancelled)
    async with rig.running(Worker()) as task:
        await asyncio.wait([task], timeout=5)
        assert isinstance(task.exception(), Fatal)


async def test_a_poll_that_is_cancelled_from_within_ends_the_engine(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be there, and never poll again."""

    async def cancelled(_self: MemorySource, *_arguments: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(MemorySource, "poll", cancelled)
    async with rig.running(Worker()) as task:
        await asyncio.wait([task], timeout=5)
        assert str(task.exception()) == "engine-poll was cancelled from within"
