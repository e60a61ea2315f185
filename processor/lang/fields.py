"""The schema of a result: its fields, their types, enums and grounding, and the check of an answer against it.

A schema comes from a YAML of fields, a JSON Schema or a pydantic class (see `schema_files`); here is what they
all become. A grounded field takes its value from the log (a package, a test, lines), never from imagination.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from processor.lang import types
from processor.lang.types import Type

Ground = Literal[
    "candidates.packages", "candidates.tests", "candidates.files", "candidates.hosts", "candidates.exit_codes",
    "excerpt.lines",
]  # fmt: skip
"""Where a grounded field's value comes from."""

GROUNDS: Final[Mapping[str, str]] = {
    "candidates.packages": "a package in the log: {name, version or null, ecosystem}",
    "candidates.tests": "the name of a test in the log",
    "candidates.files": "a file in the log",
    "candidates.hosts": "a host in the log",
    "candidates.exit_codes": "an exit code in the log",
    "excerpt.lines": "lines of the log, which become the finding's evidence",
}

NONE: Final = "none"
"""What a model writes where nothing of a nullable list of options fits."""

LARGEST: Final = 999_999_999_999
"""The largest number that a model is asked for."""

DECIMALS: Final = 6
"""Most digits after a number's point; xgrammar allows no more in a bounded number."""

FieldType = Literal["string", "integer", "number", "boolean", "list", "object"]


class InvalidResult(ValueError):
    """A result that does not fit its schema; `messages` says what is wrong, one per field."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a result. `enum` maps each value to its definition ("" where there is none)."""

    name: str
    type: FieldType = "string"
    description: str = ""
    enum: Mapping[str, str] = field(default_factory=dict)
    ground: Ground | None = None
    nullable: bool = False
    required: bool = True
    max_length: int | None = None
    min_length: int | None = None
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    item: Field | None = None
    max_items: int | None = None
    min_items: int | None = None
    fields: tuple[Field, ...] = ()

    @property
    def shape(self) -> Type:
        """The type that predicates and templates are checked against."""
        if self.type == "list":
            shape = types.list_of(self.item.shape if self.item else types.ANY)
        elif self.type == "object":
            shape = types.object_of({one.name: one.shape for one in self.fields})
        else:
            simple = {"string": types.STRING, "integer": types.INT, "number": types.DOUBLE, "boolean": types.BOOL}
            shape = types.enum_of(*self.enum) if self.enum else simple[self.type]
        shape = shape.note(self.description)
        return shape.or_null() if self.nullable else shape

    def json_schema(self) -> dict[str, Any]:
        """This field's JSON Schema."""
        schema: dict[str, Any] = {"type": "array" if self.type == "list" else self.type}
        if self.enum:
            schema = {"type": "string", "enum": list(self.enum)}
        if self.type == "object":
            schema |= object_schema(self.fields)
        if self.item is not None:
            schema["items"] = self.item.json_schema()
        limits = {"minLength": self.min_length, "maxLength": self.max_length, "pattern": self.pattern,
                  "minimum": self.minimum, "maximum": self.maximum, "minItems": self.min_items,
                  "maxItems": self.max_items}  # fmt: skip
        schema |= {key: value for key, value in limits.items() if value is not None}
        if self.description:
            schema["description"] = self.description
        return {"anyOf": [schema, {"type": "null"}]} if self.nullable else schema

    def check(self, value: Any, path: str, messages: list[str]) -> Any:
        """The value as it goes into the result; what is wrong is added to `messages`."""
        if value is None and self.nullable:
            return None
        if self.type == "list":
            return self._check_list(value, path, messages)
        if self.type == "object":
            if isinstance(value, dict):
                return check_object(self.fields, value, f"{path}.", messages)
            messages.append(f"{path}: {value!r:.80} is no object")
            return value
        if not _fits(self.type, value):
            messages.append(f"{path}: {value!r:.80} is not {_ARTICLE[self.type]}")
            return value
        if self.enum and value not in self.enum:
            messages.append(f"{path}: {value!r:.80} is none of {', '.join(self.enum)}")
        self._check_bounds(value, path, messages)
        return value

    def _check_list(self, value: Any, path: str, messages: list[str]) -> Any:
        if not isinstance(value, list):
            messages.append(f"{path}: {value!r:.80} is no list")
            return value
        if self.max_items is not None and len(value) > self.max_items:
            messages.append(f"{path}: {len(value)} items, at most {self.max_items} are allowed")
        if self.min_items is not None and len(value) < self.min_items:
            messages.append(f"{path}: {len(value)} items, at least {self.min_items} are needed")
        if self.item is None:
            return value
        return [self.item.check(one, f"{path}[{index}]", messages) for index, one in enumerate(value)]

    def _check_bounds(self, value: Any, path: str, messages: list[str]) -> None:
        if self.max_length is not None and len(value) > self.max_length:
            messages.append(f"{path}: {len(value)} characters, at most {self.max_length} are allowed")
        if self.min_length is not None and len(value) < self.min_length:
            messages.append(f"{path}: {len(value)} characters, at least {self.min_length} are needed")
        if self.pattern is not None and not re.search(self.pattern, value):
            messages.append(f"{path}: {value!r:.80} does not match {self.pattern}")
        if self.minimum is not None and value < self.minimum:
            messages.append(f"{path}: {value} is less than {self.minimum:g}")
        if self.maximum is not None and value > self.maximum:
            messages.append(f"{path}: {value} is more than {self.maximum:g}")


PACKAGE: Final = (
    Field("name", description="Name as the package manager knows it."),
    Field("version", nullable=True, description="Version or range in the log, if it shows one."),
    Field("ecosystem", description="Package-URL type: npm, pypi, maven, cargo, golang, deb, docker, …"),
)
"""The members of a value grounded in `candidates.packages`."""

LINE: Final = (
    Field("line", "integer", description="1-based number of the line in the log."),
    Field("text", description="The line."),
)
"""The members of a value grounded in `excerpt.lines`."""

_ARTICLE: Final = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}


@dataclass(frozen=True, slots=True)
class ResultSchema:
    """The fields of a pipeline's result.

    `fields` are all that the model is asked for; `evidence` names the one that is grounded in `excerpt.lines`:
    it becomes the finding's evidence and is no part of the result.
    """

    name: str
    fields: Mapping[str, Field]
    version: int = 1
    description: str = ""
    convert: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    @property
    def evidence(self) -> Field | None:
        """The field that becomes the finding's evidence."""
        return next((one for one in self.fields.values() if one.ground == "excerpt.lines"), None)

    @property
    def result_fields(self) -> Mapping[str, Field]:
        """The fields of the result: all but the evidence."""
        return {name: one for name, one in self.fields.items() if one.ground != "excerpt.lines"}

    @property
    def shape(self) -> Type:
        """The type of `finding.result` in predicates and templates."""
        return types.object_of({name: one.shape for name, one in self.result_fields.items()})

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the result that findings carry."""
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": self.name, "type": "object"}
        described = {"description": self.description} if self.description else {}
        return head | described | object_schema(tuple(self.result_fields.values()))

    def validate(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The result in the schema's order and types; raises InvalidResult (a ValueError) with all messages.

        The evidence field may be among the values or not; it is not among what is returned.
        """
        messages: list[str] = []
        evidence = self.evidence
        given = {name: value for name, value in values.items() if evidence is None or name != evidence.name}
        result = check_object(tuple(self.result_fields.values()), given, "", messages)
        if messages:
            raise InvalidResult(messages)
        if self.convert is None:
            return result
        extra = {evidence.name: values.get(evidence.name, [])} if evidence is not None else {}
        converted = self.convert(result | extra)
        return {name: converted[name] for name in self.result_fields if name in converted}

    def grounded(self, grounds: Mapping[str, Ground]) -> ResultSchema:
        """The same schema with these fields grounded, over what the schema itself says."""
        fields = {
            name: ground_field(one, grounds[name]) if name in grounds else one for name, one in self.fields.items()
        }
        return replace(self, fields=fields)


def ground_field(one: Field, ground: Ground) -> Field:
    """The field with the type that its ground gives, where it does not say another itself."""
    if one.type == "list":
        item = one.item or Field(one.name)
        return replace(one, ground=ground, item=_grounded_value(item, ground))
    return replace(_grounded_value(one, ground), ground=ground)


def _grounded_value(one: Field, ground: Ground) -> Field:
    members = {"candidates.packages": PACKAGE, "excerpt.lines": LINE}.get(ground)
    if members is None or one.fields:
        return one
    return replace(one, type="object", fields=members, max_length=None)


def object_schema(fields: tuple[Field, ...]) -> dict[str, Any]:
    """`properties`, `required` and `additionalProperties` of an object with these fields."""
    return {
        "properties": {one.name: one.json_schema() for one in fields},
        "required": [one.name for one in fields if one.required],
        "additionalProperties": False,
    }


def check_object(fields: tuple[Field, ...], value: Mapping[str, Any], path: str, messages: list[str]) -> dict[str, Any]:
    """The members of an object, checked and in the fields' order."""
    known = {one.name for one in fields}
    messages += [f"{path}{name}: no such field" for name in value if name not in known]
    result: dict[str, Any] = {}
    for one in fields:
        if one.name in value:
            result[one.name] = one.check(value[one.name], path + one.name, messages)
        elif one.nullable:
            result[one.name] = None
        elif one.required:
            messages.append(f"{path}{one.name}: missing")
    return result


def _fits(kind: FieldType, value: Any) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
