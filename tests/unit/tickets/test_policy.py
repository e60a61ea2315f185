"""Which findings become tickets, and what is remembered of a fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processor.errors import Rejected
from processor.lang.predicate import Predicate
from processor.lang.types import ANY
from processor.pipeline.ticket import Rise
from processor.tickets.policy import Decision, Fault, Policy, decide
from processor.tickets.signals import read_signal

NOW = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)


def finding(number: int = 1, **changes: Any) -> dict[str, Any]:
    """The finding of the `number`-th signal."""
    made = {
        "id": f"id-{number}",
        "pipeline": "ci",
        "fingerprint": "f1",
        "result": {"category": "test"},
        "confidence": {"value": None, "calibrated": False},
        "review": False,
        "time": (NOW - timedelta(minutes=10 - number)).isoformat(),
    }
    return {**made, **changes}


def when(text: str) -> Predicate:
    """A condition over `finding`."""
    return Predicate.compile(text, {"finding": ANY})


def on(made: dict[str, Any], fault: Fault | None = None, *, policy: Policy | None = None, offset: int = 5) -> Decision:
    """The decision on a finding."""
    policies = {"ci": policy or Policy()}
    return decide(made, fault or Fault(), policies, partition=0, offset=offset, at=NOW)


def test_first_sight_is_a_create_and_later_ones_are_comments() -> None:
    """The count, and the times of the events, travel with the command."""
    first = on(finding(1), offset=1)
    assert first.command is not None
    assert first.fault is not None
    assert (first.command.action, first.command.count) == ("create", 1)
    second = on(finding(2), first.fault, offset=2)
    assert second.command is not None
    assert (second.command.action, second.command.count) == ("comment", 2)
    assert second.command.first_seen == "2026-11-22T04:21:00.000Z"
    assert second.command.last_seen == "2026-11-22T04:22:00.000Z"


def test_signal_read_again_is_counted_once() -> None:
    """After a restart Faust reads some signals again: neither counted nor commanded a second time."""
    fault = on(finding(1), offset=7).fault
    assert on(finding(1), fault, offset=7) == Decision()
    assert on(finding(3), fault, offset=6) == Decision()


def test_finding_on_another_offset_is_counted_once() -> None:
    """The line may write a finding twice: its id is the same."""
    fault = on(finding(1), offset=1).fault
    assert on(finding(1), fault, offset=2) == Decision()


def test_memory_of_a_fault_is_bounded_and_survives_the_table() -> None:
    """Ids beyond the last 64 are forgotten; what the table gives back is what was put in."""
    fault = Fault()
    for number in range(200):
        fault = fault.saw(f"id-{number}", "2026-11-22T04:21:00.000Z", 0, number)
    assert len(fault.seen) == 64
    assert Fault.loads(fault.dumps()) == fault
    assert Fault.loads(None) == Fault()


def test_late_event_does_not_turn_time_around() -> None:
    """Events come in any order: first is the earliest, last the latest."""
    fault = on(finding(5), offset=1).fault
    late = on(finding(2), fault, offset=2).fault
    assert late is not None
    assert (late.first_seen, late.last_seen) == ("2026-11-22T04:22:00.000Z", "2026-11-22T04:25:00.000Z")


@pytest.mark.parametrize("unsure", ["review", "drop"])
@pytest.mark.parametrize("changes", [{}, {"confidence": {"value": 0.4, "calibrated": True}, "review": True}])
def test_unsure_findings_get_no_ticket_where_the_policy_says_so(unsure: Any, changes: dict[str, Any]) -> None:
    """A null or low confidence: left, and an event says why. The fault is not counted."""
    decision = on(finding(**changes), policy=Policy(unsure=unsure))
    assert decision.command is None
    assert decision.fault is None
    assert decision.event is not None
    assert decision.event.reason == f"ticket.unsure: {unsure}"


def test_unsure_finding_is_filed_though_when_asks_for_confidence() -> None:
    """`unsure: file` says that confidence is no obstacle; the other conditions of `when` still decide."""
    condition = when('finding.result.category != "infra_cancel" && finding.confidence.value >= 0.6')
    assert on(finding(), policy=Policy(condition)).command is not None
    cancelled = on(finding(result={"category": "infra_cancel"}), policy=Policy(condition))
    assert cancelled.command is None
    assert cancelled.event is not None
    assert cancelled.event.action == "suppressed"
    assert "infra_cancel" in cancelled.event.reason


def test_sure_finding_is_asked_with_its_own_confidence() -> None:
    """A calibrated value that `when` finds too low: no ticket."""
    sure = finding(confidence={"value": 0.5, "calibrated": True})
    assert on(sure, policy=Policy(when("finding.confidence.value >= 0.6"))).command is None
    assert on(sure, policy=Policy(when("finding.confidence.value >= 0.4"))).command is not None


def test_old_event_gets_no_ticket() -> None:
    """Older than max_age, as when a backlog is worked off."""
    old = finding(time=(NOW - timedelta(hours=25)).isoformat())
    decision = on(old)
    assert decision.command is None
    assert decision.event is not None
    assert "max_age" in decision.event.reason
    assert on(old, policy=Policy(max_age=timedelta(hours=26))).command is not None


def test_condition_that_fails_is_never_taken_for_false() -> None:
    """A member that is not there at run time rejects the signal."""
    with pytest.raises(Rejected) as caught:
        on(finding(), policy=Policy(when("finding.result.nope == 1")))
    assert caught.value.reason == "predicate_failed"


def test_pipeline_without_tickets_is_suppressed() -> None:
    """A signal of a pipeline that has no ticket section here."""
    decision = decide(finding(), Fault(), {}, partition=0, offset=1, at=NOW)
    assert decision.command is None
    assert decision.event is not None


@pytest.mark.parametrize("value", [b"", b"x", b"[]", b"{}", b'{"finding": {"id": 1}}', None])
def test_what_is_no_signal_is_rejected(value: bytes | None) -> None:
    """A foreign record on the topic is a dead letter, not a crash."""
    with pytest.raises(Rejected, match=r"signal|finding"):
        read_signal(value)


def test_a_signal_carries_a_finding_or_an_outcome() -> None:
    """Or, of a version that is not known, neither."""
    assert read_signal(b'{"kind": "outcome", "finding": null, "outcome": {}}').outcome is None
    outcome = read_signal(b'{"kind": "outcome", "finding": null, "outcome": {"id": "p1"}, "v": 1}')
    assert (outcome.finding, outcome.outcome) == (None, {"id": "p1"})
    with pytest.raises(Rejected, match="the outcome has no id"):
        read_signal(b'{"kind": "outcome", "finding": null, "outcome": {"state": "passed"}}')


def test_fault_is_a_value() -> None:
    """Counting makes a new fault; the table's is not changed in place."""
    fault = Fault()
    assert fault.saw("a", "t", 0, 0) == replace(
        fault, count=1, first_seen="t", last_seen="t", seen=("a",), partition=0, offset=0
    )
    assert fault.count == 0


def after(policy: Policy, *sightings: tuple[int, str]) -> list[str]:
    """What each sighting (minute, branch) of a fault leads to: the command's action, or why there is none."""
    told, fault = [], Fault()
    for number, (minute, branch) in enumerate(sightings):
        time = (NOW - timedelta(minutes=600 - minute)).isoformat()
        decision = on(finding(number, time=time, build={"branch": branch}), fault, policy=policy, offset=number)
        assert decision.fault is not None
        fault = Fault.loads(decision.fault.dumps())
        told.append(decision.command.action if decision.command else decision.event.reason if decision.event else "")
    return told


def test_fault_has_to_be_seen_often_enough() -> None:
    """Hits within the window of event time, in whatever order they come; from then on each sighting counts."""
    policy = Policy(hits=3, within=timedelta(minutes=60))
    waits = [f"ticket.after: {n} of 3 hits within 1:00:00" for n in (1, 2, 2)]
    assert after(policy, (0, "main"), (30, "main"), (61, "main"), (40, "main"), (500, "main")) == [
        *waits,
        "create",
        "comment",
    ]


def test_fault_has_to_be_seen_on_enough_branches() -> None:
    """One developer's branch, however often it fails, is not enough."""
    policy = Policy(branches=2, within=timedelta(hours=1))
    assert after(policy, (0, "dev"), (1, "dev"), (2, "main")) == [
        "ticket.after: 1 of 2 branches within 1:00:00",
        "ticket.after: 1 of 2 branches within 1:00:00",
        "create",
    ]


def test_sightings_before_the_ticket_are_counted() -> None:
    """The ticket says how often the fault was seen in all; what is remembered of them is bounded."""
    fault, policy = Fault(), Policy(hits=256, within=timedelta(days=7))
    for number in range(300):
        decision = on(finding(number, time=NOW.isoformat()), fault, policy=policy, offset=number)
        assert decision.fault is not None
        fault = decision.fault
        assert len(fault.recent) <= 256
        if decision.command is not None:
            assert (decision.command.action, decision.command.count) == ("create", 256)
            break
    assert (fault.filed, fault.recent) == (True, ())


def test_priority_goes_by_how_far_the_fault_has_spread() -> None:
    """The last step whose counts are all reached; each branch and repository counts once."""
    steps = (Rise(hits=2, priority="High"), Rise(branches=2, repositories=2, priority="Highest"))
    policy, fault, said = Policy(escalate=steps), Fault(), list[str]()
    for number, (repo, branch) in enumerate([("a", "m"), ("a", "m"), ("a", "n"), ("a", "n"), ("b", "m")], 1):
        decision = on(finding(number, build={"repo": repo, "branch": branch}), fault, policy=policy, offset=number)
        assert decision.command is not None
        assert decision.fault is not None
        said.append(decision.command.priority)
        fault = Fault.loads(decision.fault.dumps())
    assert said == ["", "High", "High", "High", "Highest"]
