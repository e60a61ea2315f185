"""From a JSON Schema to fields; the keywords that guided decoding can't enforce are refused by name.

What an inference server's grammar can hold a model to is a finite tree of objects, bounded lists, enums, numbers
and bounded texts. `pattern` and friends would be checked only after the fact, when the answer is already wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from processor.lang.fields import Field, FieldType
from processor.lang.problem import nearest
from processor.lang.yaml import Path_

_TYPES: Final[Mapping[str, FieldType]] = {
    "string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "array": "list",
    "object": "object",
}  # fmt: skip
_PLAIN: Final = frozenset({
    "$schema", "$id", "$defs", "definitions", "$comment", "title", "description", "default", "examples", "deprecated",
    "type", "enum", "const", "properties", "required", "additionalProperties", "items", "maxItems", "maxLength",
    "minimum", "maximum", "anyOf", "$ref", "version", "minLength", "minItems",
})  # fmt: skip
_UNENFORCED: Final = frozenset({
    "allOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependentRequired", "patternProperties",
    "propertyNames", "unevaluatedProperties", "unevaluatedItems", "uniqueItems", "contains", "minContains",
    "maxContains", "multipleOf", "minProperties", "maxProperties", "exclusiveMinimum", "exclusiveMaximum", "pattern",
    "format", "prefixItems", "contentEncoding", "contentMediaType", "$dynamicRef", "$recursiveRef",
})  # fmt: skip


@dataclass(slots=True)
class Reader:
    """Reads one schema; `faults` holds (path, message, hint) of what can't be used."""

    root: Mapping[str, Any]
    faults: list[tuple[Path_, str, str]] = field(default_factory=list)

    def fields(self) -> dict[str, Field]:
        """The fields of the root object."""
        if self.root.get("type") != "object" or not self.root.get("properties"):
            self._fault((), "the schema must be an object with properties")
            return {}
        self._keywords(self.root, ())
        return {one.name: one for one in self._members(self.root, (), ())}

    def _members(self, schema: Mapping[str, Any], path: Path_, seen: tuple[str, ...]) -> Iterator[Field]:
        required = schema.get("required", [])
        if schema.get("additionalProperties", False) is not False:
            self._fault((*path, "additionalProperties"), "additionalProperties must be false: unknown members")
        for name, one in schema.get("properties", {}).items():
            made = self._field(name, one, (*path, "properties", name), seen)
            yield made if name in required else replace(made, required=False)

    def _field(self, name: str, schema: Any, path: Path_, seen: tuple[str, ...]) -> Field:
        if not isinstance(schema, dict):
            self._fault(path, f"{name}: a schema must be a mapping")
            return Field(name, max_length=1)
        self._keywords(schema, path)
        description = str(schema.get("description", ""))
        if "$ref" in schema:
            made = self._referenced(name, str(schema["$ref"]), path, seen)
            return replace(made, description=description or made.description)
        if "anyOf" in schema:
            made = self._any_of(name, schema["anyOf"], path, seen)
            return replace(made, description=description or made.description)
        kind, nullable = self._type(name, schema, path)
        values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
        if any(not isinstance(value, str) and value is not None for value in values):
            self._fault((*path, "enum"), f"{name}: an enum's values must be texts")
            values = []
        made = Field(
            name,
            kind,
            description,
            {value: "" for value in values if value is not None},
            nullable=nullable or None in values,
            max_length=schema.get("maxLength"),
            minimum=schema.get("minimum"),
            maximum=schema.get("maximum"),
            max_items=schema.get("maxItems"),
            min_length=schema.get("minLength"),
            min_items=schema.get("minItems"),
        )
        if kind == "list":
            item = self._field(name, schema.get("items", {"type": "string"}), (*path, "items"), seen)
            made = replace(made, item=item)
        if kind == "object":
            made = replace(made, fields=tuple(self._members(schema, path, seen)))
        return made

    def _type(self, name: str, schema: Mapping[str, Any], path: Path_) -> tuple[FieldType, bool]:
        given = schema.get("type", "string" if "enum" in schema or "const" in schema else None)
        kinds = [one for one in (given if isinstance(given, list) else [given]) if one != "null"]
        nullable = isinstance(given, list) and "null" in given
        if len(kinds) != 1 or kinds[0] not in _TYPES:
            said = "no type" if given is None else f"the type {given!r}"
            self._fault((*path, "type"), f"{name}: {said}", nearest(str(given), _TYPES))
            return "string", nullable
        return _TYPES[kinds[0]], nullable

    def _referenced(self, name: str, reference: str, path: Path_, seen: tuple[str, ...]) -> Field:
        if reference in seen:
            self._fault((*path, "$ref"), f"{name}: {reference} refers to itself, guided decoding needs a finite schema")
            return Field(name, max_length=1)  # bounded, so that nothing else is said of it
        value: Any = self.root
        for part in reference.removeprefix("#/").split("/"):
            value = value.get(part) if isinstance(value, dict) else None
        if not reference.startswith("#/") or value is None:
            self._fault((*path, "$ref"), f"{name}: {reference} is not in this file")
            return Field(name, max_length=1)
        return self._field(name, value, tuple(reference.removeprefix("#/").split("/")), (*seen, reference))

    def _any_of(self, name: str, options: Any, path: Path_, seen: tuple[str, ...]) -> Field:
        chosen = [(index, one) for index, one in enumerate(options) if one != {"type": "null"}]
        if len(chosen) != 1:
            self._fault((*path, "anyOf"), f"{name}: anyOf may only say 'this or null'")
            return Field(name, max_length=1)
        index, one = chosen[0]
        made = self._field(name, one, (*path, "anyOf", index), seen)
        return replace(made, nullable=True) if len(options) > 1 else made

    def _keywords(self, schema: Mapping[str, Any], path: Path_) -> None:
        for key in schema:
            if key in _UNENFORCED:
                self._fault((*path, key), f"guided decoding can't enforce {key!r}", "say it in the description")
            elif key not in _PLAIN:
                self._fault((*path, key), f"unknown keyword {key!r}", nearest(key, _PLAIN))

    def _fault(self, path: Path_, message: str, hint: str = "") -> None:
        self.faults.append((path, message, hint))
