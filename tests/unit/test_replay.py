"""Dead letters go back to where they came from, each once, whatever dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.contract import ORIGIN_HEADER, Origin, Outbound, Record, TopicPartition
from processor.errors import Fatal, Fenced, Rejected
from processor.resend import letters as module
from processor.resend.ledger import entries
from processor.resend.letters import Choice, Count, Progress, Replay
from processor.resend.sender import Opening, Pace, Sender
from processor.resend.sent import Sent
from processor.sinks.dead_letters import ATTEMPT, REASON, dead_letter, decode_origin, encode_origin
from processor.sources import ended
from processor.sources.history import Span
from processor.testing.broker import MemoryBroker
from processor.testing.history import MemoryHistory
from processor.tickets.messages import Topics, letter
from tests.unit.memory_sender import memory_sender

START = datetime.fromtimestamp(1_700_000_000, UTC)  # when the broker's clock begins
PIPELINES = frozenset({"ci_failure", "log_router"})
COMMAND = Record("p.ticket-commands", 1, 7, b"f", b"{}", (), 0)


class KilledError(Exception):
    """The process died here."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(module, "LOOK_S", 0)
    monkeypatch.setattr(ended, "LOOK_S", 0)


@dataclass
class World:
    """A deployment's dead letters, on a broker with or without transactions."""

    broker: MemoryBroker = field(default_factory=lambda: MemoryBroker(2))
    transactions: bool = True
    events: int = 0

    def letter(
        self, reason: str = "invalid_output", pipeline: str = "ci_failure", key: bytes = b"k", size: int = 3
    ) -> None:
        """A rejected event; one comes every minute."""
        record = Record("builds", 0, self.events, key, b"x" * size, (("ce_type", b"build.failed"),))
        origin, time = Origin("p.line", "builds", 0, self.events), START + timedelta(minutes=self.events)
        self.broker.produce(dead_letter("p", record, reason, "text", pipeline, origin, time.isoformat()))
        self.events += 1

    def replay(self, *, again: bool = False, **choice: Any) -> Replay:
        """One that has not begun."""
        return Replay(MemoryHistory(self.broker), "p", Choice(**choice), PIPELINES, again=again)

    @property
    def opening(self) -> Opening:
        """Senders as the command has them."""
        return memory_sender(self.broker, "p.replay", transactions=self.transactions)

    async def run(
        self, *, again: bool = False, batch: int = 200, tell: Callable[[Progress], None] = lambda _: None, **choice: Any
    ) -> tuple[Count, Progress]:
        """The whole command."""
        replay = self.replay(again=again, **choice)
        count = await replay.count()
        await replay.send(self.opening, count.spans, Pace(1e6, batch), asyncio.Event(), tell)
        return count, replay.progress

    def back(self, pipeline: str = "ci_failure") -> list[Record]:
        """What was sent to a pipeline."""
        return self.broker.records(f"p.retry.{pipeline}")

    def origins(self, pipeline: str = "ci_failure") -> Counter[Origin]:
        """The events that were sent to a pipeline."""
        return Counter(decode_origin(dict(record.headers)[ORIGIN_HEADER]) for record in self.back(pipeline))


def offsets(counted: Counter[Origin]) -> dict[int, int]:
    """How often each event came."""
    return {origin.offset: times for origin, times in counted.items()}


async def test_letters_are_counted_by_reason_and_pipeline() -> None:
    """Those that no pipeline had taken, or whose pipeline is not here, stay; nothing is sent by counting."""
    world = World()
    for reason, pipeline in [("invalid_output", "ci_failure")] * 3 + [
        ("empty", ""),
        ("invalid_output", "old"),
        ("binary", "log_router"),
    ]:
        world.letter(reason, pipeline)
    count = await world.replay().count()
    assert {name: (row.letters, row.due, row.stay) for name, row in count.rows.items()} == {
        ("invalid_output", "ci_failure"): (3, 3, 0),
        ("empty", ""): (1, 0, 1),
        ("invalid_output", "old"): (1, 0, 1),
        ("binary", "log_router"): (1, 1, 0),
    }
    assert count.due == 4
    assert world.back() == world.back("log_router") == []


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ({"reasons": frozenset({"invalid_output"})}, {0, 3}),
        ({"reasons": frozenset({"invalid_output", "binary"})}, {0, 1, 3}),
        ({"pipelines": frozenset({"ci_failure"})}, {0, 1, 3, 4}),
        ({"keys": frozenset({b"b"})}, {1, 4}),
        ({"since": START + timedelta(minutes=1)}, {1, 3, 4}),
        ({"until": START + timedelta(minutes=3)}, {0, 1}),
        (
            {"since": START + timedelta(minutes=1), "until": START + timedelta(minutes=4), "keys": frozenset({b"b"})},
            {1},
        ),
        ({}, {0, 1, 3, 4}),
    ],
)
async def test_letters_are_chosen(choice: dict[str, Any], sent: set[int]) -> None:
    """By reason, pipeline, key and time, the end left out."""
    world = World()
    world.letter("invalid_output", key=b"a")
    world.letter("binary", key=b"b")
    world.letter("empty", "", key=b"b")
    world.letter("invalid_output", key=b"a")
    world.letter("empty", key=b"b")
    await world.run(**choice)
    assert set(offsets(world.origins())) == sent


async def test_nothing_is_sent_twice_by_accident() -> None:
    """By the same command, by another choice of the same letters; what is new is sent."""
    world = World()
    for _ in range(5):
        world.letter()
    assert (await world.run(reasons=frozenset({"invalid_output"})))[1].sent == 5
    count, progress = await world.run(pipelines=frozenset({"ci_failure"}))
    assert (count.due, progress.sent, count.rows["invalid_output", "ci_failure"].before) == (0, 0, 5)
    world.letter()
    assert (await world.run())[1].sent == 1
    assert offsets(world.origins()) == dict.fromkeys(range(6), 1)


async def test_what_fails_once_more_is_a_new_letter() -> None:
    """It is sent again, as attempt 2, with the id that it had."""
    world = World()
    world.letter()
    await world.run()
    failed = world.back()[0]
    origin = decode_origin(dict(failed.headers)[ORIGIN_HEADER])
    world.broker.produce(dead_letter("p", failed, "invalid_output", "again", "ci_failure", origin, START.isoformat()))
    count, progress = await world.run()
    assert (count.rows["invalid_output", "ci_failure"].before, progress.sent) == (1, 1)
    assert [dict(record.headers)[ATTEMPT] for record in world.back()] == [b"1", b"2"]
    assert set(world.origins().values()) == {2}


async def test_a_deliberate_repeat_has_ids_of_its_own() -> None:
    """What was sent before gets a new one, what was not keeps its own; the next repeat is another one."""
    world = World()
    world.letter()
    await world.run()
    world.letter()
    await world.run(again=True)
    assert Counter((each.offset, each.replay is not None) for each in world.origins()) == {
        (0, False): 1,
        (0, True): 1,
        (1, False): 1,
    }
    assert (await world.run())[1].sent == 0
    await world.run(again=True)
    ids = {each.id("ci_failure") for each in world.origins()}
    assert len(ids) == 5 == len(world.back())


async def test_a_repeat_that_was_interrupted_goes_on() -> None:
    """Under the same id, and says so; the ledger keeps nothing of it when it is done."""
    world = World()
    for _ in range(10):
        world.letter()
    await world.run()

    def die(_: Progress) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        await world.run(again=True, batch=3, tell=die)
    assert len(world.back()) == 13
    count, progress = await world.run(again=True)
    assert (count.repeat is not None, count.due, progress.sent) == (True, 7, 7)
    repeats = [each.replay for each in world.origins() if each.replay]
    assert (len(repeats), len(set(repeats))) == (10, 1)
    kept = await entries(MemoryHistory(world.broker), "p")
    assert {key.rsplit("/", 2)[0] for key in kept} == {"letters"}


class Between(Pace):
    """Has something happen after each batch."""

    def __init__(self, batch: int, then: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        super().__init__(1e6, batch)
        self._then = then

    async def sent(self, count: int, stop: asyncio.Event) -> None:
        """Now."""
        await self._then(stop)


async def test_the_later_of_two_replays_goes_on_alone() -> None:
    """The earlier one is fenced off at its next batch."""
    world = World()
    for _ in range(10):
        world.letter()
    first, second = world.replay(), world.replay()
    count, counted = await first.count(), await second.count()

    async def other(_: asyncio.Event) -> None:
        await second.send(world.opening, counted.spans, Pace(1e6), asyncio.Event())

    with pytest.raises(Fenced):
        await first.send(world.opening, count.spans, Between(4, other), asyncio.Event())
    assert (first.progress.sent, second.progress.sent) == (4, 6)
    assert offsets(world.origins()) == dict.fromkeys(range(10), 1)


async def test_what_was_sent_is_read_when_nobody_else_can_send() -> None:
    """Another replay sends up to the moment at which this one fences it off: that is known."""
    world = World()
    for _ in range(10):
        world.letter()
    first, second = world.replay(), world.replay()
    count, counted = await first.count(), await second.count()

    @asynccontextmanager
    async def late() -> AsyncIterator[Sender]:
        await first.send(world.opening, count.spans, Pace(1e6), asyncio.Event())
        async with world.opening() as sender:
            yield sender

    await second.send(late, counted.spans, Pace(1e6), asyncio.Event())
    assert (first.progress.sent, second.progress.sent) == (10, 0)
    assert offsets(world.origins()) == dict.fromkeys(range(10), 1)


async def test_it_stops_when_it_is_asked_to() -> None:
    """After the batch that is being sent."""
    world = World()
    for _ in range(10):
        world.letter()
    replay = world.replay()
    count = await replay.count()

    async def ask(stop: asyncio.Event) -> None:
        stop.set()

    await replay.send(world.opening, count.spans, Between(2, ask), asyncio.Event())
    assert replay.progress.sent == len(world.back()) == 2
    assert (await world.run())[1].sent == 8


async def test_the_rate_is_kept() -> None:
    """Batches are a second's worth at most; what a slow batch missed is not made up for; a stop is not waited for."""
    assert (Pace(0.2).batch, Pace(50).batch, Pace(1e6).batch) == (1, 50, 200)
    pace, stop = Pace(100), asyncio.Event()
    began = time.monotonic()
    for _ in range(3):
        await pace.sent(3, stop)
    assert time.monotonic() - began >= 0.09
    stop.set()
    began = time.monotonic()
    await pace.sent(100_000, stop)
    assert time.monotonic() - began < 60


async def test_what_the_brokers_refuse_is_counted_and_stays() -> None:
    """The others go; it goes, too, when the topic takes more."""
    for transactions in (True, False):
        world = World(MemoryBroker(2), transactions)
        for size in (3, 500, 3, 700, 3):
            world.letter(size=size)
        world.broker.max_bytes = 400
        _, progress = await world.run()
        assert (progress.sent, progress.refused) == (3, 2)
        world.broker.max_bytes = 1_000
        assert (await world.run())[1].sent == 2
        assert offsets(world.origins()) == dict.fromkeys(range(5), 1)


async def test_a_topic_that_was_made_anew_holds_other_letters() -> None:
    """Its offsets begin again: what the ledger keeps of the old one would hold them back."""
    world = World(MemoryBroker(1))
    for _ in range(3):
        world.letter()
    await world.run()
    for letters in (2, 5):
        world.broker._topics["p.dead-letters"] = [[]]
        world.events += 100
        for _ in range(letters):
            world.letter()
        count, progress = await world.run()
        assert (count.anew, progress.sent) == (True, letters)
    count, progress = await world.run()
    assert (count.anew, progress.sent) == (False, 0)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b'{"v": 3, "sent": {}}', "letters/0/0 is of format version 3"),
        (b'{"sent": []}', "letters/0/0 can't be read"),
        (b"what", "letters/0/0 can't be read"),
    ],
)
async def test_an_entry_that_is_not_known_is_not_guessed_at(value: bytes, told: str) -> None:
    """It might say that letters were sent."""
    world = World()
    world.letter()
    world.broker.produce(Outbound("p.replays", b"letters/0/0", value))
    with pytest.raises(Fatal, match=told):
        await world.run()
    assert world.back() == []


async def test_a_refused_ticket_goes_back_to_the_commands() -> None:
    """It names no pipeline, but the topic that it was read from."""
    world = World()
    world.broker.produce(letter(Topics("p"), "p.tickets", COMMAND, Rejected("ticket_refused", "no such project")))
    count, _ = await world.run(reasons=frozenset({"ticket_refused"}))
    assert count.rows["ticket_refused", ""].due == 1
    [back] = world.broker.records("p.ticket-commands")
    assert (back.key, back.value) == (b"f", b"{}")


async def test_headers_that_say_nothing() -> None:
    """A record that is no letter stays; the time of one that doesn't tell is its record's."""
    world = World()
    origin = (ORIGIN_HEADER, encode_origin(Origin("p.line", "builds", 0, 1)))
    world.broker.produce(Outbound("p.dead-letters", None, b"x"))
    world.broker.produce(
        Outbound("p.dead-letters", None, b"x", (origin, ("fs-pipeline", b"ci_failure"), (REASON, b"r")))
    )
    count = await world.replay(since=START).count()
    assert {name: (row.due, row.stay) for name, row in count.rows.items()} == {
        ("", ""): (0, 1),
        ("r", "ci_failure"): (1, 0),
    }
    assert (await world.replay(since=START + timedelta(hours=1)).count()).rows == {}


STEPS = st.sampled_from(["open", "ends", "poll", "begin", "end", "tell"])
CHOICES = st.sampled_from([frozenset({"invalid_output"}), frozenset({"empty"}), frozenset()])
KINDS = st.tuples(st.sampled_from(["invalid_output", "empty"]), st.sampled_from(["ci_failure", "log_router"]))


@settings(max_examples=200, deadline=None)
@given(st.lists(KINDS, max_size=40), st.lists(st.tuples(STEPS, st.integers(1, 9), CHOICES), max_size=6), st.booleans())
def test_never_twice_and_never_lost(
    letters: list[tuple[str, str]], deaths: list[tuple[str, int, frozenset[str]]], again: bool
) -> None:
    """Wherever it dies, whatever was chosen: each is sent once in the end, and once more if that is asked."""
    world = World(MemoryBroker(3))
    for reason, pipeline in letters:
        world.letter(reason, pipeline)
    asyncio.run(once_for_all(world, deaths))
    if again:
        asyncio.run(repeated(world, deaths))
    for pipeline in PIPELINES:
        ours = [at for at, (_, its) in enumerate(letters) if its == pipeline]
        seen = Counter((each.offset, each.replay is not None) for each in world.origins(pipeline).elements())
        assert seen == Counter((at, repeat) for at in ours for repeat in ([False, True] if again else [False]))
    assert len({each.replay for pipeline in PIPELINES for each in world.origins(pipeline) if each.replay}) <= 1


async def once_for_all(world: World, deaths: list[tuple[str, int, frozenset[str]]]) -> None:
    """Replays that die, of whatever choice, then a whole one."""
    for step, after, reasons in deaths:
        await dies(world, step, after, reasons=reasons)
    await world.run()


async def repeated(world: World, deaths: list[tuple[str, int, frozenset[str]]]) -> None:
    """The same repeat again and again until it is done, be it that it died when it was."""
    for step, after, _ in deaths:
        await dies(world, step, after, again=True)
        begun = any(key.startswith("repeat") for key in await entries(MemoryHistory(world.broker), "p"))
        if not begun and any(each.replay for pipeline in PIPELINES for each in world.origins(pipeline)):
            return
    await world.run(again=True)


async def dies(world: World, step: str, after: int, **how: Any) -> None:
    """A replay that dies at a step for the n-th time that it comes there, or not at all."""
    check, left = world.broker._check, after

    def count(at: str) -> None:
        nonlocal left
        left -= at == step
        if left == 0 and at == step:
            raise KilledError

    world.broker._check = count  # type: ignore[method-assign,assignment]
    with contextlib.suppress(KilledError):
        await world.run(batch=3, tell=lambda _: count("tell"), **how)
    world.broker._check = check  # type: ignore[method-assign]


def test_where_there_are_no_transactions_a_repeat_has_the_same_id() -> None:
    """A crash between the copies and what is kept of them: nothing is lost, and findings can be told apart by id."""
    world = World(transactions=False)
    for _ in range(3):
        world.letter()
    asyncio.run(dies(world, "ack", 3))  # the first two are of what the ledger is read to
    assert asyncio.run(world.run())[1].sent == 3
    assert offsets(world.origins()) == dict.fromkeys(range(3), 2)
    assert asyncio.run(world.run())[1].sent == 0


class Former(MemoryHistory):
    """As told by a broker that led a topic before another, and woke up, for so many looks."""

    def __init__(self, broker: MemoryBroker, ledger: Mapping[TopicPartition, Span], looks: int) -> None:
        super().__init__(broker)
        self._before, self._looks = ledger, looks

    async def spans(
        self, topics: Collection[str], start: datetime | None = None, end: datetime | None = None
    ) -> dict[TopicPartition, Span]:
        """Its own end of the ledger, and all others as they are."""
        there = await super().spans(topics, start, end)
        if self._before.keys() & there.keys() and self._looks:
            self._looks -= 1
            return {**there, **self._before}
        return there


@pytest.mark.parametrize("transactions", [True, False])
async def test_an_old_end_of_the_ledger_sends_nothing_again(transactions: bool) -> None:
    """It is counted by what a broker tells, and sent by what was written."""
    world = World(transactions=transactions)
    for _ in range(5):
        world.letter()
    before = await MemoryHistory(world.broker).spans(["p.replays"])
    await world.run()
    replay = Replay(Former(world.broker, before, 4), "p", Choice(), PIPELINES)
    count = await replay.count()
    assert count.due == 5
    await replay.send(world.opening, count.spans, Pace(1e6), asyncio.Event())
    assert (replay.progress.sent, offsets(world.origins())) == (0, dict.fromkeys(range(5), 1))


async def test_an_old_end_of_the_letters_does_not_make_another_topic_of_them() -> None:
    """What was sent would be forgotten, and all of it sent again."""
    world = World(MemoryBroker(1))
    world.letter()
    before = await MemoryHistory(world.broker).spans(["p.dead-letters"])
    for _ in range(4):
        world.letter()
    await world.run()
    replay = Replay(Former(world.broker, before, module.LOOKS - 1), "p", Choice(), PIPELINES)
    count = await replay.count()
    assert (count.anew, count.due) == (False, 0)


async def test_what_the_ledger_keeps_stays_small() -> None:
    """Letters of a thousand positions are one entry, which goes when the topic keeps none of them any more."""
    world = World(MemoryBroker(1))
    for at in range(2_500):
        world.letter("invalid_output" if at % 2 else "empty")
    await world.run(reasons=frozenset({"empty"}))
    kept = await entries(MemoryHistory(world.broker), "p")
    assert {key: len(value["sent"]) for key, value in kept.items()} == {
        "letters/0/0": 500,
        "letters/0/1": 500,
        "letters/0/2": 250,
    }
    await world.run()
    kept = await entries(MemoryHistory(world.broker), "p")
    assert [value["sent"] for value in kept.values()] == [[[0, 1000]], [[1000, 2000]], [[2000, 2500]]]
    spans = {TopicPartition("p.dead-letters", 0): Span(2_100, 2_500)}
    gone = Sent.of("letters", kept).gone("p", "p.dead-letters", spans)
    assert [(each.key, each.value) for each in gone] == [(b"letters/0/0", None), (b"letters/0/1", None)]


@given(st.sets(st.integers(0, 3_000)))
def test_an_entry_says_what_was_sent(offsets: set[int]) -> None:
    """Whatever they are, in whatever batches, read from what is written."""
    letters = [Record("d", 0, offset, None, b"", (), offset) for offset in offsets]
    sent = Sent("letters")
    records: dict[bytes, bytes] = {}
    for some in (letters[::2], letters[1::2]):
        changed = sent.with_(some)
        records |= {out.key or b"": out.value or b"" for out in sent.records("p", changed)}
        sent.take(changed)
    read = Sent.of("letters", {key.decode(): orjson.loads(value) for key, value in records.items()})
    there = [Record("d", 0, offset, None, b"", (), offset) for offset in range(3_001)]
    assert {each.offset for each in there if each in read} == offsets
