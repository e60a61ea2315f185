"""Static check of a template against the types of its variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jinja2 import nodes

from processor.lang.problem import Issue, nearest
from processor.lang.types import ANY, BOOL, DOUBLE, INT, STRING, Type, list_of, object_of

_LOOP: Final = object_of(
    dict.fromkeys(("index", "index0", "revindex", "revindex0", "length", "depth", "depth0"), INT)
    | {"first": BOOL, "last": BOOL, "previtem": ANY, "nextitem": ANY, "cycle": ANY, "changed": ANY}
)
_MAP_METHODS: Final = frozenset({"items", "keys", "values", "get"})
_FORBIDDEN: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from … import", nodes.Extends: "extends",
}  # fmt: skip
_SAME_LIST: Final = frozenset({"sort", "unique", "reverse", "list", "selectattr", "rejectattr", "select", "reject"})
_ONE_OF: Final = frozenset({"first", "last", "random", "min", "max"})
_TEXT: Final = frozenset({"upper", "lower", "title", "trim", "join", "string", "shorten", "percent", "plural",
                          "words", "short_hash",
                          "slug", "replace", "indent", "truncate", "dedent", "tojson", "format"})  # fmt: skip

_TAG: Final = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)

Scope = dict[str, Type]


@dataclass(slots=True)
class TemplateChecker:
    """Walks a template's tree with the variables in scope."""

    text: str
    context: Mapping[str, Type]
    filters: set[str]
    tests: set[str]
    issues: list[Issue] = field(default_factory=list)
    _asked: set[str] = field(default_factory=set)
    _names: dict[str, str] = field(default_factory=dict)
    _seen: dict[tuple[int, str], int] = field(default_factory=dict)

    def check(self, tree: nodes.Template) -> list[Issue]:
        """All issues, in order of place."""
        # A path that any condition looks at counts as asked everywhere: enough to catch what nobody thought of.
        conditions: list[nodes.Node] = [node.test for node in tree.find_all(nodes.If)]
        conditions += [node.test for node in tree.find_all(nodes.CondExpr)]
        conditions += [node.left for node in tree.find_all((nodes.And, nodes.Or))]
        self._asked = {_path(one) for test in conditions for one in (test, *test.find_all((nodes.Name, nodes.Getattr)))}
        self._body(tree.body, dict(self.context))
        return sorted(self.issues, key=lambda one: one.offset)

    def _body(self, body: list[nodes.Node], scope: Scope) -> None:
        for node in body:
            self._statement(node, scope)

    def _statement(self, node: nodes.Node, scope: Scope) -> None:
        match node:
            case nodes.Output():
                for one in node.nodes:
                    self._value(one, scope)
            case nodes.For():
                self._for(node, scope)
            case nodes.If():
                self._value(node.test, scope)
                for branch in (node.body, list[nodes.Node](node.elif_), node.else_):
                    self._body(branch, scope)
            case nodes.Assign():
                self._bind(node.target, self._value(node.node, scope), scope)
            case nodes.AssignBlock():
                self._body(node.body, dict(scope))
                self._bind(node.target, STRING, scope)
            case nodes.With():
                inner = dict(scope)
                for target, value in zip(node.targets, node.values, strict=True):
                    self._bind(target, self._value(value, scope), inner)
                self._body(node.body, inner)
            case nodes.Expr():
                self._value(node, scope)
            case _:
                self._rare(node, scope)

    def _rare(self, node: nodes.Node, scope: Scope) -> None:
        if isinstance(node, nodes.Macro):
            scope[node.name] = ANY
            arguments = {one.name: ANY for one in node.args}
            self._body(node.body, {**scope, **arguments, "caller": ANY, "varargs": ANY, "kwargs": ANY})
        elif type(node) in _FORBIDDEN:
            word = _FORBIDDEN[type(node)]
            self._issue(node.lineno, word.split()[0], f"{word} is not allowed: a template stands alone")
        else:
            for child in node.iter_child_nodes():
                self._statement(child, dict(scope))

    def _for(self, node: nodes.For, scope: Scope) -> None:
        over = self._value(node.iter, scope)
        if over.kind in {"int", "double", "bool"}:
            self._issue(node.lineno, "for", f"for needs a list, {_path(node.iter)} is {over}")
        inner = {**scope, "loop": _LOOP}
        named = over.kind in {"map", "object"}
        self._bind(node.target, STRING if named else over.item or ANY, inner)
        if named:
            target, mapping = _path(node.target), _path(node.iter)
            self._names[target] = f"{target} is a name; write for name, {target} in {mapping}.items()"
        if node.test is not None:
            self._value(node.test, inner)
        self._body(node.body, inner)
        self._body(node.else_, dict(scope))

    def _bind(self, target: nodes.Node, kind: Type, scope: Scope) -> None:
        if isinstance(target, nodes.Name):
            self._offset(target.lineno, rf"(?<![\w.]){re.escape(target.name)}\b")  # counts as one of its uses
            scope[target.name] = kind
        elif isinstance(target, nodes.Tuple):
            for one in target.items:
                self._bind(one, ANY, scope)

    def _value(self, node: nodes.Node, scope: Scope) -> Type:
        match node:
            case nodes.Name():
                return self._name(node, scope)
            case nodes.Getattr():
                return self._member(node, self._value(node.node, scope), node.attr)
            case nodes.Getitem():
                return self._item(node, scope)
            case nodes.Const():
                return _const(node.value)
            case nodes.Filter():
                return self._filter(node, scope)
            case nodes.Test():
                return self._test(node, scope)
            case nodes.Call():
                return self._call(node, scope)
            case nodes.CondExpr():
                return self._either(node, scope)
            case nodes.List():
                items = [self._value(one, scope) for one in node.items]
                return list_of(items[0] if items else ANY)
            case nodes.Compare() | nodes.Not() | nodes.And():
                self._children(node, scope)
                return BOOL
            case _:
                self._children(node, scope)
                return ANY

    def _either(self, node: nodes.CondExpr, scope: Scope) -> Type:
        self._value(node.test, scope)
        first = self._value(node.expr1, scope)
        second = self._value(node.expr2, scope) if node.expr2 is not None else STRING
        return first if first.kind == second.kind else ANY

    def _test(self, node: nodes.Test, scope: Scope) -> Type:
        self._known(node.lineno, node.name, self.tests, "test")
        self._children(node, scope)
        return BOOL

    def _children(self, node: nodes.Node, scope: Scope) -> None:
        for child in node.iter_child_nodes():
            self._value(child, scope)

    def _name(self, node: nodes.Name, scope: Scope) -> Type:
        offset = self._offset(node.lineno, rf"(?<![\w.]){re.escape(node.name)}\b")
        if node.name in scope:
            return scope[node.name]
        self.issues.append(Issue(offset, f"unknown variable {node.name!r}", nearest(node.name, scope)))
        return ANY

    def _member(self, node: nodes.Node, owner: Type, member: str) -> Type:
        offset = self._offset(node.lineno, rf"(?:\.\s*|[\[=]\s*['\"]){re.escape(member)}\b", member)
        path = _path(getattr(node, "node", node))
        if owner.kind == "any" or (owner.kind in {"map", "object"} and member in _MAP_METHODS):
            return ANY
        if owner.kind == "map":
            return owner.item or ANY
        if owner.kind == "object":
            if member in owner.members:
                if owner.nullable and path not in self._asked:
                    self.issues.append(Issue(offset, f"{path} may be null", f"put it within {{% if {path} %}}"))
                return owner.members[member]
            self.issues.append(Issue(offset, f"{path} has no {member!r}", nearest(member, owner.members)))
        elif not hasattr({"string": "", "list": ()}.get(owner.kind, 0), member):
            self.issues.append(Issue(offset, f"{path} is {owner} and has no {member!r}", self._names.get(path, "")))
        return ANY

    def _item(self, node: nodes.Getitem, scope: Scope) -> Type:
        owner = self._value(node.node, scope)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return self._member(node, owner, node.arg.value)
        self._value(node.arg, scope)
        if isinstance(node.arg, nodes.Slice):
            return owner
        return owner.item or ANY

    def _filter(self, node: nodes.Filter, scope: Scope) -> Type:
        self._known(node.lineno, node.name, self.filters, "filter")
        of = self._value(node.node, scope) if node.node is not None else STRING
        for one in (*node.args, *(pair.value for pair in node.kwargs)):
            self._value(one, scope)
        if node.name in {"map", "groupby"}:
            return self._mapped(node, of)
        if node.name in _TEXT:
            return STRING
        if node.name in _SAME_LIST:
            return of
        if node.name in _ONE_OF:
            return of.item or ANY
        return {"length": INT, "count": INT, "int": INT, "float": DOUBLE}.get(node.name, ANY)

    def _mapped(self, node: nodes.Filter, of: Type) -> Type:
        """`items|map(attribute="name")`: the attribute is checked, too."""
        for pair in node.kwargs:
            if pair.key == "attribute" and isinstance(pair.value, nodes.Const) and of.item is not None:
                return list_of(self._member(pair, of.item, str(pair.value.value)))
        return ANY

    def _call(self, node: nodes.Call, scope: Scope) -> Type:
        for one in (*node.args, *(pair.value for pair in node.kwargs)):
            self._value(one, scope)
        called = self._value(node.node, scope)
        if called.kind != "any":
            self._issue(node.lineno, _path(node.node).rpartition(".")[2], f"{_path(node.node)} can't be called")
        return ANY

    def _known(self, lineno: int, name: str, valid: set[str], what: str) -> None:
        offset = self._offset(lineno, rf"(?:\||\bis(?:\s+not)?)\s*{re.escape(name)}\b", name)
        if name not in valid:
            self.issues.append(Issue(offset, f"unknown {what} {name!r}", nearest(name, valid)))

    def _issue(self, lineno: int, word: str, message: str) -> None:
        self.issues.append(Issue(self._offset(lineno, rf"\b{re.escape(word)}\b"), message))

    def _offset(self, lineno: int, pattern: str, word: str = "") -> int:
        """Jinja keeps lines alone: the column is that of the next match of `pattern` on the line.

        Each use takes the match after the last one, so that the second `event.x` of a line is found too.
        """
        lines = self.text.split("\n")
        lineno = min(lineno, len(lines))
        start = sum(len(one) + 1 for one in lines[: lineno - 1])
        found = [one for one in re.finditer(pattern, lines[lineno - 1]) if self._in_tag(start + one.start())]
        number = self._seen.get((lineno, pattern), 0)
        self._seen[(lineno, pattern)] = number + 1
        if not found:
            return start
        match = found[min(number, len(found) - 1)]
        return start + (match.end() - len(word) if word else match.start())

    def _in_tag(self, offset: int) -> bool:
        """Whether an offset lies within `{{ … }}` or `{% … %}`: a word in the text around them is no use of a name."""
        return any(one.start() <= offset < one.end() for one in _TAG.finditer(self.text))


def _const(value: Any) -> Type:
    kinds: dict[type, Type] = {bool: BOOL, int: INT, float: DOUBLE, str: STRING}
    return kinds.get(type(value), ANY)


def _path(node: nodes.Node) -> str:
    """How an expression reads in a message."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{_path(node.node)}.{node.attr}"
        case nodes.Getitem():
            return f"{_path(node.node)}[…]"
        case _:
            return "this"
