"""The form that a model's answer takes: a small flat object of codes, words and short texts.

A form is made from slots and compiled once: to a JSON Schema (vLLM and most servers) and to a compact GBNF
grammar without blanks (llama.cpp, which would else let the model write fences and white space that count).
Both are byte-stable, so that a server compiles each once: a pipeline has one form per size class of its
candidate lists, never one per event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import orjson

from processor.lang import fields
from processor.lang.fields import DECIMALS, LARGEST

SIZES: Final = (0, 1, 2, 4, 8, 16, 24)
"""Size classes of a list of codes that one is chosen from."""

LIST_SIZES: Final = (0, 8, 24)
"""Size classes of a list of codes that several are chosen from: fewer, for forms multiply."""

NONE: Final = fields.NONE
"""What the model writes where nothing of a nullable list of options fits."""


def size_class(count: int, sizes: tuple[int, ...] = SIZES) -> int:
    """The least size class that holds `count` options, or the largest."""
    return next((size for size in sizes if size >= count), sizes[-1])


@dataclass(frozen=True, slots=True)
class Slot:
    """One key of the answer.

    choice: one of `options`; choices: `least` to `most` of `options`; text: `shortest` to `length` characters; texts:
    `least` to `most` of those; integer, number: from `minimum` to `maximum`; flag: true or false. A nullable choice
    may also be NONE, another nullable slot null. A list of options is never empty: what can't be answered is left out
    of the form. Numbers are always bounded: a small model goes on writing digits for as long as it may.
    """

    name: str
    kind: Literal["choice", "choices", "text", "texts", "integer", "number", "flag"]
    options: tuple[str, ...] = ()
    most: int = 0
    length: int = 0
    nullable: bool = False
    least: int = 0
    shortest: int = 0
    minimum: float = -LARGEST
    maximum: float = LARGEST

    @property
    def range(self) -> tuple[int, int]:
        """The first and the last of the whole numbers that are allowed."""
        return math.ceil(self.minimum), math.floor(self.maximum)


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
        return _array({"type": "string", "enum": list(slot.options)}, slot)
    if slot.kind == "texts":
        return _array({"type": "string"} | _lengths(slot), slot)
    word = {"text": "string", "integer": "integer", "number": "number", "flag": "boolean"}[slot.kind]
    schema: dict[str, Any] = {"type": [word, "null"] if slot.nullable else word}
    if slot.kind == "text":
        schema |= _lengths(slot)
    elif slot.kind == "integer":  # xgrammar refuses a fraction here
        schema |= dict(zip(("minimum", "maximum"), slot.range, strict=True))
    elif slot.kind == "number":
        schema |= {"minimum": slot.minimum, "maximum": slot.maximum}
    return schema


def _array(items: dict[str, Any], slot: Slot) -> dict[str, Any]:
    least = {"minItems": slot.least} if slot.least else {}
    return {"type": "array", "items": items, **least, "maxItems": slot.most}


def _lengths(slot: Slot) -> dict[str, Any]:
    least = {"minLength": slot.shortest} if slot.shortest else {}
    return {**least, "maxLength": slot.length}


def _options(slot: Slot) -> list[str]:
    return [*slot.options, NONE] if slot.nullable else list(slot.options)


_FLAG: Final = 'flag ::= "true" | "false"'
_CHAR: Final = 'char ::= [^"\\\\\\x7F\\x00-\\x1F] | "\\\\" ["\\\\/bfnrt]'

_REPEATED: Final = 1000
"""Repetitions in one place of a grammar; llama.cpp refuses more than 2,000."""

_LISTED: Final = 64
"""Ranges of at most so many whole numbers are written out; of larger ones the number of digits is bounded."""


def _grammar(slots: tuple[Slot, ...]) -> str:
    """GBNF (llama.cpp, grammars/README.md) of the object without any white space."""
    parts: list[str] = []
    for index, slot in enumerate(slots):
        key = orjson.dumps(slot.name).decode()
        parts.append(_literal(f"{',' if index else '{'}{key}:"))
        parts.append(_value(slot))
    rules = [f"root ::= {' '.join(parts)} {_literal('}')}"] if slots else ['root ::= "{}"']
    kinds = {slot.kind.removesuffix("s") for slot in slots}
    rules += [rule for kind, rule in (("flag", _FLAG), ("text", _CHAR)) if kind in kinds]
    return "\n".join(rules)


def _value(slot: Slot) -> str:
    if slot.kind == "choice":
        return _quoted(_options(slot))
    if slot.kind == "choices":
        return _list(_quoted(list(slot.options)), slot)
    text = f'"\\"" {_times("char", slot.shortest, slot.length)} "\\""'
    if slot.kind == "texts":
        return _list(text, slot)
    value = {"text": text, "integer": _integer(slot), "number": _number(slot), "flag": "flag"}[slot.kind]
    return f'({value} | "null")' if slot.nullable else value


def _list(item: str, slot: Slot) -> str:
    more = f' ("," {item}){{{max(0, slot.least - 1)},{slot.most - 1}}}' if slot.most > 1 else ""
    return f'"[" ({item}{more}){"" if slot.least else "?"} "]"'


def _times(rule: str, least: int, most: int) -> str:
    """`rule`, from `least` to `most` times."""
    parts = []
    while most > _REPEATED:
        parts.append(f"{rule}{{{min(least, _REPEATED)},{_REPEATED}}}")
        least, most = max(0, least - _REPEATED), most - _REPEATED
    return " ".join([*parts, f"{rule}{{{least},{most}}}"])


def _integer(slot: Slot) -> str:
    first, last = slot.range
    if 0 <= last - first < _LISTED:
        return f"({' | '.join(_literal(str(value)) for value in range(first, last + 1))})"
    return _digits(slot)


def _number(slot: Slot) -> str:
    return f'{_digits(slot)} ("." [0-9]{{1,{DECIMALS}}})?'


def _digits(slot: Slot) -> str:
    """Whole numbers with as many digits as the range has; that they are in it is checked afterwards."""
    longest = len(str(math.trunc(max(abs(slot.minimum), abs(slot.maximum)))))
    sign = '"-"? ' if slot.minimum < 0 else ""
    return f'{sign}("0" | [1-9] [0-9]{{0,{longest - 1}}})'


def _quoted(options: list[str]) -> str:
    words = " | ".join(_literal(orjson.dumps(option).decode()[1:-1]) for option in options)
    return f'"\\"" ({words}) "\\""'


def _literal(text: str) -> str:
    """A GBNF string literal of `text`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
