"""Webhook payloads become attributes by declarative mappings: one YAML file a provider, no Python.

A *path* is dotted (`workflow_job.head_branch`, `branches.0.name`); a text with braces is a template of paths
(`{project.slug}/{job.name}`); a list is tried in order and its first value that isn't empty is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from processor.contract import ALL, ATTRIBUTES
from processor.errors import ConfigError

Path_ = str | list[str]
_HOLE = re.compile(r"\{([^{}]+)\}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Recognise(_Strict):
    """How a payload of this provider looks: one of the headers, or all paths of one of the lists."""

    headers: list[str] = Field(default_factory=list, description="Header names (as the shipper forwards them).")
    payload: list[list[str]] = Field(default_factory=list, description="Lists of paths that must all be there.")


class TypeOf(_Strict):
    """The event's type from a value of the payload."""

    path: Path_ = Field(description="Where the outcome stands.")
    values: dict[str, str] = Field(description="Outcome to event type; compared in lower case.")
    otherwise: str = Field(description="Type for any other outcome, also a template.")


class Jobs(_Strict):
    """The jobs that a whole run lists, and which of them have passed."""

    path: str = Field(description="Where the list stands.")
    name: str = Field(description="Path of the name in an entry.")
    state: str = Field(description="Path of the outcome in an entry.")
    passed: list[str] = Field(description="Outcomes that mean that it has passed.")

    def of(self, payload: Mapping[str, Any]) -> str:
        """Their names, one a line."""
        listed = at(payload, self.path)
        found = [each for each in listed if at(each, self.state) in self.passed] if isinstance(listed, list) else []
        return "\n".join(str(at(each, self.name)) for each in found)


class Kind(_Strict):
    """One kind of payload of a provider."""

    name: str = Field(description="What the provider calls it.")
    has: list[str] = Field(
        default_factory=list, description="Paths that must be there; the first kind that fits is taken."
    )
    equals: dict[str, list[str]] = Field(default_factory=dict, description="Path to the values it may have.")
    type: str | TypeOf = Field(description="The event's type: a word, a template, or a map of outcomes.")
    attributes: dict[str, Path_] = Field(default_factory=dict, description="Attribute to path, beside the common ones.")
    jobs: Literal["all"] | Jobs | None = Field(
        None,
        description="Which jobs passed, where it tells of a whole run: those of a list in the payload, or `all` of its "
        "workflow's.",
    )
    body: Path_ | None = Field(None, description="Where text stands that is as good as a log.")

    @field_validator("attributes")
    @classmethod
    def _known(cls, value: dict[str, Path_]) -> dict[str, Path_]:
        return _known_attributes(value)


class Provider(_Strict):
    """A provider's file: `config/providers/<provider>.yaml`."""

    provider: str = Field(description="The provider's name, as in `event.provider`.")
    recognise: Recognise = Field(description="How its payloads look.")
    attributes: dict[str, Path_] = Field(default_factory=dict, description="Attributes that all its kinds share.")
    kinds: list[Kind] = Field(description="Its kinds of payload, the most particular first.", min_length=1)

    @field_validator("attributes")
    @classmethod
    def _known(cls, value: dict[str, Path_]) -> dict[str, Path_]:
        return _known_attributes(value)


def _known_attributes(value: dict[str, Path_]) -> dict[str, Path_]:
    unknown = sorted(set(value) - set(ATTRIBUTES))
    if unknown:
        raise ValueError(f"no attribute of events: {', '.join(unknown)}; there are {', '.join(ATTRIBUTES)}")
    return value


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
        """Reads the files; raises ConfigError with file, key and fault, all at once."""
        loaded: list[Provider] = []
        faults: list[str] = []
        for file in files:
            try:
                loaded.append(Provider.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))))
            except yaml.YAMLError as error:
                faults.append(f"{file}: no YAML: {error}")
            except ValidationError as error:
                faults += [f"{file}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        if faults:
            raise ConfigError("\n".join(faults))
        return cls(tuple(loaded))

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
