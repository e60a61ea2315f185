"""What people did with issues: those that have changed lately, and the changes, on both Jiras."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.tickets.jira.client import JiraClient
from processor.tickets.jira.dialects import PAGE, Cloud
from processor.tickets.jira.issues import mapping, names
from processor.tickets.messages import moment

MOST_PAGES: Final = 100
"""Pages of issues that are read in one look."""


@dataclass(frozen=True, slots=True)
class Touched:
    """An issue that has changed; `updated` is Unix time by Jira's clock, `looks` tells whether a person may have."""

    key: str
    labels: tuple[str, ...]
    resolution: str | None
    updated: float
    looks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of an issue's history: who changed which fields (`before`, `after`: as people see them), and when."""

    id: str
    by: frozenset[str]
    at: float
    field: str
    field_id: str
    before: str
    after: str


class Watch:
    """Reads what has changed. `category` is the name or id of the field in which people correct the category."""

    def __init__(self, jira: JiraClient, category: str | None = None) -> None:
        self._jira = jira
        self._category = category
        self._field: str | None = None

    async def touched(self, condition: str, minutes: int) -> AsyncIterator[list[Touched]]:
        """Issues that meet the condition and have changed within so many minutes, page by page, the oldest first."""
        dialect, field = await self._jira.dialect(), await self.field()
        # Relative, by the server's clock: a time would be read in the time zone of the account.
        jql = f"{condition} AND updated >= -{minutes}m ORDER BY updated ASC"
        fields = ",".join(["labels", "status", "resolution", "updated", *([field] if field else [])])
        query = {"jql": jql, "maxResults": str(PAGE), "fields": fields}
        seen, more = 0, dict[str, str]()
        for _ in range(MOST_PAGES):
            answer = mapping(await self._jira.get(dialect.search, query | more))
            issues = [mapping(each) for each in answer.get("issues") or ()]
            seen += len(issues)
            yield [_touched(each, field) for each in issues]
            following = dialect.next_page(answer, seen) if issues else None
            if following is None:
                return
            more = following

    async def changes(self, key: str) -> list[Change]:
        """The latest changes of an issue, the oldest first; at least a hundred, if there are as many."""
        if isinstance(await self._jira.dialect(), Cloud):
            answer = await self._page(key, 0)
            total = int(answer.get("total") or 0)
            entries = list(answer.get("values") or ())
            if total > len(entries):
                entries = list((await self._page(key, max(0, total - PAGE))).get("values") or ())
        else:
            issue = mapping(await self._jira.get(f"/issue/{key}", {"fields": "labels", "expand": "changelog"}))
            entries = list(mapping(issue.get("changelog")).get("histories") or ())
        return [change for each in entries for change in _changes(mapping(each))]

    async def field(self) -> str | None:
        """The id of the field with the category; asked once."""
        if self._category is None or self._field is not None:
            return self._field
        known = [mapping(each) for each in await self._jira.get("/field") or ()]
        wanted = self._category.casefold()
        found = (str(each["id"]) for each in known if wanted in {str(each.get(name)).casefold() for name in _NAMES})
        self._field = next(found, self._category)
        return self._field

    async def _page(self, key: str, start: int) -> Mapping[str, Any]:
        query = {"startAt": str(start), "maxResults": str(PAGE)}
        return mapping(await self._jira.get(f"/issue/{key}/changelog", query))


_NAMES: Final = ("id", "name")


def _touched(issue: Mapping[str, Any], field: str | None) -> Touched:
    fields = mapping(issue.get("fields"))
    labels = tuple(map(str, fields.get("labels") or ()))
    resolution = mapping(fields.get("resolution")).get("name")
    at = moment(str(fields.get("updated") or ""))
    status = mapping(fields.get("status"))
    looks = (str(status.get("id") or status.get("name")), str(resolution), repr(fields.get(field)) if field else "")
    return Touched(
        str(issue.get("key", "")),
        labels,
        str(resolution) if resolution else None,
        at.timestamp() if at else 0.0,
        (*looks, *sorted(labels)),
    )


def _changes(entry: Mapping[str, Any]) -> list[Change]:
    at = moment(str(entry.get("created") or ""))
    return [
        Change(
            str(entry.get("id", "")),
            names(entry.get("author")),
            at.timestamp() if at else 0.0,
            str(item.get("field", "")),
            str(item.get("fieldId") or item.get("field") or ""),
            str(item.get("fromString") or item.get("from") or ""),
            str(item.get("toString") or item.get("to") or ""),
        )
        for item in map(mapping, entry.get("items") or ())
    ]
