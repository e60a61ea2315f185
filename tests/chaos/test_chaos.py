"""A short schedule of each sort; `make chaos` runs longer ones."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest

from processor.testing.model import FakeModelServer
from tests.chaos.cluster import Cluster
from tests.chaos.faults import DAEMON, WORK, Fault, schedule
from tests.chaos.run import Run, Verdict
from tests.chaos.subjects import Copying, Line

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="session")]


def spotless(verdict: Verdict, tell: str) -> None:
    """Nothing was lost, nothing came twice, and no daemon fell by itself."""
    print(f"{tell}: {verdict}")
    assert verdict.events > 0
    assert (verdict.lost[:5], verdict.repeated[:5], verdict.fell) == ([], [], [])


async def test_daemons_brokers_and_networks_fail(one_broker: Cluster, tmp_path: Path) -> None:
    """Each kind of fault once, on three daemons."""
    subject = Copying()
    async with Run(one_broker, subject, tmp_path, 3) as run:
        run.produce()
        assert await run.until(lambda: run.has(1), 240)
        await run.suffer(schedule(20261, 40, 3, subject.session_s, subject.kinds, gap_s=2.2, paces=[1]))
        spotless(await run.verdict(), "one broker")
    assert set(run.faults) == set(subject.kinds)


async def test_leaders_are_lost(three_brokers: Cluster, tmp_path: Path) -> None:
    """The broker that leads is killed, then frozen beyond its own session, under daemons that fail as well.

    librdkafka fetches here, aiokafka elsewhere.
    """
    subject = Copying(records="librdkafka")
    kinds = ("broker_kill", "kill_in_commit", "broker_freeze", "silence", "brokers_kill")
    async with Run(three_brokers, subject, tmp_path, 2, rate=60) as run:
        run.produce()
        assert await run.until(lambda: run.has(1), 240)
        await run.suffer(
            [Fault(4.0 * at, kind, at % 2, 5.0) for at, kind in enumerate(kinds)],
        )
        spotless(await run.verdict(), "three brokers")
    assert set(run.faults) == set(kinds)


async def test_the_whole_line_fails(one_broker: Cluster, tmp_path: Path) -> None:
    """Two pipelines on one topic: each event comes to one finding or one dead letter in each of them."""
    async with FakeModelServer() as model:
        subject = Line(tmp_path, model)
        async with Run(one_broker, subject, tmp_path, 2, rate=20) as run:
            run.produce()
            assert await run.until(lambda: run.has(1), 240)
            await run.suffer(schedule(20262, 22, 2, subject.session_s, (*DAEMON, *WORK, "freeze_all"), paces=[0.6]))
            spotless(await run.verdict(), "the line")


async def test_from_one_daemon_to_four_and_back(one_broker: Cluster, tmp_path: Path) -> None:
    """Nothing is lost or comes twice, and four do more than one does, where each event takes a while."""
    # 8 at once and 200 ms each on average: one daemon does 40 a second, whatever the machine.
    subject = Copying(wait_ms=400, concurrency=8, partitions=8)
    async with Run(one_broker, subject, tmp_path, 1, rate=150) as run:
        run.produce()
        speeds = []
        for others in ([], [1, 2, 3], []):
            for slot in (1, 2, 3):
                daemon = run.daemon(slot)
                daemon.start() if slot in others else await daemon.terminate()
            assert await run.until(partial(run.share_of_each, len(others) + 1))
            before, began = len(run.reader.outcomes), time.monotonic()
            await asyncio.sleep(5)  # the measure
            speeds.append((len(run.reader.outcomes) - before) / (time.monotonic() - began))
        for slot in (1, 2, 3):  # to catch up
            run.daemon(slot).start()
        spotless(await run.verdict(), f"outcomes a second {speeds}")
    assert speeds[1] > 2 * max(speeds[0], speeds[2])
