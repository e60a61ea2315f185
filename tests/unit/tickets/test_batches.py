"""Batches of *decide*: the order of its steps, and what becomes of records when one of them fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from processor.contract import Outbound, Record
from processor.errors import Rejected, Retryable, Unwritable
from processor.tickets.batches import Batches
from processor.tickets.decider import Lost, Newer, Place, Tables

TABLE = "counts"


class Counting:
    """A decider that counts by key; what has no value is no record of its."""

    topic = "in"
    tables: Mapping[str, Newer] = {TABLE: lambda _old, _new: True}

    def __call__(self, record: Record, tables: Tables) -> Sequence[Outbound]:
        """One output with the count."""
        key = record.key or b""
        count = int(tables.get(TABLE, key) or 0) + 1
        tables.put(TABLE, key, str(count).encode())
        if record.value is None:
            raise Rejected("invalid_signal", "empty")
        return [Outbound("out", key, str(count).encode())]


@dataclass
class World:
    """Records every step; one of them may fail."""

    steps: list[str] = field(default_factory=list)
    stored: dict[Place, bytes] = field(default_factory=dict)
    failing: list[BaseException] = field(default_factory=list)
    mine: bool = True

    def get(self, place: Place) -> bytes | None:
        """See Backing."""
        return self.stored.get(place)

    async def end(self, _topic: str, _partition: int) -> int:
        """See Backing."""
        return 0

    async def put(self, changes: Mapping[Place, bytes], ours: Callable[[], bool]) -> None:
        """See Backing."""
        if not ours():
            raise Lost("not ours")
        self.stored |= changes
        self.steps += [f"store {place.key.decode()}={value.decode()}" for place, value in changes.items()]

    async def publish(self, records: Sequence[Outbound]) -> None:
        """Fails as it is told to."""
        if self.failing:
            raise self.failing.pop(0)
        self.steps += [f"publish {(each.key or b'').decode()}={(each.value or b'').decode()}" for each in records]

    async def done(self, _stream: Any, event: Any) -> None:
        """An acknowledgement."""
        self.steps.append(f"ack {event.message.offset}")

    def batches(self) -> Batches:
        """What is tested."""
        return Batches(
            Counting(),
            self,
            self.publish,
            letter=lambda record, error: Outbound("letters", record.key, error.reason.encode()),
            ours=lambda _events: self.mine,
            linger_s=0.0,
            done=self.done,
        )


class Stream:
    """Gives these events, and then waits."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = events

    async def events(self) -> Any:
        """As Faust's."""
        for event in self._events:
            yield event
        await asyncio.Event().wait()


def event(offset: int, key: bytes = b"a", value: bytes | None = b"x") -> Any:
    """An event of Faust's."""
    message = SimpleNamespace(
        topic="in", partition=0, offset=offset, key=key, value=value, headers=(), timestamp=1.0, generation_id=1
    )
    return SimpleNamespace(message=message)


async def handled(world: World, events: Sequence[Any], last: str) -> list[str]:
    """The steps once the last one is done."""
    batches, stream = world.batches(), Stream(events)
    reading = asyncio.create_task(batches.read(stream))
    await asyncio.sleep(0)  # all is read before the first batch begins
    working = asyncio.create_task(batches.work(stream))
    async with asyncio.timeout(10):
        while last not in world.steps:
            await asyncio.sleep(0)
            if working.done():
                await working
    for task in (reading, working):
        task.cancel()
    await asyncio.gather(reading, working, return_exceptions=True)
    return world.steps


async def turns() -> None:
    """Lets everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_batch_is_published_then_stored_once_then_acknowledged() -> None:
    """Three signals of one fault: three commands, one write to the table, in this order."""
    steps = await handled(World(), [event(1), event(2), event(3)], "ack 3")
    assert steps == ["publish a=1", "publish a=2", "publish a=3", "store a=3", "ack 1", "ack 2", "ack 3"]


async def test_rejected_record_is_a_letter_and_leaves_no_trace_in_the_table() -> None:
    """What it had put into the table is not kept."""
    steps = await handled(World(), [event(1), event(2, value=None), event(3)], "ack 3")
    assert steps[:4] == ["publish a=1", "publish a=invalid_signal", "publish a=2", "store a=2"]


async def test_nothing_is_stored_or_acknowledged_before_it_is_published() -> None:
    """Brokers that are away hold the batch; it goes on where it was."""
    world = World(failing=[Retryable("away", wait=0.01)])
    steps = await handled(world, [event(1)], "ack 1")
    assert steps == ["publish a=1", "store a=1", "ack 1"]


async def test_record_that_brokers_refuse_costs_the_others_nothing() -> None:
    """The batch is done again one by one; only the refused one is a letter, and is not counted."""
    world = World(failing=[Unwritable("too large", (0,)), Unwritable("too large", (0,))])
    steps = await handled(world, [event(1), event(2)], "ack 2")
    assert steps == ["publish a=unwritable", "ack 1", "publish a=1", "store a=1", "ack 2"]


async def test_what_is_not_ours_any_more_is_left_alone() -> None:
    """Partitions that changed hands: nothing is published, stored, or acknowledged."""
    world = World(mine=False)
    batches, stream = world.batches(), Stream([event(1)])
    tasks = [asyncio.create_task(batches.read(stream)), asyncio.create_task(batches.work(stream))]
    await turns()
    assert not batches.busy
    assert world.steps == []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_partitions_lost_while_publishing_are_not_written_to() -> None:
    """A process that was frozen after it published must not write to a table that another one owns by now."""
    world = World()

    async def lose(_records: Sequence[Outbound]) -> None:
        world.mine = False
        world.steps.append("published")

    batches = Batches(
        Counting(),
        world,
        lose,
        letter=lambda _r, _e: Outbound("l", None, b""),
        ours=lambda _: world.mine,
        linger_s=0.0,
        done=world.done,
    )
    stream = Stream([event(1)])
    tasks = [asyncio.create_task(batches.read(stream)), asyncio.create_task(batches.work(stream))]
    await turns()
    assert not batches.busy
    assert world.steps == ["published"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_defect_ends_the_work_without_an_acknowledgement() -> None:
    """What is unexpected is for the role to end with."""
    world = World(failing=[ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        await handled(world, [event(1)], "ack 1")
    assert world.steps == []


async def test_the_event_loop_goes_on_while_a_table_is_read() -> None:
    """A read that waits for a slow disk is ended here by what runs beside it; what changed hands meanwhile is left."""
    reading, may = threading.Event(), threading.Event()

    class Slow(World):
        def get(self, place: Place) -> bytes | None:
            reading.set()
            assert may.wait(30.0), "the event loop stands still"
            return super().get(place)

    world = Slow()
    batches, stream = world.batches(), Stream([event(0)])
    tasks = [asyncio.create_task(batches.read(stream)), asyncio.create_task(batches.work(stream))]
    async with asyncio.timeout(30.0):
        while not reading.is_set():  # noqa: ASYNC110  a thread sets it
            await asyncio.sleep(0)
        world.mine = False
        may.set()
        while batches.busy:  # noqa: ASYNC110  it is no event
            await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert world.steps == []
