"""The `ticket` part of a pipeline.yaml: what becomes a Jira ticket, and what one says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr

from processor.lang.predicate import Predicate
from processor.lang.template import Template
from processor.lang.validate import Part
from processor.lang.values import Duration
from processor.pipeline.quiet import Quiet

Unsure = Literal["file", "review", "drop"]

FieldValue = StrictStr | StrictInt | StrictFloat
FieldTemplate = Template | int | float
"""One value of a field; a text is a template."""
Green = Literal["resolve", "comment", "nothing"]
Attached = Literal["none", "excerpt"]


MOST_HITS: Final = 256
"""Sightings of a fault that are remembered until it has a ticket."""


class After(Part):
    """How often a fault must be seen before it gets a ticket."""

    hits: int = Field(1, ge=1, le=MOST_HITS, description="Failed builds.", examples=[3])
    within: Duration = Field(3600.0, description="Window of event time in which they are counted.", examples=["1h"])
    branches: int = Field(
        1, ge=1, le=MOST_HITS, description="Branches on which it must have been seen within the window.", examples=[2]
    )


class Recur(Part):
    """What happens when a fault that has a ticket is seen again."""

    comment_every: Duration = Field(
        3600.0,
        description="Least time between two comments. One is made where there is something new to say (another branch, "
        "job or result); the counts in the description are kept all the same.",
        examples=["1h"],
    )
    reopen_within: Duration = Field(
        1_209_600.0,
        description="A resolved ticket is reopened within this time, later a new one is filed.",
        examples=["14d"],
    )
    never_touch: list[str] = Field(
        default_factory=lambda: ["Won't Fix", "Duplicate"],
        description="Resolutions after which a ticket is left alone and no new one is filed.",
        examples=[["Won't Fix", "Duplicate"]],
    )
    follow_duplicates: bool = Field(
        True,
        description="A ticket that somebody has closed, and linked as a duplicate of another one, is left, and that "
        "other one is the fault's from then on, whoever filed it. Otherwise its resolution alone decides.",
        examples=[False],
    )


class Resolve(Part):
    """What becomes of a ticket once the jobs that its fault broke pass again; see `outcomes`."""

    when_green: Green = Field(
        "comment",
        description="When every job and branch on which the fault was seen has passed since: `resolve` the ticket with "
        "a comment that names the build (only if nobody has moved it on), `comment` alone, or do `nothing`.",
        examples=["resolve"],
    )
    transition: str | None = Field(
        None,
        description="Name of the transition, or of the status that it leads to, where several lead to a status of the "
        "category done. Without it, one is chosen that needs no other resolution than a fixed one.",
        examples=["Close Issue"],
    )
    resolution: str | None = Field(
        None, description="Name of the resolution, where the transition's screen asks for one.", examples=["Fixed"]
    )
    flaky_within: Duration = Field(
        21_600.0,
        description="A job that passes on the same commit within this time after it has failed was flaky: its fault's "
        "ticket is labelled `flaky` and left open. A re-run of the same run counts at any time.",
        examples=["6h"],
    )


class Rise(Part):
    """How far a fault must have spread for a priority; all of it must hold."""

    hits: int = Field(1, ge=1, description="Times that it was seen.", examples=[20])
    branches: int = Field(1, ge=1, le=MOST_HITS, description="Branches on which it was seen.", examples=[5])
    repositories: int = Field(
        1,
        ge=1,
        le=MOST_HITS,
        description="Repositories in which it was seen, where `fingerprint.scope` leaves `repo` out.",
        examples=[3],
    )
    priority: str = Field(min_length=1, description="Name of a Jira priority.", examples=["High"])


class Group(Part):
    """What makes one ticket of many faults."""

    by: str = Field(
        min_length=1,
        description="Template over `finding`: what the faults share. Where it gives nothing a fault is on its own.",
        examples=["{{ finding.result.faulty_dependency.name }}"],
    )
    over: Literal["repositories", "branches", "faults"] = Field(
        "repositories", description="What is counted.", examples=["repositories"]
    )
    min: int = Field(3, ge=2, le=100, description="How many make a group.", examples=[3])


class Cap(Part):
    """How many new tickets are too many."""

    per_project: int = Field(ge=1, description="New tickets of the project within the window.", examples=[20])
    per: Duration = Field(3600.0, ge=60, description="Window of event time.", examples=["1h"])


class TicketDocument(Part):
    """What becomes a Jira ticket."""

    when: str | None = Field(
        None,
        description="Predicate over `finding` and `fault` (`flaky`, `count`). `finding.confidence.value` is never null "
        "here: see `unsure`.",
        examples=['finding.result.category != "infra_cancel" && finding.confidence.value >= 0.6'],
    )
    unsure: Unsure = Field(
        "file",
        description="What happens to a finding whose confidence is null (uncalibrated), before `when` is asked: `file` "
        "it and say so in words, leave it for `review`, or `drop` it.",
        examples=["review"],
    )
    max_age: Duration = Field(86_400.0, description="An older event gets no ticket.", examples=["24h"])
    after: After = Field(
        default_factory=After, description="How often it must be seen first.", examples=[{"hits": 3, "within": "1h"}]
    )
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]+$", description="Key of the Jira project.", examples=["BUILD"])
    type: str = Field("Bug", min_length=1, description="Issue type.", examples=["Bug"])
    summary: str = Field("summary.j2", description="Template of the summary.", examples=["summary.j2"])
    description: str = Field("ticket.j2", description="Template of the description.", examples=["ticket.j2"])
    labels: list[str] = Field(
        default_factory=list,
        description="Labels; each may be a template over `finding`.",
        examples=[["ci", "{{ finding.result.category }}"]],
    )
    components: list[str] = Field(default_factory=list, description="Components.", examples=[["Build"]])
    assignee: str | None = Field(
        None,
        description="User name of the assignee; may be a template over `finding`. A name that Jira refuses costs the "
        "ticket nothing but its assignee.",
        examples=["build-team"],
    )
    affects_versions: list[str] = Field(
        default_factory=list,
        description="Versions that the fault is in; each may be a template over `finding`.",
        examples=[["{{ finding.build.branch }}"]],
    )
    fix_versions: list[str] = Field(
        default_factory=list,
        description="Versions that it is to be fixed in; each may be a template over `finding`.",
        examples=[["2.1"]],
    )
    fields: dict[str, FieldValue | list[FieldValue]] = Field(
        default_factory=dict,
        description="Other fields, by the name or id that Jira has for them: one value or several. Texts may be "
        "templates over `finding`; one that is empty leaves the field out. Values become what the field takes: the "
        "name of an option, a number, a date, a person's name or address.",
        examples=[{"Team": "Platform", "customfield_10010": 3}],
    )
    priority: dict[str, str] = Field(
        default_factory=dict,
        description="Severity (a value of the result's `severity`) to the name of a Jira priority.",
        examples=[{"critical": "Highest", "minor": "Low"}],
    )
    escalate: list[Rise] = Field(
        default_factory=list,
        description="Priorities by how far the fault has spread, the lowest first: the last one whose counts are "
        "reached holds. A ticket's priority is only ever raised, and left alone once a person has set it.",
        examples=[[{"hits": 20, "priority": "High"}, {"branches": 10, "priority": "Highest"}]],
    )
    recur: Recur = Field(
        default_factory=Recur, description="When it is seen again.", examples=[{"comment_every": "1h"}]
    )
    resolve: Resolve = Field(
        default_factory=Resolve, description="When its jobs pass again.", examples=[{"when_green": "resolve"}]
    )
    group: Group | None = Field(
        None,
        description="One ticket for what many faults share: from so many on it lists them, and those that have none "
        "get no ticket of their own.",
        examples=[{"by": "{{ finding.result.faulty_dependency.name }}", "over": "repositories", "min": 3}],
    )
    cap: Cap | None = Field(
        None,
        description="Storm guard: of more new faults than this one ticket tells, which counts and lists them. "
        "Pipelines that file in one project count together, each up to its own cap.",
        examples=[{"per_project": 20, "per": "1h"}],
    )
    quiet: Quiet | None = Field(
        None,
        description="Maintenance windows, by the time of the build: findings are counted, and nothing is filed or "
        "added to tickets. What goes on afterwards is filed then.",
        examples=[{"weekly": [{"days": ["sat"], "begins": "22:00", "ends": "06:00", "zone": "Europe/Berlin"}]}],
    )
    attach: Attached = Field(
        "none",
        description="What a new ticket gets as a file: `excerpt`, all lines that were picked from the log, redacted, "
        "with their numbers, or `none`. It is attached once the ticket is there; where Jira takes no files, the ticket "
        "stays without.",
        examples=["excerpt"],
    )
    dry_run: bool = Field(
        False,
        description="Do nothing in Jira, and say on `<prefix>.ticket-events` and in the log what would be done.",
        examples=[True],
    )


@dataclass(frozen=True, slots=True)
class TicketConfig:
    """The ticket part, compiled. Times are seconds."""

    project: str
    type: str = "Bug"
    when: Predicate | None = None
    unsure: Unsure = "file"
    max_age: float = 86_400.0
    summary: Template | None = None
    description: Template | None = None
    labels: tuple[Template, ...] = ()
    components: tuple[str, ...] = ()
    priority: Mapping[str, str] = field(default_factory=dict)
    after: After = field(default_factory=After)
    escalate: tuple[Rise, ...] = ()
    recur: Recur = field(default_factory=Recur)
    resolve: Resolve = field(default_factory=Resolve)
    group: Group | None = None
    group_by: Template | None = None
    cap: Cap | None = None
    quiet: Quiet | None = None
    assignee: Template | None = None
    attach: Attached = "none"
    dry_run: bool = False
    affects_versions: tuple[Template, ...] = ()
    fix_versions: tuple[Template, ...] = ()
    fields: Mapping[str, FieldTemplate | list[FieldTemplate]] = field(default_factory=dict)
