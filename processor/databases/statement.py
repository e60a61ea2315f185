"""One SQL query as people write it: its named parameters, and what it may not be.

Values never become part of the text. A statement is checked here for what every database refuses the wrong way or too
late; that it only reads is enforced by the database itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from processor.lang.problem import Issue

_TOKEN: Final = re.compile(
    r"""(?P<skip> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`
        | --[^\n]* | /\*.*?\*/ | \$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$ | :: )
      | (?<![\w:]):(?P<name>[A-Za-z_]\w*)
      | (?P<foreign>\$\d+|%s|%\(\w+\)s)
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENTS: Final = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
_READS: Final = ("select", "with", "values")


@dataclass(frozen=True, slots=True)
class Statement:
    """A query. `text` has parameters as `:name`, `numbered` as `$1`, `$2`, … in the order of `names`."""

    text: str
    numbered: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, sql: str) -> Statement:
        """The statement in a text without `faults`."""
        text = sql.strip().rstrip(";").rstrip()
        names: list[str] = []
        parts: list[str] = []
        last = 0
        for token in _TOKEN.finditer(text):
            if (name := token["name"]) is None:
                continue
            if name not in names:
                names.append(name)
            parts += [text[last : token.start()], f"${names.index(name) + 1}"]
            last = token.end()
        return cls(text, "".join([*parts, text[last:]]), tuple(names))


def faults(sql: str) -> list[Issue]:
    """What is wrong with the text of a query."""
    told = "SQL is no template: values are bound", "write :name and give it under `with`"
    found = [Issue(at, *told) for mark in ("{{", "{%") if (at := sql.find(mark)) >= 0]
    start = _COMMENTS.match(sql)
    begins = start.end() if start else 0
    word = re.match(r"\w*", sql[begins:])
    if word is None or word[0].lower() not in _READS:
        found.append(Issue(begins, "a query only reads", "begin it with SELECT, WITH or VALUES"))
    end = len(sql.rstrip().rstrip(";"))
    for token in _TOKEN.finditer(sql):
        if token["foreign"]:
            found.append(Issue(token.start(), f"{token['foreign']} is no parameter here", "write :name"))
        elif token["end"] and token.start() < end:
            found.append(Issue(token.start(), "more than one statement", "a query is one statement"))
    return found
