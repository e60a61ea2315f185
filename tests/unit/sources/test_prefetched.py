"""What the client throws away is gone at once, without the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher as library
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from processor.sources import prefetched

TP = TopicPartition("t", 0)
CYCLIC = library.PartitionRecords


@pytest.fixture(autouse=True)
def without_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No garbage collection, and the client's own class again afterwards."""
    monkeypatch.setattr(library, "PartitionRecords", CYCLIC)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def fetched() -> Any:
    """Ten records as the client holds them, made as its fetcher makes them."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1_000_000)
    for offset in range(10):
        builder.append(offset, None, None, b"value %d" % offset, [])
    records = MemoryRecords(bytes(builder.build()))
    made = library.PartitionRecords(TP, records, [], 0, None, None, True, library.READ_UNCOMMITTED)
    return library.FetchResult(TP, assignment=Assignment(), partition_records=made, backoff=0)


class Assignment:
    """What the client knows of the partition: it is ours, at its beginning."""

    active = True

    def __init__(self) -> None:
        self.state = SimpleNamespace(paused=False, position=0)
        self.state.consumed_to = lambda offset: setattr(self.state, "position", offset)

    def state_value(self, tp: TopicPartition) -> Any:
        """The partition's state."""
        return self.state


def inner(result: Any) -> weakref.ref[Any]:
    """What must go: the object with the bytes."""
    held = result._partition_records
    return weakref.ref(held._records if isinstance(held, prefetched.Prefetched) else held)


def test_the_client_needs_the_collector() -> None:
    """The reason for all this: should this fail with a newer client, the module can go."""
    result = fetched()
    assert len(result.getall(3)) == 3
    watched = inner(result)
    del result
    assert watched() is not None


def test_what_is_thrown_away_half_read_is_gone() -> None:
    """A partition that pauses, one that is revoked."""
    prefetched.install()
    paused, revoked = fetched(), fetched()
    watched = [inner(each) for each in (paused, revoked)]
    assert [record.offset for record in paused.getall(3)] == [0, 1, 2]
    paused._assignment.state.paused = True
    assert paused.getall(3) == []
    del revoked
    assert [each() for each in watched] == [None, None]


def test_it_reads_as_before() -> None:
    """All records, the position after them, and the end."""
    prefetched.install()
    result = fetched()
    assert [record.value for record in result.getall(4)] == [b"value %d" % offset for offset in range(4)]
    assert result._assignment.state.position == 4
    assert result.getone().value == b"value 4"
    assert [record.offset for record in result.getall()] == [5, 6, 7, 8, 9]
    assert not result.has_more()
    assert result._assignment.state.position == 10
