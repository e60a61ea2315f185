"""The Jira client against both Jiras: a strict Data Center and a Cloud double, each behind a proxy that can fail."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from processor.cli import doctor_jira
from processor.errors import Retryable
from processor.settings import JiraSettings
from processor.tickets.document import Document, Paragraph, Text
from processor.tickets.jira import JiraClient, Late, Refused, Unauthorised, Unsettled
from processor.tickets.jira.census import Census
from processor.tickets.jira.forms import Wish
from processor.tickets.transitions import closing
from tests.servers.fault_proxy import DROP_AFTER, DROP_BEFORE, Fault, FaultProxy, jira_error
from tests.servers.jira_cloud import JiraCloud, Project
from tests.servers.jira_rules import FieldRule
from tests.servers.openapi import OpenApi
from tests.servers.strict_jira import StrictJira

pytestmark = pytest.mark.jira
TOKEN = uuid.uuid4().hex
CHECKOUT = Path(__file__).parents[2]


def described() -> OpenApi | None:
    """Atlassian's own description of the API, where it is at hand."""
    folder = Path(os.environ.get("FAULTSTREAM_DATA") or CHECKOUT.parent / "shared" / "data")
    file = folder / "jira-cloud-openapi-v3.json"
    return OpenApi(file) if file.exists() else None


@dataclass
class Side:
    """One of the two Jiras: `api` begins its paths, `proxy` stands in front of it."""

    proxy: FaultProxy
    api: str
    double: JiraCloud | StrictJira

    @property
    def issue(self) -> str:
        """The path of create requests."""
        return f"{self.api}/issue"

    def settings(self, **more: Any) -> JiraSettings:
        """Settings of a client that waits a second at most, and has been told which Jira it is."""
        kind = "cloud" if isinstance(self.double, JiraCloud) else "datacenter"
        return JiraSettings(**{"url": self.proxy.url, "deployment": kind, "timeout_s": 1.0, **more})

    async def get(self, path: str) -> Any:
        """What the API says, past the client."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.proxy.url}{self.api}{path}") as answer:
            return await answer.json()

    async def resolve(self, key: str) -> None:
        """Somebody closes an issue."""
        ways = (await self.get(f"/issue/{key}/transitions"))["transitions"]
        done = next(way["id"] for way in ways if way["to"]["statusCategory"]["key"] == "done")
        address = f"{self.proxy.url}{self.issue}/{key}/transitions"
        async with (
            aiohttp.ClientSession() as session,
            session.post(address, json={"transition": {"id": done}}) as answer,
        ):
            assert answer.status == 204


@pytest.fixture(scope="module")
def api() -> OpenApi | None:
    """The description, read once."""
    return described()


@pytest.fixture(params=["datacenter", "cloud"])
async def side(request: pytest.FixtureRequest, api: OpenApi | None) -> AsyncIterator[Side]:
    """Each of the two Jiras. Cloud's requests must be those that its description allows."""
    async with AsyncExitStack() as stack:
        if request.param == "cloud":
            double = await stack.enter_async_context(JiraCloud(api))
            yield Side(await stack.enter_async_context(FaultProxy(double.url)), "/rest/api/3", double)
            assert double.strange == []
        else:
            strict = await stack.enter_async_context(StrictJira(request.getfixturevalue("jira_double")))
            yield Side(strict, "/rest/api/2", strict)


@pytest.fixture
async def client(side: Side) -> AsyncIterator[JiraClient]:
    """A client with a token."""
    made = JiraClient(side.settings(token=TOKEN))
    yield made
    await made.close()


def text(*paragraphs: str) -> Document:
    """A document of paragraphs."""
    return Document(tuple(Paragraph((Text(each),)) for each in paragraphs))


def fields(label: str, **more: object) -> dict[str, object]:
    """The fields of a ticket."""
    kind = {"project": {"key": "BUILD"}, "issuetype": {"name": "Bug"}}
    return {**kind, "summary": "It broke", "description": text("why"), "labels": [label], **more}


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


async def test_many_tickets_are_looked_for_at_once(client: JiraClient, side: Side) -> None:
    """By their labels, one of which nothing has: with text and, of a closed one, what it is a duplicate of."""
    first, second, nothing = mark(), mark(), mark()
    keys = [await client.create(fields(each)) for each in (first, second)]
    assert await Census(client)([nothing]) == []
    found = {each.key: each for each in await Census(client)([first, second, nothing])}
    assert sorted(found) == sorted(keys)
    assert (found[keys[0]].labels, found[keys[0]].description) == (frozenset({first}), "why")
    await client.link(keys[0], keys[1], "Duplicate")
    assert [each.duplicates for each in await Census(client)([first, second])] == [(), ()]
    await side.resolve(keys[0])
    assert {each.key: each.duplicates for each in await Census(client)([first, second])} == {
        keys[0]: (keys[1],),
        keys[1]: (),
    }
    closed = await client.standing(keys[0])
    assert (closed.labels, closed.duplicates) == (frozenset({first}), (keys[1],))


async def test_create_sends_one_request_and_no_get(client: JiraClient, side: Side) -> None:
    """The library's prefetch is off: its GET after the POST could fail and look like a failed create."""
    await client.create(fields(mark()))
    assert side.proxy.seen == [("POST", side.issue)]


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
    client: JiraClient, side: Side, fault: Fault
) -> None:
    """Whatever hides the outcome: one POST, and an error that says that it must be looked for."""
    side.proxy.fail("POST", side.issue, fault)
    with pytest.raises(Unsettled):
        await client.create(fields(mark()))
    assert side.proxy.count("POST", side.issue) == 1


async def test_too_many_requests_waits_as_asked(client: JiraClient, side: Side) -> None:
    """429 was refused, not done: it may be sent again, after Retry-After."""
    side.proxy.fail("POST", side.issue, Fault(429, headers={"Retry-After": "17"}))
    with pytest.raises(Retryable) as caught:
        await client.create(fields(mark()))
    assert not isinstance(caught.value, Unsettled)
    assert caught.value.wait == 17
    assert side.proxy.count("POST", side.issue) == 1


async def test_retry_after_may_be_a_date(client: JiraClient, side: Side) -> None:
    """An HTTP date, which crashes the library, is read; one in the past means now."""
    side.proxy.fail("POST", side.issue, Fault(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}))
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


async def test_unauthorised_names_the_setting_and_hides_the_token(client: JiraClient, side: Side) -> None:
    """401 says which setting to check, and shows neither token nor request."""
    side.proxy.fail("POST", side.issue, Fault(401, body={"message": "Client must be authenticated"}))
    with pytest.raises(Unauthorised, match=r"jira\.token") as caught:
        await client.create(fields(mark()))
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_rotated_token_is_read_again(side: Side, tmp_path: Path) -> None:
    """After a 401 the token file is read anew, and the request is sent again with the new token."""
    file = tmp_path / "token"
    file.write_text("old")
    client = JiraClient(side.settings(token_file=file))
    side.proxy.fail("POST", side.issue, Fault(401))
    file.write_text("new\n")
    key = await client.create(fields(mark()))
    assert key.startswith("BUILD-")
    assert side.proxy.authorisations == ["Bearer old", "Bearer new"]
    await client.close()


async def test_unknown_project_is_refused_with_its_field(client: JiraClient) -> None:
    """A project that is not there: Jira's own message, and the field that it blames."""
    with pytest.raises(Refused) as caught:
        await client.create(fields(mark(), project={"key": "NOPE"}))
    assert "project" in caught.value.fields
    assert caught.value.status == 400


async def test_redirect_is_not_followed(client: JiraClient, side: Side) -> None:
    """A redirect would turn the POST into a GET of a login page."""
    side.proxy.fail("POST", side.issue, Fault(302, headers={"Location": "/login"}))
    with pytest.raises(Retryable, match=r"jira\.url"):
        await client.create(fields(mark()))
    assert side.proxy.seen == [("POST", side.issue)]


async def test_a_request_that_may_not_be_sent_is_not(client: JiraClient, side: Side) -> None:
    """Ownership is asked right before the POST."""
    with pytest.raises(Late):
        await client.create(fields(mark()), lambda: False)
    assert side.proxy.count("POST", side.issue) == 0


async def test_which_jira_it_is_is_found_out(side: Side) -> None:
    """Without a setting the server is asked, once."""
    client = JiraClient(side.settings(deployment="auto"))
    await client.create(fields(mark()))
    await client.create(fields(mark()))
    await client.close()
    assert side.proxy.seen[-2:] == [("POST", side.issue)] * 2
    assert sum("serverInfo" in path for _, path in side.proxy.seen) <= 2


async def test_comment_is_known_again_by_its_text(client: JiraClient) -> None:
    """Whatever the server makes of line ends and spaces."""
    key = await client.create(fields(mark()))
    await client.comment(key, text("seen again", "in *build* 7"))
    assert await client.said(key, text("seen again", "in *build* 7"))
    assert not await client.said(key, text("seen again", "in *build* 8"))


async def test_sentence_of_a_description_can_be_reworded(client: JiraClient) -> None:
    """All else stays; a sentence that is not there, or is there twice, is left alone."""
    key = await client.create(fields(mark(), description=text("It broke.", "Seen once.", "More. More.")))
    stands = await client.standing(key)
    assert await client.reword(key, stands, "Seen once.", "Seen 2 times.")
    again = await client.standing(key)
    assert again.description == "It broke.\n\nSeen 2 times.\n\nMore. More."
    assert not await client.reword(key, again, "Seen once.", "Seen 3 times.")
    assert not await client.reword(key, again, "More.", "Less.")
    assert (await client.standing(key)) == again


async def test_resolved_issue_says_as_what_and_when_and_can_be_opened_again(client: JiraClient, side: Side) -> None:
    """Where a transition leads tells by its category, whatever it is called."""
    key = await client.create(fields(mark()))
    before = time.time()
    await side.resolve(key)
    standing = await client.standing(key)
    assert standing.resolution in {"Done", "Fertig"}
    assert abs(standing.resolved_at - before) < 86_400
    assert await client.reopen(key)
    assert (await client.standing(key)).resolution is None


async def test_issue_is_closed_through_the_screen_that_its_workflow_has(client: JiraClient) -> None:
    """With a resolution where the screen wants one; it is resolved then."""
    key = await client.create(fields(mark()))
    assert await client.transition(key, closing)
    assert (await client.standing(key)).resolution in {"Done", "Fertig"}


async def test_priority_can_be_raised(client: JiraClient) -> None:
    """All there are come the highest first, and an issue says which one it has."""
    names = await client.priorities()
    assert names.index("High") < names.index("Low")
    key = await client.create(fields(mark(), priority={"name": "Low"}))
    assert (await client.standing(key)).priority == "Low"
    await client.edit(key, {"priority": {"name": "High"}})
    assert (await client.standing(key)).priority == "High"


async def test_own_issues_are_told_the_newest_first(client: JiraClient) -> None:
    """As far back from the newest one as is asked for."""
    keys = {await client.create(fields(mark())) for _ in range(3)}
    found = await client.recent("BUILD", 3600)
    assert keys <= {hit.key for hit in found}
    assert [hit.created for hit in found] == sorted((hit.created for hit in found), reverse=True)


async def test_two_issues_can_be_linked(client: JiraClient, side: Side) -> None:
    """The newer one names the older one, also where the request was sent twice."""
    older, newer = await client.create(fields(mark())), await client.create(fields(mark()))
    await client.link(newer, older)
    await client.link(newer, older)
    links = (await side.get(f"/issue/{newer}"))["fields"]["issuelinks"]
    assert {(link.get("inwardIssue") or link.get("outwardIssue"))["key"] for link in links} == {older}


async def test_label_is_added_to_those_there_are(client: JiraClient, side: Side) -> None:
    """An issue that is taken for a fault's keeps its labels."""
    label, more = mark(), mark()
    key = await client.create(fields(label))
    await client.mark(key, more)
    assert set((await side.get(f"/issue/{key}"))["fields"]["labels"]) == {label, more}


async def test_search_quotes_what_it_is_asked_for(client: JiraClient) -> None:
    """A quote in a label can't widen the query."""
    label = mark()
    await client.create(fields(label))
    assert await client.search("BUILD", f'{label}" OR labels = "{label}') == []


async def test_search_and_comments_come_in_pages(client: JiraClient, side: Side) -> None:
    """All hits, however few the server gives at once."""
    if isinstance(side.double, JiraCloud):
        side.double.page = 2
    label = mark()
    keys = [await client.create(fields(label)) for _ in range(5)]
    assert [hit.key for hit in await client.search("BUILD", label)] == keys
    for number in range(5):
        await client.comment(keys[0], text(f"comment {number}"))
    assert await client.said(keys[0], text("comment 4"))


async def test_text_beyond_the_limit_is_fitted(client: JiraClient) -> None:
    """Jira would refuse it, and its fault would have no ticket."""
    key = await client.create(fields(mark(), description=text("It broke.", "x " * 40_000)))
    assert (await client.standing(key)).description.startswith("It broke.")


TEAM = FieldRule(
    "customfield_10010",
    "Team",
    "option",
    custom="com.atlassian.jira.plugin.system.customfieldtypes:select",
    allowed=[{"id": "1", "value": "Platform"}, {"id": "2", "value": "Web"}],
)
NOTES = FieldRule("customfield_10011", "Notes", custom="com.atlassian.jira.plugin.system.customfieldtypes:textarea")
COST = FieldRule("customfield_10012", "Cost centre", custom="x:textfield", required=True)


def on_screen(side: Side, *rules: FieldRule) -> None:
    """Has the project ask for more fields."""
    held = side.double.projects["BUILD"]
    screen = held.fields if isinstance(held, Project) else held
    screen |= {rule.id: rule for rule in rules}


def wish(**given: Any) -> Wish:
    """What a pipeline fills in."""
    return Wish("ci", "BUILD", "Bug", given)


async def test_fields_are_filled_in_by_name_and_type(client: JiraClient, side: Side) -> None:
    """Options, long texts, versions, components, priorities, as each Jira wants them."""
    on_screen(side, TEAM, NOTES)
    given = {"Team": "web", "customfield_10011": "first\n\nsecond", "priority": {"name": "High"}}
    key = await client.create(fields(mark(), components=[{"name": "Build"}], fixVersions=[{"name": "1.0"}], **given))
    assert key.startswith("BUILD-")
    assert await client.wrong(wish(Team=["Web"], Notes=(), priority=["High"], components=[["Build"]])) == []


async def test_what_does_not_fit_is_known_before_the_first_ticket(client: JiraClient, side: Side) -> None:
    """Each names its key; unknown priorities, fields, options, and a required field that nothing fills in."""
    on_screen(side, TEAM, COST)
    said = "\n".join(await client.wrong(wish(Team=["Wbe"], Tame=["x"], priority=["Blocker"], components=[["UI"]])))
    for part in (
        "ticket.fields.Team: Team (customfield_10010) does not take Wbe; did you mean Web?",
        "ticket.fields.Tame: project BUILD has no field Tame for Bug; did you mean",
        "ticket.priority: Priority (priority) does not take Blocker",
        "ticket.components: Components (components) does not take UI",
        "ticket.fields.'Cost centre': BUILD requires the field Cost centre (customfield_10012)",
    ):
        assert part in said


async def test_unknown_projects_and_types_are_known_before_the_first_ticket(client: JiraClient) -> None:
    """With the types that there are."""
    assert "ticket.project: there is no project NOPE" in str(await client.wrong(Wish("ci", "NOPE", "Bug")))
    assert "ticket.type: project BUILD has no issue type Bugg; did you mean Bug?" in str(
        await client.wrong(Wish("ci", "BUILD", "Bugg"))
    )


async def test_field_that_becomes_required_in_mid_run_is_named(client: JiraClient, side: Side) -> None:
    """The refusal says which key of the pipeline fills it in, and asks for it once in a storm of refusals."""
    assert await client.wrong(wish()) == []
    on_screen(side, COST)
    with pytest.raises(Refused, match=r"ticket\.fields\.'Cost centre'"):
        await client.create(fields(mark()))
    asked = sum("createmeta" in path for _, path in side.proxy.seen)
    with pytest.raises(Refused, match=r"ticket\.fields\.'Cost centre'"):
        await client.create(fields(mark()))
    assert sum("createmeta" in path for _, path in side.proxy.seen) == asked
    assert await client.create(fields(mark(), **{"Cost centre": "4711"}))


async def test_project_that_is_archived_in_mid_run_is_named(client: JiraClient, side: Side) -> None:
    """Also where it could be written to before."""
    assert await client.wrong(wish()) == []
    if isinstance(side.double, JiraCloud):
        side.double.projects["BUILD"].archived = True
    else:
        side.double.archived.add("BUILD")
    with pytest.raises(Refused) as caught:
        await client.create(fields(mark()))
    assert "project" in caught.value.fields


async def test_issue_type_that_is_removed_in_mid_run_is_named(client: JiraClient, side: Side) -> None:
    """With the types that are left."""
    types = side.double.projects["BUILD"].types if isinstance(side.double, JiraCloud) else side.double.types
    del types["Bug"]
    with pytest.raises(Refused, match="has no issue type Bug; there are Task"):
        await client.create(fields(mark()))


async def test_people_are_found_by_name_and_address(client: JiraClient, side: Side) -> None:
    """Cloud wants the account's id, Data Center the user's name; who is nobody is blamed on the assignee."""
    if isinstance(side.double, JiraCloud):
        side.double.user("Ann Dev", "ann@example.com")
        side.double.user("Bob Dev", "bob@example.com")
    for name in ("Ann Dev", "ann@example.com"):
        key = await client.create(fields(mark(), assignee={"name": name}))
        assert (await side.get(f"/issue/{key}"))["fields"]["assignee"]
    with pytest.raises(Refused) as caught:
        await client.create(fields(mark(), assignee={"name": "nobody-at-all"}))
    assert set(caught.value.fields) == {"assignee"}


async def test_person_that_a_pipeline_names_is_looked_up_beforehand(client: JiraClient, side: Side) -> None:
    """By address, as the assignee and in fields of its own; nobody is told with the key."""
    owner = FieldRule("customfield_10050", "Owner", "user", custom="com.atlassian.jira:userpicker")
    if isinstance(side.double, JiraCloud):
        side.double.user("Ann Dev", "ann@example.com")
        side.double.projects["BUILD"].fields[owner.id] = owner
    else:
        side.double.projects["BUILD"][owner.id] = owner
    known = Wish("ci", "BUILD", "Bug", {"assignee": ["ann@example.com"], "Owner": ["Ann Dev"]})
    assert (await client.wrong(known), await client.strangers(known)) == ([], [])
    unknown = Wish(
        "ci", "BUILD", "Bug", {"assignee": ["jane@example.com"], "Owner": ["Jim"], "components": [["Build"]]}
    )
    assert await client.wrong(unknown) == []
    assert await client.strangers(unknown) == [
        "ticket.assignee: nobody is called jane@example.com that issues of BUILD can go to",
        "ticket.fields.Owner: nobody is called Jim that issues of BUILD can go to",
    ]


async def test_older_servers_tell_of_their_types_too(jira_double: str) -> None:
    """Create metadata of the older form; what it leaves out may be there all the same."""
    async with StrictJira(jira_double) as strict:
        strict.older = True
        client = JiraClient(JiraSettings(url=strict.url, timeout_s=5.0))
        assert await client.wrong(wish(priority=["High"])) == []
        assert "no issue type Bugg" in str(await client.wrong(Wish("ci", "BUILD", "Bugg")))
        assert "no project NOPE" in str(await client.wrong(Wish("ci", "NOPE", "Bug")))
        await client.close()


async def test_cloud_says_why_it_limits_the_rate(api: OpenApi | None) -> None:
    """Reason and wait of a 429 are told, and nothing was done."""
    async with JiraCloud(api) as cloud:
        client = JiraClient(JiraSettings(url=cloud.url, deployment="cloud", timeout_s=5.0))
        cloud.budget = 0
        with pytest.raises(Retryable, match="jira-burst-based") as caught:
            await client.create(fields(mark()))
        assert (caught.value.wait or 0.0) >= 7
        assert cloud.issues == {}
        assert cloud.strange == []
        await client.close()


async def test_new_issues_are_found_only_after_the_lag(api: OpenApi | None) -> None:
    """The double's search lags as Cloud's does; by its key the issue is there at once."""
    async with JiraCloud(api, lag_s=3600.0) as cloud:
        client = JiraClient(JiraSettings(url=cloud.url, deployment="cloud", timeout_s=5.0))
        label = mark()
        key = await client.create(fields(label))
        assert await client.search("BUILD", label) == []
        assert (await client.standing(key)).description == "why"
        cloud.lag_s = 0.0
        assert [hit.key for hit in await client.search("BUILD", label)] == [key]
        await client.close()


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"description": "a text as REST v2 takes it"}, id="text that is no document"),
        pytest.param({"assignee": {"name": "ann"}}, id="user name for an account id"),
        pytest.param({"priority": {"name": "Blocker"}}, id="unknown priority"),
        pytest.param({"labels": ["with space"]}, id="label with a space"),
        pytest.param({"summary": "x" * 256}, id="summary too long"),
        pytest.param({"customfield_1": "x"}, id="unknown field"),
        pytest.param({"description": {"type": "doc", "version": 1, "content": [{"type": "text"}]}}, id="broken ADF"),
    ],
)
async def test_double_of_cloud_refuses_what_cloud_refuses(broken: dict[str, Any]) -> None:
    """So that a client which passes here passes there."""
    good = {"project": {"key": "BUILD"}, "issuetype": {"name": "Bug"}, "summary": "s"}
    async with JiraCloud() as cloud, aiohttp.ClientSession(cloud.url) as session:
        async with session.post("/rest/api/3/issue", json={"fields": good}) as answer:
            assert answer.status == 201
        async with session.post("/rest/api/3/issue", json={"fields": good | broken}) as answer:
            assert answer.status == 400
            assert set((await answer.json())["errors"]) == set(broken)


def test_description_of_cloud_is_at_hand_and_finds_what_is_wrong(api: OpenApi | None) -> None:
    """What the Cloud double checks every request of this suite against, besides its own rules."""
    if api is None:
        pytest.skip("left out: the description of Jira Cloud's API; FAULTSTREAM_DATA may name its folder")
    assert api.wrong("GET", "/rest/api/3/search/jql", [("jql", "project = A"), ("maxResults", "50")], None) == []
    assert api.wrong("GET", "/rest/api/3/search/jql", [("startAt", "0")], None) == [
        "query parameter startAt is unknown"
    ]
    assert api.wrong("POST", "/rest/api/3/issueLink", [], {"type": {"name": "Relates"}})
    assert api.wrong("GET", "/rest/api/2/myself", [], None) == ["GET /rest/api/2/myself is not in the document"]


async def test_attached_file_is_listed_by_its_name(side: Side, client: JiraClient) -> None:
    """Byte for byte what was sent, as a text file; the request is one that no browser can be made to send."""
    key = await client.create(fields(mark()))
    assert await client.attachments(key) == frozenset()
    assert await client.attaching() == (True, 1_000_000)
    data = "> 7 | npm ERR! ünïcode \u2028 \r\n--boundary\n".encode()
    await client.attach(key, "log-excerpt-unit-7.txt", data)
    assert await client.attachments(key) == {"log-excerpt-unit-7.txt"}
    if isinstance(side.double, JiraCloud):
        (file,) = side.double.issues[key].files
        assert (file.data, file.kind) == (data, "text/plain; charset=utf-8")
    else:
        [held] = (await side.get(f"/issue/{key}?fields=attachment"))["fields"]["attachment"]
        async with aiohttp.ClientSession() as session, session.get(held["content"]) as answer:
            assert await answer.read() == data


@pytest.mark.parametrize(("takes", "status"), [((False, 10), 404), ((True, 10), 413)], ids=["turned off", "too large"])
async def test_file_that_is_not_taken_is_refused(
    side: Side, client: JiraClient, takes: tuple[bool, int], status: int
) -> None:
    """Jira says so beforehand, and again to who sends it all the same."""
    key = await client.create(fields(mark()))
    side.double.files = takes
    assert await client.attaching() == takes
    with pytest.raises(Refused) as caught:
        await client.attach(key, "excerpt.txt", b"more than ten bytes")
    assert caught.value.status == status
    assert await client.attachments(key) == frozenset()


@pytest.mark.parametrize("fault", [DROP_AFTER, Fault(500, forward=True), Fault(hang=5.0, forward=True)])
async def test_file_whose_answer_is_lost_is_unsettled_and_there(side: Side, client: JiraClient, fault: Fault) -> None:
    """One request, no repeat: whoever sent it looks the file up by its name."""
    key = await client.create(fields(mark()))
    side.proxy.fail("POST", "/attachments", fault)
    with pytest.raises(Unsettled):
        await client.attach(key, "excerpt.txt", b"lines")
    assert side.proxy.count("POST", "/attachments") == 1
    assert await client.attachments(key) == {"excerpt.txt"}


async def test_server_that_tells_nothing_of_attachments_is_tried(side: Side, client: JiraClient) -> None:
    """Not every one has the address."""
    side.proxy.break_down("GET", "/attachment/meta", jira_error(404))
    assert await client.attaching() == (True, None)


async def test_account_that_may_not_attach_is_known_beforehand(side: Side, client: JiraClient) -> None:
    """By the right of the project; who tries all the same is refused. A Jira that does not tell is tried."""
    key = await client.create(fields(mark()))
    assert await client.may_attach("BUILD")
    side.double.unfiled.add("BUILD")
    assert not await client.may_attach("BUILD")
    with pytest.raises(Refused) as caught:
        await client.attach(key, "excerpt.txt", b"lines")
    assert caught.value.status == 403
    side.proxy.break_down("GET", "/mypermissions", jira_error(404))
    assert await client.may_attach("BUILD")


async def test_doctor_asks_cloud_for_rights_and_files_as_described(api: OpenApi | None) -> None:
    """What the account lacks, and whether files are taken; in requests that the API's description allows."""
    async with JiraCloud(api) as cloud:
        client = JiraClient(JiraSettings(url=cloud.url, token=TOKEN))
        [rights] = [each async for each in doctor_jira._rights(client, ["BUILD"], {"BUILD"})]
        files = await doctor_jira._files(client)
        assert (rights.fine, files.fine) == (True, True)
        assert "Create Attachments" in rights.text
        cloud.projects["BUILD"].closed = True
        [rights] = [each async for each in doctor_jira._rights(client, ["BUILD"])]
        assert rights.text == "BUILD: give the account of jira.token Create Issues"
        assert cloud.strange == []
        await client.close()
