"""What the ticket role takes from a pipeline: the policy of *decide*, the plan of *write*."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from processor.lang.template import Template
from processor.pipeline import Pipeline
from processor.pipeline.ticket import FieldTemplate, TicketConfig
from processor.tickets.author import Recurrence
from processor.tickets.jira.forms import Wish
from processor.tickets.markdown import hide
from processor.tickets.policy import Grouping, Policy
from processor.tickets.text import Plan


def policies(pipelines: Iterable[Pipeline]) -> Mapping[str, Policy]:
    """The policies of all pipelines that file tickets, by pipeline."""
    pipelines = list(pipelines)
    outcomes = any(each.outcomes is not None for each in pipelines)
    return {each.name: policy(each.ticket, outcomes=outcomes) for each in pipelines if each.ticket is not None}


def plans(pipelines: Iterable[Pipeline]) -> Mapping[str, Plan]:
    """The plans of all pipelines that file tickets, by pipeline."""
    return {
        pipeline.name: plan(pipeline.name, pipeline.ticket) for pipeline in pipelines if pipeline.ticket is not None
    }


def policy(ticket: TicketConfig, *, outcomes: bool = False) -> Policy:
    """Which findings become tickets; `outcomes` says whether it is told which builds pass."""
    after = ticket.after
    return Policy(
        ticket.when,
        ticket.unsure,
        timedelta(seconds=ticket.max_age),
        hits=after.hits,
        branches=after.branches,
        within=timedelta(seconds=after.within),
        escalate=ticket.escalate,
        follows=outcomes,
        when_green=ticket.resolve.when_green,
        flaky_within=timedelta(seconds=ticket.resolve.flaky_within),
        quiet=ticket.quiet,
        group=Grouping(ticket.group_by, ticket.group.over, ticket.group.min)
        if ticket.group is not None and ticket.group_by is not None
        else None,
        project=ticket.project,
        cap=ticket.cap.per_project if ticket.cap is not None else 0,
        per=timedelta(seconds=ticket.cap.per) if ticket.cap is not None else timedelta(hours=1),
    )


def wishes(pipelines: Iterable[Pipeline]) -> list[Wish]:
    """What all pipelines that file tickets will fill in, as far as it is known before there is a finding."""
    return [wish(each.name, each.ticket) for each in pipelines if each.ticket is not None and not each.ticket.dry_run]


def wish(pipeline: str, ticket: TicketConfig) -> Wish:
    """The fields of a pipeline's tickets, with the values that are no templates."""
    given: dict[str, Sequence[Any]] = {name: _fixed(value) for name, value in ticket.fields.items()}
    if ticket.components:
        given["components"] = [list(ticket.components)]
    if ticket.priority or ticket.escalate:
        given["priority"] = [*ticket.priority.values(), *(each.priority for each in ticket.escalate)]
    if ticket.assignee is not None:
        given["assignee"] = _fixed(ticket.assignee)
    for name, versions in (("versions", ticket.affects_versions), ("fixVersions", ticket.fix_versions)):
        if versions:
            given[name] = _fixed(list(versions))
    return Wish(pipeline, ticket.project, ticket.type, given, files=ticket.attach != "none")


def _fixed(value: FieldTemplate | list[FieldTemplate]) -> Sequence[Any]:
    """The value, if it is the same for all findings."""
    values = [
        each.text if isinstance(each, Template) else each for each in (value if isinstance(value, list) else [value])
    ]
    if any(isinstance(each, str) and "{" in each for each in values):
        return ()
    return [values if isinstance(value, list) else values[0]]


def plan(pipeline: str, ticket: TicketConfig) -> Plan:
    """What tickets say and where they go. What the description's template prints is no markup."""
    description = ticket.description
    return Plan(
        pipeline,
        ticket.project,
        ticket.type,
        summary=ticket.summary,
        description=Template(description.text, description.name, finalize=hide) if description else None,
        labels=ticket.labels,
        priority=ticket.priority,
        components=ticket.components,
        assignee=ticket.assignee,
        recurrence=Recurrence(
            ticket.recur.comment_every,
            ticket.recur.reopen_within,
            frozenset(ticket.recur.never_touch),
            ticket.recur.follow_duplicates,
            ticket.resolve.when_green,
            ticket.resolve.transition,
            ticket.resolve.resolution,
        ),
        attach=ticket.attach == "excerpt",
        dry_run=ticket.dry_run,
        affects_versions=ticket.affects_versions,
        fix_versions=ticket.fix_versions,
        fields=ticket.fields,
    )
