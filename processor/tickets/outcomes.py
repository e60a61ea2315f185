"""What follows from builds that pass: faults that are gone, faults that are flaky. Pure, like `policy`.

Remembered are, of a fault, the places (jobs on branches) that it broke and that have not passed since; of a place, the
faults that it may still have and its last passes. Both change with every order of events to the same end: what counts
is when the builds were, not when they are heard of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

import orjson
from pydantic import TypeAdapter

from processor.contract import ALL, FORMAT, too_new, update_first
from processor.errors import Fatal
from processor.tickets.messages import Command, TicketEvent
from processor.tickets.policy import Fault, Place, Policy, instant

PASSES: Final = 8
"""Passes of a job that are remembered."""

MOST_FAULTS: Final = 256
"""Faults that are remembered of a place, and places of a fault; the oldest are forgotten."""

STALE: Final = timedelta(days=7)
"""A place that a fault has not broken for so long stands in nobody's way: its branch may be gone."""


class Recall(Protocol):
    """What is remembered."""

    def fault(self, fingerprint: str) -> Fault:
        """Of a fault; a new one where nothing is."""

    def job(self, key: str) -> Job:
        """Of a job on a branch; a new one where nothing is."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A build that passed."""

    time: str
    commit: str
    run: str
    attempt: int
    build: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a place: the faults (with their pipelines) that it may have, and its last passes, by time.

    `offset` is the last signal's that changed it, `era` how often the signals topic was made anew.
    """

    faults: tuple[tuple[str, str], ...] = ()
    passes: tuple[Pass, ...] = ()
    offset: int = -1
    era: int = 0
    v: int = FORMAT

    @classmethod
    def loads(cls, value: bytes | None) -> Job:
        """From the table; a new one where there is none. Raises Fatal for one that is too new to be read."""
        if not value:
            return cls()
        job = _JOB.validate_json(value)
        if too_new(job.v):
            raise Fatal(update_first("what is remembered of a job", job.v))
        return replace(job, v=FORMAT)

    def dumps(self) -> bytes:
        """As the table keeps it."""
        return orjson.dumps(self)

    def has(self, fingerprint: str, pipeline: str) -> Job:
        """The place once a fault was seen there."""
        others = [each for each in self.faults if each[0] != fingerprint]
        return replace(self, faults=(*others, (fingerprint, pipeline))[-MOST_FAULTS:])

    def passed(self, by: Pass) -> Job:
        """The place once one more pass is known."""
        known = {each.build["id"]: each for each in (*self.passes, by)}
        return replace(self, passes=tuple(sorted(known.values(), key=lambda each: each.time)[-PASSES:]))


_JOB: Final = TypeAdapter(Job)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows: what to say, and after it what to remember."""

    said: tuple[Command | TicketEvent, ...] = ()
    faults: Mapping[str, Fault] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)


def job_key(build: Mapping[str, Any]) -> str:
    """What a job on a branch is remembered under."""
    return "\n".join(str(build.get(name) or "") for name in ("repo", "branch", "job"))


def workflow_key(build: Mapping[str, Any]) -> str:
    """What all jobs of a workflow on a branch are remembered under together; no job's key has so many parts."""
    return "\n".join(
        [*(str(build.get(name) or "") for name in ("repo", "branch")), "", "workflow", _text(build, "workflow")]
    )


def failed(finding: Mapping[str, Any], fault: Fault, policy: Policy, recall: Recall) -> Verdict:
    """What follows from a finding that was counted: where its fault is now, and whether it is gone by now."""
    build, fingerprint = finding.get("build") or {}, str(finding["fingerprint"])
    key = job_key(build)
    all_of, run = workflow_key(build), (_text(build, "commit"), _text(build, "run_id"), _attempt(build))
    place = Place(key, instant(finding), *run, _text(build, "job"), all_of)
    jobs = {name: recall.job(name).has(fingerprint, str(finding["pipeline"])) for name in (key, all_of)}
    fault, said = _settled(fingerprint, str(finding["pipeline"]), _seen_at(fault, place), policy, jobs, recall)
    return Verdict(said, {fingerprint: fault}, jobs)


def again(finding: Mapping[str, Any], fault: Fault, recall: Recall) -> dict[str, Job]:
    """What to remember of a finding that was counted already: a crash may have lost which job it was."""
    build, fingerprint = finding.get("build") or {}, str(finding["fingerprint"])
    jobs = {key: recall.job(key) for key in (job_key(build), workflow_key(build))}
    return {
        key: job.has(fingerprint, str(finding["pipeline"]))
        for key, job in jobs.items()
        if any(key in {place.job, place.workflow} for place in fault.places)
        and all(each[0] != fingerprint for each in job.faults)
    }


def since_passed(finding: Mapping[str, Any], recall: Recall) -> dict[str, Any]:
    """The finding with the last build of its job and branch that had passed before, as `passed`, where one is known."""
    build = finding.get("build") or {}
    passes = [*recall.job(job_key(build)).passes, *_covering(_text(build, "job"), recall.job(workflow_key(build)))]
    before = [by for by in passes if by.time < instant(finding)]
    if not before:
        return dict(finding)
    last = max(before, key=lambda by: by.time)
    said = {name: last.build.get(name) or "" for name in ("run_id", "url")}
    return {**finding, "passed": {"commit": last.commit, "time": last.time, **said}}


def passed(outcome: Mapping[str, Any], policies: Mapping[str, Policy], recall: Recall) -> Verdict:
    """What follows from a build that passed, for all faults that it may have had."""
    by = Pass(instant(outcome), _text(outcome, "commit"), _text(outcome, "run_id"), _attempt(outcome), dict(outcome))
    keys = (job_key(outcome), workflow_key(outcome)) if outcome.get("jobs") else (job_key(outcome),)
    jobs = {key: recall.job(key).passed(by) for key in keys}
    said: list[Command | TicketEvent] = []
    faults: dict[str, Fault] = {}
    for fingerprint, pipeline in dict.fromkeys(each for job in jobs.values() for each in job.faults):
        if pipeline in policies:
            fault = recall.fault(fingerprint)
            faults[fingerprint], follows = _settled(fingerprint, pipeline, fault, policies[pipeline], jobs, recall)
            said += follows
    # Forgotten only now, by a later signal: a crash may remember this of the job, and nothing of the fault.
    return Verdict(tuple(said), faults, {key: _still_had(key, job, recall) for key, job in jobs.items()})


def _still_had(key: str, job: Job, recall: Recall) -> Job:
    """Without the faults that had passed there before."""
    places = {name: recall.fault(name).places for name, _ in job.faults}
    had = [each for each in job.faults if any(key in {place.job, place.workflow} for place in places[each[0]])]
    return replace(job, faults=tuple(had))


def _settled(
    fingerprint: str, pipeline: str, fault: Fault, policy: Policy, jobs: Mapping[str, Job], recall: Recall
) -> tuple[Fault, tuple[Command | TicketEvent, ...]]:
    """What the passes of all places of a fault say; `jobs` are those that have just changed."""
    names = {name for place in fault.places for name in (place.job, place.workflow) if name}
    known = {name: jobs[name] if name in jobs else recall.job(name) for name in names}
    after = {place.job: _after(place, known) for place in fault.places}
    passes = [by for each in after.values() for by in each]
    red = [place for place in fault.places if not after[place.job]]
    last = max([*(place.time for place in fault.places), *(by.time for by in passes)], default="")
    gone = bool(passes) and not any(_counts(place, last) for place in red)
    rerun = next((by for place in fault.places if (by := _rerun(place, after[place.job], policy))), None)
    said: tuple[Command | TicketEvent, ...] = ()
    if rerun is not None and not fault.flaky:
        fault = replace(fault, flaky=True)
        said = _say("flaky", fingerprint, pipeline, fault, rerun)
    elif gone and not fault.flaky and fault.filed and policy.when_green != "nothing":
        said = _say("green", fingerprint, pipeline, fault, max(passes, key=lambda by: by.time))
    return replace(fault, places=() if gone else tuple(red)), said


def _say(
    action: Literal["green", "flaky"], fingerprint: str, pipeline: str, fault: Fault, by: Pass
) -> tuple[Command | TicketEvent, ...]:
    """The command for a fault that has a ticket; an event for one that has none."""
    said = f"{by.build.get('job', '')} passed: {by.build.get('url') or by.build.get('run_id') or by.build['id']}"
    # The same pass may settle a fault twice, if a failure before it is heard of late.
    build = {**by.build, "id": f"{by.build['id']}/{fault.count}"}
    if not fault.filed:
        return (TicketEvent(action, fingerprint, pipeline, str(build["id"]), reason=said),)
    seen = (fault.count, fault.first_seen, fault.last_seen)
    flaky, group = fault.flaky, fault.group
    return (Command(action, fingerprint, pipeline, {}, *seen, build=build, known_flaky=flaky, group=group),)


def _seen_at(fault: Fault, place: Place) -> Fault:
    """The fault with its last sight at a place."""
    known = next((each for each in fault.places if each.job == place.job), None)
    newest = place if known is None or _order(known) <= _order(place) else known
    others = [each for each in fault.places if each.job != place.job]
    return replace(fault, places=tuple(sorted((*others, newest), key=_order))[-MOST_FAULTS:])


def _after(place: Place, known: Mapping[str, Job]) -> list[Pass]:
    """The passes of a place after its failure; a re-run of the same run is after it, whatever the clocks say.

    That a whole run has passed says nothing of a job that had failed in this very run: it was allowed to.
    """
    own = [by for by in known[place.job].passes if not by.build.get("jobs")]
    whole = [by for by in known[place.job].passes if by.build.get("jobs")]
    if place.workflow:
        whole += _covering(place.name, known[place.workflow])
    whole = [by for by in whole if not (by.run == place.run != "" and by.attempt <= place.attempt)]
    passes = {by.build["id"]: by for by in (*own, *whole) if by.time > place.time or _same_run(place, by)}
    return sorted(passes.values(), key=lambda by: by.time)


def _covering(name: str, job: Job) -> list[Pass]:
    """The passes of whole runs in which a job has passed."""
    return [by for by in job.passes if by.build.get("jobs") == ALL or name in str(by.build.get("jobs")).split("\n")]


def _rerun(place: Place, passes: Sequence[Pass], policy: Policy) -> Pass | None:
    """The pass after a failure that was built of the same commit, soon enough for nothing else to have changed."""
    within = datetime.fromisoformat(place.time) + policy.flaky_within
    for by in passes:
        same = by.commit == place.commit != ""
        if same and (_same_run(place, by) or datetime.fromisoformat(by.time) <= within):
            return by
    return None


def _same_run(place: Place, by: Pass) -> bool:
    return by.run == place.run != "" and by.attempt > place.attempt


def _counts(place: Place, last: str) -> bool:
    """Whether a place that is still red keeps its fault alive."""
    return datetime.fromisoformat(last) - datetime.fromisoformat(place.time) < STALE


def _order(place: Place) -> tuple[str, int]:
    return place.time, place.attempt


def _text(build: Mapping[str, Any], name: str) -> str:
    return str(build.get(name) or "")


def _attempt(build: Mapping[str, Any]) -> int:
    attempt = build.get("attempt")
    return attempt if isinstance(attempt, int) else 1
