"""How many tickets look at once: found by the labels of their faults, wherever they were moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from processor.tickets.jira.client import MOST_PAGES, JiraClient
from processor.tickets.jira.dialects import PAGE, Dialect
from processor.tickets.jira.issues import mapping, standing


@dataclass(frozen=True, slots=True)
class Look:
    """An issue as a search shows it; `duplicates`: the issues that it was closed as a duplicate of."""

    key: str
    labels: frozenset[str]
    duplicates: tuple[str, ...]
    description: str


class Census:
    """Counts tickets by one search for many labels: in JQL a label that nothing has is no error, unlike a key."""

    def __init__(self, jira: JiraClient) -> None:
        self._jira = jira

    async def __call__(self, labels: Sequence[str]) -> list[Look]:
        """The issues that have one of these labels (of letters, digits and hyphens). Raises Unavailable and Refused."""
        dialect, wanted = await self._jira.dialect(), frozenset(labels)
        listed = ", ".join(f'"{each}"' for each in labels)
        jql = f"labels in ({listed}) ORDER BY created ASC"
        fields = "labels,description,status,resolution,issuelinks"
        query = {"jql": jql, "maxResults": str(PAGE), "fields": fields}
        found, seen, more = list[Look](), 0, dict[str, str]()
        for _ in range(MOST_PAGES):
            answer = mapping(await self._jira.get(dialect.search, query | more))
            issues = [mapping(each) for each in answer.get("issues") or ()]
            seen += len(issues)
            looks = [_look(each, dialect) for each in issues]
            found += [each for each in looks if each.labels & wanted]  # search is lenient
            following = dialect.next_page(answer, seen) if issues else None
            if following is None:
                break
            more = following
        return found


def _look(issue: Any, dialect: Dialect) -> Look:
    read = standing(issue, dialect.read(mapping(issue.get("fields")).get("description")))
    duplicates = read.duplicates if read.resolution is not None else ()
    return Look(read.key, read.labels, duplicates, read.description)
