"""The write part as a process on Apache Kafka: killed and frozen at each point of its protocol."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from processor.cluster.client import KafkaClient
from processor.sources.history import KafkaHistory
from processor.tickets.messages import Command
from tests.contract.test_jira_client import described
from tests.integration.points import ended, started
from tests.integration.test_tickets_decide import Cluster
from tests.integration.test_tickets_write import fault_name, issues
from tests.integration.tickets_process import run
from tests.servers.fault_proxy import DROP_AFTER, FaultProxy
from tests.servers.jira_cloud import JiraCloud, Project

ISSUE = "/rest/api/2/issue"
FAULTS, REPEATS = 6, 3
POINTS = ["after intent", "after post", "after key", "after offsets", "after intent of a file", "after post of a file"]
"""Where a creation, and then its file, may be cut off; each is before the next step, too."""


def command(fault: str, count: int) -> Command:
    """The command of the `count`-th sight of a fault."""
    time = f"2026-11-22T04:{count:02d}:00.000Z"
    finding = {
        "id": f"{fault}-{count}",
        "result": {"summary": "It broke", "category": "test", "severity": "minor"},
        "build": {"repo": "acme/web", "run_id": str(count), "branch": f"b{count}"},
        "time": time,
        "excerpt": "> 7 | E   assert 1 == 2",
    }
    return Command("create" if count == 1 else "comment", fault, "ci_failure", finding, count, time, time)


async def complete(url: str, fault: str) -> None:
    """Waits until the fault's ticket knows of all its repeats, and has its file."""
    while True:
        shown = [each["fields"] for each in await issues(url, fault)]
        if any(f"Seen {REPEATS} times" in each["description"] and each["attachment"] for each in shown):
            return
        await asyncio.sleep(0.2)


@pytest.mark.kafka
@pytest.mark.jira
@pytest.mark.timeout(300)
async def test_killed_between_any_two_steps_each_fault_has_one_ticket(
    apache_kafka: str, jira_double: str, checkout: Path
) -> None:
    """Killed at one point after the other, some answers lost as well: one ticket with one file, and all its repeats."""
    faults = [fault_name() for _ in range(FAULTS)]
    async with Cluster(apache_kafka) as cluster, FaultProxy(jira_double) as proxy:
        sights = [command(fault, count) for count in range(1, REPEATS + 1) for fault in faults]
        await cluster.publish([sight.record(cluster.topics) for sight in sights])
        proxy.fail("POST", ISSUE, DROP_AFTER, times=2)
        arguments = (apache_kafka, cluster.topics.prefix, proxy.url, str(checkout), "writer-0")
        for point in POINTS:
            assert await ended(started(run, *arguments, f"kill {point}")) == -signal.SIGKILL
        process = started(run, *arguments)
        try:
            async with asyncio.timeout(120):
                await asyncio.gather(*(complete(jira_double, fault) for fault in faults))
        finally:
            process.terminate()
            assert await ended(process) == 0
        for fault in faults:
            (ticket,) = await issues(jira_double, fault)
            assert f"Seen {REPEATS} times" in ticket["fields"]["description"]
            assert [each["filename"] for each in ticket["fields"]["attachment"]] == [f"log-excerpt-1-{fault}-1.txt"]
        assert proxy.count("POST", ISSUE) >= FAULTS


@pytest.mark.kafka
@pytest.mark.jira
@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", ["before check", "after check"])
async def test_frozen_right_before_the_post_while_another_takes_over(
    apache_kafka: str, jira_double: str, checkout: Path, point: str
) -> None:
    """Before the last check it never posts; after it, what it posts is closed as a duplicate of the other's ticket."""
    fault = fault_name()

    async def ends_of(wanted: list[bool]) -> bool:
        return sorted(map(done, await issues(jira_double, fault))) == wanted

    async with Cluster(apache_kafka) as cluster, FaultProxy(jira_double) as proxy:
        await cluster.publish([command(fault, 1).record(cluster.topics)])
        arguments = (apache_kafka, cluster.topics.prefix, proxy.url, str(checkout))
        frozen = started(run, *arguments, "writer-0", f"stop {point}")
        assert frozen.pid is not None
        running = [frozen]
        try:
            async with asyncio.timeout(180):
                await until(partial(asyncio.to_thread, stands_still, frozen.pid))
                assert proxy.count("POST", ISSUE) == 0
                running.append(started(run, *arguments, "writer-1"))
                await until(lambda: ends_of([False]))
                os.kill(frozen.pid, signal.SIGCONT)
                if point == "after check":
                    await until(lambda: ends_of([False, True]))
                await cluster.publish([command(fault, count).record(cluster.topics) for count in range(2, REPEATS + 1)])
                await complete(jira_double, fault)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has died
                os.kill(frozen.pid, signal.SIGCONT)
            for process in running:
                process.terminate()
            ends = await asyncio.gather(*map(ended, running))
        assert ends == [0, 0]
        assert await ends_of([False, True] if point == "after check" else [False])
        assert proxy.count("POST", ISSUE) == (2 if point == "after check" else 1)


@pytest.mark.kafka
@pytest.mark.jira
@pytest.mark.timeout(300)
async def test_what_people_did_on_cloud_while_no_daemon_ran_is_set_right(apache_kafka: str, checkout: Path) -> None:
    """The ticket was moved and has a second one beside it: it is followed, the other one closed as its duplicate."""
    fault = fault_name()
    async with Cluster(apache_kafka) as cluster, JiraCloud(described()) as cloud:
        cloud.projects["OPS"] = Project("OPS")
        await cluster.publish([command(fault, 1).record(cluster.topics)])
        arguments = (apache_kafka, cluster.topics.prefix, cloud.url, str(checkout), "writer-0")
        assert await ended(started(run, *arguments, "kill after offsets")) == -signal.SIGKILL
        ((key, ticket),) = cloud.issues.items()
        async with aiohttp.ClientSession(cloud.url) as session:
            kind = {"project": {"key": "BUILD"}, "issuetype": {"name": "Bug"}}
            second = {**kind, "summary": "late", "labels": ticket.fields["labels"]}
            answer = await session.post("/rest/api/3/issue", json={"fields": second})
            twin = cloud.issues[(await answer.json())["key"]]
        there = cloud.move(key, "OPS")
        process = started(run, *arguments)
        try:
            async with asyncio.timeout(120):
                await until(lambda: told(cluster, {"moved", "duplicate"}))
                await cluster.publish([command(fault, 2).record(cluster.topics)])
                await until(lambda: told(cluster, {"commented", "attached"}))
        finally:
            process.terminate()
            assert await ended(process) == 0
        assert twin.resolved is not None
        assert [(each["type"]["name"], each["outwardIssue"]["key"]) for each in twin.links] == [("Duplicate", there)]
        assert (ticket.resolved, len(ticket.comments), len(ticket.files)) == (None, 1, 1)
        assert cloud.count("POST", "/rest/api/3/issue") == 2
        assert cloud.strange == []


async def told(cluster: Cluster, actions: set[str]) -> bool:
    """Whether ticket events of all these actions have been written."""
    history = KafkaHistory(KafkaClient(cluster.bootstrap))
    return actions <= {
        orjson.loads(each.value or b"{}").get("action") async for each in history.all(cluster.topics.events)
    }


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until what is asked of another process holds."""
    while not await holds():  # noqa: ASYNC110  nothing here sets an event
        await asyncio.sleep(0.1)


def stands_still(pid: int) -> bool:
    """Whether a process is stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"


def done(issue: Mapping[str, Any]) -> bool:
    """Whether an issue is closed."""
    return bool(issue["fields"]["status"]["statusCategory"]["key"] == "done")
