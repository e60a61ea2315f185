"""The form that a model's answer takes: a small flat object of codes, words and short texts.

A form is made from slots and compiled once: to a JSON Schema (vLLM and most servers) and to a compact GBNF
grammar without blanks (llama.cpp, which would else let the model write fences and white space that count).
Both are byte-stable, so that a server compiles each once: a pipeline has one form per size class of its
candidate lists, never one per event.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import orjson

SIZES: Final = (0, 1, 2, 4, 8, 16, 24)
"""Size classes of a list of codes that one is chosen from."""

LIST_SIZES: Final = (0, 8, 24)
"""Size classes of a list of codes that several are chosen from: fewer, for forms multiply."""

NONE: Final = "none"
"""What the model writes where nothing of a nullable list of options fits."""


def size_class(count: int, sizes: tuple[int, ...] = SIZES) -> int:
    """The least size class that holds `count` options, or the largest."""
    return next((size for size in sizes if size >= count), sizes[-1])


@dataclass(frozen=True, slots=True)
class Slot:
    """One key of the answer.

    choice: one of `options`; choices: up to `most` of `options`; text: up to `length` characters; texts: up to
    `most` of those; integer, number, flag: a scalar. A nullable choice may also be NONE, another nullable slot
    null. A list of options is never empty: what can't be answered is left out of the form.
    """

    name: str
    kind: Literal["choice", "choices", "text", "texts", "integer", "number", "flag"]
    options: tuple[str, ...] = ()
    most: int = 0
    length: int = 0
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """A compiled form: `schema` is the JSON Schema as JSON bytes, `grammar` the GBNF."""

    name: str
    slots: tuple[Slot, ...]
    schema: orjson.Fragment
    grammar: str

    @property
    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema as an object."""
        schema: dict[str, Any] = orjson.loads(orjson.dumps(self.schema))
        return schema


@lru_cache(maxsize=4096)
def compile_form(name: str, slots: tuple[Slot, ...]) -> Form:
    """The form of an object with exactly `slots`, in their order. The same arguments give the same object."""
    properties = {slot.name: _schema(slot) for slot in slots}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return Form(name, slots, orjson.Fragment(orjson.dumps(schema)), _grammar(slots))


def _schema(slot: Slot) -> dict[str, Any]:
    if slot.kind == "choice":
        return {"type": "string", "enum": _options(slot)}
    if slot.kind == "choices":
        return {"type": "array", "items": {"type": "string", "enum": list(slot.options)}, "maxItems": slot.most}
    if slot.kind == "texts":
        return {"type": "array", "items": {"type": "string", "maxLength": slot.length}, "maxItems": slot.most}
    word = {"text": "string", "integer": "integer", "number": "number", "flag": "boolean"}[slot.kind]
    schema: dict[str, Any] = {"type": [word, "null"] if slot.nullable else word}
    if slot.kind == "text":
        schema["maxLength"] = slot.length
    return schema


def _options(slot: Slot) -> list[str]:
    return [*slot.options, NONE] if slot.nullable else list(slot.options)


_RULES: Final = {
    "integer": 'integer ::= "-"? ("0" | [1-9] [0-9]{0,15})',
    "number": 'number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,6})?',
    "flag": 'flag ::= "true" | "false"',
    "text": 'char ::= [^"\\\\\\x7F\\x00-\\x1F] | "\\\\" ["\\\\/bfnrt]',
}


def _grammar(slots: tuple[Slot, ...]) -> str:
    """GBNF (llama.cpp, grammars/README.md) of the object without any white space."""
    parts: list[str] = []
    for index, slot in enumerate(slots):
        key = orjson.dumps(slot.name).decode()
        parts.append(_literal(f"{',' if index else '{'}{key}:"))
        parts.append(_value(slot))
    rules = [f"root ::= {' '.join(parts)} {_literal('}')}"] if slots else ['root ::= "{}"']
    kinds = {slot.kind.removesuffix("s") for slot in slots}
    rules += [rule for kind, rule in _RULES.items() if kind in kinds]
    return "\n".join(rules)


def _value(slot: Slot) -> str:
    if slot.kind == "choice":
        return _quoted(_options(slot))
    if slot.kind == "choices":
        return _list(_quoted(list(slot.options)), slot.most)
    text = f'"\\"" char{{0,{slot.length}}} "\\""'
    if slot.kind == "texts":
        return _list(text, slot.most)
    value = text if slot.kind == "text" else slot.kind
    return f'({value} | "null")' if slot.nullable else value


def _list(item: str, most: int) -> str:
    more = f' ("," {item}){{0,{most - 1}}}' if most > 1 else ""
    return f'"[" ({item}{more})? "]"'


def _quoted(options: list[str]) -> str:
    words = " | ".join(_literal(orjson.dumps(option).decode()[1:-1]) for option in options)
    return f'"\\"" ({words}) "\\""'


def _literal(text: str) -> str:
    """A GBNF string literal of `text`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
