"""YAML that remembers where each value stands, and is strict: no duplicate keys, no tags, no surprises.

Scalars follow YAML 1.2's core schema: `yes`, `on` and `2024-01-01` are strings, only `true` and `false` are
booleans. Aliases are resolved; merge keys are not part of the language.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml as pyyaml
from yaml.composer import Composer

from processor.lang.problem import Problem, nearest

__all__ = ["Document", "Path_", "Problem", "load", "nearest", "parse"]

Path_ = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""

_REMEDIES: Final = {
    "mapping values are not allowed": "put a text that holds a colon in quotes",
    "\\t": "indent with blanks, not with tabs",
    "found character '%'": "put a text that begins with % in quotes",
    "found character '@'": "put a text that begins with @ in quotes",
    "found character '`'": "put a text that begins with ` in quotes",
}
_MAX_NODES: Final = 50_000
_MAX_DEPTH: Final = 60
_TOO_MUCH: Final = "too large or too deeply nested (do aliases refer to each other?)"
_READ_OTHERWISE: Final = re.compile("[\t\u0085\u2028\u2029\ufeff]")
"""What libyaml takes, or places, otherwise than PyYAML's own parser."""


class _Loader(pyyaml.SafeLoader):
    """PyYAML's composer with the implicit types of YAML 1.2's core schema."""

    yaml_implicit_resolvers: Final[dict[str, Any]] = {}  # type: ignore[misc]


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])


if pyyaml.__with_libyaml__:

    class _FastLoader(Composer, pyyaml.CSafeLoader):
        """libyaml's parser, and a composer that can't overflow the stack, as libyaml's does on `[[[…`."""

        yaml_implicit_resolvers: Final[dict[str, Any]] = _Loader.yaml_implicit_resolvers  # type: ignore[misc]

        def __init__(self, text: str) -> None:
            pyyaml.CSafeLoader.__init__(self, text)
            Composer.__init__(self)


@dataclass(slots=True)
class Document:
    """A parsed file: `value` is plain data, `at` gives the place of any key or value in it."""

    file: Path
    text: str
    value: Any = None
    problems: list[Problem] = field(default_factory=list)
    _keys: dict[Path_, pyyaml.Node] = field(default_factory=dict)
    _values: dict[Path_, pyyaml.Node] = field(default_factory=dict)

    def at(self, path: Path_, *, key: bool = False) -> tuple[int, int]:
        """1-based line and column of the value at `path` (of its key with `key`), or of its nearest parent."""
        while path not in self._values and path:
            path = path[:-1]
        node = self._keys.get(path) if key else None
        node = node or self._values.get(path)
        return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)

    def locate(self, path: Path_, offset: int) -> tuple[int, int]:
        """Line and column of a character offset within the string value at `path`.

        Exact for scalars on one line, literal blocks (`|`) and folded text (`>` and plain, one paragraph); else
        the value's start.
        """
        start = self.at(path)
        node = self._values.get(path)
        if not isinstance(node, pyyaml.ScalarNode):
            return start
        quoted = node.style in {"'", '"'}
        source = self.text[node.start_mark.index : node.end_mark.index]
        if source[quoted : len(source) - quoted].rstrip() == node.value:
            return start[0], start[1] + offset + quoted
        return self._in_lines(node, source, offset) or start

    def _in_lines(self, node: pyyaml.ScalarNode, source: str, offset: int) -> tuple[int, int] | None:
        """The place within a scalar over several lines, whose value joins them by newlines or by blanks."""
        block = node.style in {"|", ">"}
        lines = source.split("\n")[1 if block else 0 :]
        row = node.start_mark.line + 1 + block
        first = 0 if block else node.start_mark.column
        shown = [(row + index, line) for index, line in enumerate(lines) if line.strip()]
        indent = min((len(line) - len(line.lstrip(" ")) for _, line in shown), default=0) if block else None
        parts = [line[indent:] if node.style == "|" else line.strip() for _, line in shown]
        joint = "\n" if node.style == "|" else " "
        if joint.join(parts).rstrip() != node.value.rstrip():
            return None
        position = 0
        for (number, line), part in zip(shown, parts, strict=True):
            if offset <= position + len(part):
                before = first if number == node.start_mark.line + 1 and not block else 0
                return number, before + line.index(part) + offset - position + 1
            position += len(part) + 1
        return None

    def problem(self, path: Path_, message: str, hint: str = "", *, key: bool = False) -> Problem:
        """A Problem at the value (or key) of `path`."""
        line, column = self.at(path, key=key)
        return Problem(self.file, line, column, message, hint)


def load(file: Path, shown: Path | None = None) -> Document:
    """Read a YAML file; what is wrong with it stands in `problems`, and `value` is None then."""
    shown = shown or file
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        return Document(shown, "", problems=[Problem(shown, 1, 1, f"not UTF-8 text (byte {exc.start})")])
    except OSError as exc:
        return Document(shown, "", problems=[Problem(shown, 1, 1, f"can't be read: {exc.strerror}")])
    return parse(text, shown)


def parse(text: str, file: Path = Path("<text>")) -> Document:
    """Parse YAML (or JSON) text; see `load`."""
    document = Document(file, text)
    try:
        node = _compose(text)
    except RecursionError:
        document.problems.append(Problem(file, 1, 1, _TOO_MUCH))
        return document
    except pyyaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = exc.problem or exc.context or "unreadable"
        hint = next((remedy for sign, remedy in _REMEDIES.items() if sign in said), "")
        document.problems.append(Problem(file, line, column, f"not valid YAML: {said}", hint))
        return document
    except pyyaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        document.problems.append(Problem(file, line, 1, f"not valid YAML: character {exc.character!r} is not allowed"))
        return document
    if node is not None:
        value = _Builder(document).build(node, (), 0)
        document.value = None if document.problems else value
    return document


def _compose(text: str) -> pyyaml.Node | None:
    """The tree of nodes. Raises YAMLError, or RecursionError where it is too deep.

    libyaml reads six times as fast. What it refuses is read anew by PyYAML's own parser, which tells more about it,
    and which takes the halves of surrogate pairs.
    """
    if pyyaml.__with_libyaml__ and not _READ_OTHERWISE.search(text):
        with contextlib.suppress(pyyaml.YAMLError, UnicodeEncodeError):
            return pyyaml.compose(text, Loader=_FastLoader)
    return pyyaml.compose(text, Loader=_Loader)


class _Builder:
    """Turns nodes into plain values and notes where each stands."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def build(self, node: pyyaml.Node, path: Path_, depth: int) -> Any:
        self.document._values.setdefault(path, node)  # noqa: SLF001 (its own module)
        self.count += 1
        if self.count > _MAX_NODES or depth > _MAX_DEPTH:
            if not self.document.problems:
                self._problem(node, _TOO_MUCH)
            return None
        if isinstance(node, pyyaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, pyyaml.SequenceNode):
            return [self.build(one, (*path, index), depth + 1) for index, one in enumerate(node.value)]
        return self._scalar(node) if isinstance(node, pyyaml.ScalarNode) else None

    def _mapping(self, node: pyyaml.MappingNode, path: Path_, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, pyyaml.ScalarNode):
                self._problem(key_node, "a key must be plain text")
                continue
            key = _joined(key_node.value)
            if key in result:
                self._problem(key_node, f"duplicate key {key!r}")
                continue
            self.document._keys[(*path, key)] = key_node  # noqa: SLF001
            result[key] = self.build(value_node, (*path, key), depth + 1)
        return result

    def _scalar(self, node: pyyaml.ScalarNode) -> Any:
        kind, text = node.tag.rpartition(":")[2], _joined(node.value)
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
        if kind == "float":
            return float(text)
        self._problem(node, f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed")
        return None

    def _problem(self, node: pyyaml.Node, message: str) -> None:
        mark = node.start_mark
        self.document.problems.append(Problem(self.document.file, mark.line + 1, mark.column + 1, message))


def _joined(text: str) -> str:
    """Text with the halves of surrogate pairs put together: JSON escapes what is beyond 16 bits in two parts."""
    if text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
