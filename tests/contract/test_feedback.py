"""Hearing what people do with tickets, on both Jiras: a Cloud double, and a server of others that tells no labels."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from processor.contract import Outbound
from processor.settings import JiraSettings
from processor.tickets.document import Document, Paragraph, Text
from processor.tickets.jira import JiraClient
from processor.tickets.jira.watch import Watch
from processor.tickets.listen import Listener
from processor.tickets.messages import Command, Topics, read_command
from processor.tickets.transitions import closing
from tests.contract.test_jira_client import api
from tests.servers.jira_cloud import JiraCloud
from tests.servers.jira_rules import FieldRule
from tests.servers.openapi import OpenApi

__all__ = ["api"]
pytestmark = pytest.mark.jira
TOPICS = Topics("fs")
CATEGORY = FieldRule("customfield_10077", "Category", "string", custom="com.atlassian.jira:textfield")


@dataclass
class Side:
    """One of the two Jiras: the daemon's own client, a person's, and who the daemon is there."""

    daemon: JiraClient
    person: JiraClient
    me: frozenset[str]
    cloud: JiraCloud | None = None

    async def heard(self, fingerprint: str) -> list[Command]:
        """What a first look hears of a fault."""
        published: list[Outbound] = []

        async def publish(records: Sequence[Outbound]) -> None:
            published.extend(records)

        async def last() -> bytes | None:
            return None

        async def me() -> frozenset[str]:
            return self.me

        watch = Watch(self.daemon, CATEGORY.name if self.cloud is not None else None)
        listener = Listener(
            watch, me, publish, last, lambda: True, TOPICS, every_s=60, lag_s=0, label="faultstream-wrong"
        )
        await listener.look()
        assert published[-1].topic == TOPICS.heard
        read = [read_command(each.value) for each in published if each.topic == TOPICS.commands]
        return [each for each in read if each.fingerprint == fingerprint]

    async def ticket(self, fingerprint: str) -> str:
        """The key of a ticket that the daemon has filed."""
        kind = {"project": {"key": "BUILD"}, "issuetype": {"name": "Bug"}}
        text = Document((Paragraph((Text("why"),)),))
        made = {**kind, "summary": "It broke", "description": text, "labels": [f"fs-{fingerprint}"]}
        return await self.daemon.create(made)


@pytest.fixture(params=["datacenter", "cloud"])
async def side(request: pytest.FixtureRequest, api: OpenApi | None) -> AsyncIterator[Side]:
    """Each of the two Jiras. The server of others has one account, which here is not the daemon's."""
    async with AsyncExitStack() as stack:
        if request.param == "cloud":
            cloud = await stack.enter_async_context(JiraCloud(api))
            cloud.projects["BUILD"].fields[CATEGORY.id] = CATEGORY
            token = uuid.uuid4().hex
            cloud.people[f"Bearer {token}"] = cloud.user("Ann Dev")
            daemon, person = (JiraClient(JiraSettings(url=cloud.url, token=each)) for each in (uuid.uuid4().hex, token))
            made = Side(daemon, person, frozenset({cloud.me.account}), cloud)
        else:
            client = JiraClient(JiraSettings(url=request.getfixturevalue("jira_double"), token=uuid.uuid4().hex))
            made = Side(client, client, frozenset({"faultstream"}))
        yield made
        await made.daemon.close()
        await made.person.close()
        if made.cloud is not None:
            assert made.cloud.strange == []


async def test_a_label_and_a_transition_are_heard(side: Side) -> None:
    """Each with the ticket, among hundreds of issues that are none of ours."""
    fingerprint = uuid.uuid4().hex
    key = await side.ticket(fingerprint)
    assert await side.heard(fingerprint) == []
    await side.person.mark(key, "faultstream-wrong")
    said = await side.heard(fingerprint)
    assert [(each.action, each.key, each.finding["kind"]) for each in said] == [("heard", key, "wrong")]
    await side.person.transition(key, lambda ways: _Way(str(ways[0 if side.cloud is not None else -1]["id"])))
    kinds = {each.finding["kind"]: each.finding for each in await side.heard(fingerprint)}
    assert kinds.keys() == {"wrong", "transition"}
    assert kinds["transition"]["field"] == "status"
    assert kinds["transition"]["after"]
    assert {each.id for each in said} < {each.id for each in await side.heard(fingerprint)}


@pytest.mark.parametrize("side", ["cloud"], indirect=True)  # the other has one account and no such field
async def test_resolution_and_category_of_a_person_are_heard_and_nothing_of_ourselves(side: Side) -> None:
    """What the daemon does itself is no opinion, whatever the language of the names."""
    fingerprint = uuid.uuid4().hex
    key = await side.ticket(fingerprint)
    await side.daemon.mark(key, "flaky")
    await side.daemon.transition(key, closing)
    await side.daemon.reopen(key)
    assert await side.heard(fingerprint) == []
    await side.person.edit(key, {CATEGORY.id: "test"})
    await side.person.transition(key, closing)
    said = [each.finding for each in await side.heard(fingerprint)]
    assert [(each["kind"], each["after"], each["resolution"]) for each in said] == [
        ("category", "test", "Fertig"),
        ("resolution", "Fertig", "Fertig"),
    ]


@pytest.mark.parametrize("side", ["cloud"], indirect=True)  # the other tells the whole history at once
async def test_a_long_history_is_read_to_its_end(side: Side) -> None:
    """The latest changes are what counts, also behind hundreds of older ones."""
    assert side.cloud is not None
    fingerprint = uuid.uuid4().hex
    key = await side.ticket(fingerprint)
    for number in range(150):
        side.cloud.changed(side.cloud.issues[key], {CATEGORY.id: (str(number), str(number + 1))})
    await side.person.mark(key, "faultstream-wrong")
    assert [each.finding["kind"] for each in await side.heard(fingerprint)][-1] == "wrong"


class _Way:
    """A transition without fields."""

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.fields: dict[str, object] = {}
