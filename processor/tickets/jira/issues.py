"""What is read of an issue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from processor.tickets.messages import moment


@dataclass(frozen=True, slots=True)
class Hit:
    """An issue that a search found. `creator` holds all names of its creator: account id, key, user name."""

    key: str
    labels: tuple[str, ...]
    creator: frozenset[str]
    created: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How an issue stands: its description as text, and, if it is resolved, as what and when (Unix seconds).

    `category` is that of its status: new, indeterminate, done; empty where Jira does not say. `raw` is the description
    as Jira has it, for `JiraClient.reword`. `priority` is its name, as the account's language has it. `key` is the
    issue's own: another than was asked for, if it was moved. `duplicates` are the issues that it is linked to as a
    duplicate of.
    """

    description: str
    resolution: str | None = None
    resolved_at: float = 0.0
    category: str = ""
    raw: Any = field(default=None, compare=False, repr=False)
    priority: str = ""
    key: str = ""
    labels: frozenset[str] = frozenset()
    duplicates: tuple[str, ...] = ()


def names(user: Any) -> frozenset[str]:
    """All names of a user: account id, key, user name."""
    user = mapping(user)
    return frozenset(str(user[field]) for field in ("accountId", "key", "name") if user.get(field))


def hit(issue: Mapping[str, Any]) -> Hit:
    """A hit of a search."""
    fields = mapping(issue.get("fields"))
    return Hit(
        key=str(issue.get("key", "")),
        labels=tuple(map(str, fields.get("labels") or ())),
        creator=names(fields.get("creator")),
        created=str(fields.get("created") or ""),
    )


def standing(issue: Mapping[str, Any], description: str) -> Standing:
    """How an issue stands; `description` is its text."""
    fields = mapping(issue.get("fields"))
    now, resolution = category(fields.get("status")), mapping(fields.get("resolution")).get("name")
    known = Standing(
        description,
        category=now,
        raw=fields.get("description"),
        priority=str(mapping(fields.get("priority")).get("name") or ""),
        key=str(issue.get("key") or ""),
        labels=frozenset(map(str, fields.get("labels") or ())),
        duplicates=_duplicates(fields.get("issuelinks") or ()),
    )
    if resolution is None and now != "done":
        return known
    at = moment(str(fields.get("resolutiondate") or ""))
    resolved_at = at.timestamp() if at else 0.0
    return replace(known, resolution=str(resolution or "Done"), resolved_at=resolved_at, category="done")


def _duplicates(links: Iterable[Any]) -> tuple[str, ...]:
    """What an issue duplicates: links outwards, of a type that is called so as Jira comes ("Duplicate", "Duplikat")."""
    found = [mapping(each) for each in links]
    kind = [each for each in found if "dupli" in str(mapping(each.get("type")).get("name")).casefold()]
    return tuple(str(other["key"]) for each in kind if (other := mapping(each.get("outwardIssue"))).get("key"))


def category(status: Any) -> str:
    """Of a status, independent of language and workflow: new, indeterminate, done."""
    return str(mapping(mapping(status).get("statusCategory")).get("key") or "")


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, if it is an object; else an empty one."""
    return value if isinstance(value, Mapping) else {}
