"""What waits for the brokers bounds what is read: outputs that can't leave take no more memory than two deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest

from processor.contract import TopicPartition
from processor.engine import AtLeastOnce
from processor.engine.delivery import Substitute
from processor.engine.inflight import Batch

from .conftest import QUICK, Rig, Worker, eventually

SIZE = 1_000
BATCH = 5
SMALL = replace(QUICK, batch_bytes=BATCH * SIZE, poll=BATCH)


class Stuck(AtLeastOnce):
    """A delivery per partition, which some partitions' brokers don't take until `gate` is set."""

    def __init__(self, rig: Rig, stuck: Collection[int], *, by_partition: bool) -> None:
        self.gate = asyncio.Event()
        rig.source = rig.broker.source("group", ["in"])
        super().__init__(rig.source, rig.broker.sink())
        self._stuck = stuck
        self._apart = by_partition

    @property
    def by_partition(self) -> bool:
        return self._apart

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        """Waits, if it is one of those."""
        if {entry.partition.tp.partition for entry in batch.entries} & set(self._stuck):
            await self.gate.wait()
        await super().deliver(batch, substitute)


@pytest.mark.parametrize("by_partition", [False, True])
async def test_brokers_that_take_nothing_stop_the_reading(rig: Rig, *, by_partition: bool) -> None:
    """Beyond two deliveries that are ready, one under way and a poll, nothing is read, whatever may be in flight."""
    rig.fill(200, size=SIZE)
    worker = Worker()
    delivery = Stuck(rig, {0}, by_partition=by_partition)
    async with rig.running(worker, SMALL, source=rig.source, delivery=delivery):
        await eventually(lambda: TopicPartition("in", 0) in rig.source.paused)
        assert 2 * BATCH <= len(worker.handled) <= 4 * BATCH
        delivery.gate.set()
        await eventually(lambda: rig.committed() == 200)
    assert sorted(rig.values()) == list(range(200))


async def test_a_partition_whose_outputs_do_not_leave_holds_no_other_up(rig: Rig) -> None:
    """Its share of what may wait is its own: the others are read on."""
    rig.fill(300, size=SIZE, partitions=3)
    delivery = Stuck(rig, {0}, by_partition=True)
    async with rig.running(Worker(), SMALL, source=rig.source, delivery=delivery):
        await eventually(lambda: rig.committed(1) == 100 and rig.committed(2) == 100)
        assert not rig.committed()
        read = rig.source.positions[TopicPartition("in", 0)]
        delivery.gate.set()
        await eventually(lambda: rig.committed() == 100)
    assert read < 100
    assert sorted(rig.values()) == list(range(300))


async def test_a_delivery_that_is_full_by_bytes_waits_for_no_more(rig: Rig) -> None:
    """Few records of which each is large leave at once; only what fills no delivery lingers."""
    rig.fill(40, size=SIZE)
    patient = replace(SMALL, linger_s=3_600.0)
    async with rig.running(Worker(), patient):
        await eventually(lambda: (rig.committed() or 0) > 40 - BATCH - 1)
