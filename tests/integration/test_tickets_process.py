"""The write part as a process on Apache Kafka, killed in mid-flight again and again."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from processor.tickets.messages import Command
from tests.integration.test_tickets_decide import Cluster
from tests.integration.test_tickets_write import eventually, fault_name, issues
from tests.servers.fault_proxy import DROP_AFTER, FaultProxy

PROGRAM = Path(__file__).with_name("tickets_process.py")
ISSUE = "/rest/api/2/issue"
FAULTS, REPEATS, KILLS = 8, 4, 3


def command(fault: str, count: int) -> Command:
    """The command of the `count`-th sight of a fault."""
    time = f"2026-11-22T04:{count:02d}:00.000Z"
    finding = {
        "id": f"{fault}-{count}",
        "result": {"summary": "It broke", "category": "test", "severity": "minor"},
        "build": {"repo": "acme/web", "run_id": str(count), "branch": f"b{count}"},
        "time": time,
    }
    return Command("create" if count == 1 else "comment", fault, "ci_failure", finding, count, time, time)


async def started(*arguments: str) -> asyncio.subprocess.Process:
    """The program, running."""
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])}
    return await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), *arguments, env=environment)


async def complete(url: str, fault: str) -> None:
    """Waits until the fault's ticket knows of all its repeats."""
    while True:
        if any(f"Seen {REPEATS} times" in each["fields"]["description"] for each in await issues(url, fault)):
            return
        await asyncio.sleep(0.2)


@pytest.mark.kafka
@pytest.mark.jira
@pytest.mark.timeout(300)
async def test_killed_in_mid_flight_each_fault_has_one_ticket(
    apache_kafka: str, jira_double: str, checkout: Path
) -> None:
    """Killed while requests are under way, some answers lost as well: one ticket per fault, with all its repeats."""
    faults = [fault_name() for _ in range(FAULTS)]
    async with Cluster(apache_kafka) as cluster, FaultProxy(jira_double) as proxy:
        sights = [command(fault, count) for count in range(1, REPEATS + 1) for fault in faults]
        await cluster.publish([sight.record(cluster.topics) for sight in sights])
        proxy.fail("POST", ISSUE, DROP_AFTER, times=2)
        arguments = (apache_kafka, cluster.topics.prefix, proxy.url, str(checkout))
        for _ in range(KILLS):
            process = await started(*arguments)
            posted = len(proxy.seen)
            await eventually(lambda posted=posted: len(proxy.seen) > posted + 3)  # type: ignore[misc]
            process.kill()
            await process.wait()
        process = await started(*arguments)
        try:
            async with asyncio.timeout(120):
                await asyncio.gather(*(complete(jira_double, fault) for fault in faults))
        finally:
            process.terminate()
            assert await process.wait() == 0
        for fault in faults:
            (ticket,) = await issues(jira_double, fault)
            assert f"Seen {REPEATS} times" in ticket["fields"]["description"]
        assert proxy.count("POST", ISSUE) >= FAULTS
