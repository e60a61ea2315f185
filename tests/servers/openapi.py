"""Checks requests against an OpenAPI 3.0 document: the path, its parameters, its body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator


class OpenApi:
    """A document; `wrong` says what of a request it does not allow."""

    def __init__(self, file: Path) -> None:
        self._document = json.loads(file.read_text(encoding="utf-8"))

    def wrong(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: Any, kind: str = "application/json"
    ) -> list[str]:
        """What is wrong with a request; `body` is its JSON, None where it has none, of a form its parts by name."""
        found = self._operation(method, path)
        if found is None:
            return [f"{method} {path} is not in the document"]
        known = {each["name"]: each for each in found.get("parameters", ()) if each["in"] == "query"}
        faults = [f"query parameter {name} is unknown" for name, _ in query if name not in known]
        faults += [
            f"query parameter {name} is no {kind}" for name, value in query if (kind := _misfit(known, name, value))
        ]
        needs = [name for name, each in known.items() if each.get("required")]
        faults += [f"query parameter {name} is missing" for name in needs if name not in dict(query)]
        content = (found.get("requestBody") or {}).get("content", {})
        if body is None:
            return [*faults, "the body is missing"] if (found.get("requestBody") or {}).get("required") else faults
        if kind not in content:
            return [*faults, f"a body of type {kind} is not expected"]
        if kind != "application/json":
            return faults
        schema = {**content["application/json"].get("schema", {}), "components": self._document["components"]}
        return faults + [
            f"{each.json_path}: {each.message[:200]}" for each in Draft202012Validator(schema).iter_errors(body)
        ]

    def _operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        # A path without parameters goes before one with, as in createmeta beside {issueIdOrKey}.
        hits = [template for template, pattern in self._paths if pattern.fullmatch(path)]
        for template in sorted(hits, key=lambda each: each.count("{")):
            operation: Mapping[str, Any] | None = self._document["paths"][template].get(method.lower())
            if operation is not None:
                return operation
        return None

    @cached_property
    def _paths(self) -> list[tuple[str, re.Pattern[str]]]:
        return [
            (path, re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path)))) for path in self._document["paths"]
        ]


def _misfit(known: Mapping[str, Any], name: str, value: str) -> str:
    """The type that a parameter should have and has not."""
    kind = str(known.get(name, {}).get("schema", {}).get("type", ""))
    if kind == "integer" and not value.lstrip("-").isdigit():
        return kind
    return kind if kind == "boolean" and value not in {"true", "false"} else ""
