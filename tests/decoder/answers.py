"""Answers that break a schema in one place, as a decoder writes them that leaves one of its keywords out."""

from __future__ import annotations

import json
import random
from typing import Any

Schema = dict[str, Any]


def broken(schema: Schema, chance: random.Random) -> str:
    """A JSON object of the schema's properties, one or more of which hold what they must not."""
    answer: dict[str, Any] = {name: right(each, chance) for name, each in schema["properties"].items()}
    for name in chance.sample(list(answer), chance.randint(1, len(answer))):
        answer[name] = wrong(schema["properties"][name], chance)
    if chance.random() < 0.1:
        del answer[chance.choice(list(answer))]
    if chance.random() < 0.1:
        answer["nobody asked"] = "for this"
    return json.dumps(answer)


def right(schema: Schema, chance: random.Random) -> Any:
    """A value that the schema allows."""
    if "anyOf" in schema:
        return right(schema["anyOf"][0], chance)
    if "enum" in schema or "const" in schema:
        return chance.choice(schema.get("enum") or [schema["const"]])
    kind = _kind(schema)
    if kind == "array":
        return [right(schema["items"], chance) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return "x" * schema.get("minLength", 0)
    low = schema.get("minimum", 0)
    return {"boolean": True, "integer": int(-(-low // 1)), "number": low}.get(kind)


def wrong(schema: Schema, chance: random.Random) -> Any:
    """A value that the schema forbids, or at least may."""
    if "anyOf" in schema:
        return wrong(schema["anyOf"][0], chance)
    odd: list[Any] = [None, True, -1, 0.5, 1e300, 10**400, "", "none", "null", [], {}, [[]], [None], {"a": 1}]
    kind = _kind(schema)
    if "enum" in schema or "const" in schema:
        values = [str(each) for each in schema.get("enum") or [schema["const"]]]
        odd += [values[0] + " ", values[0].upper(), values[0][:-1], [values[0]], "k1", "other than all"]
    elif kind == "array":
        item = right(schema["items"], chance)
        most, least = schema.get("maxItems", 0), schema.get("minItems", 0)
        odd += [[item] * (most + 1), [item] * max(0, least - 1), [wrong(schema["items"], chance)] * most, item]
    elif kind == "string":
        most, least = schema.get("maxLength", 0), schema.get("minLength", 0)
        odd += ["x" * (most + 1), "\U0001f600" * (most + 1), " " * 9999, "x" * max(0, least - 1), "\x00", ["x"]]
    elif kind in ("integer", "number"):
        low, high = schema.get("minimum", -(10**15)), schema.get("maximum", 10**15)
        odd += [low - 1, high + 1, low + 0.5, high + 1e-9, str(low), 9 * 10**99]
    return chance.choice(odd)


def _kind(schema: Schema) -> str:
    kind = schema.get("type", "")
    return str(kind[0] if isinstance(kind, list) else kind)
