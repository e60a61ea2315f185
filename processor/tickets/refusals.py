"""What Jira refuses for good, and which setting of a pipeline to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processor.tickets.jira import Refused

SETTINGS: Final[Mapping[str, str]] = {
    "project": "ticket.project",
    "issuetype": "ticket.type",
    "priority": "ticket.priority",
    "labels": "ticket.labels",
    "summary": "ticket.summary",
    "description": "ticket.description",
    "components": "ticket.components",
    "assignee": "ticket.assignee",
}
"""Which setting of the pipeline a field of Jira comes from."""


def refusal(error: Refused, project: str) -> str:
    """What Jira refused, and which setting of the pipeline to look at."""
    if error.status == 403:
        remedy = f"give the account of jira.token the right to create issues in project {project}"
    elif settings := [SETTINGS.get(name, f"field {name}") for name in error.fields]:
        remedy = "check " + ", ".join(f"{name} ({project})" if name == "ticket.project" else name for name in settings)
    else:
        remedy = f"check ticket.project ({project})" if error.status == 404 else "check the pipeline's ticket section"
    return f"{error}; {remedy}"
