"""Rules of a pipeline: their mistakes at the place in rules.yaml where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from processor.lang import yaml
from processor.lang.fields import Field, ResultSchema
from processor.lang.problem import Problem
from processor.lang.yaml import Path_
from processor.logs.rules import RuleSet
from processor.logs.trial import trial


def check_rules(file: Path, schema: ResultSchema | None) -> list[Problem]:
    """All that is wrong with a file of rules, checked against the schema whose fields they fill."""
    document = yaml.load(file)
    if document.problems:
        return document.problems
    fields = None if schema is None else {name for name, _ in dotted(schema)}
    enums = {name: list(one.enum) for name, one in dotted(schema) if one.enum} if schema is not None else {}
    problems: list[Problem] = []
    for index, path, said in RuleSet.problems(document.value, fields, enums):
        at: Path_ = (index, *_keys(path))
        message, _, hint = said.partition("; did you mean")
        of_key = bool(path) and re.search(r"unknown key|no field", message) is not None
        problems.append(document.problem(at, message, f"did you mean{hint}" if hint else "", key=of_key))
    return problems if schema is None else problems + list(_incomplete(document, schema))


def _incomplete(document: yaml.Document, schema: ResultSchema) -> Iterator[Problem]:
    """Rules that decide, but leave a field empty that may not be."""
    needed = [name for name, one in schema.result_fields.items() if not one.nullable and one.type != "list"]
    for index, rule in enumerate(document.value if isinstance(document.value, list) else []):
        filled = rule.get("fields") if isinstance(rule, dict) else None
        if not isinstance(filled, dict) or not filled or rule.get("decides", True) is not True:
            continue
        missing = [name for name in needed if name not in filled]
        if missing:
            message = f"the rule decides, but leaves {', '.join(missing)} empty"
            yield document.problem((index, "fields"), message, "fill it or set decides: false", key=True)


def prove(file: Path, cases: Iterable[str] = ()) -> list[Problem]:
    """What examples and cases say against a file of rules; nothing where `check_rules` finds mistakes."""
    document = yaml.load(file)
    if document.problems or RuleSet.problems(document.value):
        return []
    found = trial(document.value, lambda name: _bytes(file.parent / name), cases)
    return [document.problem((index, *_keys(path)), message) for index, path, message in found]


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _keys(path: tuple[str, ...]) -> tuple[int | str, ...]:
    """The keys down to a value, those that count items as numbers."""
    return tuple(int(part) if part.isdigit() else part for part in path)


def load_rules(file: Path) -> RuleSet:
    """The rules of a file that `check_rules` found correct."""
    return RuleSet.parse(yaml.load(file).value or [])


def dotted(schema: ResultSchema) -> Iterator[tuple[str, Field]]:
    """The fields that a rule can fill, members of objects under dotted names."""
    for one in schema.result_fields.values():
        yield from _dotted(one, one.name)


def _dotted(one: Field, name: str) -> Iterator[tuple[str, Field]]:
    yield name, one
    for member in one.fields:
        yield from _dotted(member, f"{name}.{member.name}")
