"""Hearing what people do with tickets, on a Jira that others wrote: it writes no labels into the history."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence

import pytest

from processor.contract import Outbound
from processor.settings import JiraSettings
from processor.tickets.document import Document, Paragraph, Text
from processor.tickets.jira import JiraClient
from processor.tickets.jira.watch import Watch
from processor.tickets.listen import Listener
from processor.tickets.messages import Command, Topics, read_command

pytestmark = pytest.mark.jira
TOPICS = Topics("fs")


@pytest.fixture
async def client(jira_double: str) -> AsyncIterator[JiraClient]:
    """A client of the double."""
    made = JiraClient(JiraSettings(url=jira_double, token=uuid.uuid4().hex))
    yield made
    await made.close()


async def heard(client: JiraClient, fingerprint: str) -> list[Command]:
    """What a first look hears of a fault, of an account that is not that of the people."""
    published: list[Outbound] = []

    async def publish(records: Sequence[Outbound]) -> None:
        published.extend(records)

    async def last() -> bytes | None:
        return None

    async def me() -> frozenset[str]:
        return frozenset({"faultstream"})

    listener = Listener(
        Watch(client), me, publish, last, lambda: True, TOPICS, every_s=60, lag_s=0, label="faultstream-wrong"
    )
    await listener.look()
    assert published[-1].topic == TOPICS.heard
    read = [read_command(each.value) for each in published if each.topic == TOPICS.commands]
    return [each for each in read if each.fingerprint == fingerprint]


async def test_a_label_and_a_transition_are_heard(client: JiraClient) -> None:
    """Each with the ticket, among hundreds of issues that are none of ours."""
    fingerprint = uuid.uuid4().hex
    kind = {"project": {"key": "BUILD"}, "issuetype": {"name": "Bug"}}
    text = Document((Paragraph((Text("why"),)),))
    key = await client.create({**kind, "summary": "It broke", "description": text, "labels": [f"fs-{fingerprint}"]})
    assert await heard(client, fingerprint) == []
    await client.mark(key, "faultstream-wrong")
    said = await heard(client, fingerprint)
    assert [(each.action, each.key, each.finding["kind"]) for each in said] == [("heard", key, "wrong")]
    await client.transition(key, lambda ways: _Way(str(ways[-1]["id"])))
    kinds = {each.finding["kind"]: each.finding for each in await heard(client, fingerprint)}
    assert kinds.keys() == {"wrong", "transition"}
    assert kinds["transition"]["field"] == "status"
    assert kinds["transition"]["after"]
    assert {each.id for each in said} < {each.id for each in await heard(client, fingerprint)}


class _Way:
    """A transition without fields."""

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.fields: dict[str, object] = {}
