"""What becomes of a finding: a ticket, a comment, or nothing, and why. Pure: no clock, no Kafka, no Faust.

Storms, groups and the like are further questions of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

import orjson
from pydantic import TypeAdapter

from processor.contract import FORMAT, too_new, update_first
from processor.errors import Fatal, Rejected
from processor.pipeline.ticket import MOST_HITS, Green, Rise
from processor.tickets.messages import REMEMBERED, Command, TicketEvent, moment, now

CERTAIN: Final = 1.0
"""Stands for an unsure finding's confidence in `when`, once `unsure: file` has said that it is no obstacle."""


@dataclass(frozen=True, slots=True)
class Place:
    """A job on a branch, by the key that it is remembered under, and its last build that the fault broke."""

    job: str
    time: str
    commit: str
    run: str
    attempt: int
    name: str = ""
    """The job's own name."""
    workflow: str = ""
    """What is remembered of all jobs of the workflow on the branch, by its key."""


class Condition(Protocol):
    """A compiled predicate."""

    text: str

    def evaluate(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds. Raises Rejected("predicate_failed")."""


class Renders(Protocol):
    """A template."""

    def render(self, /, **context: Any) -> str:
        """The text. Raises Rejected("template_failed")."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """What a pipeline says about groups: by what, and how many of what make one."""

    by: Renders
    over: Literal["repositories", "branches", "faults"] = "repositories"
    least: int = 3

    def of(self, finding: Mapping[str, Any]) -> str:
        """What the finding shares with others; empty for one that is on its own, or where the template fails."""
        try:
            return " ".join(self.by.render(finding=finding).split())
        except Rejected:
            return ""


class Times(Protocol):
    """Times in which nothing is filed."""

    def covers(self, at: datetime) -> bool:
        """Whether it is such a time."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a pipeline says about which findings become tickets."""

    when: Condition | None = None
    unsure: Literal["file", "review", "drop"] = "file"
    max_age: timedelta = timedelta(hours=24)
    hits: int = 1
    branches: int = 1
    within: timedelta = timedelta(hours=1)
    escalate: tuple[Rise, ...] = ()
    follows: bool = False
    """Whether it is told which builds pass, so that it must be remembered where faults were seen."""
    when_green: Green = "comment"
    flaky_within: timedelta = timedelta(hours=6)
    quiet: Times | None = None
    group: Grouping | None = None
    project: str = ""
    cap: int = 0
    """New tickets of the project within `per`; 0 for as many as there are."""
    per: timedelta = timedelta(hours=1)

    def lacks(self, fault: Fault) -> str:
        """What a fault without a ticket still lacks for one; empty if nothing."""
        hits, branches = len(fault.recent), len({branch for _, branch in fault.recent})
        lacks = [f"{hits} of {self.hits} hits"] if hits < self.hits else []
        lacks += [f"{branches} of {self.branches} branches"] if branches < self.branches else []
        return f"ticket.after: {', '.join(lacks)} within {self.within}" if lacks else ""

    def priority(self, fault: Fault) -> str:
        """The priority that a fault has spread far enough for; empty for the one that its ticket has anyway."""
        reached = ""
        for step in self.escalate:
            counts = (fault.count, len(fault.branches), len(fault.repositories))
            if all(
                is_ >= wanted for is_, wanted in zip(counts, (step.hits, step.branches, step.repositories), strict=True)
            ):
                reached = step.priority
        return reached


@dataclass(frozen=True, slots=True)
class Fault:
    """What is remembered of a fingerprint: how often and when it was seen, and in what.

    `filed`: its ticket was asked for; until then `recent` holds when and on which branches it was seen, within the
    policy's window of event time. `partition` and `offset` are the last signal's: one at or before it has been counted
    already. `era` is how often the signals topic was made anew, with offsets from zero. `places` are the jobs and
    branches that it broke last and that have not passed since; `flaky`: one of them has passed on the very commit on
    which it had failed. `branches` and `repositories` are those that it was seen in, where the policy asks for them.
    `group`: what its last finding shared with others.
    """

    count: int = 0
    first_seen: str = ""
    last_seen: str = ""
    seen: tuple[str, ...] = ()
    partition: int = -1
    offset: int = -1
    era: int = 0
    filed: bool = False
    recent: tuple[tuple[str, str], ...] = ()
    places: tuple[Place, ...] = ()
    flaky: bool = False
    branches: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    group: str = ""
    v: int = FORMAT

    def dumps(self) -> bytes:
        """As the table keeps it."""
        return orjson.dumps(self)

    @classmethod
    def loads(cls, value: bytes | None) -> Fault:
        """From the table; a new one where there is none. Raises Fatal for one that is too new to be read."""
        if not value:
            return cls()
        fault = _FAULT.validate_json(value)
        if too_new(fault.v):
            raise Fatal(update_first("what is remembered of a fault", fault.v))
        return replace(fault, v=FORMAT)

    def counted(self, finding: str, partition: int, offset: int) -> bool:
        """Whether this signal, or another of the same finding, has been counted."""
        return (partition == self.partition and offset <= self.offset) or finding in self.seen

    def saw(self, finding: str, time: str, partition: int, offset: int) -> Fault:
        """The fault, seen once more."""
        return replace(
            self,
            count=self.count + 1,
            first_seen=min(self.first_seen or time, time),
            last_seen=max(self.last_seen, time),
            seen=(*self.seen, finding)[-REMEMBERED:],
            partition=partition,
            offset=offset,
        )

    def spread(self, build: Mapping[str, Any]) -> Fault:
        """The fault, seen in this build's branch and repository as well."""
        branch, repository = str(build.get("branch") or ""), str(build.get("repo") or "")
        return replace(
            self,
            branches=tuple(dict.fromkeys((*self.branches, branch)))[:MOST_HITS],
            repositories=tuple(dict.fromkeys((*self.repositories, repository)))[:MOST_HITS],
        )

    def sighted(self, time: str, branch: str, within: timedelta) -> Fault:
        """The fault with one more sighting; those that are out of the window by now are forgotten."""
        recent = sorted([*self.recent, (time, branch)])
        since = _text(datetime.fromisoformat(recent[-1][0]) - within)
        return replace(self, recent=tuple(each for each in recent if each[0] >= since)[-MOST_HITS:])


_FAULT: Final = TypeAdapter(Fault)


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a finding: a command with the fault to remember, or an event that says why not, or nothing."""

    fault: Fault | None = None
    command: Command | None = None
    event: TicketEvent | None = None


def decide(
    finding: Mapping[str, Any],
    fault: Fault,
    policies: Mapping[str, Policy],
    *,
    partition: int,
    offset: int,
    at: datetime,
) -> Decision:
    """Decides on one finding; `fault` is what is remembered of its fingerprint.

    Raises Rejected where the pipeline's condition fails at run time.
    """
    name, fingerprint, identity = str(finding["pipeline"]), str(finding["fingerprint"]), str(finding["id"])
    if fault.counted(identity, partition, offset):
        return Decision()
    reason = refusal(finding, fault, policies.get(name), at)
    if reason:
        return Decision(event=TicketEvent("suppressed", fingerprint, name, identity, reason=reason))
    policy, time = policies[name], instant(finding)
    fault, filed = fault.saw(identity, time, partition, offset), fault.filed
    if policy.escalate:
        fault = fault.spread(finding.get("build") or {})
    if policy.group is not None:
        fault = replace(fault, group=policy.group.of(finding))
    if not filed:
        fault = fault.sighted(time, str((finding.get("build") or {}).get("branch") or ""), policy.within)
        if lacks := policy.lacks(fault):
            return Decision(fault, event=TicketEvent("suppressed", fingerprint, name, identity, reason=lacks))
    if policy.quiet is not None and policy.quiet.covers(datetime.fromisoformat(time)):
        counted = f"ticket.quiet covers {time}; counted"
        return Decision(fault, event=TicketEvent("suppressed", fingerprint, name, identity, reason=counted))
    if not filed:
        fault = replace(fault, filed=True, recent=())
    command = Command(
        "comment" if filed else "create",
        fingerprint,
        name,
        dict(finding),
        fault.count,
        fault.first_seen,
        fault.last_seen,
        known_flaky=fault.flaky,
        priority=policy.priority(fault),
        group=fault.group,
    )
    return Decision(fault, command)


def refusal(finding: Mapping[str, Any], fault: Fault, policy: Policy | None, at: datetime) -> str:
    """Why the finding of a fault gets no ticket; empty if it gets one."""
    if policy is None:
        return "no pipeline here with a ticket section"
    seen = moment(str(finding.get("time", "")))
    if seen and at - seen > policy.max_age:
        return f"older than ticket.max_age ({policy.max_age})"
    doubtful = unsure(finding)
    if doubtful and policy.unsure != "file":
        return f"ticket.unsure: {policy.unsure}"
    if policy.when is not None:
        known = {"flaky": fault.flaky, "count": fault.count}
        if not policy.when.evaluate({"finding": sure(finding) if doubtful else finding, "fault": known}):
            return f"ticket.when does not hold: {policy.when.text}"
    return ""


def unsure(finding: Mapping[str, Any]) -> bool:
    """Whether the finding's confidence is unknown or low."""
    return bool(finding.get("review")) or (finding.get("confidence") or {}).get("value") is None


def sure(finding: Mapping[str, Any]) -> dict[str, Any]:
    """The finding as `when` sees an unsure one that is to be filed: its other conditions still decide."""
    return {**finding, "confidence": {**(finding.get("confidence") or {}), "value": CERTAIN}}


def instant(finding: Mapping[str, Any]) -> str:
    """When the event happened, UTC with milliseconds, so that times compare as texts."""
    read = moment(str(finding.get("time", "")))
    return _text(read) if read else now()


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
