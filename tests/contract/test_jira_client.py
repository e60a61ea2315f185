"""The Jira client against the double, with a proxy in front that fails as real servers do."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from processor.errors import Retryable
from processor.settings import JiraSettings
from processor.tickets.jira import JiraClient, Refused, Standing, Unauthorised, Unsettled
from tests.servers.fault_proxy import DROP_AFTER, DROP_BEFORE, Fault, FaultProxy, jira_error

pytestmark = pytest.mark.jira
ISSUE = "/rest/api/2/issue"
TOKEN = uuid.uuid4().hex


@pytest.fixture
async def proxy(jira_double: str) -> AsyncIterator[FaultProxy]:
    """The double behind a proxy."""
    async with FaultProxy(jira_double) as made:
        yield made


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[JiraClient]:
    """A client that waits a second at most."""
    made = JiraClient(JiraSettings(url=proxy.url, deployment="datacenter", token=TOKEN, timeout_s=1.0))
    yield made
    await made.close()


def fields(label: str, **more: object) -> dict[str, object]:
    """The fields of a create request."""
    kind = {"project": {"key": "BUILD"}, "issuetype": {"name": "Bug"}}
    return {**kind, "summary": "It broke", "description": "why", "labels": [label], **more}


def mark() -> str:
    """A label that no other test has."""
    return f"fs-{uuid.uuid4().hex}"


async def test_created_issue_is_found_by_its_label_with_its_creator(client: JiraClient) -> None:
    """Create, then search: one hit with the label, created by ourselves."""
    label = mark()
    key = await client.create(fields(label))
    hits = await client.search("BUILD", label)
    assert [hit.key for hit in hits] == [key]
    assert label in hits[0].labels
    assert hits[0].creator & await client.myself()


async def test_create_sends_one_request_and_no_get(client: JiraClient, proxy: FaultProxy) -> None:
    """The library's prefetch is off: its GET after the POST could fail and look like a failed create."""
    await client.create(fields(mark()))
    assert proxy.seen == [("POST", ISSUE)]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(hang=2.0, forward=True), id="time-out after success"),
        pytest.param(Fault(hang=2.0), id="time-out"),
        pytest.param(DROP_AFTER, id="dropped after success"),
        pytest.param(DROP_BEFORE, id="dropped"),
        pytest.param(jira_error(500, "boom", forward=True), id="500 after success"),
        pytest.param(jira_error(500, "boom"), id="500"),
        pytest.param(Fault(502, body="<html>bad gateway</html>"), id="HTML from a gateway"),
        pytest.param(Fault(503, forward=True, headers={"Retry-After": "1"}), id="503"),
        pytest.param(Fault(200, body="<html>welcome</html>"), id="200 that is no Jira"),
    ],
)
async def test_create_without_an_answer_is_unsettled_and_never_sent_again(
    client: JiraClient, proxy: FaultProxy, fault: Fault
) -> None:
    """Whatever hides the outcome: one POST, and an error that says that it must be looked for."""
    proxy.fail("POST", ISSUE, fault)
    with pytest.raises(Unsettled):
        await client.create(fields(mark()))
    assert proxy.count("POST", ISSUE) == 1


async def test_too_many_requests_waits_as_asked(client: JiraClient, proxy: FaultProxy) -> None:
    """429 was refused, not done: it may be sent again, after Retry-After."""
    proxy.fail("POST", ISSUE, Fault(429, headers={"Retry-After": "17"}))
    with pytest.raises(Retryable) as caught:
        await client.create(fields(mark()))
    assert not isinstance(caught.value, Unsettled)
    assert caught.value.wait == 17
    assert proxy.count("POST", ISSUE) == 1


async def test_retry_after_may_be_a_date(client: JiraClient, proxy: FaultProxy) -> None:
    """An HTTP date, which crashes the library, is read; one in the past means now."""
    proxy.fail("POST", ISSUE, Fault(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    with pytest.raises(Retryable) as caught:
        await client.create(fields(mark()))
    assert caught.value.wait == 0


async def test_refused_connection_was_never_sent(unused_tcp_port: int) -> None:
    """Without a connection nothing can have been created; the error names the setting."""
    client = JiraClient(JiraSettings(url=f"http://127.0.0.1:{unused_tcp_port}", timeout_s=1.0))
    with pytest.raises(Retryable, match=r"check jira\.url") as caught:
        await client.create(fields(mark()))
    assert not isinstance(caught.value, Unsettled)
    await client.close()


async def test_unauthorised_names_the_setting_and_hides_the_token(client: JiraClient, proxy: FaultProxy) -> None:
    """401 says which setting to check, and shows neither token nor request."""
    proxy.fail("POST", ISSUE, Fault(401, body={"message": "Client must be authenticated"}))
    with pytest.raises(Unauthorised, match=r"jira\.token") as caught:
        await client.create(fields(mark()))
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_rotated_token_is_read_again(proxy: FaultProxy, tmp_path: Path) -> None:
    """After a 401 the token file is read anew, and the request is sent again with the new token."""
    file = tmp_path / "token"
    file.write_text("old")
    client = JiraClient(JiraSettings(url=proxy.url, deployment="datacenter", token_file=file, timeout_s=1.0))
    proxy.fail("POST", ISSUE, Fault(401))
    file.write_text("new\n")
    key = await client.create(fields(mark()))
    assert key.startswith("BUILD-")
    assert proxy.authorisations == ["Bearer old", "Bearer new"]
    await client.close()


async def test_unknown_project_is_refused_with_its_field(client: JiraClient) -> None:
    """A project that is not there: Jira's own message, and the field that it blames."""
    with pytest.raises(Refused) as caught:
        await client.create(fields(mark(), project={"key": "NOPE"}))
    assert "project" in caught.value.fields
    assert caught.value.status == 400


async def test_redirect_is_not_followed(client: JiraClient, proxy: FaultProxy) -> None:
    """A redirect would turn the POST into a GET of a login page."""
    proxy.fail("POST", ISSUE, Fault(302, headers={"Location": "/login"}))
    with pytest.raises(Retryable, match=r"jira\.url"):
        await client.create(fields(mark()))
    assert proxy.seen == [("POST", ISSUE)]


async def test_comment_and_description_can_be_read_back(client: JiraClient) -> None:
    """What was written is what stands there."""
    key = await client.create(fields(mark()))
    await client.comment(key, "seen again")
    await client.describe(key, "new text")
    assert await client.comments(key) == ["seen again"]
    assert await client.standing(key) == Standing("new text", category="new")


async def test_resolved_issue_says_as_what_and_when_and_can_be_opened_again(
    client: JiraClient, jira_double: str
) -> None:
    """Where a transition leads tells by its category, whatever it is called."""
    key = await client.create(fields(mark()))
    before = time.time()
    async with aiohttp.ClientSession(jira_double) as session:
        ways = await (await session.get(f"{ISSUE}/{key}/transitions")).json()
        done = next(way["id"] for way in ways["transitions"] if way["to"]["statusCategory"]["key"] == "done")
        await session.post(f"{ISSUE}/{key}/transitions", json={"transition": {"id": done}})
    standing = await client.standing(key)
    assert standing.resolution == "Done"
    assert abs(standing.resolved_at - before) < 86_400
    assert await client.reopen(key)
    assert (await client.standing(key)).resolution is None


async def test_two_issues_can_be_linked(client: JiraClient, jira_double: str) -> None:
    """The newer one names the older one, also where the request was sent twice."""
    older, newer = await client.create(fields(mark())), await client.create(fields(mark()))
    await client.link(newer, older)
    await client.link(newer, older)
    async with aiohttp.ClientSession(jira_double) as session:
        issue = await (await session.get(f"{ISSUE}/{newer}")).json()
    linked = {(link.get("inwardIssue") or link.get("outwardIssue"))["key"] for link in issue["fields"]["issuelinks"]}
    assert linked == {older}


async def test_search_quotes_what_it_is_asked_for(client: JiraClient) -> None:
    """A quote in a label can't widen the query."""
    label = mark()
    await client.create(fields(label))
    assert await client.search("BUILD", f'{label}" OR labels = "{label}') == []
