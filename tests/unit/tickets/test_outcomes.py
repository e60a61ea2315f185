"""Builds that pass: which faults are gone, which are flaky, and that the order of hearing of them is no matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from processor.contract import Record, Signal
from processor.errors import Fatal
from processor.lang.predicate import Predicate
from processor.lang.types import ANY
from processor.tickets.decider import Place, Tables
from processor.tickets.messages import read_command
from processor.tickets.outcomes import MOST_FAULTS, STALE, Job, job_key
from processor.tickets.policy import Fault, Policy
from processor.tickets.signals import Signals, job_may_follow
from tests.unit.tickets.world import TOPICS

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
FOLLOWS = Policy(follows=True, when_green="resolve", max_age=timedelta(days=400))


def build(minute: float, *, commit: str = "", branch: str = "main", job: str = "unit", **more: Any) -> dict[str, Any]:
    """The attributes of a build, of a commit of its own unless one is named."""
    time = (NOW + timedelta(minutes=minute)).isoformat()
    named = {"repo": "acme/web", "branch": branch, "job": job, "commit": commit or f"c{minute}", "run_id": f"r{minute}"}
    return {**named, "attempt": 1, "url": f"https://ci.example/{minute}", "time": time, **more}


def failure(minute: float, *, fingerprint: str = "f1", **where: Any) -> Signal:
    """The signal of a failed build."""
    made = build(minute, **where)
    finding = {"id": f"{fingerprint}@{minute}", "pipeline": "ci", "fingerprint": fingerprint, "time": made["time"]}
    return Signal("finding", finding | {"build": made, "confidence": {"value": 0.9}})


def success(minute: float, **where: Any) -> Signal:
    """The signal of a passed build."""
    return Signal("outcome", outcome={"id": f"pass@{minute}", "state": "passed", **build(minute, **where)})


@dataclass
class Decider:
    """A partition of *decide*: its tables, and what it has said."""

    policy: Policy = FOLLOWS
    stored: dict[Place, bytes] = field(default_factory=dict)
    said: list[dict[str, Any]] = field(default_factory=list)
    offset: int = 0
    last: dict[Place, bytes] = field(default_factory=dict)

    def hears(self, *signals: Signal) -> Decider:
        """Decides on signals, one after the other."""
        decider = Signals(TOPICS, {"ci": self.policy}, lambda: NOW)
        for signal in signals:
            self.offset += 1
            tables = Tables(self.stored.get).at(0, 1000)
            record = Record(TOPICS.signals, 0, self.offset, b"acme/web", orjson.dumps(signal))
            self.said += [orjson.loads(out.value or b"") for out in decider(record, tables)]
            tables.kept()
            self.last = dict(tables.changes)
            self.stored |= self.last
        return self

    def ids(self) -> set[tuple[str, str]]:
        """What was commanded, by action and id."""
        return {(each["action"], read_command(orjson.dumps(each)).id) for each in self.said if "count" in each}

    def job(self) -> Job:
        """What is remembered of a job."""
        return Job.loads(self.stored.get(Place(TOPICS.jobs, 0, job_key(build(0)).encode())))

    def actions(self, fingerprint: str = "f1") -> list[str]:
        """What was said of a fault."""
        return [each["action"] for each in self.said if each["fingerprint"] == fingerprint]

    def fault(self, fingerprint: str = "f1") -> Fault:
        """What is remembered of a fault."""
        return Fault.loads(self.stored.get(Place(TOPICS.table, 0, fingerprint.encode())))


def test_a_fault_is_gone_when_its_job_passes() -> None:
    """The command carries the build that tells, and all counts."""
    decider = Decider().hears(failure(1), failure(2), success(3))
    assert decider.actions() == ["create", "comment", "green"]
    green = decider.said[-1]
    assert (green["count"], green["build"]["url"]) == (2, "https://ci.example/3")
    assert decider.fault().places == ()
    assert decider.hears(success(4)).actions() == ["create", "comment", "green"]


def test_another_job_branch_or_repository_says_nothing() -> None:
    """Each place is a thing of its own."""
    decider = Decider().hears(failure(1))
    decider.hears(success(2, branch="dev"), success(3, job="lint"), success(4, repo="acme/other"))
    assert decider.actions() == ["create"]


def test_a_pass_before_the_failure_says_nothing() -> None:
    """Also where it is heard of later."""
    assert Decider().hears(success(1), failure(2)).actions() == ["create"]
    assert Decider().hears(failure(2), success(1)).actions() == ["create"]


def test_a_failure_that_is_heard_of_late_is_gone_by_then() -> None:
    """The model takes its time; the pass needs none."""
    assert Decider().hears(success(2), failure(1)).actions() == ["create", "green"]
    decider = Decider().hears(failure(1), success(3), failure(2))
    assert decider.actions() == ["create", "green", "comment", "green"]
    greens = [name for action, name in decider.ids() if action == "green"]
    assert len(greens) == 2, "the writer must not take the second for a repeat of the first"


def test_all_places_must_have_passed() -> None:
    """Green on one branch leaves it red on the other."""
    decider = Decider().hears(failure(1), failure(2, branch="dev"), success(3))
    assert decider.actions() == ["create", "comment"]
    assert decider.hears(success(4, branch="dev")).actions() == ["create", "comment", "green"]


def test_a_branch_that_is_gone_is_not_waited_for() -> None:
    """Where nothing has failed for a week nobody is waited for."""
    week = STALE.total_seconds() / 60
    decider = Decider().hears(failure(1, branch="gone"), failure(2), success(3))
    assert decider.actions() == ["create", "comment"]
    decider.hears(failure(week), success(week + 2))
    assert decider.actions() == ["create", "comment", "comment", "green"]


@pytest.mark.parametrize(
    ("again", "action"),
    [
        (success(30, commit="c1"), "flaky"),
        (success(700, commit="c1"), "green"),
        (success(700, commit="c1", run_id="r1", attempt=2), "flaky"),
        (success(0.5, commit="c1", run_id="r1", attempt=2), "flaky"),
        (success(30, commit="c2"), "green"),
    ],
    ids=["soon", "next day", "re-run", "re-run by another clock", "another commit"],
)
def test_passed_on_the_same_commit_is_flaky(again: Signal, action: str) -> None:
    """Soon, or as a re-run of the same run; never where no commit is known."""
    assert Decider().hears(failure(1, commit="c1"), again).actions() == ["create", action]


def test_builds_without_a_commit_are_never_flaky() -> None:
    """Nothing says that they were built of the same."""
    bare = failure(1)
    assert bare.finding is not None
    bare.finding["build"]["commit"] = ""
    again = success(2)
    assert again.outcome is not None
    again.outcome["commit"] = ""
    assert Decider().hears(bare, again).actions() == ["create", "green"]


def test_a_flaky_fault_is_not_gone_because_it_passes() -> None:
    """It is said once that it is flaky, and its ticket stays."""
    decider = Decider().hears(failure(1, commit="c1"), success(2, commit="c1"), failure(3), success(4))
    assert decider.actions() == ["create", "flaky", "comment"]
    assert decider.fault().flaky
    comment = decider.said[-1]
    assert comment["known_flaky"]


def test_policy_knows_what_is_flaky() -> None:
    """`when` sees it, and a fault without a ticket is remembered as flaky, too."""
    condition = Predicate.compile("!fault.flaky", {"finding": ANY, "fault": ANY})
    decider = Decider(Policy(condition, follows=True, hits=2, max_age=timedelta(days=1)))
    decider.hears(failure(1, commit="c1"), success(2, commit="c1"), failure(3))
    assert decider.actions() == ["suppressed", "flaky", "suppressed"]
    last = decider.said[-1]
    assert last["reason"] == "ticket.when does not hold: !fault.flaky"


def test_a_fault_without_a_ticket_is_not_resolved() -> None:
    """There is nothing to resolve."""
    decider = Decider(Policy(follows=True, hits=2, max_age=timedelta(days=1))).hears(failure(1), success(2))
    assert decider.actions() == ["suppressed"]


def test_nothing_is_remembered_where_nothing_is_told_of_passes() -> None:
    """Without outcomes the table has faults alone."""
    decider = Decider(Policy(max_age=timedelta(days=1))).hears(failure(1))
    assert [place.key for place in decider.stored] == [b"f1"]
    assert decider.fault().places == ()


def test_all_faults_of_a_job_are_gone_with_it() -> None:
    """A build fails of several things."""
    decider = Decider().hears(failure(1), failure(1, fingerprint="f2"), success(2))
    assert (decider.actions("f1"), decider.actions("f2")) == (["create", "green"], ["create", "green"])


def test_what_is_remembered_is_bounded() -> None:
    """A fault on a thousand branches, and a job with a thousand faults."""
    decider = Decider().hears(*(failure(1, branch=f"b{number}") for number in range(2 * MOST_FAULTS)))
    assert len(decider.fault().places) <= MOST_FAULTS
    decider = Decider().hears(*(failure(1, fingerprint=f"f{number}") for number in range(2 * MOST_FAULTS)))
    assert len(decider.job().faults) == MOST_FAULTS
    with pytest.raises(Fatal, match="update it first"):
        Job.loads(b'{"v": 99}')


PLACES = [{"branch": branch, "job": job} for branch in ("main", "dev") for job in ("unit", "lint")]
EVENTS = some.lists(
    some.tuples(some.booleans(), some.sampled_from(range(len(PLACES))), some.sampled_from("abc")),
    min_size=1,
    max_size=7,
)


def signals(events: Iterable[tuple[bool, int, str]]) -> list[Signal]:
    """Builds, a minute apart, of few commits."""
    return [
        (success if passes else failure)(minute, commit=commit, **PLACES[place])
        for minute, (passes, place, commit) in enumerate(events)
    ]


def end(decider: Decider) -> tuple[Any, ...]:
    """How the fault stands in the end: what is red, whether it is flaky, how often it was seen."""
    fault = decider.fault()
    return set(fault.places), fault.flaky, fault.count, fault.first_seen, fault.last_seen


@given(EVENTS, some.randoms(use_true_random=False))
def test_every_order_comes_to_the_same_end(events: list[tuple[bool, int, str]], chance: Any) -> None:
    """What is red in the end depends on when builds were, not on when they were heard of."""
    heard = signals(events)
    shuffled = list(heard)
    chance.shuffle(shuffled)
    in_order, any_order = Decider().hears(*heard), Decider().hears(*shuffled)
    red = {(place.job, place.time) for place in any_order.fault().places}
    assert red == {(place.job, place.time) for place in in_order.fault().places}
    assert any_order.fault().count == in_order.fault().count


@given(EVENTS, some.integers(0, 6))
def test_what_is_heard_again_changes_nothing(events: list[tuple[bool, int, str]], back: int) -> None:
    """After a restart the last signals come again: the same commands, with the same ids, or none."""
    heard = signals(events)
    decider = Decider().hears(*heard)
    before, ids = end(decider), decider.ids()
    decider.offset = max(0, len(heard) - back)
    decider.hears(*heard[decider.offset :])
    assert end(decider) == before
    assert decider.ids() == ids


@given(EVENTS, some.sets(some.integers(0, 3)))
def test_a_crash_while_it_is_remembered_loses_nothing(events: list[tuple[bool, int, str]], lost: set[int]) -> None:
    """Commands are out before the tables know, and of the tables a part is lost: the end is the same."""
    heard = signals(events)
    before = Decider().hears(*heard[:-1])
    whole = Decider(stored=dict(before.stored), offset=before.offset).hears(heard[-1])
    part = {place: value for number, (place, value) in enumerate(whole.last.items()) if number not in lost}
    torn = Decider(stored=before.stored | part, said=list(whole.said), offset=before.offset).hears(heard[-1])
    later = [success(1000 + number, **where) for number, where in enumerate(PLACES)]
    assert torn.hears(*later).ids() == whole.hears(*later).ids()
    assert torn.fault().flaky == whole.fault().flaky
    assert torn.fault().count == whole.fault().count


def test_a_topic_that_was_made_anew_is_read_from_its_beginning() -> None:
    """Offsets of the old one do not make a finding counted, nor what it says too old."""
    decider = Decider(offset=2000).hears(failure(1))
    decider.offset = 0
    decider.hears(failure(2), success(3))
    assert decider.actions() == ["create", "comment", "green"]
    assert job_may_follow(Job(offset=2000).dumps(), Job(offset=1, era=1).dumps())
    assert not job_may_follow(Job(offset=5).dumps(), Job(offset=4).dumps())


def test_a_ticket_learns_which_build_passed_before() -> None:
    """The last pass of the same job and branch before the failure, for a link to what has changed since."""
    said = Decider().hears(success(1), success(3), success(9), success(2, branch="dev"), failure(5)).said[0]
    passed = {"commit": "c3", "time": "2026-11-22T04:03:00.000Z", "run_id": "r3", "url": "https://ci.example/3"}
    assert said["finding"]["passed"] == passed
    assert "passed" not in Decider().hears(success(9), failure(5)).said[0]["finding"]
    assert "passed" not in Decider().hears(success(1, job="lint"), failure(5)).said[0]["finding"]


def whole(minute: float, jobs: str = "*", **where: Any) -> Signal:
    """The signal of a whole run that passed: of a workflow, or with the jobs that it lists."""
    return success(minute, **{"job": "CI", "workflow": "CI", "run_id": f"w{minute}", **where, "jobs": jobs})


def test_a_run_that_passes_says_so_of_all_jobs_of_its_workflow() -> None:
    """Also before the failure is heard of, and of none of another workflow, branch or repository."""
    failures = failure(1, workflow="CI"), failure(1.5, workflow="CI", job="lint")
    assert Decider().hears(*failures, whole(2)).actions() == ["create", "comment", "green"]
    assert Decider().hears(whole(2), failure(1, workflow="CI")).actions() == ["create", "green"]
    others = whole(2, workflow="Docs", job="Docs"), whole(2, branch="dev"), whole(2, repo="acme/other"), whole(0)
    assert Decider().hears(failures[0], *others).actions() == ["create"]


def test_a_job_and_a_run_each_close_what_the_other_has_not() -> None:
    """One job passes by itself, the other with the run."""
    decider = Decider().hears(failure(1, workflow="CI"), failure(1, fingerprint="f2", workflow="CI", job="lint"))
    decider.hears(success(2, workflow="CI"))
    assert (decider.actions("f1"), decider.actions("f2")) == (["create", "green"], ["create"])
    decider.hears(whole(3))
    assert (decider.actions("f1"), decider.actions("f2")) == (["create", "green"], ["create", "green"])


def test_a_run_that_lists_its_jobs_says_nothing_of_others() -> None:
    """A scheduled pipeline has other jobs than a merge request's."""
    failed = failure(1)
    assert Decider().hears(failed, whole(2, "lint\ndeploy", workflow="", job="build")).actions() == ["create"]
    assert Decider().hears(failed, whole(2, "lint\nunit", workflow="", job="build")).actions() == ["create", "green"]


def test_a_job_that_may_fail_is_not_cured_by_its_own_run() -> None:
    """The run passes with it, as it does every time; its next attempt is another matter."""
    failed = failure(1, workflow="CI", run_id="r7", commit="c7")
    assert Decider().hears(failed, whole(2, run_id="r7", commit="c7")).actions() == ["create"]
    again = whole(2, run_id="r7", commit="c7", attempt=2)
    assert Decider().hears(failed, again).actions() == ["create", "flaky"]


def test_a_crash_that_loses_a_workflow_does_not_lose_its_faults() -> None:
    """What is remembered of the job and of the workflow is written anew when the finding is read again."""
    decider = Decider().hears(failure(1, workflow="CI"))
    jobs = {place for place in decider.stored if place.table == TOPICS.jobs}
    assert len(jobs) == 2
    decider.stored = {place: value for place, value in decider.stored.items() if place not in jobs}
    decider.hears(failure(1, workflow="CI"), whole(2))
    assert decider.actions() == ["create", "green"]
