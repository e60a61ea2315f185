"""Predicates and expressions in CEL (Common Expression Language): which events, when a ticket, what a chain works out.

Compiled and run by the CEL C++ runtime (5 µs for two comparisons). A predicate that fails at run time, or
yields anything but true or false, is never taken for "false": it rejects the event.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from cel_expr_python import cel

from processor.errors import Rejected
from processor.lang import cel_ast
from processor.lang.problem import Issue, nearest
from processor.lang.typecheck import Checker, walk
from processor.lang.types import Kind, Type

_ERROR: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*?)(?:\n|$)")
_FUNCTIONS: Final = ("contains", "endsWith", "matches", "startsWith", "size", "has", "all", "exists", "exists_one",
                     "map", "filter", "int", "double", "string", "timestamp", "duration", "bool", "type")  # fmt: skip

_REMEDIES: Final[Mapping[str, str]] = {"=": "use == to compare", "and": "use &&", "or": "use ||", "not": "use !",
                                       "&": "use &&", "|": "use ||"}  # fmt: skip


class PredicateError(ValueError):
    """The text is no valid predicate; `issues` says why."""

    def __init__(self, text: str, issues: list[Issue]) -> None:
        super().__init__(f"{text!r}: " + "; ".join(one.message for one in issues))
        self.issues = issues


class _Program:
    """A compiled text and what it reads of its roots."""

    __slots__ = ("_program", "_reads", "text")

    def __init__(self, text: str, program: Any, reads: Mapping[str, frozenset[str] | None]) -> None:
        self.text = text
        self._reads = reads
        self._program = program

    @property
    def roots(self) -> Collection[str]:
        """The roots that it reads."""
        return self._reads.keys()

    def run(self, values: Mapping[str, Any]) -> Any:
        """What it gives. Raises RuntimeError, TypeError or ValueError."""
        return self._program.eval(data=self._read(values))

    def _read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the expression reads of `values`: CEL's runtime converts all that it is given, at each evaluation."""
        read: dict[str, Any] = {}
        for root, members in self._reads.items():
            if root not in values:
                continue
            value = values[root]
            narrow = members is not None and isinstance(value, dict)
            read[root] = {name: value[name] for name in members or () if name in value} if narrow else value
        return read


class Predicate:
    """A compiled predicate over named roots such as `event` or `finding`."""

    __slots__ = ("_program", "text")

    def __init__(self, program: _Program) -> None:
        self.text = program.text
        self._program = program

    @classmethod
    def compile(cls, text: str, roots: Mapping[str, Type]) -> Predicate:
        """Compile and type-check; raises PredicateError."""
        program, checker, issues = _compile(text, roots)
        issues += checker.check() if checker is not None else []
        if issues or program is None:
            raise PredicateError(text, issues)
        return cls(program)

    def evaluate(self, values: Mapping[str, Any]) -> bool:
        """Whether `values` (by root; plain dicts, lists, strings, numbers) satisfy the predicate.

        Raises Rejected("predicate_failed") where it fails at run time or yields no boolean.
        """
        try:
            result = self._program.run(values).value()
        except (RuntimeError, TypeError, ValueError) as exc:
            raise Rejected("predicate_failed", f"{self.text}: {exc}") from exc
        if result is True or result is False:
            return bool(result)
        raise Rejected("predicate_failed", f"{self.text}: gave {result!s:.200}, not true or false")

    def __repr__(self) -> str:
        return f"Predicate({self.text!r})"


VALUES: Final[Mapping[Kind, str]] = {"string": "STRING", "int": "INT", "double": "DOUBLE", "bool": "BOOL"}
"""The types of what an expression may give, and what CEL calls them."""


class Expression:
    """A compiled expression over named roots that gives a text, a number, true or false, or null where `type` says."""

    __slots__ = ("_program", "text", "type")

    def __init__(self, program: _Program, kind: Type) -> None:
        self.text = program.text
        self.type = kind
        self._program = program

    @classmethod
    def read(cls, text: str, roots: Mapping[str, Type]) -> tuple[Expression | None, list[Issue]]:
        """The expression, or None and what is wrong with it."""
        program, checker, issues = _compile(text, roots)
        if program is None or checker is None:
            return None, issues
        kind = checker.infer()
        issues = sorted([*issues, *checker.issues], key=lambda one: one.offset)
        if not issues and kind.kind not in VALUES:
            hint = "convert it with string(), int(), double() or bool()" if kind.kind == "any" else ""
            told = "the type of this can't be known" if kind.kind == "any" else f"this is {kind}, no single value"
            issues.append(Issue(0, told, hint))
        return (None, issues) if issues else (cls(program, kind), [])

    @classmethod
    def compile(cls, text: str, roots: Mapping[str, Type]) -> Expression:
        """As `read`; raises PredicateError."""
        expression, issues = cls.read(text, roots)
        if expression is None:
            raise PredicateError(text, issues)
        return expression

    @property
    def constant(self) -> bool:
        """Whether it gives the same always."""
        return not self._program.roots

    def evaluate(self, values: Mapping[str, Any]) -> str | int | float | bool | None:
        """What it gives for `values` (as of a predicate), of its type. Raises Rejected("expression_failed")."""
        try:
            result = self._program.run(values)
        except (RuntimeError, TypeError, ValueError) as exc:
            raise Rejected("expression_failed", f"{self.text}: {exc}") from exc
        given, wanted = str(result.type()), VALUES[self.type.kind]
        if given == "NULL" and self.type.nullable:
            return None
        if given == wanted:
            return result.value()  # type: ignore[no-any-return]
        if given == "INT" and wanted == "DOUBLE":
            return float(result.value())
        raise Rejected("expression_failed", f"{self.text}: gave {result.value()!s:.200}, not {self.type}")

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def check(text: str, roots: Mapping[str, Type]) -> list[Issue]:
    """All that is wrong with the text of a predicate over these roots."""
    _, checker, issues = _compile(text, roots)
    return sorted([*issues, *(checker.check() if checker is not None else ())], key=lambda one: one.offset)


def _compile(text: str, roots: Mapping[str, Type]) -> tuple[_Program | None, Checker | None, list[Issue]]:
    """The program and what checks its types; both None where it can't be read. The issues are those of names alone."""
    unknown: dict[str, Type] = {}
    issues: list[Issue] = []
    while True:
        env = cel.NewEnv(variables=dict.fromkeys([*roots, *unknown], cel.Type.DYN))
        try:
            program = env.compile(text)
        except RuntimeError as exc:
            issue, name = _explain(str(exc), text, roots)
            if name is None or name in unknown:
                return None, None, [*issues, issue]
            # Declared as dynamic and compiled again, so that one unknown root hides no other mistake.
            issues.append(issue)
            unknown[name] = Type("any")
            continue
        tree = cel_ast.decode(program.serialize())
        return _Program(text, program, _reads(tree)), Checker(tree, {**roots, **unknown}), issues


def _reads(tree: cel_ast.Tree) -> dict[str, frozenset[str] | None]:
    """By root the members that the expression reads, or None where it needs all of the root."""
    nodes = list(walk(tree.root))
    selected = [(node.operand, node.member) for node in nodes if isinstance(node, cel_ast.Select)]
    within = {id(operand) for operand, _ in selected}
    found: dict[str, set[str]] = {}
    for operand, member in selected:
        if isinstance(operand, cel_ast.Ident):
            found.setdefault(operand.name, set()).add(member)
    whole = {node.name for node in nodes if isinstance(node, cel_ast.Ident) and id(node) not in within}
    return {name: frozenset(members) for name, members in found.items()} | dict.fromkeys(whole)


def _explain(error: str, text: str, roots: Mapping[str, Type]) -> tuple[Issue, str | None]:
    """The issue in CEL's message, and the undeclared root that caused it, if that was it."""
    match = _ERROR.search(error)
    if match is None:
        return Issue(0, f"not a predicate: {error.splitlines()[0]}"), None
    line, column, message = int(match[1]), int(match[2]), match[3].removesuffix(" [INVALID_ARGUMENT]")
    offset = _offset(text, line, column)
    undeclared = re.match(r"undeclared reference to '([^']*)'", message)
    if undeclared is None:
        plain, hint = _plain(message)
        return Issue(offset, f"not a predicate: {plain}", hint), None
    name = undeclared[1]
    root = name.partition(".")[0]
    if re.match(rf"\s*{re.escape(name)}\s*\(", text[offset:]) or text[offset : offset + 1] == "(":
        start = text.rfind(name, 0, offset + 1)
        return Issue(max(start, 0), f"unknown function {name}()", nearest(name, _FUNCTIONS)), None
    found = re.search(rf"(?<![\w.]){re.escape(root)}\b", text)
    return Issue(found.start() if found else offset, f"unknown name {root!r}", nearest(root, roots)), root


def _plain(message: str) -> tuple[str, str]:
    """CEL's parser messages without the list of all tokens that could have followed, and a remedy."""
    overload = re.match(r"found no matching overload for '_?(\S+?)_?' applied to '\((.*)\)", message)
    if overload:
        return f"{overload[1]} can't be applied to {overload[2].replace('dyn', 'a value')}", ""
    message = re.sub(r" expecting .*", "", message.removeprefix("Syntax error: "))
    message = re.sub(r"^token recognition error at: '(.*?)\s*'$", r"unexpected '\1'", message)
    message = re.sub(r"^(mismatched|extraneous) input '(.*)'$", r"unexpected '\2'", message)
    message = message.replace("unexpected '<EOF>'", "it ends too early")
    word = message.removeprefix("unexpected ").strip("'")
    return message[:1].lower() + message[1:], _REMEDIES.get(word, "")


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    return sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
