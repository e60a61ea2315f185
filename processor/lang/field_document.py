"""The YAML of fields: the simplest way to say what a result looks like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from processor.lang import fields as results
from processor.lang.problem import Problem
from processor.lang.validate import Part, validate
from processor.lang.yaml import Document, Path_


def _enum(value: Any) -> Any:
    """`[a, b]` and `{a: definition}` alike become `{a: definition}`."""
    if isinstance(value, list):
        if not all(isinstance(one, str) for one in value):
            raise ValueError("each value must be text; put numbers, true and false in quotes")
        return dict.fromkeys(value, "")
    if isinstance(value, dict):
        return {name: "" if meaning is None else meaning for name, meaning in value.items()}
    return value


Enum = Annotated[
    dict[str, str],
    BeforeValidator(_enum),
    WithJsonSchema({
        "anyOf": [
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        ]
    }),
]  # fmt: skip


class FieldDocument(Part):
    """One field of a result."""

    description: str = Field("", description="What it is; the model reads this too.", examples=["Who must act."])
    type: results.FieldType | None = Field(
        None,
        description="string, integer, number, boolean, list or object. By default string, or what `enum`, `ground` "
        "or `fields` imply.",
        examples=["string"],
    )
    enum: Enum | None = Field(
        None,
        description="The values it may have: a list, or a mapping from value to its definition, which the model reads.",
        examples=[{"critical": "Nobody can work.", "minor": "A nuisance."}],
    )
    ground: results.Ground | None = Field(
        None,
        description="Where the value comes from in the log: candidates.packages, candidates.tests, candidates.files, "
        "candidates.hosts, candidates.exit_codes or excerpt.lines. The model can only choose among what is there.",
        examples=["candidates.packages"],
    )
    nullable: bool = Field(False, description="Whether it may be null (there is none).", examples=[True])
    max_length: int | None = Field(
        None, ge=1, le=4000, description="Most characters of a text; every free text needs it.", examples=[200]
    )
    minimum: float | None = Field(None, description="Least value of a number.", examples=[0])
    maximum: float | None = Field(None, description="Greatest value of a number.", examples=[10])
    of: FieldDocument | None = Field(
        None, description="What a list holds; a field without a name.", examples=[{"type": "string", "max_length": 80}]
    )
    max_items: int | None = Field(None, ge=1, le=64, description="Most items; every list needs it.", examples=[5])
    fields: dict[str, FieldDocument] | None = Field(
        None,
        description="The members of a grounded object; the model is only asked for flat fields.",
        examples=[{"name": {"max_length": 80}}],
    )


class SchemaDocument(Part):
    """A result's schema: `schemas/<name>.yaml`."""

    version: int = Field(1, ge=1, description="Version of this schema; raise it when fields change.", examples=[1])
    description: str = Field("", description="What the result tells.", examples=["Why a build failed."])
    fields: dict[str, FieldDocument] = Field(
        description="The fields in the order in which the model fills them: what decides first, prose last.",
        min_length=1,
        examples=[{"severity": {"enum": ["critical", "minor"]}}],
    )


def read(document: Document, name: str) -> tuple[results.ResultSchema | None, list[Problem]]:
    """The schema in a YAML of fields, or None and what is wrong with it."""
    model, problems = validate(SchemaDocument, document)
    if model is None:
        return None, problems
    made: dict[str, results.Field] = {}
    for key, one in model.fields.items():
        problems += _check(document, one, ("fields", key), key)
        made[key] = _field(key, one)
    if problems:
        return None, problems
    return results.ResultSchema(name, made, model.version, model.description), []


def _field(name: str, one: FieldDocument) -> results.Field:
    kind = one.type or ("object" if one.fields else "list" if one.of or one.max_items else "string")
    item = None
    if kind == "list":
        item = _field(name, one.of) if one.of is not None else results.Field(name)
    made = results.Field(
        name=name,
        type=kind,
        description=" ".join(one.description.split()),
        enum=one.enum or {},
        nullable=one.nullable,
        max_length=one.max_length,
        minimum=one.minimum,
        maximum=one.maximum,
        item=item,
        max_items=one.max_items,
        fields=tuple(_field(key, inner) for key, inner in (one.fields or {}).items()),
    )
    return results.ground_field(made, one.ground) if one.ground is not None else made


_FITTING: dict[str, tuple[Literal["max_length", "minimum", "maximum", "max_items", "of", "fields"], ...]] = {
    "string": ("max_length",),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "boolean": (),
    "list": ("max_items", "of"),
    "object": ("fields",),
}


def _check(document: Document, one: FieldDocument, path: Path_, name: str) -> list[Problem]:
    """Keys that contradict each other."""
    found: list[Problem] = []
    kind = _field(name, one).type if one.ground is None else one.type or ("list" if one.of or one.max_items else "any")
    allowed = _FITTING.get(kind)
    found += [
        document.problem((*path, key), f"{key} is not for a field of type {kind}", key=True)
        for key in ("max_length", "minimum", "maximum", "max_items", "of", "fields")
        if allowed is not None and getattr(one, key) is not None and key not in allowed
    ]
    if one.enum is not None:
        if kind not in {"string", "any"}:
            found.append(document.problem((*path, "enum"), f"enum is for texts, {name} is of type {kind}", key=True))
        if one.ground is not None:
            hint = "a grounded field's values come from the log"
            found.append(document.problem((*path, "enum"), f"{name} has both enum and ground", hint, key=True))
        if not one.enum:
            found.append(document.problem((*path, "enum"), "enum must name at least one value"))
    if kind == "object" and one.fields is None and one.ground is None:
        found.append(document.problem(path, f"{name} is an object without fields", key=True))
    if one.of is not None:
        found += _check(document, one.of, (*path, "of"), name)
    for key, inner in (one.fields or {}).items():
        found += _check(document, inner, (*path, "fields", key), key)
    return found
