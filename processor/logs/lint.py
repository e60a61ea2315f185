"""What can be wrong with rules, found without running them; positions are the YAML tools' business."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

from processor.logs.backtracking import explodes
from processor.logs.literals import required_literals

placeholder: Final = re.compile(r"\{([a-zA-Z_]\w*)\}")
"""A capture's name within a field's value."""

KEYS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "id": str,
    "description": str,
    "source": str,
    "ecosystem": str,
    "pattern": str,
    "any": list,
    "all": list,
    "not": (str, list),
    "within": int,
    "priority": int,
    "decides": bool,
    "final": int,
    "precision": (int, float),
    "examples": list,
    "counterexamples": list,
    "fields": dict,
}
TEXTS: Final = frozenset({"examples", "counterexamples"})
"""Keys whose lists hold logs: what a rule must match, and what it must not."""
ID: Final = re.compile(r"[a-z][a-z0-9_-]*")


class RuleProblem(NamedTuple):
    """A mistake: the rule's 0-based place, the keys down to the value, and what is wrong with it."""

    rule: int
    path: tuple[str, ...]
    message: str


def problems(
    raw: Any, fields: Collection[str] | None = None, enums: Mapping[str, Collection[str]] | None = None
) -> list[RuleProblem]:
    """Every mistake in the rules of a rules.yaml, all at once.

    `fields` are the names of the schema's fields (a dotted name for a field of an object: faulty_dependency.name),
    `enums` the allowed values by such a name; None where there is no schema to check against.
    """
    if not isinstance(raw, list):
        return [RuleProblem(0, (), "rules are a list of mappings")]
    found: list[RuleProblem] = []
    ids: dict[Any, int] = {}
    for index, rule in enumerate(raw):
        if not isinstance(rule, dict):
            found.append(RuleProblem(index, (), "a rule is a mapping with id, pattern and fields"))
            continue
        found += [RuleProblem(index, path, message) for path, message in _check(rule, fields, enums or {})]
        if rule.get("id") in ids:
            found.append(RuleProblem(index, ("id",), f"rule {ids[rule['id']] + 1} has the same id"))
        elif isinstance(rule.get("id"), str):
            ids[rule["id"]] = index
    return found


Found = Iterator[tuple[tuple[str, ...], str]]


def _check(rule: dict[str, Any], fields: Collection[str] | None, enums: Mapping[str, Collection[str]]) -> Found:
    """Mistakes of one rule."""
    yield from _shape(rule)
    for path, pattern in regexes(rule):
        message = _regex_fault(pattern)
        if message:
            yield path, message
    captures = _captures(rule)
    if isinstance(rule.get("fields"), dict):
        yield from _values(rule["fields"], (), captures, fields, enums)


def _shape(rule: dict[str, Any]) -> Found:
    """Unknown keys, wrong types, missing parts."""
    for key, value in rule.items():
        if key not in KEYS:
            yield (str(key),), f"unknown key {key!r}{nearest(str(key), KEYS)}"
        elif not isinstance(value, KEYS[key]) or (KEYS[key] is int and isinstance(value, bool)):
            yield (key,), f"{key} must be {_type_name(KEYS[key])}"
        elif isinstance(value, list) and not (value and all(isinstance(one, str) for one in value)):
            yield (key,), f"{key} must be a list of {'texts' if key in TEXTS else 'regular expressions'}"
    if "id" not in rule:
        yield (), "id is missing"
    elif isinstance(rule["id"], str) and not ID.fullmatch(rule["id"]):
        yield ("id",), "an id has lower-case letters, digits, - and _"
    if sum(key in rule for key in ("pattern", "any", "all")) != 1:
        yield (), "a rule has exactly one of pattern, any and all"
    if isinstance(rule.get("precision"), int | float) and not 0 <= rule["precision"] <= 1:
        yield ("precision",), "precision is a share between 0 and 1"
    if rule.get("decides", True) and not rule.get("fields"):
        yield (), "a rule that decides needs fields"


def regexes(rule: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every regular expression of a rule with its path."""
    for key in ("pattern", "any", "all", "not"):
        value = rule.get(key)
        if isinstance(value, str):
            yield (key,), value
        elif isinstance(value, list):
            for place, one in enumerate(value):
                if isinstance(one, str):
                    yield (key, str(place)), one


def _captures(rule: Mapping[str, Any]) -> frozenset[str]:
    """Names that every match of the rule may bring: of `any` those that all alternatives have."""
    sets: list[set[str]] = []
    for path, pattern in regexes(rule):
        if path[0] != "not":
            try:
                sets.append(set(re.compile(pattern).groupindex))
            except re.error:
                continue  # reported on its own
    if not sets:
        return frozenset()
    return frozenset(set.union(*sets) if "all" in rule else set.intersection(*sets))


def _values(
    value: Any,
    path: tuple[str, ...],
    captures: frozenset[str],
    fields: Collection[str] | None,
    enums: Mapping[str, Collection[str]],
) -> Found:
    """Mistakes in what a rule fills in: unknown fields, captures that aren't there, values outside an enum."""
    dotted = ".".join(path)
    if path and fields is not None and dotted not in fields:
        yield ("fields", *path), f"the schema has no field {dotted!r}{nearest(dotted, fields)}"
        return
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _values(one, (*path, str(key)), captures, fields, enums)
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, str):
                yield from _names(one, path, captures)
    elif isinstance(value, str):
        yield from _names(value, path, captures)
        allowed = enums.get(dotted)
        if allowed and not placeholder.search(value) and value not in allowed:
            yield ("fields", *path), f"{value!r} is not among the values of {dotted}{nearest(value, allowed)}"


def _names(text: str, path: tuple[str, ...], captures: frozenset[str]) -> Found:
    """Captures that a value names but the patterns don't bring."""
    for name in placeholder.findall(text):
        if name not in captures:
            yield ("fields", *path), f"no pattern of this rule captures {name!r}{nearest(name, captures)}"


def slow(raw: Sequence[Any]) -> Iterator[RuleProblem]:
    """Rules that are tried on every line of every excerpt, for want of a fixed text that every match has.

    They cost time, no more: lint tells of them, and a pipeline runs with them all the same.
    """
    for index, rule in enumerate(raw):
        known = [(path, required_literals(pattern) is not None) for path, pattern in regexes(rule) if path[0] != "not"]
        bare = [path for path, literal in known if not literal]
        if bare and ("all" not in rule or len(bare) == len(known)):
            yield RuleProblem(index, bare[0], NO_LITERAL)


NO_LITERAL: Final = (
    "no match needs a fixed text of three letters, so it is tried on every line: write some of it out "
    "(without a flag such as (?i), which hides it)"
)


def alike(raw: Sequence[Mapping[str, Any]]) -> Iterator[RuleProblem]:
    """Patterns that another rule has too: what both match, the first or the more important one takes."""
    seen: dict[str, str] = {}
    for index, rule in enumerate(raw):
        if "all" in rule or "not" in rule:
            continue
        for path, pattern in regexes(rule):
            if pattern in seen and seen[pattern] != rule["id"]:
                yield RuleProblem(index, path, f"rule {seen[pattern]!r} has the same pattern: one of them never wins")
            seen.setdefault(pattern, rule["id"])


def _regex_fault(pattern: str) -> str | None:
    """Why a regular expression can't be used, or None."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"not a regular expression: {error}"
    if parser.parse(pattern).getwidth()[0] == 0:
        return "the regular expression matches the empty string, so it is true of every line"
    if explodes(pattern):
        return "a repetition within a repetition can take for ever: see to it that a text can be read in one way only"
    return None


def _type_name(wanted: type | tuple[type, ...]) -> str:
    """A type as people call it."""
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping"}
    names[list] = "a list of regular expressions"
    return " or ".join(names[one] for one in (wanted if isinstance(wanted, tuple) else (wanted,)))


def nearest(name: str, known: Collection[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, [str(one) for one in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
