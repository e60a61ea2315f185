"""Reading a changelog into a store: from its beginning or from where the store ends, and when they do not fit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from processor.contract import Record, TopicPartition
from processor.errors import Retryable
from processor.sources.history import Span
from processor.tickets import changelog
from processor.tickets.changelog import Changelog
from processor.tickets.policy import Fault
from processor.tickets.signals import may_follow
from processor.tickets.stores import DiskStore, MemoryStore

AT = TopicPartition("p.decide-faults-changelog", 0)
OPTIONS: dict[str, Any] = {"table_name": "faults", "key_type": bytes, "value_type": bytes}
NOBODY: Any = SimpleNamespace()


class Topic:
    """A changelog's partition, as History tells it."""

    def __init__(self, *values: tuple[bytes, bytes | None], first: int = 0) -> None:
        self.records = [Record(*AT, first + n, key, value) for n, (key, value) in enumerate(values)]
        self.read: list[int] = []
        self.failing = 0

    @property
    def lies(self) -> Span:
        """From its first record to its end."""
        return Span(self.records[0].offset, self.records[-1].offset + 1)

    async def spans(
        self, topics: Collection[str], start: datetime | None = None, end: datetime | None = None
    ) -> dict[TopicPartition, Span]:
        """Nobody asks."""
        raise AssertionError((topics, start, end))

    async def between(self, spans: Mapping[TopicPartition, Span]) -> AsyncGenerator[Record, None]:
        """See History; fails in the middle as often as it is told to."""
        for record in self.records:
            if spans[AT].start <= record.offset < spans[AT].end:
                self.read.append(record.offset)
                yield record
                if self.failing:
                    self.failing -= 1
                    raise Retryable("away")


def fault(offset: int, count: int = 1, era: int = 0) -> bytes:
    """What is remembered of a fault whose last signal was at `offset`."""
    return Fault(count=count, partition=0, offset=offset, era=era).dumps()


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[[], DiskStore]:
    """Opens the store on disk."""
    return lambda: DiskStore("memory://", NOBODY, NOBODY, folder=tmp_path, **OPTIONS)


async def load(topic: Topic, store: MemoryStore, lies: Span | None = None) -> list[str]:
    """Brings the store up to date; what was told."""
    with structlog.testing.capture_logs() as logs:
        await Changelog(topic, lambda: None).load(store, AT, lies or topic.lies, may_follow)
    return [each["event"] for each in logs]


async def test_memory_is_filled_from_the_beginning() -> None:
    """The last value of each key; what was there before is forgotten."""
    store = MemoryStore("memory://", NOBODY, NOBODY, **OPTIONS)
    await load(Topic((b"old", fault(1))), store)
    await load(Topic((b"a", fault(1)), (b"b", fault(2)), (b"a", fault(3)), (b"b", None)), store)
    assert (store.read(0, b"a"), store.read(0, b"b"), store.read(0, b"old")) == (fault(3), None, None)


async def test_disk_reads_on_from_where_it_ended(on_disk: Callable[[], DiskStore]) -> None:
    """Only what is new, and the last known record, by which it knows its changelog."""
    store = on_disk()
    await load(Topic((b"a", fault(1)), (b"b", fault(2))), store)
    await store.on_stop()
    topic, again = Topic((b"a", fault(1)), (b"b", fault(2)), (b"a", fault(3))), on_disk()
    assert await load(topic, again) == []
    assert topic.read == [1, 2]
    assert (again.read(0, b"a"), again.read(0, b"b")) == (fault(3), fault(2))


async def test_store_ahead_of_its_changelog_is_built_anew(on_disk: Callable[[], DiskStore]) -> None:
    """The topic was made anew, or its data was lost: what the changelog says holds."""
    store = on_disk()
    await load(Topic((b"a", fault(1)), (b"b", fault(2))), store)
    assert await load(Topic((b"c", fault(0))), store) == ["a store is not its changelog's: it is built anew"]
    assert (store.read(0, b"a"), store.read(0, b"c")) == (None, fault(0))


async def test_store_of_a_changelog_that_was_made_anew_and_has_grown_is_built_anew(
    on_disk: Callable[[], DiskStore],
) -> None:
    """Its offsets fit, its records do not."""
    store = on_disk()
    await load(Topic((b"a", fault(1))), store)
    topic = Topic((b"x", fault(0)), (b"y", fault(1)))
    assert await load(topic, store) == ["a store is not its changelog's: it is built anew"]
    assert (store.read(0, b"a"), store.read(0, b"x"), store.read(0, b"y")) == (None, fault(0), fault(1))


async def test_store_outlives_what_the_changelog_loses(on_disk: Callable[[], DiskStore]) -> None:
    """Records before some offset were deleted, or the last known one was compacted away: the store has them still."""
    store = on_disk()
    await load(Topic((b"a", fault(1)), (b"b", fault(2))), store)
    assert await load(Topic((b"c", fault(9)), first=5), store) == []
    assert [store.read(0, key) for key in (b"a", b"b", b"c")] == [fault(1), fault(2), fault(9)]


async def test_emptied_changelog_is_no_reason_to_forget_what_is_on_disk(on_disk: Callable[[], DiskStore]) -> None:
    """All records deleted: the end stays, and with it what was taken over up to there."""
    store = on_disk()
    topic = Topic((b"a", fault(1)))
    await load(topic, store)
    topic.records.clear()
    assert await load(topic, store, Span(1, 1)) == []
    assert store.read(0, b"a") == fault(1)


async def test_what_a_frozen_process_wrote_late_is_left_out(on_disk: Callable[[], DiskStore]) -> None:
    """It knows of fewer signals than what was written before it; of a signals topic made anew it knows more."""
    store = on_disk()
    await load(Topic((b"a", fault(7, count=5)), (b"a", fault(3, count=2))), store)
    assert store.read(0, b"a") == fault(7, count=5)
    await load(Topic((b"a", fault(7, count=5)), (b"a", fault(3, count=2)), (b"a", fault(0, 6, era=1))), store)
    assert store.read(0, b"a") == fault(0, 6, era=1)


async def test_brokers_away_in_the_middle(monkeypatch: pytest.MonkeyPatch, on_disk: Callable[[], DiskStore]) -> None:
    """It goes on where it was, and ends with all of it."""
    monkeypatch.setattr(changelog, "AGAIN_S", 0.0)
    monkeypatch.setattr(changelog, "CHUNK", 1)
    topic, store = Topic((b"a", fault(1)), (b"b", fault(2)), (b"c", fault(3))), on_disk()
    topic.failing = 2
    assert await load(topic, store) == ["a changelog waits"] * 2
    assert [store.read(0, key) for key in (b"a", b"b", b"c")] == [fault(1), fault(2), fault(3)]


@pytest.mark.parametrize("disk", [False, True], ids=["memory", "disk"])
async def test_fifty_thousand_faults(disk: bool, on_disk: Callable[[], DiskStore]) -> None:
    """All are there, each with its own value; on disk also after a restart, which reads none of them again."""
    count = 50_000
    topic = Topic(*((f"f{number}".encode(), fault(number)) for number in range(count)))
    store = on_disk() if disk else MemoryStore("memory://", NOBODY, NOBODY, **OPTIONS)
    await load(topic, store)
    assert store.known() == count
    assert [store.read(0, f"f{number}".encode()) for number in (0, 1, count - 1)] == [
        fault(0),
        fault(1),
        fault(count - 1),
    ]
    if disk:
        await store.on_stop()
        topic.read.clear()
        again = on_disk()
        await load(topic, again)
        assert topic.read == [count - 1]
        assert again.known() == count
