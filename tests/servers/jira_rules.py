"""What both Jiras ask of the fields of an issue; the doubles refuse what breaks it, in Jira's form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

TEXT_LIMIT: Final = 32_767
TOO_LONG: Final = "The entered text is too long. It exceeds the allowed limit of 32,767 characters."

Says = Callable[[Any], str]
"""What is wrong with a value; empty if nothing."""


class RefusedError(Exception):
    """An answer with an error."""

    def __init__(
        self,
        status: int,
        *messages: str,
        headers: Mapping[str, str] | None = None,
        errors: Mapping[str, str] | None = None,
        **blamed: str,
    ) -> None:
        super().__init__(str(messages or blamed))
        self.status, self.messages, self.headers = status, list(messages), headers
        self.errors = {**(errors or {}), **blamed}

    def answer(self) -> web.Response:
        """As Jira puts it."""
        body = {"errorMessages": self.messages, "errors": self.errors}
        return web.json_response(body, status=self.status, headers=self.headers)


@dataclass
class FieldRule:
    """A field of a screen; `allowed` are the values that it takes, None for any."""

    id: str
    name: str
    type: str = "string"
    items: str = ""
    custom: str = ""
    required: bool = False
    has_default: bool = False
    allowed: list[dict[str, Any]] | None = None

    def meta(self) -> dict[str, Any]:
        """As create metadata has it."""
        schema: dict[str, Any] = {"type": self.type}
        schema |= {"items": self.items} if self.items else {}
        schema |= {"custom": self.custom, "customId": int(self.id[12:])} if self.custom else {"system": self.id}
        made = {"fieldId": self.id, "key": self.id, "name": self.name, "required": self.required, "schema": schema}
        made |= {"hasDefaultValue": self.has_default, "operations": ["set"]}
        return made | ({"allowedValues": self.allowed} if self.allowed is not None else {})


def screen() -> dict[str, FieldRule]:
    """The fields that each project begins with."""
    priorities = [{"id": str(each), "name": name} for each, name in enumerate(("Highest", "High", "Medium", "Low"), 1)]
    rules = [
        FieldRule("project", "Project", "project", required=True),
        FieldRule("issuetype", "Issue Type", "issuetype", required=True),
        FieldRule("summary", "Summary", required=True),
        FieldRule("description", "Description"),
        FieldRule("labels", "Labels", "array", "string"),
        FieldRule("assignee", "Assignee", "user"),
        FieldRule("reporter", "Reporter", "user", required=True, has_default=True),
        FieldRule("priority", "Priority", "priority", allowed=priorities, has_default=True),
        FieldRule("components", "Components", "array", "component", allowed=[{"id": "100", "name": "Build"}]),
        FieldRule("versions", "Affects versions", "array", "version", allowed=[{"id": "200", "name": "1.0"}]),
        FieldRule("fixVersions", "Fix versions", "array", "version", allowed=[{"id": "200", "name": "1.0"}]),
    ]
    return {rule.id: rule for rule in rules}


def check(rules: Mapping[str, FieldRule], fields: Mapping[str, Any], *, text: Says, person: Says) -> None:
    """Raises RefusedError for fields that are not on the screen, and for values that they do not take."""
    errors: dict[str, str] = {}
    for name, value in fields.items():
        rule = rules.get(name)
        if rule is None:
            errors[name] = f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
        elif value is not None and (said := _wrong(rule, value, text, person)):
            errors[name] = said
    if errors:
        raise RefusedError(400, errors=errors)


def demand(rules: Mapping[str, FieldRule], fields: Mapping[str, Any]) -> None:
    """Raises RefusedError for required fields that are missing."""
    needed = [rule for rule in rules.values() if rule.required and not rule.has_default]
    missing = {rule.id: f"{rule.name} is required." for rule in needed if fields.get(rule.id) in (None, "", [])}
    if missing:
        raise RefusedError(400, errors=missing)


def _wrong(rule: FieldRule, value: Any, text: Says, person: Says) -> str:
    if rule.id == "summary":
        return _summary(value)
    if rule.id == "description" or rule.custom.endswith(":textarea"):
        return text(value)
    if rule.id == "labels":
        return _labels(value)
    match rule.type:
        case "user":
            return person(value)
        case "array":
            if not isinstance(value, list):
                return "data was not an array"
            return next((said for each in value if (said := _choice(rule, each))), "")
        case "number":
            fine = isinstance(value, (int, float)) and not isinstance(value, bool)
            return "" if fine else "Operation value must be a number"
        case "string":
            return "" if isinstance(value, str) and len(value) <= 255 else "Operation value must be a string"
        case _:
            return _choice(rule, value) if rule.allowed is not None else ""


def _summary(value: Any) -> str:
    if not isinstance(value, str) or "\n" in value or not value.strip():
        return "The summary is invalid because it contains newline characters."
    return "Summary can't exceed 255 characters." if len(value.encode("utf-16-le")) > 510 else ""


def _labels(value: Any) -> str:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return "data was not an array of strings"
    if any(re.search(r"\s", each) for each in value):
        return "The label can't contain spaces."
    return "The label is longer than 255 characters." if any(len(each) > 255 for each in value) else ""


def _choice(rule: FieldRule, value: Any) -> str:
    if not isinstance(value, dict):
        return "Could not find valid 'id' or 'value' in the Parent Option object."
    for option in rule.allowed or ():
        if any(value[name] == option.get(name) for name in ("id", "name", "value") if name in value):
            return ""
    return f"Specify a valid value for {rule.name}"
