"""A ticket's fields as Jira takes them: names become ids, values become what their types want, people are looked up.

What does not fit is said with the key of the pipeline that it comes from, at the start where that can be known.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from processor.errors import FaultstreamError
from processor.tickets.jira.dialects import ACCOUNT_ID, Dialect
from processor.tickets.jira.errors import Refused
from processor.tickets.jira.issues import mapping
from processor.tickets.jira.screens import Field, Screen, did_you_mean

KEYS: Final[Mapping[str, str]] = {
    "project": "ticket.project",
    "issuetype": "ticket.type",
    "priority": "ticket.priority",
    "labels": "ticket.labels",
    "summary": "ticket.summary",
    "description": "ticket.description",
    "components": "ticket.components",
    "assignee": "ticket.assignee",
    "versions": "ticket.affects_versions",
    "fixVersions": "ticket.fix_versions",
}
"""Which key of a pipeline a field of Jira comes from; all others come from `ticket.fields`."""

ALWAYS: Final = frozenset({"project", "issuetype", "summary", "description", "labels", "reporter"})
"""Fields that every ticket has, or that Jira fills in."""

NAMED: Final = frozenset({"version", "component", "priority", "group", "securitylevel", "resolution"})
"""Types whose values are objects with a name."""


class UnfitError(FaultstreamError):
    """A value that a field does not take."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pipeline will fill in: by field the values that are known, empty where they are templates.

    `files`: whether its tickets get files.
    """

    pipeline: str
    project: str
    type: str
    given: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    files: bool = False


def key_of(name: str) -> str:
    """The key of a pipeline that a field comes from."""
    return KEYS.get(name, f"ticket.fields.{name}")


def problems(screen: Screen, wish: Wish) -> list[str]:
    """What is wrong with what a pipeline will fill in; each names the project, the field and the key."""
    found: list[str] = []
    covered: set[str] = set(ALWAYS)
    for name, values in wish.given.items():
        try:
            rule = the_field(screen, name)
            if rule is not None:
                covered.add(rule.id)
                for value in values:
                    fits(rule, value)
        except UnfitError as error:
            found.append(f"{key_of(name)}: {error}")
    missing = [rule for rule in screen.fields.values() if rule.required and rule.id not in covered]
    found += [f"{_remedy(rule)}: {screen.project} requires the field {rule.shown}" for rule in missing]
    return found


def _remedy(rule: Field) -> str:
    return KEYS.get(rule.id, f"ticket.fields.{rule.name if rule.name.isidentifier() else repr(rule.name)}")


def the_field(screen: Screen, name: str) -> Field | None:
    """The field of a name or id; None where the server does not tell of all. Raises UnfitError."""
    fields = screen.find(name)
    if len(fields) > 1:
        ids = ", ".join(rule.id for rule in fields)
        raise UnfitError(f"{screen.project} has several fields {name} ({ids}): use the id")
    if not fields and (screen.whole or name not in KEYS):
        place = f"project {screen.project} has no field {name} for {screen.type}"
        raise UnfitError(f"{place}{screen.near(name)}" if name not in KEYS else place)
    return fields[0] if fields else None


def fits(rule: Field, value: Any) -> Any:
    """The value as the field takes it, people apart, who stay names. Raises UnfitError."""
    if rule.type == "option-with-child":
        raise UnfitError(f"{rule.shown} is a cascading field, which can't be filled in")
    if rule.type == "array":
        values = value if isinstance(value, list) else [value]
        return [_one(rule, rule.items, each) for each in values]
    if isinstance(value, list):
        raise UnfitError(f"{rule.shown} takes one value, not a list")
    return _one(rule, rule.type, value)


def _one(rule: Field, kind: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)  # as Jira takes it, written out
    if kind == "number":
        try:
            return float(value)
        except (TypeError, ValueError):
            raise UnfitError(f"{rule.shown} takes a number, not {value!r}") from None
    if kind == "option":
        return {"value": _choice(rule, value)}
    if kind in NAMED:
        return {"name": _choice(rule, value)}
    if kind in {"string", "date", "datetime", "user"}:
        return _choice(rule, value) if rule.allowed else str(value)
    return value


def _choice(rule: Field, value: Any) -> str:
    """The allowed value of this name, as it is written there. Raises UnfitError."""
    text, choices = str(value), rule.choices()
    if not rule.allowed:
        return text
    for choice in choices:
        if choice.casefold() == text.casefold():
            return choice
    raise UnfitError(f"{rule.shown} does not take {text}{did_you_mean(text, choices)}")


class People:
    """Looks people up, each once."""

    def __init__(self, get: Callable[[str, Mapping[str, str]], Awaitable[Any]]) -> None:
        self._get = get
        self._known: dict[tuple[str, str], str] = {}

    async def find(self, dialect: Dialect, project: str, name: str) -> dict[str, str]:
        """Who is meant by a name, an address or an account id, as requests have it.

        Raises Refused that blames `assignee` where nobody is, or several are, and Unavailable.
        """
        if dialect.handle == "accountId" and re.fullmatch(ACCOUNT_ID, name):
            return {dialect.handle: name}
        if (project, name) not in self._known:
            self._known[project, name] = await self._look_up(dialect, project, name)
        return {dialect.handle: self._known[project, name]}

    async def _look_up(self, dialect: Dialect, project: str, name: str) -> str:
        query = {"project": project, dialect.asks_users: name, "maxResults": "50"}
        try:
            answer = await self._get("/user/assignable/search", query)
        except Refused as error:
            if error.status == 404 and dialect.handle == "name":
                return name  # not every server has the look-up: it says itself whether it knows the name
            raise
        found = [mapping(each) for each in answer or ()] if isinstance(answer, list) else []
        handles = [str(each.get(dialect.handle)) for each in found if _is(each, name)]
        if not handles and "@" in name and len(found) == 1:  # found by an address that is not shown
            handles = [str(found[0].get(dialect.handle))]
        if len(set(handles)) != 1:
            said = (
                f"{'several people are' if handles else 'nobody is'} called {name} that issues of {project} can go to"
            )
            raise Refused(said, fields={"assignee": said})
        return handles[0]


def _is(user: Mapping[str, Any], name: str) -> bool:
    names = (user.get(each) for each in ("accountId", "name", "key", "emailAddress", "displayName"))
    return any(str(each).casefold() == name.casefold() for each in names if each)
