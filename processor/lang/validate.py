"""From a YAML document to a pydantic model, each mistake at its place and with the nearest valid name."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from processor.lang.problem import Problem, nearest
from processor.lang.yaml import Document, Path_

Model = TypeVar("Model", bound=BaseModel)


class Part(BaseModel):
    """A part of a document: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that belong elsewhere, with what to do instead."""


_WANTED: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing",
}


def validate(model: type[Model], document: Document) -> tuple[Model | None, list[Problem]]:
    """The model, or None and all that is wrong."""
    if document.problems:
        return None, document.problems
    if not isinstance(document.value, dict):
        return None, [document.problem((), f"must be a mapping with the keys {_some(model)}")]
    try:
        return model.model_validate(document.value), []
    except ValidationError as exc:
        return None, [_problem(model, document, error) for error in _told(document, exc.errors())]


def _told(document: Document, errors: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """One error for a value that no member of a union takes: of the member that went farthest, if one did."""
    paths = [_path(document, error) for error in errors]
    seen: set[Path_] = set()
    for path, error in zip(paths, errors, strict=True):
        kinds = {each["type"] for other, each in zip(paths, errors, strict=True) if other == path}
        beyond = any(other[: len(path)] == path and len(other) > len(path) for other in paths)
        if error["type"] in _WANTED and (beyond or path in seen):
            continue
        seen.add(path)
        words = " or ".join(dict.fromkeys(_WANTED[kind] for kind in _WANTED if kind in kinds))
        yield {**error, "ctx": {**error.get("ctx", {}), "wanted": words}}


def _problem(model: type[BaseModel], document: Document, error: ErrorDetails) -> Problem:
    path = _path(document, error)
    kind, given, context = error["type"], error.get("input"), error.get("ctx", {})
    parent = ".".join(str(part) for part in path[:-1] if isinstance(part, str))
    where = f" in {parent}" if parent else ""
    if kind == "extra_forbidden":
        hint = _elsewhere(model, path) or nearest(str(path[-1]), valid_keys(model, path[:-1]), most=16)
        return document.problem(path, f"unknown key {path[-1]!r}{where}", hint, key=True)
    if kind == "missing":
        return document.problem(path[:-1], f"missing key {path[-1]!r}{where}", key=True)
    name = next((part for part in reversed(path) if isinstance(part, str)), "this")
    if kind in _WANTED:
        hint = "put it in quotes" if kind == "string_type" and isinstance(given, int | float) else ""
        return document.problem(path, f"{name} must be {context['wanted']}, not {_given(given)}", hint)
    if kind == "literal_error":
        values = [value.strip("' ") for value in str(context.get("expected", "")).replace(" or ", ", ").split(",")]
        return document.problem(path, f"{name} can't be {given!r}", nearest(str(given), values))
    bound = _bound(kind, context)
    return document.problem(path, f"{name} {bound}" if bound else f"{name}: {context.get('error', error['msg'])}")


def _elsewhere(model: type[BaseModel], path: Path_) -> str:
    """What to do instead of a key that belongs elsewhere, or nothing."""
    parts = [one for one in parts_at(model, path[:-1]) if issubclass(one, Part)]
    return next((one.elsewhere[str(path[-1])] for one in parts if path[-1] in one.elsewhere), "")


def _bound(kind: str, context: Mapping[str, Any]) -> str:
    for name, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if name in context:
            return f"must be {words} {context[name]:g}"
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}"
    return ""


def _path(document: Document, error: ErrorDetails) -> Path_:
    """Pydantic's location without the parts that name union members or validators, which no document has."""
    path: list[str | int] = []
    value = document.value
    last = len(error["loc"]) - 1 if error["type"] == "missing" else None
    for position, part in enumerate(error["loc"]):
        if isinstance(value, dict) and isinstance(part, str) and (part in value or position == last):
            path.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path.append(part)
            value = value[part]
    return tuple(path)


def valid_keys(model: type[BaseModel], path: Path_) -> list[str]:
    """The keys that are allowed in the mapping at `path` of a document of this model."""
    return sorted({info.alias or name for one in parts_at(model, path) for name, info in one.model_fields.items()})


def parts_at(model: type[BaseModel], path: Path_) -> list[type[BaseModel]]:
    """The models that the mapping at `path` of a document may be one of."""
    annotation: Any = model
    for part in path:
        annotation = _step(annotation, part)
    return _models(annotation)


def _step(annotation: Any, part: str | int) -> Any:
    found: list[Any] = [
        info.annotation
        for one in _models(annotation)
        for name, info in one.model_fields.items()
        if part == (info.alias or name)
    ]
    for one in _flat(annotation):
        arguments = typing.get_args(one)
        if typing.get_origin(one) in {list, tuple, dict} and arguments:
            found.append(arguments[-1] if arguments[-1] is not Ellipsis else arguments[0])
    return typing.Union[tuple(found)] if found else type(None)  # noqa: UP007 (built at run time)


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [one for one in _flat(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def _flat(annotation: Any) -> list[Any]:
    """The members of a union, without Annotated around them."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _flat(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType}:
        return [inner for one in typing.get_args(annotation) for inner in _flat(one)]
    return [annotation]


def _some(model: type[BaseModel]) -> str:
    required = [info.alias or name for name, info in model.model_fields.items() if info.is_required()]
    return ", ".join(required or list(model.model_fields)[:5])


def _given(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"{value!r}"
