"""The writer over Jira Cloud: what it compares and rewrites there is text in documents, and people's own stays."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from processor.settings import JiraSettings
from processor.tickets.jira import JiraClient
from processor.tickets.text import Plan, Texts
from processor.tickets.write import Writer
from tests.contract.test_jira_client import Side, api, side
from tests.servers.fault_proxy import DROP_AFTER, DROP_BEFORE, Fault, FaultProxy
from tests.servers.jira_cloud import JiraCloud
from tests.unit.tickets.world import AT, TOPICS, World, command, record

__all__ = ["api", "side"]
ISSUE = "/rest/api/3/issue"


async def over(world: World, client: JiraClient) -> Writer:
    """A writer that keeps its state in memory, and files in that Jira."""
    world.made = world.owner = world.made + 1
    journal = partial(world.journal, world.made)
    texts = Texts({"ci_failure": world.plan})
    made = Writer(
        client,
        texts,
        journal,
        world.publish,
        world.load,
        TOPICS,
        unsettled_s=2.0,
        steady=lambda: world.now,
        touch_s=0.0,
    )
    await made.assigned(AT)
    return made


def texts_of(node: Any) -> list[str]:
    """All texts of a document."""
    if node.get("type") == "text":
        return [node["text"]]
    return [text for each in node.get("content", ()) for text in texts_of(each)]


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer of the comment lost"])
async def test_a_fault_has_one_ticket_one_comment_and_its_counts(lost: bool) -> None:
    """Create, then again on another branch: the counts' sentence is rewritten, what people added is kept."""
    async with JiraCloud() as cloud, FaultProxy(cloud.url) as proxy:
        client = JiraClient(JiraSettings(url=proxy.url, deployment="cloud", timeout_s=5.0))
        world = World()
        await world.until_done(record(command(1)), await over(world, client))
        issue = cloud.issues["BUILD-1"]
        added = {"type": "panel", "attrs": {"panelType": "note"}, "content": [{"type": "paragraph", "content": []}]}
        issue.fields["description"]["content"].append(added)
        if lost:
            proxy.fail("POST", "/comment", DROP_AFTER)
        await world.until_done(record(command(2), 1), await over(world, client))
        said = " ".join(texts_of(issue.fields["description"]))
        assert list(cloud.issues) == ["BUILD-1"]
        assert len(issue.comments) == 1
        assert "Seen 2 times" in said
        assert "Seen once" not in said
        assert issue.fields["description"]["content"][-1] == added
        await client.close()


async def test_issue_whose_answer_was_lost_is_found_again() -> None:
    """The POST was done and nobody told: the search finds it, and there is no second one."""
    async with JiraCloud() as cloud, FaultProxy(cloud.url) as proxy:
        client = JiraClient(JiraSettings(url=proxy.url, timeout_s=5.0))
        world = World()
        proxy.fail("POST", ISSUE, DROP_AFTER)
        await world.until_done(record(command(1)), await over(world, client))
        assert list(cloud.issues) == ["BUILD-1"]
        assert proxy.count("POST", ISSUE) == 1
        assert world.events()[-1] == "adopted"
        await client.close()


@pytest.mark.jira
@pytest.mark.parametrize("fault", [None, DROP_AFTER, DROP_BEFORE], ids=["answered", "answer lost", "request lost"])
async def test_new_ticket_has_its_file_once(side: Side, fault: Fault | None) -> None:
    """On both Jiras, whether or not the request for the file was done and nobody told."""
    client = JiraClient(side.settings(timeout_s=5.0))
    world = World(plan=Plan("ci_failure", "BUILD", attach=True))
    name = uuid.uuid4().hex
    made = command(1, fingerprint=name)
    made = replace(made, finding={**made.finding, "excerpt": "> 7 | E   assert 1 == 2"})
    writer = await over(world, client)
    await world.until_done(record(made), writer)
    if fault is not None:
        side.proxy.fail("POST", "/attachments", fault)
    await world.until_idle(writer)
    state = writer.state(AT, name)
    assert state is not None
    assert state.attached.startswith("log-excerpt-unit-1-")
    files = (await side.get(f"/issue/{state.key}?fields=attachment"))["fields"]["attachment"]
    assert [each["filename"] for each in files] == [state.attached]
    assert side.proxy.count("POST", "/attachments") == (2 if fault is DROP_BEFORE else 1)
    assert world.events() == ["created", "attached"]
    await client.close()
