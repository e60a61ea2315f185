"""What Jira refuses for good, and which setting of a pipeline to look at."""

from __future__ import annotations

from processor.tickets.jira import Refused
from processor.tickets.jira.forms import key_of


def refusal(error: Refused, project: str) -> str:
    """What Jira refused, and which setting of the pipeline to look at."""
    if error.status == 403:
        remedy = f"give the account of jira.token the right to create issues in project {project}"
    elif settings := [key_of(name) for name in error.fields]:
        remedy = "check " + ", ".join(f"{name} ({project})" if name == "ticket.project" else name for name in settings)
    else:
        remedy = f"check ticket.project ({project})" if error.status == 404 else "check the pipeline's ticket section"
    return f"{error}; {remedy}"
