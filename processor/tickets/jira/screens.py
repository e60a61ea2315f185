"""What Jira asks for when an issue is created: the fields of a project's issue type, from its create metadata.

Cloud and Data Center 8.4 and later: `/issue/createmeta/{project}/issuetypes/{id}`, in pages. Older servers:
`/issue/createmeta?expand=…`, which may leave out fields that can be set all the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.tickets.jira.errors import Refused
from processor.tickets.jira.issues import mapping

Get = Callable[[str, Mapping[str, str]], Awaitable[Any]]
"""Reads a path of the API. Raises Unavailable or Refused."""

PAGE: Final = 50
MOST_PAGES: Final = 40


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a screen. `allowed` are the values that it takes; None where any."""

    id: str
    name: str
    type: str
    items: str = ""
    custom: str = ""
    required: bool = False
    allowed: tuple[Mapping[str, Any], ...] | None = None

    @property
    def shown(self) -> str:
        """As people know it."""
        return f"{self.name} ({self.id})" if self.name != self.id else self.id

    def choices(self) -> list[str]:
        """The names of the values that it takes."""
        return [str(each.get("value") or each.get("name") or each.get("id")) for each in self.allowed or ()]


@dataclass(frozen=True, slots=True)
class Screen:
    """The fields with which an issue of a type is created in a project, by id. `whole`: no others can be set."""

    project: str
    type: str
    fields: Mapping[str, Field]
    whole: bool = True

    def find(self, name: str) -> tuple[Field, ...]:
        """The fields of this id or name; Jira lets several have one name."""
        if name in self.fields:
            return (self.fields[name],)
        wanted = name.casefold()
        return tuple(field for field in self.fields.values() if field.name.casefold() == wanted)

    def near(self, name: str) -> str:
        """What may have been meant by a name that is unknown."""
        names = [field.name for field in self.fields.values()]
        return did_you_mean(name, names)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A hint at what there is instead."""
    known = list(names)
    if near := difflib.get_close_matches(name, known, n=1):
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(sorted(known)[:20])}" if known else ""


class Screens:
    """Screens, read once until they are forgotten."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._known: dict[tuple[str, str], Screen | None] = {}

    async def of(self, project: str, kind: str) -> Screen | None:
        """The screen of an issue type, by its name or id; None where the server does not tell.

        Raises Refused that blames `project` or `issuetype` where there is none such, and Unavailable.
        """
        if (project, kind) not in self._known:
            self._known[project, kind] = await self._read(project, kind)
        return self._known[project, kind]

    def forget(self, project: str) -> None:
        """Has a project's screens read again."""
        self._known = {at: screen for at, screen in self._known.items() if at[0] != project}

    async def _read(self, project: str, kind: str) -> Screen | None:
        path = f"/issue/createmeta/{project}/issuetypes"
        try:
            types = await self._pages(path, ("issueTypes", "values", "createMetaIssueType"))
        except Refused as error:
            if error.status not in {400, 404, 405}:
                raise
            return await self._older(project, kind)
        if types is None:
            return None
        identity = _type(types, project, kind)
        fields = await self._pages(f"{path}/{identity}", ("fields", "values", "results"))
        if fields is None:
            return None
        made = [_field(str(each.get("fieldId") or each.get("key")), each) for each in fields]
        return Screen(project, kind, {field.id: field for field in made})

    async def _older(self, project: str, kind: str) -> Screen | None:
        try:
            if mapping(await self._get(f"/project/{project}", {})).get("archived"):
                raise _no_project(project)
        except Refused as error:
            if error.fields or (error.status == 404 and error.explained):
                raise _no_project(project) from None
            return None
        query = {"projectKeys": project, "expand": "projects.issuetypes.fields"}
        try:
            found = mapping(await self._get("/issue/createmeta", query)).get("projects")
        except Refused:
            return None
        if not isinstance(found, list):
            return None
        screens = [each for each in map(mapping, found) if each.get("key") == project]
        if not screens:
            raise _no_project(project)
        types = [mapping(each) for each in screens[0].get("issuetypes") or ()]
        identity = _type(types, project, kind)
        fields = next(mapping(each.get("fields")) for each in types if str(each.get("id")) == identity)
        made = {name: _field(name, mapping(each)) for name, each in fields.items()}
        return Screen(project, kind, made, whole=False)

    async def _pages(self, path: str, names: tuple[str, ...]) -> list[Mapping[str, Any]] | None:
        """The entries of a list by one of these names, of all its pages; None where the answer has no such list."""
        found: list[Mapping[str, Any]] = []
        for _ in range(MOST_PAGES):
            answer = mapping(await self._get(path, {"startAt": str(len(found)), "maxResults": str(PAGE)}))
            page = next((answer[name] for name in names if isinstance(answer.get(name), list)), None)
            if page is None:
                return None
            found += [mapping(each) for each in page]
            if not page or answer.get("isLast") or len(found) >= int(answer.get("total") or 0):
                break
        return found


def _no_project(project: str) -> Refused:
    said = f"there is no project {project}, or it is archived, or the account may not create issues in it"
    return Refused(said, fields={"project": said})


def _type(types: Iterable[Mapping[str, Any]], project: str, kind: str) -> str:
    known = {str(each.get("name")): str(each.get("id")) for each in types if not each.get("subtask")}
    if not known:
        raise _no_project(project)
    found = next((known[name] for name in known if name.casefold() == kind.casefold()), None)
    if found is None and kind not in known.values():
        said = f"project {project} has no issue type {kind}{did_you_mean(kind, known)}"
        raise Refused(said, fields={"issuetype": said})
    return found or kind


def _field(identity: str, meta: Mapping[str, Any]) -> Field:
    schema, allowed = mapping(meta.get("schema")), meta.get("allowedValues")
    return Field(
        identity,
        str(meta.get("name") or identity),
        str(schema.get("type") or "any"),
        str(schema.get("items") or ""),
        str(schema.get("custom") or ""),
        bool(meta.get("required")) and not meta.get("hasDefaultValue"),
        tuple(map(mapping, allowed)) if isinstance(allowed, list) else None,
    )
