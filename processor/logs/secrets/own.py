"""What a deployment counts as secret beside what is known, and what it does not: `config/redaction.yaml` of a home.

    patterns:
      - name: acme-token               # in the placeholder: [acme-token:1]
        pattern: "acme_[0-9a-f]{32}"   # its group `secret`, if it has one, is taken out, else the whole match
        ignore_case: false
    allow:
      - "EXAMPLE[A-Z0-9]+"             # values that stay: the expression matches the whole value
    hide: [email, ip, user]            # by default none of them

Expressions are read by hyperscan and by Python's `re`; what either refuses, what can match nothing, and what can
take exponential time to fail is an error of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hyperscan

from processor.errors import ConfigError
from processor.lang.problem import Problem, nearest
from processor.lang.yaml import Document, Path_, load
from processor.logs.backtracking import explodes
from processor.logs.secrets.kinds import Secret

OPTIONAL: Final[Mapping[str, tuple[Secret, ...]]] = {
    "email": (
        Secret(
            "email",
            r"[A-Za-z0-9._%+-]@[A-Za-z0-9-]",
            r"(?<![\w.%+-])(?!git@)[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b(?!:)",
        ),
    ),
    "ip": (
        Secret(
            "ip",
            r"\b[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\b",
            r"(?<![\w.-])(?!127\.|0\.0\.0\.0)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-]|\.\d)",
        ),
        Secret(
            "ip",
            r"[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{1,4}",
            r"(?<![\w:.])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
            r"|(?:[0-9A-Fa-f]{1,4}:){1,6}(?::[0-9A-Fa-f]{1,4}){1,6})(?![\w:])",
        ),
    ),
    "user": (
        Secret(
            "user",
            r"/home/|/Users/|\\Users\\|\b(?:user|username|login|logname)[\"']?\s?[=:]",
            r"(?:/home/|/Users/|\\Users\\|\b(?:user|username|login|logname)[\"']?\s?[=:]\s?[\"']?)"
            r"(?!(?:runner|root|travis|circleci|jenkins|vsts|ubuntu|gitlab-runner|buildkite-agent|runneradmin|Public|Shared"
            r"|null|none|true|false)\b)(?P<s>[A-Za-z_][\w.-]{1,63})",
        ),
    ),
}
"""What is hidden on demand."""

_KEYS: Final = ("patterns", "allow", "hide")
_PATTERN_KEYS: Final = ("name", "pattern", "ignore_case")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,30}")


@dataclass(frozen=True, slots=True)
class Own:
    """What a file adds to the known kinds, and values that are no secret."""

    secrets: tuple[Secret, ...] = ()
    allow: tuple[re.Pattern[bytes], ...] = ()


def read(file: Path) -> Own:
    """What `file` says. Raises ConfigError with all that is wrong with it: file, line, column, and the remedy."""
    document = load(file)
    problems = _all(document)
    if problems:
        raise ConfigError("\n".join(map(str, sorted(problems))))
    value = document.value or {}
    return Own(
        (
            *(_secret(each) for each in value.get("patterns") or ()),
            *(secret for name in value.get("hide") or () for secret in OPTIONAL[name]),
        ),
        tuple(re.compile(each.encode()) for each in value.get("allow") or ()),
    )


def check(file: Path) -> list[Problem]:
    """All that is wrong with `file`."""
    return _all(load(file))


def _all(document: Document) -> list[Problem]:
    return document.problems or list(_problems(document))


def _secret(given: Mapping[str, Any]) -> Secret:
    regex = re.sub(r"\(\?P<secret>", "(?P<s>", given["pattern"])
    trigger = re.sub(r"\(\?P<secret>", "(?:", given["pattern"])
    return Secret(given["name"], trigger, regex, "own", caseless=bool(given.get("ignore_case")))


def _problems(document: Document) -> Iterator[Problem]:
    value = document.value
    if value is None:
        return
    if not isinstance(value, dict):
        yield document.problem((), "a mapping is expected", f"its keys may be {', '.join(_KEYS)}")
        return
    for key in value:
        if key not in _KEYS:
            yield document.problem((key,), f"unknown key {key!r}", nearest(key, _KEYS), key=True)
    yield from _each(document, "patterns", _pattern)
    yield from _each(document, "allow", _allowed)
    yield from _each(document, "hide", _hidden)


def _each(
    document: Document, key: str, check: Callable[[Document, Path_, Any], Iterator[Problem]]
) -> Iterator[Problem]:
    found = document.value.get(key)
    if found is None:
        return
    if not isinstance(found, list):
        yield document.problem((key,), f"{key} is a list", "put `- ` before each of its entries")
        return
    for index, each in enumerate(found):
        yield from check(document, (key, index), each)


def _pattern(document: Document, path: Path_, given: Any) -> Iterator[Problem]:
    if not isinstance(given, dict):
        yield document.problem(path, "a pattern is a mapping", "give it a name and a pattern")
        return
    for key in given:
        if key not in _PATTERN_KEYS:
            yield document.problem((*path, key), f"unknown key {key!r}", nearest(key, _PATTERN_KEYS), key=True)
    name, pattern = given.get("name"), given.get("pattern")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield document.problem(
            (*path, "name"), "a name of small letters, digits and hyphens is missing", "such as acme-token"
        )
    if not isinstance(given.get("ignore_case", False), bool):
        yield document.problem((*path, "ignore_case"), "ignore_case is true or false")
    if not isinstance(pattern, str):
        yield document.problem((*path, "pattern"), "a regular expression is missing", 'such as "acme_[0-9a-f]{32}"')
    else:
        yield from _expression(document, (*path, "pattern"), pattern, scanned=True)


def _allowed(document: Document, path: Path_, given: Any) -> Iterator[Problem]:
    if isinstance(given, str):
        yield from _expression(document, path, given, scanned=False)
    else:
        yield document.problem(path, "a regular expression is expected", "put it in quotes")


def _hidden(document: Document, path: Path_, given: Any) -> Iterator[Problem]:
    if given not in OPTIONAL:
        yield document.problem(path, f"{given!r} can't be hidden", nearest(str(given), OPTIONAL))


def _expression(document: Document, path: Path_, pattern: str, *, scanned: bool) -> Iterator[Problem]:
    """What is wrong with an expression; one that is `scanned` is looked for in every log."""
    try:
        compiled = re.compile(pattern.encode())
        if explodes(pattern):
            hint = "let no repetition hold another that can match the same text, as (a+)+ does"
            yield document.problem(path, "this expression can take exponential time to fail", hint)
            return
    except re.error as error:
        line, column = document.locate(path, error.pos or 0)
        yield Problem(
            document.file, line, column, f"no regular expression: {error.msg}", "escape what stands for itself with \\"
        )
        return
    if scanned and compiled.search(b""):
        yield document.problem(path, "this expression matches nothing at all, and so everywhere", "demand a character")
    elif scanned:
        yield from _unscannable(document, path, pattern)


def _unscannable(document: Document, path: Path_, pattern: str) -> Iterator[Problem]:
    database = hyperscan.Database()
    try:
        trigger = re.sub(r"\(\?P<secret>", "(?:", pattern)
        database.compile(expressions=[trigger.encode()], ids=[0], elements=1, flags=[hyperscan.HS_FLAG_MULTILINE])
    except hyperscan.error as error:
        hint = "leave out look-around and back-references; mark the secret with (?P<secret>…) instead"
        yield document.problem(path, f"this expression can't be scanned for ({error})", hint)
