"""Builds that break the promise are found out, by schedules under which the whole one is spotless."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.run import Run, Verdict
from tests.chaos.subjects import Copying

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]

SESSION_S = 2


async def dies_in_between(run: Run) -> None:
    """Kill -9 in the middle of a delivery."""
    assert await run.daemon(0).caught()
    await run.daemon(0).kill()
    run.daemon(0).start()


async def wakes_up_after_the_others(run: Run) -> None:
    """Frozen in the middle of a delivery, until another has done its work; then it goes on.

    Before its offsets are sent: whoever takes over waits for those, fenced or not, until the transaction times out.
    """
    assert await run.daemon(0).caught(early=True)
    due = run.ends()
    assert await run.until_async(lambda: run.committed_beyond(due))
    run.daemon(0).wake()


async def wakes_up_while_another_takes_over(run: Run) -> None:
    """Frozen in the middle of a delivery, and goes on, once, between the two steps of its successor."""
    run.daemon(1).switch("pause", "")
    assert await run.daemon(0).caught(last=True)
    assert await run.until(lambda: run.daemon(1).paused >= run.partitions)
    run.daemon(0).wake()
    assert await run.until(lambda: not run.daemon(0).running)
    due = run.ends()
    run.daemon(1).switch("pause", None)
    # Its successor works before it comes back: a partition that changes hands again would be begun anew.
    assert await run.until_async(lambda: run.committed_beyond(due))
    run.daemon(0).start()


SCHEDULES = {
    "commits_first": dies_in_between,
    "unfenced": wakes_up_after_the_others,
    "reads_first": wakes_up_while_another_takes_over,
}


async def verdict(cluster: Cluster, folder: Path, build: str, schedules: list[str]) -> Verdict:
    """What comes of a build under these schedules."""
    subject = Copying(session_s=SESSION_S, build=build)
    async with Run(cluster, subject, folder, 2, rate=60) as run:
        run.produce()
        for name in schedules:
            assert await run.until(lambda: run.share_of_each(2))
            await SCHEDULES[name](run)
        told = await run.verdict()
        print(f"{build}: {told}")
        return told


async def test_the_whole_build_is_spotless(one_broker: Cluster, tmp_path: Path) -> None:
    """Under all schedules of this file."""
    told = await verdict(one_broker, tmp_path, "whole", list(SCHEDULES))
    assert (told.lost, told.repeated, told.fell) == ([], [], [])


async def test_offsets_committed_before_outputs(one_broker: Cluster, tmp_path: Path) -> None:
    """Loses events."""
    told = await verdict(one_broker, tmp_path, "commits_first", ["commits_first"])
    assert told.lost


@pytest.mark.parametrize("build", ["unfenced", "reads_first"])
async def test_an_old_owner_that_is_not_shut_out(one_broker: Cluster, tmp_path: Path, build: str) -> None:
    """Repeats events: with a transactional id of each process, or where the offset is read before the take-over."""
    told = await verdict(one_broker, tmp_path, build, [build])
    assert told.repeated
    assert not told.lost
