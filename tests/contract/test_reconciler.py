"""What people do with tickets is noticed and told, in either Jira: by the reconciler's search, then by the writer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import orjson
import pytest

from processor.contract import Record
from processor.errors import Retryable
from processor.tickets.document import Document, Paragraph, Text
from processor.tickets.jira import JiraClient
from processor.tickets.jira.census import Census
from processor.tickets.messages import TicketState
from processor.tickets.reconcile import Reconciler
from tests.contract.test_jira_client import Side, api, fields, mark, side
from tests.contract.test_jira_writer import over
from tests.servers.fault_proxy import Fault
from tests.servers.jira_cloud import JiraCloud, Project
from tests.unit.tickets.world import AT, TOPICS, World, command, record

__all__ = ["api", "side"]
pytestmark = pytest.mark.jira


@dataclass
class Desk:
    """A fault with its open ticket in one of the Jiras; `client` serves the daemon, and people as well."""

    side: Side
    client: JiraClient
    world: World
    fingerprint: str
    key: str = ""

    async def sees(self, count: int) -> None:
        """The fault's `count`-th sight, done by a writer that has just been started."""
        writer = await over(self.world, self.client)
        await self.world.until_done(record(command(count, fingerprint=self.fingerprint), count), writer)

    async def reviewed(self) -> int:
        """One look of a daemon that has just been started, and the doing of what it asks for."""
        world, writer = self.world, await over(self.world, self.client)
        before = len(world.records)
        reconciler = Reconciler(
            self.client,
            writer.book,
            world.publish,
            TOPICS,
            redact=str,
            census=Census(self.client),
            marks=world.marks,
            lag_s=0.0,
        )
        asked = await reconciler.review()
        for each in world.records[before:]:
            if each.topic == TOPICS.commands:
                await world.until_done(Record(each.topic, 0, 90, each.key, each.value), writer)
        world.records = [each for each in world.records if each.topic != TOPICS.heard]  # begins anew
        return asked

    async def state(self) -> TicketState:
        """What a writer that starts now knows."""
        state = (await over(self.world, self.client)).state(AT, self.fingerprint)
        assert state is not None
        return state

    def told(self) -> list[tuple[str, str]]:
        """Actions and keys of the events behind the ticket's creation."""
        events = [orjson.loads(each.value or b"") for each in self.world.records if each.topic == TOPICS.events]
        return [(each["action"], each["key"]) for each in events[1:]]

    async def labels(self, key: str) -> set[str]:
        """An issue's labels."""
        return set((await self.side.get(f"/issue/{key}"))["fields"]["labels"])

    def posts(self) -> int:
        """How many issues were asked for."""
        return self.side.proxy.count("POST", self.side.issue)


@pytest.fixture
async def desk(side: Side) -> AsyncIterator[Desk]:
    """A ticket that was just filed, which is as it was left."""
    client = JiraClient(side.settings(timeout_s=5.0))
    made = Desk(side, client, World(), uuid.uuid4().hex)
    await made.sees(1)
    made.key = (await made.state()).key or ""
    assert await made.reviewed() == 0
    yield made
    await client.close()


async def test_deleted(desk: Desk) -> None:
    """Told once, and no new ticket is filed when the fault is seen again."""
    if isinstance(desk.side.double, JiraCloud):
        del desk.side.double.issues[desk.key]
    else:
        address = f"{desk.side.proxy.url}{desk.side.issue}/{desk.key}"
        async with aiohttp.ClientSession() as session, session.delete(address) as answer:
            assert answer.status == 204
    assert [await desk.reviewed() for _ in range(2)] == [1, 0]
    assert desk.told() == [("missing", desk.key)]
    await desk.sees(2)
    assert (await desk.state()).noticed == ("missing",)
    assert desk.posts() == 1


@pytest.mark.parametrize("side", ["cloud"], indirect=True)  # the other one moves no issues
async def test_moved(desk: Desk) -> None:
    """Key and project are followed, and what is new is told there."""
    assert isinstance(desk.side.double, JiraCloud)
    cloud = desk.side.double
    cloud.projects["OPS"] = Project("OPS")
    there = cloud.move(desk.key, "OPS")
    assert [await desk.reviewed() for _ in range(2)] == [1, 0]
    assert desk.told() == [("moved", there)]
    await desk.sees(2)
    state = await desk.state()
    assert (state.key, state.project) == (there, "OPS")
    assert len(cloud.issues[there].comments) == 1
    assert desk.posts() == 1


async def test_merged(desk: Desk) -> None:
    """The ticket that it duplicates takes its place, with the fault's label and the next comment; its text stays."""
    other = await desk.client.create(fields(mark()))
    posts = desk.posts()
    before = await desk.client.standing(other)
    await desk.client.link(desk.key, other, "Duplicate")
    await desk.side.resolve(desk.key)
    assert [await desk.reviewed() for _ in range(2)] == [1, 0]
    assert desk.told() == [("merged", other)]
    assert f"fs-{desk.fingerprint}" in await desk.labels(other)
    await desk.sees(2)
    assert desk.told()[1:] == [("commented", other)]
    assert (await desk.client.standing(other)).description == before.description
    state = await desk.state()
    assert (state.key, state.previous) == (other, (desk.key,))
    assert desk.posts() == posts


async def test_label_taken_off(desk: Desk) -> None:
    """It is put back once; taken off again it stays off."""
    await desk.client.edit(desk.key, {"labels": ["ci"]})
    assert [await desk.reviewed() for _ in range(2)] == [1, 0]
    assert await desk.labels(desk.key) == {"ci", f"fs-{desk.fingerprint}"}
    await desk.client.edit(desk.key, {"labels": ["ci"]})
    assert [await desk.reviewed() for _ in range(2)] == [1, 0]
    assert await desk.labels(desk.key) == {"ci"}
    assert desk.told() == [("relabelled", desk.key), ("unlabelled", desk.key)]


async def test_edited(desk: Desk) -> None:
    """Without the sentence with the counts the text is people's own: it stays when the fault is seen again."""
    text = Document((Paragraph((Text("All is known."),)),))
    await desk.client.edit(desk.key, {"description": text})
    assert [await desk.reviewed() for _ in range(2)] == [1, 0]
    await desk.sees(2)
    assert (await desk.client.standing(desk.key)).description == "All is known."
    assert desk.told() == [("edited", desk.key), ("commented", desk.key)]


async def test_jira_is_away_during_the_look(desk: Desk) -> None:
    """The search fails, then the look at the ticket itself: the next look tells it all the same, once."""
    await desk.client.edit(desk.key, {"labels": ["ci"]})
    search = "/search/jql" if isinstance(desk.side.double, JiraCloud) else "/search"
    desk.side.proxy.break_down("GET", search, Fault(503))
    with pytest.raises(Retryable):
        await desk.reviewed()
    assert desk.told() == []
    desk.side.proxy.mend()
    desk.side.proxy.fail("GET", f"/issue/{desk.key}", Fault(503))
    assert await desk.reviewed() == 1
    assert desk.told() == [("relabelled", desk.key)]
