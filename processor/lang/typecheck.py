"""Type check of a CEL expression against the types of its roots: members, comparisons, enum values, methods.

CEL's own checker sees the roots as dynamic, so that one program serves every event; what it can't know (is
there such a member, is it a number, is that a value of the enum) is checked here, on the tree it made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from processor.lang import cel_ast as ast
from processor.lang.problem import Issue, nearest
from processor.lang.types import ANY, BOOL, DOUBLE, INT, NULL, STRING, Kind, Type, list_of, map_of

_ORDER: Final = {"_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">="}
_EQUAL: Final = {"_==_": "==", "_!=_": "!="}
_ARITHMETIC: Final = {"_+_": "+", "_-_": "-", "_*_": "*", "_/_": "/", "_%_": "%"}
_LOGIC: Final = {"_&&_": "&&", "_||_": "||", "!_": "!"}
_TEXT_METHODS: Final = ("contains", "startsWith", "endsWith", "matches")
_RESULTS: Final[Mapping[str, Type]] = {
    "size": INT,
    "int": INT,
    "uint": INT,
    "double": DOUBLE,
    "string": STRING,
    "bool": BOOL,
    "bytes": Type("bytes"),
    "timestamp": Type("timestamp"),
    "duration": Type("duration"),
    "matches": BOOL,
}
_WORDS: Final = {"None": "null", "True": "true", "False": "false"}
_FROM_CEL: Final[Mapping[str, Kind]] = {
    "bool": "bool", "int": "int", "uint": "int", "double": "double", "string": "string", "bytes": "bytes",
    "null": "null", "timestamp": "timestamp", "duration": "duration",
}  # fmt: skip


@dataclass(slots=True)
class Checker:
    """Walks one tree; `issues` holds what it found, `type_of` gives the type of an expression."""

    tree: ast.Tree
    roots: Mapping[str, Type]
    issues: list[Issue] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def check(self) -> list[Issue]:
        """All issues of the expression as a predicate (it has to yield true or false)."""
        result = self.infer()
        if result.kind not in {"any", "bool"} or result.nullable:
            self._issue(self.tree.root, f"a predicate must be true or false, this is {_name(result)}")
        return self.issues

    def infer(self) -> Type:
        """The type of the expression, `any` where it can't be known; `issues` has what is wrong on the way."""
        # What is compared with null anywhere counts as asked everywhere: CEL's && and || forgive errors on either
        # side, so the order within the expression says nothing.
        self.asked = {path for node in walk(self.tree.root) for path in _asked(node)}
        return self.type_of(self.tree.root, self.roots)

    def type_of(self, node: ast.Expr, scope: Mapping[str, Type]) -> Type:
        """The type of an expression, `any` where it can't be known."""
        match node:
            case ast.Literal():
                return Type(_FROM_CEL.get(node.type, "any"))
            case ast.Ident():
                return self._ident(node, scope)
            case ast.Select():
                return self._select(node, scope)
            case ast.ListExpr():
                items = [self.type_of(one, scope) for one in node.items]
                return list_of(items[0] if items and len({one.kind for one in items}) == 1 else ANY)
            case ast.MapExpr():
                for key, value in node.entries:
                    self.type_of(key, scope)
                    self.type_of(value, scope)
                return map_of(ANY)
            case ast.Comprehension():
                return self._comprehension(node, scope)
            case ast.Call():
                return self._call(node, scope)

    def _ident(self, node: ast.Ident, scope: Mapping[str, Type]) -> Type:
        if node.name in scope:
            return scope[node.name]
        if not node.name.startswith("@"):
            self._issue(node, f"unknown name {node.name!r}", nearest(node.name, self.roots))
        return ANY

    def _select(self, node: ast.Select, scope: Mapping[str, Type]) -> Type:
        operand = self.type_of(node.operand, scope)
        found = self._member(node, operand, node.member)
        return BOOL if node.test else found

    def _member(self, node: ast.Expr, operand: Type, member: str, *, literal: bool = False) -> Type:
        if operand.kind in {"any", "map"}:
            return operand.item or ANY
        if operand.kind == "object" and member in operand.members:
            self._present(node.operand if isinstance(node, ast.Select) else node, operand)
            return operand.members[member]
        what = _operand(node) if operand.kind == "object" else f"{_operand(node)} is {_name(operand)} and"
        # CEL notes the dot as the place; for a["b"] it is the literal itself.
        offset = self.tree.offsets.get(node.id, 0) + (not literal)
        self.issues.append(Issue(offset, f"{what} has no {member!r}", nearest(member, operand.members)))
        return ANY

    def _present(self, node: ast.Expr, kind: Type) -> None:
        """Note an issue where something that may be null is used as if it never were."""
        path = _path(node)
        if kind.nullable and path not in self.asked:
            self._issue(node, f"{path} may be null", f"ask {path} != null && … first")

    def _comprehension(self, node: ast.Comprehension, scope: Mapping[str, Type]) -> Type:
        over = self.type_of(node.range, scope)
        if over.kind not in {"any", "list", "map"}:
            self._issue(node.range, f"{_path(node.range)} is {_name(over)}, not a list")
        item = STRING if over.kind == "map" else over.item or ANY
        inner = {**scope, node.variable: item, node.accumulator: ANY}
        self.type_of(node.step, inner)
        return Type(_FROM_CEL.get(self.tree.types.get(node.id, ""), "any"))

    def _call(self, node: ast.Call, scope: Mapping[str, Type]) -> Type:
        name = node.function
        if name == "_[_]":
            return self._index(node, scope)
        types = [self.type_of(one, scope) for one in node.args]
        if node.target is not None:
            return self._method(node, node.target, self.type_of(node.target, scope), types)
        if name in _LOGIC or name in _EQUAL or name in _ORDER or name in {"@in", "_in_"}:
            self._boolean(node, types)
            return BOOL
        return self._operator(node, types)

    def _boolean(self, node: ast.Call, types: list[Type]) -> None:
        name = node.function
        if name in _LOGIC:
            for argument, kind in zip(node.args, types, strict=True):
                if kind.kind not in {"any", "bool"}:
                    self._issue(argument, f"{_LOGIC[name]} needs true or false, {_path(argument)} is {_name(kind)}")
        elif name in {"@in", "_in_"}:
            self._membership(node, types[0], types[1])
        else:
            self._compare(node, types[0], types[1])

    def _operator(self, node: ast.Call, types: list[Type]) -> Type:
        name = node.function
        if name == "_?_:_":
            if types[0].kind not in {"any", "bool"}:
                self._issue(node.args[0], f"? needs true or false, {_path(node.args[0])} is {_name(types[0])}")
            there = set(_there(node.args[0]))
            first, second = (
                replace(kind, nullable=False) if _path(one) in there else kind
                for one, kind in zip(node.args[1:], types[1:], strict=True)
            )
            return _either(first, second)
        if name in _ARITHMETIC:
            return self._arithmetic(node, types[0], types[1])
        if name == "-_":
            return types[0]
        if name == "size":
            self._sized(node, node.args[0], types[0])
        return _RESULTS.get(name, ANY)

    def _index(self, node: ast.Call, scope: Mapping[str, Type]) -> Type:
        operand, key = (self.type_of(one, scope) for one in node.args)
        literal = node.args[1]
        if operand.kind == "object" and isinstance(literal, ast.Literal) and literal.type == "string":
            picked = ast.Select(literal.id, node.args[0], literal.value, False)
            return self._member(picked, operand, literal.value, literal=True)
        if operand.kind == "list" and key.kind not in {"any", "int"}:
            self._issue(literal, f"a list's index is a whole number, this is {_name(key)}")
        if operand.kind not in {"any", "list", "map", "object"}:
            self._issue(node.args[0], f"{_path(node.args[0])} is {_name(operand)}, not a list or map")
        return operand.item or ANY

    def _method(self, node: ast.Call, owner: ast.Expr, target: Type, types: list[Type]) -> Type:
        self._present(owner, target)
        if node.function in _TEXT_METHODS:
            if target.kind not in {"any", "string"}:
                self._issue(owner, f"{node.function}() is of strings, {_path(owner)} is {_name(target)}")
            for argument, kind in zip(node.args, types, strict=False):
                if kind.kind not in {"any", "string"}:
                    self._issue(argument, f"{node.function}() takes a string, this is {_name(kind)}")
            return BOOL
        if node.function == "size":
            self._sized(node, owner, target)
            return INT
        if node.function.startswith("get"):
            return INT
        return _RESULTS.get(node.function, ANY)

    def _sized(self, node: ast.Call, operand: ast.Expr, kind: Type) -> None:
        if kind.kind not in {"any", "string", "bytes", "list", "map"}:
            self._issue(node, f"size() is of strings, lists and maps, {_path(operand)} is {_name(kind)}")

    def _arithmetic(self, node: ast.Call, left: Type, right: Type) -> Type:
        if "any" in {left.kind, right.kind} or left.kind == right.kind or not (left.number or right.number):
            return replace(left, enum=())
        operator = _ARITHMETIC[node.function]
        self._issue(node, f"{_name(left)} {operator} {_name(right)}: convert one of them first")
        return ANY

    def _compare(self, node: ast.Call, left: Type, right: Type) -> None:
        operator = _EQUAL.get(node.function) or _ORDER[node.function]
        first, second = node.args
        for side, kind, other, other_kind in ((first, left, second, right), (second, right, first, left)):
            if kind.enum and isinstance(other, ast.Literal) and other_kind.kind == "string":
                self._enum(other, side, kind)
        if node.function in _ORDER:
            self._present(first, left)
            self._present(second, right)
        if not _comparable(left, right, ordered=node.function in _ORDER):
            self._issue(first, f"{operator} compares {_shown(first, left)} with {_shown(second, right)}")

    def _membership(self, node: ast.Call, left: Type, right: Type) -> None:
        first, second = node.args
        if right.kind not in {"any", "list", "map", "object"}:
            self._issue(second, f"in needs a list or map, {_path(second)} is {_name(right)}", _contains_hint(right))
            return
        members = second.items if isinstance(second, ast.ListExpr) else ()
        for one in members:
            if left.enum and isinstance(one, ast.Literal) and one.type == "string":
                self._enum(one, first, left)
        if right.kind == "list" and right.item and not _comparable(left, right.item, ordered=False):
            self._issue(node, f"in can't find {_name(left)} in a list of {_name(right.item)}")
        if right.kind == "list" and right.item and right.item.enum and isinstance(first, ast.Literal):
            self._enum(first, second, right.item)

    def _enum(self, literal: ast.Literal, side: ast.Expr, kind: Type) -> None:
        if literal.value not in kind.enum:
            self._issue(
                literal, f"{_path(side)} is never {literal.value!r}", nearest(literal.value, kind.enum, most=24)
            )

    def _issue(self, node: ast.Expr, message: str, hint: str = "") -> None:
        """Note an issue where the text of `node` begins."""
        while (inner := _leftmost(node)) is not None:
            node = inner
        self.issues.append(Issue(self.tree.offsets.get(node.id, 0), message, hint))


def _leftmost(node: ast.Expr) -> ast.Expr | None:
    """The part of an expression that stands first in the text; CEL notes operators and dots as its place."""
    if isinstance(node, ast.Select):
        return None if node.test else node.operand
    if isinstance(node, ast.Call):
        if node.target is not None:
            return node.target
        binary = len(node.args) > 1 and (node.function.startswith("_") or node.function == "@in")
        return node.args[0] if binary else None
    return node.range if isinstance(node, ast.Comprehension) else None


def _asked(node: ast.Expr) -> Iterator[str]:
    """The path that an expression compares with null."""
    if isinstance(node, ast.Call) and node.function in _EQUAL:
        for one, other in (node.args, node.args[::-1]):
            if isinstance(other, ast.Literal) and other.type == "null":
                yield _path(one)


def _there(node: ast.Expr) -> Iterator[str]:
    """The paths that are not null where a condition is true."""
    if isinstance(node, ast.Call) and node.function == "_&&_":
        for one in node.args:
            yield from _there(one)
    elif isinstance(node, ast.Call) and node.function == "_!=_":
        yield from _asked(node)


def _either(left: Type, right: Type) -> Type:
    """The type of what is one or the other."""
    if NULL.kind in {left.kind, right.kind}:
        return (right if left.kind == NULL.kind else left).or_null()
    nullable = left.nullable or right.nullable
    if left.kind != right.kind:
        return Type("double", nullable=nullable) if left.number and right.number else ANY
    enum = tuple(dict.fromkeys([*left.enum, *right.enum])) if left.enum and right.enum else ()
    return replace(left, nullable=nullable, enum=enum)


def _comparable(left: Type, right: Type, *, ordered: bool) -> bool:
    if "any" in {left.kind, right.kind}:
        return True
    if NULL.kind in {left.kind, right.kind}:
        return not ordered and (left.nullable or right.nullable or left.kind == right.kind)
    if ordered and not {left.kind, right.kind} <= {"int", "double", "string", "bytes", "bool", "duration", "timestamp"}:
        return False
    return left.kind == right.kind or (left.number and right.number) or {left.kind, right.kind} == {"map", "object"}


def _contains_hint(kind: Type) -> str:
    return "use text.contains(part)" if kind.kind == "string" else ""


def _name(kind: Type) -> str:
    return f"{kind} or null" if kind.nullable else str(kind)


def _shown(node: ast.Expr, kind: Type) -> str:
    return _name(kind) if kind.kind == "null" else f"{_name(kind)} ({_path(node)})"


def _operand(node: ast.Expr) -> str:
    return _path(node.operand) if isinstance(node, ast.Select) else _path(node)


def _path(node: ast.Expr) -> str:
    """How an expression reads in a message: `event.repo`, a literal, or 'this'."""
    match node:
        case ast.Ident():
            return node.name
        case ast.Select():
            return f"{_path(node.operand)}.{node.member}"
        case ast.Literal():
            return '"' + node.value + '"' if node.type == "string" else _WORDS.get(str(node.value), str(node.value))
        case ast.Call(function="_[_]"):
            return f"{_path(node.args[0])}[…]"
        case _:
            return "this"


def walk(node: ast.Expr) -> Iterator[ast.Expr]:
    """The expression and all expressions within it."""
    yield node
    match node:
        case ast.Select():
            yield from walk(node.operand)
        case ast.Call():
            for one in (*((node.target,) if node.target else ()), *node.args):
                yield from walk(one)
        case ast.ListExpr():
            for one in node.items:
                yield from walk(one)
        case ast.MapExpr():
            for key, value in node.entries:
                yield from walk(key)
                yield from walk(value)
        case ast.Comprehension():
            for one in (node.range, node.step):
                yield from walk(one)
        case _:
            return
