"""The syntax tree of a compiled CEL expression, read from its serialised form.

`cel-expr-python` is the CEL C++ runtime; its `serialize()` gives `cel.expr.CheckedExpr` as protobuf, whose
field numbers are fixed by the CEL specification (cel-spec: proto/cel/expr/checked.proto and syntax.proto). The
few message types used here are read directly, so that no protobuf runtime is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_PRIMITIVES: Final = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN: Final = {2: "timestamp", 3: "duration"}


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: its CEL type (null, bool, int, double, string, bytes, …) and value."""

    id: int
    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class Ident:
    """A variable."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.member`; `test` where it is `has(operand.member)`."""

    id: int
    operand: Expr
    member: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function, method (`target` set) or operator (`_==_`, `@in`, `_?_:_`, …)."""

    id: int
    target: Expr | None
    function: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class ListExpr:
    """`[a, b]`."""

    id: int
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class MapExpr:
    """`{a: b}`."""

    id: int
    entries: tuple[tuple[Expr, Expr], ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What the macros all, exists, exists_one, map and filter become."""

    id: int
    variable: str
    range: Expr
    accumulator: str
    init: Expr
    condition: Expr
    step: Expr
    result: Expr


Expr = Literal | Ident | Select | Call | ListExpr | MapExpr | Comprehension


@dataclass(frozen=True, slots=True)
class Tree:
    """An expression, the character offset of each node by id, and the type that CEL's own checker gave each."""

    root: Expr
    offsets: dict[int, int]
    types: dict[int, str]


def decode(serialised: bytes) -> Tree:
    """Read what `Expression.serialize()` wrote (a `google.protobuf.Any` around a CheckedExpr)."""
    checked = dict(_fields(serialised))[2]
    root: Expr | None = None
    offsets: dict[int, int] = {}
    types: dict[int, str] = {}
    for number, value in _fields(checked):
        if number == 3:
            entry = dict(_fields(value))
            types[entry[1]] = _type(entry.get(2, b""))
        elif number == 4:
            root = _expr(value)
        elif number == 5:
            offsets = _positions(value)
    if root is None:
        raise ValueError("no expression in the serialised form")
    return Tree(root, offsets, types)


def _positions(source_info: bytes) -> dict[int, int]:
    entries = (dict(_fields(value)) for number, value in _fields(source_info) if number == 4)
    return {entry[1]: entry.get(2, 0) for entry in entries}


def _type(data: bytes) -> str:
    for number, value in _fields(data):
        if number == 3:
            return _PRIMITIVES.get(value, "any")
        if number == 5:
            return _WELL_KNOWN.get(value, "any")
        if number in {2, 6, 7}:
            return {2: "null", 6: "list", 7: "map"}[number]
    return "any"


def _expr(data: bytes) -> Expr:
    node, kind, body = 0, 0, b""
    for number, value in _fields(data):
        if number == 2:
            node = value
        else:
            kind, body = number, value
    if kind == 3:
        return _literal(node, body)
    fields = list(_fields(body))
    one = dict(fields)
    if kind == 4:
        return Ident(node, one[1].decode())
    if kind == 5:
        return Select(node, _expr(one[1]), one[2].decode(), bool(one.get(3, 0)))
    if kind == 6:
        target = _expr(one[1]) if 1 in one else None
        return Call(node, target, one[2].decode(), tuple(_expr(value) for number, value in fields if number == 3))
    if kind == 7:
        return ListExpr(node, tuple(_expr(value) for number, value in fields if number == 1))
    if kind == 8:
        entries = [dict(_fields(value)) for number, value in fields if number == 2]
        return MapExpr(node, tuple((_expr(entry[3]), _expr(entry[4])) for entry in entries if 3 in entry))
    if kind == 9:
        parts = [_expr(one[number]) for number in (2, 4, 5, 6, 7)]
        return Comprehension(node, one[1].decode(), parts[0], one[3].decode(), *parts[1:])
    raise ValueError(f"unknown kind of expression {kind}")


def _literal(node: int, data: bytes) -> Literal:
    for number, value in _fields(data):
        if number == 2:
            return Literal(node, "bool", bool(value))
        if number in {3, 4}:
            return Literal(node, "int", value - (1 << 64) if value >= 1 << 63 and number == 3 else value)
        if number == 5:
            return Literal(node, "double", struct.unpack("<d", value)[0])
        if number == 6:
            return Literal(node, "string", value.decode())
        if number == 7:
            return Literal(node, "bytes", value)
    return Literal(node, "null", None)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The (field number, raw value) pairs of a protobuf message: ints for varints, bytes for the rest."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value: Any
            value, position = _varint(data, position)
        else:
            size, position = (8, position) if wire == 1 else (4, position) if wire == 5 else _varint(data, position)
            value, position = data[position : position + size], position + size
        yield number, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
