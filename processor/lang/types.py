"""The types that predicates and templates are checked against: what `event`, `finding`, … hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

Kind = Literal[
    "any", "string", "int", "double", "bool", "null", "bytes", "duration", "timestamp", "list", "map", "object"
]

_WORDS: Final[Mapping[str, str]] = {
    "any": "a value",
    "string": "a string",
    "int": "a whole number",
    "double": "a number",
    "bool": "true or false",
    "null": "null",
    "bytes": "bytes",
    "duration": "a duration",
    "timestamp": "a time",
    "list": "a list",
    "map": "a map",
    "object": "an object",
}


@dataclass(frozen=True, slots=True)
class Type:
    """A type: `item` of lists and maps, `members` of objects, `enum` of strings that are one of a few."""

    kind: Kind
    item: Type | None = None
    members: Mapping[str, Type] = field(default_factory=dict)
    enum: tuple[str, ...] = ()
    nullable: bool = False
    description: str = ""

    def __str__(self) -> str:
        return _WORDS[self.kind]

    @property
    def number(self) -> bool:
        """Whether it is a whole number or a number."""
        return self.kind in {"int", "double"}

    def or_null(self) -> Type:
        """The same, or null."""
        return replace(self, nullable=True)

    def note(self, description: str) -> Type:
        """The same with a description for the reference."""
        return replace(self, description=description)


ANY: Final = Type("any")
STRING: Final = Type("string")
INT: Final = Type("int")
DOUBLE: Final = Type("double")
BOOL: Final = Type("bool")
NULL: Final = Type("null")


def enum_of(*values: str) -> Type:
    """A string that is one of `values`."""
    return Type("string", enum=values)


def list_of(item: Type) -> Type:
    """A list of `item`."""
    return Type("list", item=item)


def map_of(item: Type) -> Type:
    """A map from any string to `item`."""
    return Type("map", item=item)


def object_of(members: Mapping[str, Type]) -> Type:
    """An object with exactly these members."""
    return Type("object", members=members)
