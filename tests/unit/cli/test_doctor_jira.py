"""What `doctor` says of Jira: rights that are missing, and how a daemon does at its limits."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from processor.cli import doctor_jira
from processor.cli.looked import Finding
from processor.errors import Retryable
from processor.tickets.jira import Refused
from processor.tickets.jira.gate import Gate
from processor.tickets.jira.kinds import Kind
from processor.tickets.jira.metrics import JiraMetrics


class Jira:
    """Answers to the question for rights."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.queries: list[Any] = []

    async def get(self, _path: str, query: Any) -> Any:
        """What it says."""
        self.queries.append(query)
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"permissions": {name: {"havePermission": has} for name, has in self.answer.items()}}


async def rights(answer: Any) -> Finding:
    """What is said of one project."""
    jira = Jira(answer)
    [found] = [each async for each in doctor_jira._rights(jira, ["BUILD"])]  # type: ignore[arg-type]
    assert jira.queries[0]["projectKey"] == "BUILD"
    assert "CREATE_ISSUES" in jira.queries[0]["permissions"]
    return found


async def test_all_rights_are_fine() -> None:
    """And named."""
    found = await rights(dict.fromkeys(doctor_jira.RIGHTS, True))
    assert found.fine
    assert found.text == f"BUILD: {', '.join(doctor_jira.RIGHTS.values())}"


async def test_missing_rights_are_named_as_jira_names_them() -> None:
    """With the project, and who has to get them."""
    found = await rights(dict.fromkeys(doctor_jira.RIGHTS, True) | {"LINK_ISSUES": False, "TRANSITION_ISSUES": False})
    assert not found.fine
    assert found.text == "BUILD: give the account of jira.token Transition Issues, Link Issues"


@pytest.mark.parametrize(
    ("answer", "fine", "said"),
    [
        (Refused("Jira answered 404", status=404), True, "does not tell what we may"),
        (Refused("Jira answered 404: No project could be found", status=404), False, "check ticket.project"),
        (Refused("Jira answered 403", status=403), False, "403"),
        (Retryable("Jira can't be reached"), False, "can't be reached"),
        ({"CREATE_ISSUES": True}, True, "not told: Browse Projects"),
    ],
)
async def test_what_a_jira_does_not_tell(answer: Any, fine: bool, said: str) -> None:
    """Is no fault of the deployment, unless the project or the account is wrong."""
    found = await rights(answer)
    assert found.fine == fine
    assert said in found.text


async def test_a_daemons_limits_are_read_from_its_metrics() -> None:
    """What is allowed, what waits, what Jira has stopped, and why."""
    registry = CollectorRegistry()
    metrics = JiraMetrics(registry)
    gate = Gate(600, 20, 1, metrics=metrics, wall=lambda: 0.0, chance=lambda: 0.0)
    metrics.watch(gate)
    gate.hear(Kind.COMMENT, None, 429, {"RateLimit-Reason": "jira-burst-based", "Retry-After": "9"})
    [found] = doctor_jira.limits(generate_latest(registry).decode())
    assert "10 requests a second at most" in found.text
    assert "comment stopped by Jira for" in found.text
    assert "burst 1 times" in found.text
    assert "create stopped" not in found.text
    assert doctor_jira.limits("faultstream_engine_lag 3\n") == []
    assert doctor_jira.limits("<html>{") == []


async def test_right_to_attach_is_asked_for_where_tickets_get_files() -> None:
    """And only there; without it the key can be taken back instead."""
    jira = Jira(dict.fromkeys({**doctor_jira.RIGHTS, **doctor_jira.FILES}, True) | {"CREATE_ATTACHMENTS": False})
    projects = ["BUILD", "OTHER"]
    found = [each async for each in doctor_jira._rights(jira, projects, {"BUILD"})]  # type: ignore[arg-type]
    assert [each.fine for each in found] == [False, True]
    assert found[0].text == "BUILD: give the account of jira.token Create Attachments, or set ticket.attach: none"
    assert ["CREATE_ATTACHMENTS" in each["permissions"] for each in jira.queries] == [True, False]


class Files:
    """Says whether files are taken."""

    def __init__(self, takes: tuple[bool, int | None]) -> None:
        self.takes = takes

    async def attaching(self) -> tuple[bool, int | None]:
        """What it says."""
        return self.takes


@pytest.mark.parametrize(
    ("takes", "fine", "said"),
    [
        ((False, None), False, "set ticket.attach: none"),
        ((True, 10_485_760), True, "up to 10485760 bytes"),
        ((True, 1000), False, "up to 1000 bytes"),
        ((True, None), True, "taken"),
    ],
)
async def test_jira_without_attachments_is_told(takes: tuple[bool, int | None], fine: bool, said: str) -> None:
    """Turned off, or of less than an excerpt may have."""
    found = await doctor_jira._files(Files(takes))  # type: ignore[arg-type]
    assert found.fine is fine
    assert said in found.text
