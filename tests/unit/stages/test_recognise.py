"""Recognise: rule, candidates, narrowed fields and anchor in one reading."""

from __future__ import annotations

import pytest

from processor.logs.classify import Ranker
from processor.logs.rules import RuleSet
from processor.stages.recognise import Recognise
from tests.unit.logs_extract.excerpts import excerpt

RANKER = Ranker(["test", "compile", "dependency_resolution"], {"bias": [(2, 1.0), (1, 0.5)]})
RULE = {"id": "gone", "pattern": r"package (?P<name>\w+) gone", "fields": {"category": "dependency_resolution"}}


def test_a_rule_that_decides_leaves_nothing_to_narrow() -> None:
    """The reading has the rule's answer, its anchor, the candidates and no choices for a model."""
    reading = Recognise(RuleSet.parse([RULE]), {"category": (RANKER, 2)})(excerpt("package zod gone"))
    assert reading.rule is not None
    assert (reading.rule.rule, reading.anchor, reading.narrowed) == ("gone", "rule:gone:name=zod", {})


def test_without_a_rule_the_fields_are_narrowed() -> None:
    """The likeliest values with their probabilities are kept, as many as asked for."""
    reading = Recognise(RuleSet.parse([RULE]), {"category": (RANKER, 2)})(
        excerpt("ModuleNotFoundError: No module named 'x'")
    )
    assert reading.rule is None
    assert [value for value, _ in reading.narrowed["category"]] == ["dependency_resolution", "compile"]
    assert [one.name for one in reading.candidates["packages"]] == ["x"]
    assert reading.anchor == "pkg:pypi/x"


def test_a_rule_that_proposes_does_not_name_the_fault() -> None:
    """The proposal is there as a hint; fields are narrowed and the anchor comes from the log."""
    reading = Recognise(RuleSet.parse([RULE | {"decides": False}]), {"category": (RANKER, 1)})(
        excerpt("package zod gone")
    )
    assert reading.rule is not None
    assert not reading.rule.decides
    assert len(reading.narrowed["category"]) == 1
    assert reading.anchor == "line:package zod gone"


def test_what_a_rule_proposes_is_on_offer() -> None:
    """In place of the unlikeliest: a hint at a value that can't be chosen would mislead."""
    ranker = Ranker(["test", "compile", "dependency_resolution"], {"bias": [(0, 9.0), (1, 8.0)]})
    rules = RuleSet.parse([RULE | {"decides": False}])
    found = Recognise(rules, {"category": (ranker, 2)})
    assert [value for value, _ in found(excerpt("package zod gone")).narrowed["category"]] == [
        "test",
        "dependency_resolution",
    ]
    assert [value for value, _ in found(excerpt("error: boom")).narrowed["category"]] == ["test", "compile"]


def test_what_a_rule_proposes_is_likelier() -> None:
    """It goes ahead of what the words make somewhat likelier."""
    ranker = Ranker(["test", "compile", "dependency_resolution"], {"bias": [(0, 1.0), (1, 0.5)]})
    rules = RuleSet.parse([RULE | {"decides": False}])
    found = Recognise(rules, {"category": (ranker, 3)})(excerpt("package zod gone")).narrowed["category"]
    assert [value for value, _ in found] == ["dependency_resolution", "test", "compile"]
    assert sum(share for _, share in found) == pytest.approx(1.0)


def test_nothing_configured() -> None:
    """A pipeline without rules and rankers still gets candidates and an anchor."""
    reading = Recognise()(excerpt("E: Unable to locate package x11"))
    assert (reading.rule, reading.narrowed, reading.anchor) == (None, {}, "pkg:deb/x11")
