"""The writer on the engine, with the memory broker and the Jira double behind a proxy that fails."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from processor.engine import Engine, ExactlyOnce, Journal, Limits
from processor.home import Homes
from processor.pipeline import Pipeline
from processor.settings import JiraSettings
from processor.testing.broker import MemoryBroker
from processor.tickets.author import Recurrence
from processor.tickets.book import Loaded
from processor.tickets.jira import JiraClient
from processor.tickets.jira.census import Census
from processor.tickets.load import fold
from processor.tickets.messages import Command, Topics
from processor.tickets.plans import plans
from processor.tickets.reconcile import Reconciler
from processor.tickets.text import Texts
from processor.tickets.write import Writer
from tests.servers.fault_proxy import DROP_AFTER, Fault, FaultProxy, jira_error

pytestmark = pytest.mark.jira
ISSUE = "/rest/api/2/issue"
PATIENCE_S = 30.0
TOUCH_S = 0.3
SHOWN = "summary,description,labels,priority,status,issuelinks,attachment"


class Role:
    """The write part of the ticket role over a memory broker that outlives it."""

    def __init__(self, url: str, checkout: Path, *, exactly_once: bool = True) -> None:
        self.exactly_once = exactly_once
        self.broker = MemoryBroker(partitions=2)
        self.topics = Topics("fs")
        self.url = url
        self.plans = dict(plans([Pipeline.load(checkout / "pipelines" / "ci_failure", Homes((checkout,)))]))
        self.writer: Writer | None = None
        self.jira: JiraClient | None = None
        self.offset = 0

    @property
    def trouble(self) -> str | None:
        """What readiness shows of Jira."""
        return self.writer.trouble if self.writer else None

    @contextlib.asynccontextmanager
    async def running(self, *, token: str = "t") -> AsyncIterator[None]:
        """Runs a daemon's write part; leaving is a clean stop."""
        jira = self.jira = JiraClient(JiraSettings(url=self.url, token=token, timeout_s=1.0, search_lag_s=0.0))
        sink = self.broker.sink()
        texts = Texts(self.plans)
        journal = Journal()
        writer = self.writer = Writer(
            jira,
            texts,
            journal,
            sink.publish,
            self._load,
            self.topics,
            unsettled_s=1.0,
            touch_s=TOUCH_S,
            hold_s=1.0,
        )
        source = self.broker.source(self.topics.writer, [self.topics.commands])
        limits = Limits(backoff_first_s=0.05, backoff_most_s=0.2, linger_s=0.0, drain_s=5.0)
        delivery = None
        if self.exactly_once:
            delivery = ExactlyOnce(source, self.broker.transactions(), self.topics.writer, stateful=True)
        engine = Engine(
            source,
            self.broker.sink(),
            writer,
            limits,
            delivery=delivery,
            key_of=Writer.key_of,
            journal=journal,
        )
        stop = asyncio.Event()
        tasks = [asyncio.create_task(engine.run(stop)), asyncio.create_task(writer.catch_up(stop))]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            await jira.close()

    def reconciler(self) -> Reconciler:
        """What looks for tickets that do not stand as they were left."""
        assert self.writer is not None
        assert self.jira is not None
        return Reconciler(
            self.jira,
            self.writer.book,
            self.broker.sink().publish,
            self.topics,
            redact=str,
            census=Census(self.jira),
            marks=self._marks,
            lag_s=0.0,
        )

    async def _marks(self) -> dict[bytes, bytes]:
        return {}

    async def _load(self, partition: int) -> Loaded:
        records = self.broker.records(self.topics.state)
        return Loaded(fold((each.key, each.value) for each in records if each.partition == partition))

    def send(self, fault: str, count: int = 1, **result: Any) -> None:
        """Puts the command of the `count`-th sight of a fault on the topic."""
        time = f"2026-11-22T04:{count:02d}:00.000Z"
        finding = {
            "id": f"{fault}-{count}",
            "pipeline": "ci_failure",
            "fingerprint": fault,
            "result": {
                "category": "test",
                "summary": f"Test {fault} fails",
                "severity": "major",
                "faulty_dependency": None,
                "failing_tests": ["tests/test_x.py::test_y"],
                **result,
            },
            "evidence": [{"line": 7, "text": "E   assert 1 == 2"}],
            "confidence": {"value": None, "calibrated": False},
            "build": {"repo": "acme/web", "job": "unit", "run_id": str(count), "branch": "main", "commit": "abc"},
            "time": time,
        }
        command = Command("create" if count == 1 else "comment", fault, "ci_failure", finding, count, time, time)
        self.broker.produce(command.record(self.topics))

    async def until(self, *done: str) -> list[dict[str, Any]]:
        """Waits until the ticket events say all of `done` (actions, in any order), and returns the events."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                events = [orjson.loads(each.value or b"") for each in self.broker.records(self.topics.events)]
                left = [event["action"] for event in events]
                if all(left.count(action) >= done.count(action) for action in done):
                    return events
                await asyncio.sleep(0.02)


async def eventually(holds: Callable[[], bool]) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def told(url: str, *faults: str, text: str) -> None:
    """Waits until the descriptions of all these faults' tickets hold a text."""
    async with asyncio.timeout(PATIENCE_S):
        for fault in faults:
            while True:
                if all(text in each["fields"]["description"] for each in await issues(url, fault)):
                    break
                await asyncio.sleep(0.05)


async def comments(url: str, key: str) -> list[str]:
    """The comments of an issue."""
    async with aiohttp.ClientSession(url) as session, session.get(f"{ISSUE}/{key}/comment") as answer:
        return [each["body"] for each in (await answer.json())["comments"]]


async def close(url: str, key: str) -> None:
    """Somebody resolves a ticket."""
    async with aiohttp.ClientSession(url) as session:
        ways = await (await session.get(f"{ISSUE}/{key}/transitions")).json()
        done = next(way["id"] for way in ways["transitions"] if way["to"]["statusCategory"]["key"] == "done")
        answer = await session.post(f"{ISSUE}/{key}/transitions", json={"transition": {"id": done}})
        assert answer.status == 204


async def issues(url: str, fault: str) -> list[dict[str, Any]]:
    """The double's issues with the fault's label, straight from the double."""
    query = {"jql": f'labels = "fs-{fault}"', "fields": SHOWN}
    async with aiohttp.ClientSession() as session, session.get(f"{url}/rest/api/2/search", params=query) as answer:
        found = (await answer.json())["issues"]
    return [issue for issue in found if f"fs-{fault}" in issue["fields"]["labels"]]


def fault_name() -> str:
    """A fingerprint that no other test has."""
    return uuid.uuid4().hex


@pytest.fixture
async def proxy(jira_double: str) -> AsyncIterator[FaultProxy]:
    """The double behind a proxy."""
    async with FaultProxy(jira_double) as made:
        yield made


@pytest.fixture
def role(proxy: FaultProxy, checkout: Path, request: pytest.FixtureRequest) -> Role:
    """The write part, which speaks to the proxy, on brokers with transactions, or as the test says."""
    return Role(proxy.url, checkout, exactly_once=getattr(request, "param", True))


both = pytest.mark.parametrize("role", [True, False], ids=["exactly once", "at least once"], indirect=True)
"""On brokers with transactions, and on brokers without."""


@both
async def test_repeats_of_a_fault_go_to_one_ticket(role: Role, jira_double: str) -> None:
    """Twenty builds with three faults: three tickets with all their repeats."""
    faults = [fault_name() for _ in range(3)]
    async with role.running():
        for count in range(1, 8):
            for fault in faults:
                role.send(fault, count)
        await role.until(*["created"] * 3, *["counted"] * 18)
        await told(jira_double, *faults, text="Seen 7 times")
    for fault in faults:
        (issue,) = await issues(jira_double, fault)
        assert await comments(jira_double, issue["key"]) == []
        assert issue["fields"]["priority"]["name"] == "High"
        assert issue["fields"]["summary"] == f"acme/web: Test {fault} fails"


async def test_closed_ticket_is_opened_again_and_an_old_one_gets_a_successor(role: Role, jira_double: str) -> None:
    """By the double's own workflow and links: within the time the same ticket, later a new one beside it."""
    fault = fault_name()
    async with role.running():
        role.send(fault)
        (created,) = await role.until("created")
        await close(jira_double, created["key"])
        role.send(fault, 2, category="compile")
        await role.until("created", "reopened")
        (ticket,) = await issues(jira_double, fault)
        assert ticket["fields"]["status"]["statusCategory"]["key"] != "done"
        assert len(await comments(jira_double, ticket["key"])) == 1
        await close(jira_double, created["key"])
        role.plans["ci_failure"] = replace(role.plans["ci_failure"], recurrence=Recurrence(reopen_within=-86_400.0))
        role.send(fault, 3, category="network")
        renewed = (await role.until("created", "reopened", "renewed"))[-1]
    assert len(await issues(jira_double, fault)) == 2
    (successor,) = [each for each in await issues(jira_double, fault) if each["key"] == renewed["key"]]
    linked = {(one.get("inwardIssue") or one["outwardIssue"])["key"] for one in successor["fields"]["issuelinks"]}
    assert linked == {created["key"]}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(hang=1.5, forward=True), id="time-out after success"),
        pytest.param(jira_error(500, "boom", forward=True), id="500 after success"),
        pytest.param(DROP_AFTER, id="dropped after success"),
        pytest.param(jira_error(500, "boom"), id="500 before"),
        pytest.param(Fault(hang=1.5), id="time-out before"),
    ],
)
async def test_lost_answer_never_makes_a_second_ticket(
    role: Role, proxy: FaultProxy, jira_double: str, fault: Fault
) -> None:
    """The POST's outcome is unknown: it is searched for, and there is one ticket at the end."""
    name = fault_name()
    proxy.fail("POST", ISSUE, fault)
    async with role.running():
        role.send(name)
        events = await role.until("adopted" if fault.forward else "created")
    assert len(await issues(jira_double, name)) == 1
    assert proxy.count("POST", ISSUE) == (1 if fault.forward else 2)
    assert events[0]["key"].startswith("BUILD-")


@both
async def test_stop_during_the_post_and_restart_gives_one_ticket(
    role: Role, proxy: FaultProxy, jira_double: str
) -> None:
    """The daemon goes while Jira works on the request; the next one finds what came of it."""
    name = fault_name()
    proxy.fail("POST", ISSUE, Fault(hang=1.0, forward=True))
    async with role.running():
        role.send(name)
        await eventually(lambda: proxy.count("POST", ISSUE) > 0)
    async with role.running():
        await role.until("adopted")
    assert len(await issues(jira_double, name)) == 1


@both
async def test_jira_down_loses_nothing(role: Role, proxy: FaultProxy, jira_double: str) -> None:
    """Down for a while: readiness says so; afterwards all tickets are there, none twice, none a dead letter."""
    faults = [fault_name() for _ in range(5)]
    proxy.break_down("*", "/", Fault(503))
    async with role.running():
        for fault in faults:
            role.send(fault)
        await eventually(lambda: role.trouble is not None)
        proxy.mend()
        await role.until(*["created"] * 5)
        assert role.trouble is None
    for fault in faults:
        assert len(await issues(jira_double, fault)) == 1
    assert role.broker.records("fs.dead-letters") == []


async def test_unauthorised_waits_until_the_token_is_right(role: Role, proxy: FaultProxy, jira_double: str) -> None:
    """401 names the setting and keeps everything."""
    name = fault_name()
    proxy.break_down("*", "/", Fault(401))
    async with role.running():
        role.send(name)
        await eventually(lambda: role.trouble is not None)
        assert "jira.token" in (role.trouble or "")
        proxy.mend()
        await role.until("created")
    assert len(await issues(jira_double, name)) == 1


@pytest.mark.parametrize(
    ("fault", "setting"),
    [
        (jira_error(404, "No project could be found"), "ticket.project (BUILD)"),
        (jira_error(400, project="valid project is required"), "ticket.project (BUILD)"),
        (jira_error(400, issuetype="The issue type selected is invalid."), "ticket.type"),
        (jira_error(400, customfield_10001="Team is required."), "ticket.fields.customfield_10001"),
    ],
)
async def test_refused_ticket_is_a_dead_letter_and_the_rest_goes_on(
    role: Role, proxy: FaultProxy, jira_double: str, fault: Fault, setting: str
) -> None:
    """404 (project) and 400 (field): event and dead letter name the setting; other faults get their tickets."""
    refused, fine = fault_name(), fault_name()
    async with role.running():
        proxy.fail("POST", ISSUE, fault)
        role.send(refused)
        events = await role.until("failed")
        role.send(fine)
        await role.until("created")
    assert setting in events[0]["reason"]
    assert len(await issues(jira_double, fine)) == 1
    assert await issues(jira_double, refused) == []
    (letter,) = role.broker.records("fs.dead-letters")
    headers = dict(letter.headers)
    assert headers["fs-reason"] == b"ticket_refused"
    assert setting.encode() in headers["fs-error"]
    assert orjson.loads(letter.value or b"")["fingerprint"] == refused


async def test_secret_in_an_error_of_jira_reaches_no_record(role: Role, proxy: FaultProxy) -> None:
    """Neither the token nor the request shows in events and dead letters."""
    proxy.fail("POST", ISSUE, jira_error(400, summary="bad"))
    async with role.running(token="very-secret-token"):
        role.send(fault_name())
        await role.until("failed")
    written = [*role.broker.records("fs.dead-letters"), *role.broker.records(role.topics.events)]
    assert written
    assert b"very-secret-token" not in b"".join((each.value or b"") + repr(each.headers).encode() for each in written)


async def test_second_ticket_is_found_linked_and_closed(role: Role, jira_double: str) -> None:
    """As a process makes one that stood still right before its POST: by the double's own search, links and workflow."""
    fault = fault_name()
    async with role.running():
        role.send(fault)
        (created,) = await role.until("created")
        fields = {
            "project": {"key": "BUILD"},
            "issuetype": {"name": "Bug"},
            "summary": "late",
            "labels": [f"fs-{fault}"],
        }
        async with aiohttp.ClientSession(jira_double) as session:
            answer = await session.post(ISSUE, json={"fields": fields})
            twin = (await answer.json())["key"]
        assert await role.reconciler().look() == 1
        told = (await role.until("created", "duplicate"))[-1]
    assert (told["key"], told["reason"]) == (twin, f"a second ticket, a duplicate of {created['key']}")
    by_key = {each["key"]: each["fields"] for each in await issues(jira_double, fault)}
    assert by_key[twin]["status"]["statusCategory"]["key"] == "done"
    assert by_key[created["key"]]["status"]["statusCategory"]["key"] != "done"
    (linked,) = by_key[twin]["issuelinks"]
    assert (linked["type"]["name"], linked["outwardIssue"]["key"]) == ("Duplicate", created["key"])
