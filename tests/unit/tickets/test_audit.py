"""The audit log, and what is counted: names and figures, no texts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from processor.tickets.jira.answers import Answer
from processor.tickets.jira.audit import about, write_down
from processor.tickets.jira.gate import Gate
from processor.tickets.jira.kinds import Kind, at_work
from processor.tickets.jira.metrics import JiraMetrics
from processor.tickets.jira.upload import Upload
from processor.tickets.messages import TicketEvent
from processor.tickets.metrics import TicketMetrics, reason_kind

TEXT = "It broke in a way that is nobody's business"


def lines(method: str, path: str, body: Any, outcome: str = "201", answer: Any = None) -> list[dict[str, Any]]:
    """What is logged of a request."""
    with capture_logs() as logs, at_work(Kind.CREATE, "f1"):
        write_down(method, path, body, outcome, Answer(201, {}, orjson.dumps(answer)) if answer else None)
    assert TEXT not in repr(logs)
    return [dict(each) for each in logs]


def test_a_ticket_that_is_created_is_written_down_with_its_key() -> None:
    """The names of its fields, its fault, what came of it."""
    body = {"fields": {"summary": TEXT, "labels": ["fs-f1"], "project": {"key": "BUILD"}}}
    [line] = lines("POST", "/rest/api/3/issue", body, answer={"id": "1", "key": "BUILD-7"})
    told = {name: line[name] for name in ("method", "what", "key", "fields", "fingerprint", "outcome")}
    assert told == {
        "method": "POST",
        "what": "issue",
        "key": "BUILD-7",
        "fields": ["labels", "project", "summary"],
        "fingerprint": "f1",
        "outcome": "201",
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "what", "key", "fields"),
    [
        ("POST", "/rest/api/2/issue/BUILD-7/comment", {"body": TEXT}, "comment", "BUILD-7", ["body"]),
        ("PUT", "/rest/api/3/issue/BUILD-7", {"fields": {"description": TEXT}}, "issue", "BUILD-7", ["description"]),
        (
            "POST",
            "/rest/api/2/issue/B_2-7/transitions",
            {"transition": {"id": "3"}, "fields": {"resolution": {"name": "Done"}}},
            "transitions",
            "B_2-7",
            ["resolution"],
        ),
        ("POST", "/rest/api/2/issueLink", {"type": {}, "inwardIssue": {}}, "issueLink", None, ["inwardIssue", "type"]),
        ("POST", "/rest/api/3/issue/BUILD-7/attachments", b"--x", "attachments", "BUILD-7", []),
        ("POST", "/rest/api/3/issue/B-7/attachments", Upload("a.txt", TEXT.encode()), "attachments", "B-7", ["a.txt"]),
    ],
)
def test_each_change_is_written_down(
    method: str, path: str, body: Any, what: str, key: str | None, fields: list[str]
) -> None:
    """Whatever it changes, also where no answer came."""
    [line] = lines(method, path, body, "unknown")
    assert (line["what"], line["key"], line["fields"], line["outcome"]) == (what, key, fields, "unknown")


def test_what_only_reads_is_not_written_down() -> None:
    """The log is about changes."""
    assert lines("GET", "/rest/api/3/issue/BUILD-7", None, "200") == []


def test_edits_rank_below_the_rest() -> None:
    """By the request itself, and with the issue that it is about."""
    assert about("PUT", "/rest/api/2/issue/BUILD-7") == (Kind.EDIT, "BUILD-7")
    assert about("POST", "/rest/api/2/issue") == (Kind.CREATE, None)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("ticket.when does not hold: finding.result.category != 'x'", "when"),
        ("ticket.after: 1 of 3 hits within 1:00:00", "after"),
        ("older than ticket.max_age (1 day)", "max_age"),
        ("the last comment is younger than ticket.recur.comment_every", "recur.comment_every"),
        ("ticket.something_new: x", "other"),
        ("Jira answered 400: no; check the pipeline's ticket section", "refused"),
        ("nothing new to say", "nothing_new"),
        ("log-excerpt-unit-1-3f9c12ab.txt", "attach"),
        ("attachments are turned off in this Jira: have them turned on, or set ticket.attach: none", "attach"),
        ("wrong: labels is faultstream-wrong", "wrong"),
        ("", "none"),
        (f"{TEXT} {'x' * 500}", "other"),
    ],
)
def test_reasons_are_counted_by_few_words(reason: str, kind: str) -> None:
    """Texts would make a time series each."""
    event = TicketEvent("suppressed", "f1", "ci", "a", reason=reason)
    assert reason_kind(event) == kind
    registry = CollectorRegistry()
    TicketMetrics(registry).told(event)
    labels = {"pipeline": "ci", "action": "suppressed", "reason": kind}
    assert registry.get_sample_value("faultstream_ticket_events_total", labels) == 1


async def test_back_pressure_is_measured() -> None:
    """What waits, how long, why, and how fast requests may go."""
    registry = CollectorRegistry()
    metrics = JiraMetrics(registry)
    gate = Gate(600, 20, 1, metrics=metrics, wall=lambda: 0.0, chance=lambda: 0.0)
    metrics.watch(gate)
    async with gate.turn(Kind.COMMENT) as turn:
        turn.heard(Answer(429, {"RateLimit-Reason": "jira-burst-based", "Retry-After": "5"}, b""))
    told = generate_latest(registry).decode()
    assert 'faultstream_jira_requests_total{kind="comment",status="429"} 1.0' in told
    assert 'faultstream_jira_limited_total{reason="burst"} 1.0' in told
    assert 'faultstream_jira_waiting{kind="create"} 0.0' in told
    assert 'faultstream_jira_wait_seconds_count{kind="comment"} 1.0' in told
    assert registry.get_sample_value("faultstream_jira_stopped_seconds", {"kind": "create"}) == 0
    assert 4 < (registry.get_sample_value("faultstream_jira_stopped_seconds", {"kind": "comment"}) or 0) <= 5
    assert registry.get_sample_value("faultstream_jira_rate_limit") == 10
