"""Findings as CloudEvents, their copies for review, and signals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from processor.contract import (
    ATTRIBUTES,
    Confidence,
    Event,
    Evidence,
    Excerpt,
    ExcerptLine,
    Origin,
    Outbound,
    Reading,
    Record,
    Signal,
    Step,
    Usage,
)
from processor.stages.emit import Emit, beside, total, trace_of
from tests.steps import Steps

RESULT = {"category": "test", "faulty_dependency": None, "failing_tests": ["a"], "summary": "s", "severity": "major"}

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def event(replay: str | None = None, **attributes: Any) -> Event:
    """A failed build."""
    values = {name: one.default for name, one in ATTRIBUTES.items()}
    values |= {
        "repo": "acme/web",
        "job": "unit",
        "source": "ci",
        "subject": "acme/web/unit",
        "time": "2026-11-22T04:00:00Z",
    }
    record = Record(
        "ci.builds.failed",
        3,
        1881,
        b"k",
        b"log",
        (("traceparent", TRACE.encode()),),
        1_700_000_000_000,
    )
    origin = Origin("fs.line", "ci.builds.failed", 3, 1881, replay)
    return Event(origin, record, values | attributes)


def reading(anchor: str = "test:a") -> Reading:
    """What the deterministic stages made of it."""
    return Reading(Excerpt((ExcerptLine(7, "E assert"),), 10), anchor=anchor)


def emitted(
    emit: Emit | None = None, made: Event | None = None, *, anchor: str = "test:a", review: bool = False
) -> list[Outbound]:
    """The records of a finding."""
    emit = emit or Emit("ci_failure", "digest", "fs", ticket=True, dataschema="urn:x")
    made = made or event()
    finding = emit.finding(
        made,
        reading(anchor),
        result=dict(RESULT),
        evidence=[Evidence(7, "E assert")],
        confidence=Confidence(None),
        steps=[Step("diagnose", "model", tier="lite", model="m", usage=Usage(100, 50, 10, 0.5), confidence=None)],
        review=review,
    )
    return emit.records(finding, trace_of(made))


def test_finding_is_a_cloud_event_in_structured_mode() -> None:
    """All that the contract names, the fingerprint as key, and nothing said twice."""
    record = emitted()[0]
    value = orjson.loads(record.value or b"")
    data = value.pop("data")
    assert record.topic == "fs.findings.ci_failure"
    assert dict(record.headers)["content-type"] == b"application/cloudevents+json; charset=UTF-8"
    assert record.key == data["fingerprint"].encode()
    assert value == {
        "specversion": "1.0",
        "type": "faultstream.finding.v1",
        "dataschema": "urn:x",
        "id": event().origin.id("ci_failure"),
        "source": "ci",
        "subject": "acme/web/unit",
        "time": "2026-11-22T04:00:00Z",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
    }
    assert data["fingerprint_parts"] == {"v": 1, "scope": ["acme/web"], "anchor": "test:a"}
    assert data["evidence"] == [{"line": 7, "text": "E assert"}]
    assert data["confidence"] == {"value": None, "calibrated": False}
    assert data["usage"] == {"prompt_tokens": 100, "cached_tokens": 50, "completion_tokens": 10, "cost_usd": 0.5}
    assert data["event"] == {"topic": "ci.builds.failed", "partition": 3, "offset": 1881}
    assert set(data["build"]) == {
        *("repo", "branch", "commit", "job", "workflow"),
        *("run_id", "attempt", "url", "log_url", "provider"),
    }
    assert data["result"] == RESULT


def test_same_event_gives_the_same_records_but_for_a_deliberate_repeat() -> None:
    """Ids come from where the event was first read; a replay on purpose has its own."""
    assert emitted() == emitted()
    assert (
        orjson.loads(emitted()[0].value or b"")["id"] != orjson.loads(emitted(made=event("r1"))[0].value or b"")["id"]
    )


@pytest.mark.parametrize(
    ("attributes", "same"), [({"commit": "other", "job": "x"}, True), ({"repo": "acme/api"}, False)]
)
def test_fingerprint_depends_on_scope_and_anchor_alone(attributes: dict[str, Any], same: bool) -> None:
    """Other commit and job: the same fault; another repository: another one."""
    assert (emitted()[0].key == emitted(made=event(**attributes))[0].key) is same
    assert emitted()[0].key != emitted(anchor="test:b")[0].key


def test_unsure_finding_has_a_copy_for_review() -> None:
    """The same record, on the topic that people look at."""
    records = emitted(review=True)
    assert [record.topic for record in records] == ["fs.findings.ci_failure", "fs.review.ci_failure", "fs.signals"]
    assert records[0].value == records[1].value
    assert orjson.loads(records[0].value or b"")["data"]["review"] is True


def test_signal_is_slim_and_keyed_by_repository() -> None:
    """What decide needs: no steps, no usage, but who decided; readable as the contract's Signal."""
    record = emitted()[-1]
    assert record.key == b"acme/web"
    finding = TypeAdapter(Signal).validate_json(record.value or b"").finding
    assert finding is not None
    assert not {"steps", "usage"} & set(finding)
    assert finding["decided"] == {"by": "model", "rule": None, "model": "m", "adapter": None, "shrunk": None}
    assert {"id", "pipeline", "fingerprint", "time", "result", "build", "evidence", "confidence"} <= set(finding)


def test_excerpt_travels_with_the_signal_where_tickets_get_it() -> None:
    """Line numbers and what decided; on the signal alone, and only where it is wanted."""
    emit = Emit("x", "d", "fs", ticket=True, attach=True)
    found, signal = emitted(emit)
    text = orjson.loads(signal.value or b"")["finding"]["excerpt"]
    assert text.splitlines()[1] == ">  7 | E assert"
    assert "excerpt" not in orjson.loads(found.value or b"")["data"]
    assert b"excerpt" not in (emitted()[-1].value or b"")


def test_pipeline_without_tickets_writes_no_signal() -> None:
    """Nobody would read it."""
    assert [record.topic for record in emitted(Emit("x", "d", "fs", ticket=False))] == ["fs.findings.x"]


def test_event_without_time_takes_the_records() -> None:
    """CloudEvents want a time."""
    made = event(time="", source="", subject="")
    value = orjson.loads(emitted(made=made)[0].value or b"")
    assert value["time"] == "2023-11-14T22:13:20.000Z"
    assert value["source"] == "faultstream"
    assert value["subject"] == "acme/web/unit"


def test_usage_adds_up_and_an_unknown_cost_stays_unknown() -> None:
    """Two model calls, one of them without a price."""
    steps = [Step("a", "model", usage=Usage(1, 2, 3, 0.1)), Step("b", "model", usage=Usage(10, 20, 30, None))]
    assert total(steps) == Usage(11, 22, 33, None)
    assert total([]) == Usage(0, 0, 0, None)


def test_emitting_costs_little() -> None:
    """Some two hundred lines of ours: a finding is made of what earlier stages found, without another search."""
    emit, made = Emit("ci_failure", "digest", "fs", ticket=True), event()
    emitted(emit, made)
    with Steps() as steps:
        emitted(emit, made)
    assert 20 < steps.count < 300


def test_signals_show_what_stands_beside_the_evidence() -> None:
    """The nearest lines that say something, each text once, those before it rather than those after it."""
    texts = {
        1: "far away",
        90: "run: apt-get install x",
        92: "Reading lists",
        93: "waiting for the lock",
        94: "waiting for the lock",
        95: "[ERROR] ------",
        96: "E: no package x",
        97: "E: no package x",
        99: "exit code 100 " + "y" * 300,
        120: "cleaning up",
    }
    excerpt = Excerpt(tuple(ExcerptLine(number, text) for number, text in texts.items()), 120)
    made = Emit("ci_failure", "1", "fs", ticket=True)
    found = made.finding(
        event(),
        Reading(excerpt, anchor="a"),
        result=dict(RESULT),
        evidence=[Evidence(97, "E: no package x")],
        confidence=Confidence(None),
        steps=[],
    )
    assert [each.line for each in found.context] == [90, 92, 94, 99]
    assert len(found.context[-1].text) == 200
    (_, signal) = made.records(found)
    assert [each["line"] for each in orjson.loads(signal.value or b"")["finding"]["context"]] == [90, 92, 94, 99]
    many = [Evidence(number, text) for number, text in texts.items()]
    assert beside(excerpt, many) == []
    assert beside(excerpt, []) == []
    ranked = replace(excerpt, ranked=(120, 97, 1))
    assert [each.line for each in beside(ranked, [Evidence(97, "E: no package x")])] == [90, 92, 94, 99, 120]
