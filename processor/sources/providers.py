"""Webhook payloads become attributes by declarative mappings: one YAML file a provider, no Python.

A *path* is dotted (`workflow_job.head_branch`, `branches.0.name`); a text with braces is a template of paths
(`{project.slug}/{job.name}`); a list is tried in order and its first value that isn't empty is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from processor.contract import ALL, ATTRIBUTES
from processor.errors import ConfigError
from processor.lang import yaml
from processor.lang.problem import Problem, nearest
from processor.lang.validate import Part, validate

Path_ = str | list[str]
_HOLE = re.compile(r"\{([^{}]+)\}")


class Recognise(Part):
    """How a payload of this provider looks: one of the headers, or all paths of one of the lists."""

    headers: list[str] = Field(
        default_factory=list,
        description="Header names, as the shipper forwards them; one of them is enough.",
        examples=[["x-drone-event"]],
    )
    payload: list[list[str]] = Field(
        default_factory=list,
        description="Lists of paths; all paths of one list must be there.",
        examples=[[["event", "build.number", "repo.slug"]]],
    )


class TypeOf(Part):
    """The event's type from a value of the payload."""

    path: Path_ = Field(description="Where the outcome stands.", examples=["build.status"])
    values: dict[str, str] = Field(
        description="Outcome to event type; outcomes are compared in lower case.",
        examples=[{"failure": "build.failed", "success": "build.passed"}],
    )
    otherwise: str = Field(description="Type for any other outcome; may be a template.", examples=["build.other"])


class Jobs(Part):
    """The jobs that a whole run lists, and which of them have passed."""

    path: str = Field(description="Where the list stands.", examples=["builds"])
    name: str = Field(description="Path of the name in an entry.", examples=["name"])
    state: str = Field(description="Path of the outcome in an entry.", examples=["status"])
    passed: list[str] = Field(description="Outcomes that mean that it has passed.", examples=[["success"]])

    def of(self, payload: Mapping[str, Any]) -> str:
        """Their names, one a line."""
        listed = at(payload, self.path)
        found = [each for each in listed if at(each, self.state) in self.passed] if isinstance(listed, list) else []
        return "\n".join(str(at(each, self.name)) for each in found)


class Kind(Part):
    """One kind of payload of a provider."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        name: "write it under attributes" for name in ATTRIBUTES if name != "type"
    }

    name: str = Field(description="What the provider calls it.", examples=["build"])
    has: list[str] = Field(default_factory=list, description="Paths that must be there.", examples=[["build"]])
    equals: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Path to the values it may have, as text.",
        examples=[{"object_kind": ["build", "job"]}],
    )
    type: str | TypeOf = Field(
        description="The event's type: a word, a template, or a map of outcomes.", examples=["build.failed"]
    )
    attributes: dict[str, Path_] = Field(
        default_factory=dict,
        description="Attribute to path, beside the common ones and before them.",
        examples=[{"branch": "build.target", "job": ["build.title", "repo.name"]}],
    )
    jobs: Literal["all"] | Jobs | None = Field(
        None,
        description="Which jobs passed, where it tells of a whole run: those of a list in the payload, or `all` of its "
        "workflow's.",
        examples=[{"path": "builds", "name": "name", "state": "status", "passed": ["success"]}],
    )
    body: Path_ | None = Field(
        None,
        description="Where the log stands, or a text that is as good as one. Without it the payload itself is read, or "
        "what `log_url` refers to.",
        examples=["build.output"],
    )


class Provider(Part):
    """A provider's file: `config/providers/<provider>.yaml`."""

    provider: str = Field(description="The provider's name, as in `event.provider`.", examples=["drone"])
    recognise: Recognise = Field(
        description="How its payloads look.", examples=[{"payload": [["event", "build.number", "repo.slug"]]}]
    )
    attributes: dict[str, Path_] = Field(
        default_factory=dict, description="Attributes that all its kinds share.", examples=[{"repo": "repo.slug"}]
    )
    kinds: list[Kind] = Field(
        description="Its kinds of payload, the most particular first: the first one that fits is taken.",
        min_length=1,
        examples=[[{"name": "build", "type": "build.failed"}]],
    )


def check(file: Path) -> tuple[Provider | None, list[Problem]]:
    """A provider's mapping, or None and all that is wrong with its file."""
    document = yaml.load(file)
    provider, problems = validate(Provider, document)
    if provider is None:
        return None, problems
    places: list[tuple[yaml.Path_, Mapping[str, Path_]]] = [(("attributes",), provider.attributes)]
    places += [(("kinds", index, "attributes"), kind.attributes) for index, kind in enumerate(provider.kinds)]
    for place, attributes in places:
        for name in attributes:
            if name not in ATTRIBUTES:
                beside = "body stands beside attributes, in its kind" if name == "body" else ""
                hint = beside or nearest(name, ATTRIBUTES, most=len(ATTRIBUTES))
                problems.append(document.problem((*place, name), f"events have no attribute {name!r}", hint, key=True))
    if not provider.recognise.headers and not any(provider.recognise.payload):
        problems.append(document.problem(("recognise",), "no payload is recognised", "name headers or payload"))
    return (None if problems else provider), problems


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a mapping makes of a payload."""

    attributes: dict[str, Any]
    body: str | None


@dataclass(frozen=True, slots=True)
class Providers:
    """All providers' mappings, tried in order of their names."""

    providers: tuple[Provider, ...] = ()

    @classmethod
    def load(cls, files: Sequence[Path]) -> Providers:
        """Reads the files; raises ConfigError with all that is wrong, each at its place."""
        found = [check(file) for file in files]
        problems = [problem for _, problems in found for problem in problems]
        if problems:
            raise ConfigError("\n".join(str(one) for one in sorted(problems)))
        return cls(tuple(provider for provider, _ in found if provider is not None))

    def map(self, payload: Mapping[str, Any], headers: Mapping[str, str]) -> Mapped | None:
        """The attributes of a payload (header names in lower case), or None where no provider knows it."""
        for provider in self.providers:
            if _recognised(provider.recognise, payload, headers):
                kind = next((k for k in provider.kinds if _fits(k, payload)), None)
                if kind:
                    return _mapped(provider, kind, payload)
        return None


def at(payload: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for part in path.split("."):
        if isinstance(payload, Mapping):
            payload = payload.get(part)
        elif isinstance(payload, list) and part.isdigit() and int(part) < len(payload):
            payload = payload[int(part)]
        else:
            return None
    return payload


def pick(payload: Any, paths: Path_) -> Any:
    """The first value of `paths` that isn't empty: paths, or templates of paths."""
    for path in [paths] if isinstance(paths, str) else paths:
        value = _filled(payload, path) if "{" in path else at(payload, path)
        if value not in (None, "", [], {}):
            return value
    return None


def _filled(payload: Any, template: str) -> str | None:
    values = {hole: at(payload, hole) for hole in _HOLE.findall(template)}
    if any(value in (None, "") for value in values.values()):
        return None
    return _HOLE.sub(lambda hole: str(values[hole[1]]), template)


def _recognised(how: Recognise, payload: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    if any(name.lower() in headers for name in how.headers):
        return True
    return any(all(at(payload, path) is not None for path in paths) for paths in how.payload)


def _fits(kind: Kind, payload: Mapping[str, Any]) -> bool:
    return all(at(payload, path) is not None for path in kind.has) and all(
        str(at(payload, path)) in values for path, values in kind.equals.items()
    )


def _mapped(provider: Provider, kind: Kind, payload: Mapping[str, Any]) -> Mapped:
    attributes: dict[str, Any] = {"provider": provider.provider, "type": _type(kind, payload)}
    for name, paths in {**provider.attributes, **kind.attributes}.items():
        value = pick(payload, paths)
        if value is not None and not isinstance(value, dict | list):
            attributes[name] = value
    if kind.jobs is not None:
        attributes["jobs"] = ALL if kind.jobs == "all" else kind.jobs.of(payload)
    body = pick(payload, kind.body) if kind.body else None
    return Mapped(attributes, str(body) if body is not None else None)


def _type(kind: Kind, payload: Mapping[str, Any]) -> str:
    if isinstance(kind.type, str):
        return (_filled(payload, kind.type) if "{" in kind.type else kind.type) or kind.name
    outcome = str(pick(payload, kind.type.path) or "").lower()
    otherwise = kind.type.otherwise
    fallback = _filled(payload, otherwise) if "{" in otherwise else otherwise
    return kind.type.values.get(outcome, fallback or kind.name)
