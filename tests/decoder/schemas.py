"""Hard schemas, made from a seed: what real ones do, what strains grammars, and what must be refused beforehand."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, Final

Schema = dict[str, Any]

COUNT: Final = 240

WORDS: Final = (
    "test", "test_a", "test_ab", "dependency_missing", "dependency_policy", "network", "none", "null", "true", "false",
    "0", "01", "-1", "1e5", "k1", "c1", "L1", "a b", " lead", "trail ", 'quo"te', "back\\slash", "new\nline", "tab\t",
    "{}", "[]", "{{ x }}", "${x}", "<|im_end|>", "```", "é", "日本", "😀", "e\u0301", "\u202eright", "\u200b", "\x7f",
    "x" * 120, "'", "`", "/", "\\n", "\\u0000", "%s", "$(x)", "#", "//", "--",
)  # fmt: skip
"""Values and names that some layer may take for its own."""

NAMES: Final = (
    "category", "summary", "type", "properties", "required", "const", "enum", "id", "a", "a_", "A", "with space",
    "dash-ed", "dot.ted", "é", "日本", "😀", "__proto__", "constructor", "items", "none", "x" * 60, "1", "$ref_",
)  # fmt: skip


def schemas(seed: int = 0, count: int = COUNT) -> list[tuple[str, Schema]]:
    """Names and JSON Schemas: the hand-made ones, then random ones up to `count`."""
    chance = random.Random(seed)  # noqa: S311  seeded, so that a finding can be repeated
    made: dict[str, Schema] = {json.dumps(schema): schema for schema in _made()}
    first = len(made)
    while len(made) < count:
        schema = _random(chance)
        made.setdefault(json.dumps(schema), schema)
    names = [f"made{index}" if index < first else f"random{index}" for index in range(len(made))]
    return list(zip(names, made.values(), strict=True))


def whole(properties: dict[str, Schema], **more: Any) -> Schema:
    """An object that needs all of its properties."""
    return {"type": "object", "properties": properties, "required": list(properties), **more}


def _made() -> Iterator[Schema]:
    """One strain each. The last ones must be refused before anything runs."""
    text: Schema = {"type": "string", "maxLength": 20}
    for value in WORDS:
        yield whole({"category": {"enum": [value, "other"]}, "summary": text})
    strains: tuple[dict[str, Schema], ...] = (
        {"n": {"type": "integer"}},
        {"n": {"type": "number"}},
        {"n": {"type": "integer", "minimum": 0, "maximum": 0}},
        {"n": {"type": "integer", "minimum": -5, "maximum": -3}},
        {"n": {"type": "integer", "minimum": -3.5, "maximum": 7.2}},
        {"n": {"type": "integer", "minimum": 999_999_999_990, "maximum": 999_999_999_999}},
        {"n": {"type": "number", "minimum": 0, "maximum": 1}},
        {"n": {"type": "number", "minimum": 0.25, "maximum": 0.25}},
        {"n": {"type": ["integer", "null"], "maximum": 9}},
        {"flag": {"type": "boolean"}},
        {"flag": {"type": ["boolean", "null"]}},
        {"one": {"const": "only"}},
        {"text": {"type": "string", "maxLength": 1}},
        {"text": {"type": "string", "minLength": 3, "maxLength": 3}},
        {"text": {"type": "string", "maxLength": 4000}, "after": {"enum": ["a", "b"]}},
        {"text": {"type": ["string", "null"], "maxLength": 12}},
        {"list": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 2, "maxItems": 2}},
        {"list": {"type": "array", "items": text, "maxItems": 3}},
        {"list": {"type": "array", "items": text, "minItems": 1, "maxItems": 1}},
        {"maybe": {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}]}},
        {"many": {"enum": [f"value_{index}" for index in range(200)]}},
        {f"f{index}": {"enum": ["a", "b"]} for index in range(24)},
        {name: {"enum": ["a", "b"]} for name in NAMES},
    )
    yield from map(whole, strains)
    yield whole({"a": {"$ref": "#/$defs/x"}}, **{"$defs": {"x": {"enum": ["p", "q"]}}})
    refused: tuple[dict[str, Schema], ...] = (
        {"a": {"type": "string"}},
        {"a": {"type": "array", "items": text}},
        {"a": {"type": "string", "maxLength": 9, "pattern": "^a"}},
        {"a": {"type": "string", "maxLength": 9, "format": "date"}},
        {"a": {"type": "integer", "multipleOf": 3}},
        {"a": {"type": "integer", "exclusiveMinimum": 3}},
        {"a": {"type": "integer", "minimum": 5, "maximum": 1}},
        {"a": {"type": "number", "minimum": 1e-9, "maximum": 2e-9}},
        {"a": {"type": "integer", "maximum": 10**30}},
        {"a": {"oneOf": [text, {"type": "integer"}]}},
        {"a": {"allOf": [text]}},
        {"a": {"not": text}},
        {"a": {"anyOf": [text, {"type": "integer"}]}},
        {"a": {"type": "array", "items": text, "maxItems": 3, "uniqueItems": True}},
        {"a": {"type": "array", "prefixItems": [text], "maxItems": 1}},
        {"a": {"type": "object", "properties": {"b": text}}},
        {"a": {"type": "object", "patternProperties": {"^x": text}}},
        {"a": {"$ref": "#/properties/a"}},
        {"a": {"$ref": "#/nowhere"}},
        {"a": {"enum": ["none", None, "b"]}},
        {"a": {"enum": [1, 2]}},
        {"a": {"type": "tuple"}},
        {"a": {}},
    )
    yield from map(whole, refused)
    yield whole({"a": text}, additionalProperties=True)
    yield {"type": "array", "items": text}


def _random(chance: random.Random) -> Schema:
    names = chance.sample(NAMES, chance.randint(1, 6))
    return whole({name: _field(chance) for name in names})


def _field(chance: random.Random) -> Schema:
    kind = chance.choice(("enum", "enum", "string", "integer", "number", "boolean", "array"))
    if kind == "enum":
        values: list[str | None] = list(chance.sample([w for w in WORDS if w != "none"], chance.randint(1, 12)))
        return {"enum": values + [None] * chance.randint(0, 1)}
    if kind == "array":
        least = chance.randint(0, 2)
        items = chance.choice(({"enum": chance.sample(WORDS, 3)}, {"type": "string", "maxLength": 9}))
        return {"type": "array", "items": items, "minItems": least, "maxItems": least + chance.randint(1, 2)}
    schema: Schema = {"type": [kind, "null"] if chance.random() < 0.3 else kind}
    if kind == "string":
        schema |= {"maxLength": chance.choice((1, 7, 30)), "minLength": chance.choice((0, 1))}
    elif kind in ("integer", "number") and chance.random() < 0.7:
        low = chance.choice((-1000, -1, 0, 3))
        schema |= {"minimum": low, "maximum": low + chance.choice((0, 1, 70, 10**6))}
    return schema
