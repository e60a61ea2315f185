"""What is counted of rules, and how right the bundled ones are."""

from __future__ import annotations

from pathlib import Path

import pytest

from processor.contract import Excerpt, ExcerptLine
from processor.logs.rules import RuleSet
from tools.labelled import Labelled, dev
from tools.measure_rules import RULES, Tally, noted, rule_precision, tallies

RULE = {
    "id": "gone",
    "pattern": r"no package (?P<name>\w+)",
    "fields": {"category": "dependency_missing", "faulty_dependency": {"name": "{name}"}},
}


def labelled(name: str, text: str, category: str, *names: str, known: bool = True) -> Labelled:
    """A log of one line with a truth."""
    excerpt = Excerpt((ExcerptLine(1, text),), 1, ranked=(1,))
    return Labelled(name, "dev", name, Path(name), 1.0, False, excerpt, (category,), frozenset(names), known)


def test_fields_are_counted_where_the_truth_is_known() -> None:
    """The category counts always, the dependency where it can be scored; a log is right where all of it is."""
    logs = [
        labelled("a", "no package zod", "dependency_missing", "Zod"),
        labelled("b", "no package zod", "dependency_missing", "left-pad"),
        labelled("c", "no package zod", "test", known=False),
        labelled("d", "all is well", "test"),
    ]
    rules = RuleSet.parse([RULE])
    assert tallies(logs, rules) == {"gone": Tally(logs=3, logs_right=1, fields=5, fields_right=3)}
    measured = rule_precision(logs, rules)
    assert (measured["rule_precision"], measured["rule_decided"], measured["rule_decided_share"]) == (0.6, 3, 0.75)


def test_nothing_decided_is_no_precision() -> None:
    """Without logs there is no share."""
    assert rule_precision([], RuleSet.parse([RULE]))["rule_precision"] is None


def test_precision_is_noted_of_rules_that_decided_enough() -> None:
    """A rule that decided five logs gets a line, one that decided four loses the line that it had."""
    text = "- id: a\n  pattern: x\n  fields: {c: d}\n- id: b\n  pattern: y\n  precision: 0.99\n  fields: {c: d}\n"
    found = {"a": Tally(5, 4, 5, 4), "b": Tally(4, 4, 4, 4)}
    line = "  precision: 0.71  # right on 4 of 5 labelled logs\n"
    wanted = f"- id: a\n  pattern: x\n{line}  fields: {{c: d}}\n- id: b\n  pattern: y\n  fields: {{c: d}}\n"
    assert noted(text, found) == wanted
    assert noted(wanted, found) == wanted


def test_the_bundled_rules_are_precise_on_labelled_logs() -> None:
    """At least 98 % of the fields that rules fill are right, and they decide enough logs for that to mean something."""
    logs = dev()
    if not logs:
        pytest.skip("the dev corpus is absent ($FAULTSTREAM_DATA)")
    measured = rule_precision(logs)
    assert measured["rule_precision"] is not None
    assert measured["rule_precision"] >= 0.98
    assert (measured["rule_decided"] or 0) >= 30


def test_what_the_rules_file_says_of_precision_was_measured() -> None:
    """Only the tool's own lines state a precision, each with its counts."""
    lines = [line for line in RULES.read_text(encoding="utf-8").splitlines() if line.startswith("  precision:")]
    assert lines
    assert all(" labelled logs" in line for line in lines)
