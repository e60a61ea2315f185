"""Lines of several builds on one partition, and deaths: each line ends in one log, each log in one output."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.assemble import AssemblingSource, AssemblingTransactions
from processor.contract import NO_NOTES, Notes, Outbound, Record, TopicPartition
from processor.engine import AtLeastOnce, Backoff, Engine, ExactlyOnce
from processor.engine.suspects import TRIES
from processor.testing.broker import BROKER_AWAY, MemoryBroker, MemorySource
from tests.unit.engine.conftest import QUICK, Worker, eventually

from .conftest import cri, plan, run_quickly, sent, texts


class Doing:
    """Finishes the logs of a life in a given order, and no more than so many."""

    def __init__(self, most: int, delays: Sequence[int]) -> None:
        self.left = most
        self.delays = list(delays)

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """The log, after some turns of the loop."""
        for _ in range(self.delays[record.place % len(self.delays)]):
            await asyncio.sleep(0)
        if self.left <= 0:
            await asyncio.Event().wait()
        self.left -= 1
        return (Outbound("out", record.key, record.value),)


async def unrest(broker: MemoryBroker, turns: Sequence[int]) -> None:
    """Has the partitions revoked and assigned, each time after so many turns of the loop."""
    for each in turns:
        for _ in range(each):
            await asyncio.sleep(0)
        await broker.rebalance("group")


def slowed(source: MemorySource, turns: Sequence[int]) -> None:
    """Has each commit take some turns of the loop, there and back; one whose assignment ends meanwhile is too late."""
    commit, left = source.commit, itertools.cycle(turns)

    async def slow(offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        term = source._terms
        for _ in range(next(left)):
            await asyncio.sleep(0)
        if source._terms == term:
            await commit(offsets, notes)
        for _ in range(next(left)):
            await asyncio.sleep(0)

    source.commit = slow  # type: ignore[method-assign]


async def life(
    broker: MemoryBroker,
    doing: Doing,
    *,
    turns: int | None,
    exactly_once: bool,
    rebalances: Sequence[int] = (),
    commits: Sequence[int] = (0,),
) -> None:
    """One life of a daemon: it dies some turns of the loop after its last log, or ends when nothing is left to do."""
    inner, sink = broker.source("group", ["in"]), broker.sink()
    slowed(inner, commits)
    source = AssemblingSource(inner, {"in": plan()}, clock=asyncio.get_running_loop().time)
    open_ = broker.transactions()
    transactions = AssemblingTransactions(open_, source)
    once = ExactlyOnce(source, transactions, "group", Backoff(0.001, 0.01), yield_s=0.01)
    delivery = once if exactly_once else AtLeastOnce(source, sink, Backoff(0.001, 0.01))
    limits = replace(QUICK, drain_s=0.01, revoke_s=0.0, batch=2, poll=2, poll_s=0.01)
    stop = asyncio.Event()
    task = asyncio.create_task(Engine(source, sink, Worker(doing.handle), limits, delivery=delivery).run(stop))
    changes = asyncio.create_task(unrest(broker, rebalances))

    def idle() -> bool:
        tps = {TopicPartition("in", each.partition) for each in broker.records("in")}
        held = {tp: seat.assembly for tp, seat in source._seats.items() if seat.fresh}
        return all((one := held.get(tp)) and one.position >= broker.end(tp) for tp in tps) and not any(
            one and (one.ready or one._given) for one in held.values()
        )

    await eventually(lambda: doing.left <= 0 or (changes.done() and idle()))
    for _ in range(turns or 0):
        await asyncio.sleep(0)
    if turns is None:
        stop.set()
    else:
        await inner.crash()
        sink.crash()
        open_.crash()
        task.cancel()
    changes.cancel()
    await asyncio.wait([task, changes])


def filled(
    data: st.DataObject, broker: MemoryBroker, wanted: dict[str, list[str]], cut: dict[str, str], *, last: bool
) -> None:
    """Lines of builds, interleaved, some in pieces, each ended by its last line; keys come again after their end.

    `cut` holds the lines that are under way, by run.
    """
    partitions = len(broker._topics["in"])

    def produce(run: str, kind: str) -> None:
        text = kind if kind == "END" else f"line {len(broker.records('in'))}"
        broker.produce(sent(run, cri("FP"[kind == "cut"], text), ord(run) % partitions))
        if kind == "cut":
            cut[run] = cut.get(run, "") + text
            return
        whole = cut.pop(run, "") + text
        if wanted[run] and not ended(run):
            wanted[run][-1] += "\n" + whole
        else:
            wanted[run].append(whole)

    def ended(run: str) -> bool:
        return wanted[run][-1].split("\n")[-1] == "END"

    kinds = st.sampled_from(["x", "x", "cut", "END"])
    for run, kind in data.draw(st.lists(st.tuples(st.sampled_from("abcd"), kinds), max_size=12)):
        produce(run, kind)
    for run in "abcd" if last else "":
        while run in cut or (wanted[run] and not ended(run)):
            produce(run, "END")


def lives(data: st.DataObject, *, exactly_once: bool) -> tuple[list[str], list[str]]:
    """Some lives that are cut off anywhere, and one that is not; between them more lines come. Logs and outputs."""
    steps = ["open", "begin", "end", "settle", "markers", "settling"] if exactly_once else ["publish", "ack", "commit"]
    broker = MemoryBroker()
    broker.create("in", data.draw(st.integers(1, 2), "partitions"))
    wanted: dict[str, list[str]] = defaultdict(list)
    cut: dict[str, str] = {}

    async def all_() -> None:
        for dies in [True] * data.draw(st.integers(1, 3), "deaths") + [False]:
            filled(data, broker, wanted, cut, last=not dies)
            for step in data.draw(st.lists(st.sampled_from(steps), max_size=2), "faults"):
                broker.fail(step, BROKER_AWAY)
            most = data.draw(st.integers(0, 6), "finished") if dies else 1_000
            delays = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=5), "delays")
            turns = data.draw(st.integers(0, 30), "turns to its death") if dies else None
            rebalances = data.draw(st.lists(st.integers(0, 40), max_size=2), "rebalances")
            commits = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=4), "commits")
            doing = Doing(most, delays)
            await life(broker, doing, turns=turns, exactly_once=exactly_once, rebalances=rebalances, commits=commits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("processor.assemble.source.LINES", 3)
        run_quickly(all_())
    assert broker.records("dead") == []
    found = sorted((each.value or b"").decode() for each in broker.records("out"))
    return sorted(log for logs in wanted.values() for log in logs), found


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_each_log_comes_once(data: st.DataObject) -> None:
    """Exactly once: any interleaving, any order of completion, any point of a crash."""
    wanted, found = lives(data, exactly_once=True)
    assert found == wanted


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_line_is_lost_at_least_once(data: st.DataObject) -> None:
    """Without transactions a log may come again, whole, and nothing else comes."""
    wanted, found = lives(data, exactly_once=False)
    assert sorted(set(found)) == sorted(set(wanted))
    assert len(found) >= len(wanted)


@pytest.mark.parametrize("exactly_once", [True, False])
def test_an_open_log_holds_the_offset_and_no_other_log(exactly_once: bool) -> None:
    """What ends before it is delivered, and does not come again in the next life."""
    broker = MemoryBroker()
    broker.create("in", 1)
    for run, text in [("long", "1"), ("a", "x"), ("a", "END"), ("long", "2"), ("b", "END")]:
        broker.produce(sent(run, text))
    run_quickly(life(broker, Doing(9, [0]), turns=None, exactly_once=exactly_once))
    assert texts(broker.records("out")) == ["x\nEND", "END"]
    assert set(broker.committed["group"].values()) == {0}
    broker.produce(sent("long", "END"))
    run_quickly(life(broker, Doing(9, [0]), turns=None, exactly_once=exactly_once))
    assert texts(broker.records("out")) == ["x\nEND", "END", "1\n2\nEND"]
    assert set(broker.committed["group"].values()) == {6}


class Killing(Doing):
    """One log kills the process, and so ends a life."""

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """The log."""
        if b"poison" in (record.value or b""):
            self.left = 0
        return await super().handle(record)


@pytest.mark.parametrize("exactly_once", [True, False])
def test_a_log_that_kills_the_process_is_found(exactly_once: bool) -> None:
    """Among logs that lie interleaved with it, while an older one is open: each of the others comes all the same."""
    broker = MemoryBroker()
    broker.create("in", 1)
    rows = [("long", "1"), ("a", "x"), ("bad", "poison"), ("a", "END"), ("c", "y"), ("bad", "END"), ("c", "END")]
    for run, text in rows:
        broker.produce(sent(run, text))
    deaths = 0
    while not broker.records("dead") and deaths < 20:
        deaths += 1
        run_quickly(life(broker, Killing(100, [0]), turns=50, exactly_once=exactly_once))
    broker.produce(sent("long", "END"))
    run_quickly(life(broker, Killing(100, [0]), turns=None, exactly_once=exactly_once))
    assert texts(broker.records("dead")) == ["poison\nEND"]
    assert deaths <= QUICK.poison_starts + TRIES + 3  # the last one is none
    found = texts(broker.records("out"))
    assert (sorted(found) if exactly_once else sorted(set(found))) == ["1\nEND", "x\nEND", "y\nEND"]
