"""Values as Jira's fields take them, and what is said of those that do not fit, before the first ticket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from processor.errors import ConfigError
from processor.lang.template import Template
from processor.pipeline.ticket import TicketConfig
from processor.tickets.jira import Refused, Unavailable
from processor.tickets.jira.forms import UnfitError, Wish, fits, problems, the_field
from processor.tickets.jira.screens import Field, Screen, Screens
from processor.tickets.plans import wish
from processor.tickets.screening import Screening

TEAMS = ({"id": "1", "value": "Platform"}, {"id": "2", "value": "Web"})


def screen(*fields: Field, whole: bool = True) -> Screen:
    """A screen of BUILD with a summary and these fields."""
    made = (Field("summary", "Summary", "string", required=True), *fields)
    return Screen("BUILD", "Bug", {each.id: each for each in made}, whole)


TEAM = Field("customfield_1", "Team", "option", allowed=TEAMS)
MANY = Field("customfield_5", "Teams", "array", "option", allowed=TEAMS)
CASCADE = Field("customfield_2", "Place", "option-with-child")


@pytest.mark.parametrize(
    ("rule", "value", "made"),
    [
        (TEAM, "platform", {"value": "Platform"}),
        (MANY, ["Web", "Platform"], [{"value": "Web"}, {"value": "Platform"}]),
        (MANY, "Web", [{"value": "Web"}]),
        (Field("c", "Cost", "number"), "3", 3.0),
        (Field("c", "Cost", "number"), 2.5, 2.5),
        (Field("c", "Tags", "array", "string"), ["a", "b"], ["a", "b"]),
        (Field("c", "Found in", "version", allowed=({"name": "1.0"},)), "1.0", {"name": "1.0"}),
        (Field("c", "Due", "date"), "2026-11-22", "2026-11-22"),
        (Field("c", "Note", "string"), 7, "7"),
        (Field("c", "Own", "any", custom="x:own"), "text", "text"),
    ],
)
def test_values_become_what_their_fields_take(rule: Field, value: Any, made: Any) -> None:
    """By the type that Jira names."""
    assert fits(rule, value) == made


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        (TEAM, "Platfrom", "does not take Platfrom; did you mean Platform?"),
        (Field("c", "Cost", "number"), "many", "takes a number"),
        (TEAM, ["Web", "Platform"], "takes one value"),
        (CASCADE, "Europe", "cascading"),
    ],
)
def test_values_that_do_not_fit_say_why(rule: Field, value: Any, said: str) -> None:
    """With what there is instead, where that is known."""
    with pytest.raises(UnfitError, match=re.escape(said)):
        fits(rule, value)


def test_fields_are_found_by_id_and_by_name() -> None:
    """Names in any case; several of one name need the id."""
    twin = Field("customfield_3", "team", "string")
    assert the_field(screen(TEAM), "TEAM") == TEAM
    assert the_field(screen(TEAM), "customfield_1") == TEAM
    with pytest.raises(UnfitError, match="several fields Team"):
        the_field(screen(TEAM, twin), "Team")
    with pytest.raises(UnfitError, match="no field Taem for Bug; did you mean Team"):
        the_field(screen(TEAM), "Taem")


def test_all_that_is_wrong_is_said_at_once_with_its_key() -> None:
    """Unknown fields and values, and required fields that nothing fills in."""
    needed = Field("customfield_4", "Cost centre", "string", required=True)
    prio = Field("priority", "Priority", "priority", allowed=({"name": "High"},))
    given = {"priority": ["High", "Hihg"], "Taem": ["Web"], "Team": (), "components": [["UI"]]}
    said = problems(screen(TEAM, needed, prio), Wish("ci", "BUILD", "Bug", given))
    assert [each.partition(":")[0] for each in said] == [
        "ticket.priority",
        "ticket.fields.Taem",
        "ticket.components",
        "ticket.fields.'Cost centre'",
    ]
    assert all("BUILD" in each or "Priority" in each for each in said)


def test_older_metadata_is_no_proof_that_a_field_can_not_be_set() -> None:
    """It leaves out what is on the screen all the same; own fields must be there."""
    said = problems(screen(TEAM, whole=False), Wish("ci", "BUILD", "Bug", {"priority": ["High"], "Taem": ["x"]}))
    assert [each.partition(":")[0] for each in said] == ["ticket.fields.Taem"]


class Jira:
    """Answers in turn; an error is raised."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)
        self.unknown: list[str] = []
        self.takes, self.allows = True, True  # files

    async def attaching(self) -> tuple[bool, int | None]:
        """As the client does."""
        return self.takes, None

    async def may_attach(self, project: str) -> bool:
        """As the client does."""
        return self.allows and bool(project)

    async def strangers(self, _wish: Wish) -> list[str]:
        """As the client does."""
        return self.unknown

    async def wrong(self, _wish: Wish) -> list[str]:
        """As the client does."""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def screening(*answers: list[str] | Exception, pipelines: int = 1) -> Screening:
    """A screening of pipelines that get these answers."""
    wishes = [Wish(f"p{number}", "BUILD", "Bug") for number in range(pipelines)]
    return Screening(Jira(*answers), wishes, str)  # type: ignore[arg-type]


async def test_what_jira_will_not_take_is_an_error_of_the_start() -> None:
    """Of all pipelines at once, each named; lack of rights too."""
    denied = Refused("Jira answered 403", status=403)
    with pytest.raises(ConfigError) as caught:
        await screening(["ticket.type: none"], [], denied, pipelines=3).at_start()
    assert "pipelines/p0/pipeline.yaml: ticket.type: none" in str(caught.value)
    assert "pipelines/p2/pipeline.yaml: Jira answered 403" in str(caught.value)


async def test_person_whom_nobody_knows_is_told_and_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """People leave; the daemon starts all the same, and says file, key and name."""
    jira = Jira([])
    jira.unknown = ["ticket.assignee: nobody is called jane@x that issues of BUILD can go to"]
    made = Screening(jira, [Wish("p0", "BUILD", "Bug")], str)  # type: ignore[arg-type]
    await made.at_start()
    assert made.problem() is None
    said = capsys.readouterr().out
    assert "pipelines/p0/pipeline.yaml: ticket.assignee: nobody is called jane@x" in said


@pytest.mark.parametrize(
    ("files", "takes", "allows", "said"),
    [
        (
            True,
            True,
            False,
            "ticket.attach: give the account of jira.token the right Create Attachments in project BUILD",
        ),
        (True, False, True, "ticket.attach: attachments are turned off in this Jira"),
        (True, True, True, ""),
        (False, False, False, ""),
    ],
)
async def test_files_that_jira_does_not_take_are_told_before_the_first_ticket(
    files: bool, takes: bool, allows: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a pipeline's tickets get any; the daemon starts all the same."""
    jira = Jira([])
    jira.takes, jira.allows = takes, allows
    made = Screening(jira, [Wish("p0", "BUILD", "Bug", files=files)], str)  # type: ignore[arg-type]
    await made.at_start()
    assert made.problem() is None
    told = capsys.readouterr().out
    assert f"pipelines/p0/pipeline.yaml: {said}" in told if said else not told


@pytest.mark.parametrize("attach", ["excerpt", "none"])
def test_whether_tickets_get_files_is_known_beforehand(attach: Literal["excerpt", "none"]) -> None:
    """Of the pipeline's key."""
    assert wish("ci", TicketConfig("BUILD", attach=attach)).files == (attach == "excerpt")


@pytest.mark.parametrize(("assignee", "asked"), [("jane@x", ["jane@x"]), ("{{ finding.build.job }}-team", [])])
def test_assignee_that_is_no_template_is_known_beforehand(assignee: str, asked: list[str]) -> None:
    """One with a template is known at the ticket."""
    made = wish("ci", TicketConfig("BUILD", assignee=Template(assignee, "assignee")))
    assert list(made.given["assignee"]) == asked


async def test_jira_being_away_is_no_error_but_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again; what is found wrong then is told by readiness."""
    monkeypatch.setattr("processor.tickets.screening.AGAIN_S", 0.001)
    made, stop = screening(Unavailable("away"), Unavailable("away"), ["ticket.type: none"]), asyncio.Event()
    await made.at_start()
    assert "has not said yet" in str(made.problem())
    running = asyncio.create_task(made.run(stop))
    async with asyncio.timeout(10):
        while "ticket.type: none" not in str(made.problem()):  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.001)
    assert not running.done()
    stop.set()
    await running


@pytest.mark.parametrize("answer", [{}, {"values": None}, [], None])
async def test_answers_without_the_list_tell_nothing(answer: Any) -> None:
    """A server that knows no such request is not one without the project."""

    async def get(_path: str, _query: Mapping[str, str] | None = None) -> Any:
        return answer

    assert await Screens(get).of("BUILD", "Bug") is None


async def test_an_empty_list_is_a_project_that_is_not_there() -> None:
    """Nor may the account create issues in it, as far as can be told."""

    async def get(_path: str, _query: Mapping[str, str] | None = None) -> Any:
        return {"values": [], "total": 0, "isLast": True}

    with pytest.raises(Refused, match="no project BUILD"):
        await Screens(get).of("BUILD", "Bug")
