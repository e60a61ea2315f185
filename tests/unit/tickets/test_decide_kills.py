"""*decide* killed between every two steps of its protocol: nothing is lost, and each finding counts once.

What survives a kill (topics, offsets, files) is kept in lists here; the steps are the real ones. Each effect on what
survives has two points: just before it, and just after it, when nobody has been told yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Rejected
from processor.sources.history import Span
from processor.tickets.batches import Batches
from processor.tickets.changelog import Changelog
from processor.tickets.ends import Ends
from processor.tickets.faust_tables import FaustTables
from processor.tickets.messages import Topics
from processor.tickets.policy import Fault, Policy
from processor.tickets.signals import Signals, may_follow
from processor.tickets.stores import DiskStore, Entry, MemoryStore

TOPICS = Topics("p")
NOW = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)
FAULTS = ("f1", "f2", "f1", "f3", "f1")
"""The faults of the signals, in their order."""
AFTER = Policy(hits=2)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Survives:
    """What a kill leaves; `kill_at` is the point at which the process is killed, from 1."""

    folder: Path | None
    commands: list[dict[str, Any]] = field(default_factory=list)
    changelog: list[tuple[bytes, bytes]] = field(default_factory=list)
    committed: int = 0
    kill_at: int = 0
    points: int = 0

    def point(self) -> None:
        """A point between two steps."""
        self.points += 1
        if self.points == self.kill_at:
            raise Killed

    async def spans(self, topics: Collection[str], start: Any = None, end: Any = None) -> dict[TopicPartition, Span]:
        """Of the signals' topics, as History tells it."""
        assert (start, end) == (None, None)
        return {TopicPartition(topic, 0): Span(0, len(FAULTS)) for topic in topics}

    async def between(self, spans: Mapping[TopicPartition, Span]) -> AsyncGenerator[Record, None]:
        """The changelog, as History tells it."""
        for at, span in spans.items():
            for offset in range(span.start, span.end):
                key, value = self.changelog[offset]
                yield Record(at.topic, at.partition, offset, key, value)

    async def publish(self, records: Sequence[Outbound]) -> None:
        """Brokers may have taken some of what a killed process was sending."""
        for record in records:
            self.point()
            self.commands.append(orjson.loads(record.value or b""))
            self.point()

    async def send(self, _topic: str, key: bytes, value: bytes, *_more: Any) -> asyncio.Future[Any]:
        """Faust's producer."""
        self.point()
        self.changelog.append((key, value))
        self.point()
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sent.set_result(SimpleNamespace(offset=len(self.changelog) - 1))
        return sent


class Life:
    """One process, from its start to its end."""

    def __init__(self, survives: Survives, batch: int) -> None:
        self._survives = survives
        self._batch = batch
        self.store = store(survives.folder)
        self._finished = asyncio.Event()

    async def run(self) -> None:
        """Recovers, then handles all that is not committed. Raises Killed."""
        await Changelog(self._survives, lambda: None).load(
            self.store, TopicPartition(TOPICS.changelog, 0), Span(0, len(self._survives.changelog)), may_follow
        )
        if self._survives.committed == len(FAULTS):
            return
        batches = Batches(
            Signals(TOPICS, {"ci": AFTER}, clock=lambda: NOW),
            self._tables(),
            self._survives.publish,
            letter=never,
            ours=lambda _events: True,
            linger_s=0.0,
            done=self._done,
        )
        reading = asyncio.create_task(batches.read(self))
        working = asyncio.create_task(batches.work(self))
        ended = asyncio.create_task(self._finished.wait())
        await asyncio.wait([working, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in (reading, ended):
            task.cancel()
        if self._finished.is_set():
            working.cancel()
        try:
            await working
        except asyncio.CancelledError:
            return
        finally:
            await asyncio.gather(reading, ended, return_exceptions=True)

    async def ended(self) -> None:
        """What the system does with a dead process's files: it closes them."""
        if isinstance(self.store, DiskStore):
            await self.store.on_stop()

    async def events(self) -> AsyncIterator[Any]:
        """The stream: so many at once that batches have the wanted size."""
        for offset in range(self._survives.committed, len(FAULTS)):
            if offset % self._batch == 0:
                for _ in range(20):
                    await asyncio.sleep(0)
            yield event(offset)
        await asyncio.Event().wait()

    def _tables(self) -> FaustTables:
        table = SimpleNamespace(data=Points(self.store, self._survives), changelog_topic_name=TOPICS.changelog)
        made = object.__new__(FaustTables)
        app = SimpleNamespace(producer=self._survives, consumer=SimpleNamespace(highwater=lambda _tp: len(FAULTS)))
        vars(made).update(_app=app, _tables={TOPICS.table: table}, _ends=Ends(self._survives))
        return made

    async def _done(self, _stream: Any, event: Any) -> None:
        """Faust commits now and then; here at every record, the finest that it may be."""
        self._survives.point()
        self._survives.committed = event.message.offset + 1
        self._survives.point()
        if self._survives.committed == len(FAULTS):
            self._finished.set()


class Points:
    """A store, with points around its writes."""

    def __init__(self, inner: MemoryStore, survives: Survives) -> None:
        self._inner = inner
        self._survives = survives

    def read(self, partition: int, key: bytes) -> bytes | None:
        """As it is."""
        return self._inner.read(partition, key)

    def write(self, partition: int, entries: Iterable[Entry]) -> None:
        """As it is."""
        self._survives.point()
        self._inner.write(partition, entries)
        self._survives.point()


def store(folder: Path | None) -> MemoryStore:
    """A store of a process that has just been started."""
    options: dict[str, Any] = {"table_name": "faults", "key_type": bytes, "value_type": bytes}
    nobody: Any = SimpleNamespace()
    if folder is None:
        return MemoryStore("memory://", nobody, nobody, **options)
    return DiskStore("memory://", nobody, nobody, folder=folder, **options)


def never(record: Record, error: Rejected) -> Outbound:
    """Nothing is rejected here."""
    raise AssertionError((record, error))


def event(offset: int) -> Any:
    """The signal at an offset."""
    finding = {
        "id": f"finding-{offset}",
        "pipeline": "ci",
        "fingerprint": FAULTS[offset],
        "time": NOW.isoformat(),
        "confidence": {"value": 0.9},
    }
    value = orjson.dumps({"kind": "finding", "finding": finding, "outcome": None, "v": 1})
    message = SimpleNamespace(
        topic=TOPICS.signals, partition=0, offset=offset, key=b"repo", value=value, headers=(), timestamp=1.0
    )
    return SimpleNamespace(message=message)


def named(said: Mapping[str, Any]) -> str:
    """The finding of a command or of an event."""
    finding = said["finding"]
    return str(finding if isinstance(finding, str) else finding["id"])


def counted(store: MemoryStore) -> dict[str, int]:
    """What a table says of each fault."""
    return {name: Fault.loads(store.read(0, name.encode())).count for name in set(FAULTS)}


@pytest.mark.parametrize("batch", [1, 2, len(FAULTS)])
@pytest.mark.parametrize("disk", [False, True], ids=["memory", "disk"])
async def test_killed_at_every_point(disk: bool, batch: int, tmp_path: Path) -> None:
    """After each kill a new process ends with every finding told of, counted once, and with the tickets asked for."""
    point, expected = 0, Counter(FAULTS)
    while True:
        point += 1
        survives = Survives(tmp_path / str(point) if disk else None, kill_at=point)
        first = Life(survives, batch)
        try:
            await first.run()
        except Killed:
            await first.ended()
        else:
            break
        second = Life(survives, batch)
        await second.run()
        told = {named(each) for each in survives.commands}
        assert told == {f"finding-{offset}" for offset in range(len(FAULTS))}, point
        assert counted(second.store) == expected, point
        asked = {each["fingerprint"] for each in survives.commands if each["action"] == "create"}
        assert asked == {name for name, count in expected.items() if count >= AFTER.hits}, point
        most = {each["fingerprint"]: each["count"] for each in survives.commands if "count" in each}
        assert most == {name: count for name, count in expected.items() if count >= AFTER.hits}, point
        await second.ended()
        third = Life(survives, batch)
        await third.run()
        assert counted(third.store) == expected, point
        await third.ended()
    assert point > 4 * len(FAULTS)
