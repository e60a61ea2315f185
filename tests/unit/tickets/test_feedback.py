"""What people do with tickets becomes feedback: once, whatever is asked twice, and without who it was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from processor.contract import Outbound, Record
from processor.tickets.jira.dialects import Cloud, DataCenter, Dialect
from processor.tickets.jira.watch import Watch
from processor.tickets.listen import MARK, Listener
from processor.tickets.messages import Topics
from tests.unit.tickets.world import AT, TOPICS, World, command, record

NOW = 1_700_000_000.0
ME, PERSON = {"accountId": "me"}, {"accountId": "5b10a2844c20165700ede21g", "displayName": "Mia Krystof"}


def iso(at: float) -> str:
    """A time as Jira writes it."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


class Jira:
    """Answers of a Jira with one issue."""

    def __init__(self, dialect: Dialect, fingerprint: str = "f1") -> None:
        self._dialect = dialect
        self.labels = [f"fs-{fingerprint}"]
        self.status, self.resolution = "1", ""
        self.category: str | None = None
        self.histories: list[dict[str, Any]] = []
        self.updated = NOW
        self.queries: list[str] = []
        self.looks = 0

    async def dialect(self) -> Dialect:
        """Which of the two it is."""
        return self._dialect

    def change(self, field: str, before: str, after: str, by: Any = PERSON, at: float = NOW, **more: Any) -> None:
        """Somebody changes a field."""
        item = {"field": field, "fieldId": more.get("id", field), "fromString": before, "toString": after}
        self.histories.append({"id": str(len(self.histories)), "author": by, "created": iso(at), "items": [item]})
        self.updated = at

    async def get(self, path: str, query: Any = None) -> Any:
        """What the REST API answers."""
        if path == "/field":
            return [{"id": "customfield_1", "name": "Failure category"}]
        if path.startswith("/search"):
            self.queries.append(query["jql"])
            return {"issues": [self._issue()] if "creator" in query["jql"] else [], "total": 1}
        self.looks += 1
        if path.endswith("/changelog"):
            start, most = int(query["startAt"]), int(query["maxResults"])
            return {"values": self.histories[start : start + most], "total": len(self.histories)}
        return {"fields": {}, "changelog": {"histories": self.histories}}

    def _issue(self) -> dict[str, Any]:
        fields = {"labels": self.labels, "status": {"id": self.status}, "updated": iso(self.updated)}
        resolution = {"name": self.resolution} if self.resolution else None
        return {"key": "BUILD-1", "fields": fields | {"resolution": resolution, "customfield_1": self.category}}


class Ears:
    """A listener, what it published, and a writer with a ticket BUILD-1."""

    def __init__(self, jira: Jira, category: str | None = None) -> None:
        self.jira, self.category = jira, category
        self.now = NOW + 30
        self.published: list[Outbound] = []
        self.world = World()

    def listener(self) -> Listener:
        """One as after a start."""

        async def publish(records: Sequence[Outbound]) -> None:
            self.published += records

        async def last() -> bytes | None:
            return next((each.value for each in reversed(self.published) if each.key == MARK), None)

        async def me() -> frozenset[str]:
            return frozenset({"me"})

        return Listener(
            Watch(self.jira, self.category),  # type: ignore[arg-type]
            me,
            publish,
            last,
            lambda: True,
            TOPICS,
            every_s=60,
            lag_s=0,
            label="faultstream-wrong",
            clock=lambda: self.now,
        )

    async def feedback(self) -> list[dict[str, Any]]:
        """What comes of all commands, each handled twice, by a writer that is started anew before each."""
        if not self.world.issues:
            await self.world.until_done(record(command(1)))
        for each in [each for each in self.published if each.topic == TOPICS.commands]:
            for _ in range(2):
                assert each.key == b"f1"
                await self.world.until_done(Record(each.topic, AT.partition, 9, each.key, each.value))
        told = [each for each in self.world.records if each.topic == TOPICS.feedback]
        return [orjson.loads(each.value or b"") for each in told]


def both(work: Any) -> Any:
    """Runs a test on Cloud and Data Center."""
    return pytest.mark.parametrize("dialect", [Cloud(), DataCenter()], ids=["cloud", "datacenter"])(work)


@both
async def test_a_label_a_resolution_and_a_category_are_told_once(dialect: Dialect) -> None:
    """Each with what it was and is, the ticket and the fault's findings; never with the person."""
    jira = Jira(dialect)
    ears = Ears(jira, "failure category")
    jira.labels.append("faultstream-wrong")
    jira.change("labels", "fs-f1", "fs-f1 faultstream-wrong")
    jira.change("Failure category", "test", "dependency", id="customfield_1")
    jira.change("resolution", "", "Won't Fix")
    jira.resolution, jira.category = "Won't Fix", "dependency"
    assert await ears.listener().look() == 3
    assert await ears.listener().look() == 3  # a look that is repeated after a start
    told = await ears.feedback()
    assert [(each["kind"], each["before"], each["after"]) for each in told] == [
        ("wrong", None, "faultstream-wrong"),
        ("category", "test", "dependency"),
        ("resolution", None, "Won't Fix"),
    ]
    assert {(each["fingerprint"], each["ticket"], tuple(each["findings"])) for each in told} == {
        ("f1", "BUILD-1", ("f1-1",))
    }
    assert all(each["resolution"] == "Won't Fix" and each["time"].startswith("2023-11-14T22:13:20") for each in told)
    assert PERSON["accountId"] not in orjson.dumps(told).decode()
    assert "Krystof" not in orjson.dumps([each.value.decode() for each in ears.published if each.value]).decode()


@both
async def test_what_the_daemon_did_itself_is_no_feedback(dialect: Dialect) -> None:
    """Its own transitions and resolutions are left out, and transitions of people are not."""
    jira = Jira(dialect)
    jira.change("status", "Open", "Done", by=ME)
    jira.change("resolution", "", "Done", by=ME)
    jira.change("status", "Done", "In Arbeit")
    ears = Ears(jira)
    assert await ears.listener().look() == 1
    told = await ears.feedback()
    assert [(each["kind"], each["after"]) for each in told] == [("transition", "In Arbeit")]


@both
async def test_a_label_that_is_taken_off_is_told_too(dialect: Dialect) -> None:
    """Who was wrong about being wrong says so by taking the label off."""
    jira = Jira(dialect)
    jira.change("labels", "faultstream-wrong fs-f1", "fs-f1")
    ears = Ears(jira)
    await ears.listener().look()
    assert [each["kind"] for each in await ears.feedback()] == ["right"]


async def test_a_label_that_no_history_speaks_of_is_told_all_the_same() -> None:
    """Some servers do not write labels into the history."""
    jira = Jira(DataCenter())
    jira.labels.append("faultstream-wrong")
    ears = Ears(jira)
    await ears.listener().look()
    await ears.listener().look()
    assert [(each["kind"], each["ticket"]) for each in await ears.feedback()] == [("wrong", "BUILD-1")]


@both
async def test_an_issue_that_looks_as_before_is_not_asked_for_its_history_again(dialect: Dialect) -> None:
    """The daemon's own edits change an issue all the time."""
    jira = Jira(dialect)
    ears = Ears(jira)
    listener = ears.listener()
    await listener.look()
    asked = jira.looks
    jira.updated += 60
    await listener.look()
    assert jira.looks == asked
    jira.status = "3"
    jira.change("status", "Open", "Doing", at=jira.updated)
    assert await listener.look() == 1


async def test_looks_go_back_to_the_last_one_over_restarts() -> None:
    """By the server's clock, with an overlap; clocks that were put back do no harm, and there is a bound."""
    jira = Jira(DataCenter())
    ears = Ears(jira)

    async def minutes() -> int:
        await ears.listener().look()
        return int(jira.queries[-1].split("updated >= -")[1].split("m")[0])

    assert await minutes() == 5
    ears.now += 3600
    assert await minutes() == 65
    ears.now -= 7200
    assert await minutes() == 125
    ears.now += 10 * 365 * 86_400
    assert await minutes() == 30 * 1440 + 5


async def test_changes_of_before_the_last_look_are_not_told_again() -> None:
    """Old entries of a history stay in it."""
    jira = Jira(DataCenter())
    jira.change("status", "Open", "Doing", at=NOW - 86_400)
    jira.change("status", "Doing", "Done", at=NOW)
    assert await Ears(jira).listener().look() == 1


@both
async def test_of_a_long_history_the_end_is_read(dialect: Dialect) -> None:
    """Counts that were brought up to date a thousand times do not hide what a person did last."""
    jira = Jira(dialect)
    for _ in range(950):
        jira.change("description", "3 times", "4 times", by=ME)
    jira.change("resolution", "", "Duplicate")
    ears = Ears(jira)
    assert await ears.listener().look() == 1
    assert jira.looks <= 2


async def test_a_ticket_that_is_not_the_faults_says_nothing_of_it() -> None:
    """A second ticket, closed as a duplicate by whomever, is no correction of the finding."""
    jira = Jira(DataCenter())
    jira.change("resolution", "", "Duplicate")
    ears = Ears(jira)
    await ears.world.until_done(record(command(1)))
    ears.world.issues["BUILD-7"] = ears.world.issues.pop("BUILD-1")
    state = (await ears.world.writer()).state(AT, "f1")
    assert state is not None
    assert state.key == "BUILD-1"
    await ears.listener().look()
    ears.published = [
        Outbound(each.topic, each.key, (each.value or b"").replace(b'"BUILD-1"', b'"BUILD-7"'))
        for each in ears.published
    ]
    assert await ears.feedback() == []


async def test_nothing_is_asked_by_who_does_not_hold_the_first_partition() -> None:
    """One process of a deployment asks."""
    jira = Jira(DataCenter())
    listener = Ears(jira).listener()
    listener._holds = lambda: False
    stop = asyncio.Event()
    running = asyncio.create_task(listener.run(stop))
    await asyncio.sleep(0)
    stop.set()
    await running
    assert jira.queries == []


def test_topics_of_feedback_begin_with_the_prefix() -> None:
    """As all topics do."""
    assert (Topics("p").feedback, Topics("p").heard) == ("p.feedback", "p.feedback-heard")
