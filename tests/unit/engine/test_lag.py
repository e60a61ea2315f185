"""How far behind a partition is, and since when its oldest record waits, as a scrape tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from processor.contract import Outbound, Record
from processor.engine import MetricFamilies, lag
from processor.errors import Retryable
from processor.testing.broker import BROKER_AWAY

from .conftest import Rig, Worker, echo, eventually

Scrape = Callable[..., float | None]


@pytest.fixture
def scrape(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Scrape:
    """Has the engine of this test be scraped, and ask for ends all the time."""
    registry = CollectorRegistry()
    families = MetricFamilies(registry)
    monkeypatch.setattr(lag, "EVERY_S", 0.01)
    monkeypatch.setattr(lag, "FIRST_S", 0.01)
    monkeypatch.setattr("tests.unit.engine.conftest.EngineMetrics.unregistered", lambda: families.of("line"))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"faultstream_engine_{name}", {"engine": "line", **labels})

    return value


def by_partition(scrape: Scrape) -> list[float | None]:
    """The lag of the first three partitions."""
    return [scrape("lag", topic="in", partition=str(number)) for number in range(3)]


async def test_lag_counts_what_is_not_committed(rig: Rig, scrape: Scrape) -> None:
    """Read or not; a partition without records has none; what is not held is not told."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        if record.partition == 0 and record.offset >= 2:
            await gate.wait()
        return await echo(record)

    rig.fill(12, partitions=2)
    rig.broker.create("in", 3)
    async with rig.running(Worker(handler)):
        await eventually(lambda: by_partition(scrape) == [4, 0, 0])
        rig.fill(6, partitions=2)
        await eventually(lambda: by_partition(scrape) == [7, 0, 0])
        gate.set()
        await eventually(lambda: by_partition(scrape) == [0, 0, 0])
    assert by_partition(scrape) == [None, None, None]


async def test_lag_grows_while_a_partition_is_paused(rig: Rig, scrape: Scrape) -> None:
    """A model that is away costs lag: that is what this tells."""

    async def handler(_record: Record) -> Sequence[Outbound]:
        raise Retryable("no replica", shared=True)

    rig.fill(3)
    async with rig.running(Worker(handler)):
        await eventually(lambda: scrape("paused_partitions") == 1)
        rig.broker.fail("ends", BROKER_AWAY, 3)
        rig.fill(40)
        await eventually(lambda: scrape("lag", topic="in", partition="0") == 43)
        assert not rig.broker.faults["ends"]


async def test_the_oldest_record_ages_until_it_is_committed(rig: Rig, scrape: Scrape) -> None:
    """By the time since it was read, and not since it was written."""
    gate = asyncio.Event()

    async def handler(record: Record) -> Sequence[Outbound]:
        await gate.wait()
        return await echo(record)

    rig.fill(2)
    async with rig.running(Worker(handler)):
        assert scrape("oldest_seconds") == 0
        await eventually(lambda: (scrape("oldest_seconds") or 0) > 0.05)
        assert (scrape("oldest_seconds") or 0) < 5
        gate.set()
        await eventually(lambda: scrape("oldest_seconds") == 0)
        assert rig.committed() == 2
