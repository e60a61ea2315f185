"""Rules: how they match, what they fill in, which one wins."""

from __future__ import annotations

import time
from typing import Any

import pytest

from processor.errors import ConfigError
from processor.logs.rules import LONGEST_SEARCH_S, RuleSet
from processor.logs.trial import trial
from tests.unit.logs_extract.excerpts import excerpt

MISSING = {
    "id": "missing",
    "pattern": r"package (?P<name>\w+) not found",
    "fields": {"category": "dependency_missing", "faulty_dependency": {"name": "{name}", "version": "{version}"}},
}


def rule(**changes: Any) -> dict[str, Any]:
    """A small correct rule with changes."""
    return {"id": "one", "pattern": "boom", "fields": {"category": "compile"}, **changes}


def test_captures_fill_fields() -> None:
    """A capture's text goes into the fields, also nested; the lines and captures are in the match."""
    raw = {**MISSING, "pattern": r"package (?P<name>\w+)(?:@(?P<version>\S+))? not found"}
    match = RuleSet.parse([raw]).match(excerpt("fine", "package zod@3 not found"))
    assert match is not None
    assert match.fields == {"category": "dependency_missing", "faulty_dependency": {"name": "zod", "version": "3"}}
    assert (match.rule, match.lines, match.captures, match.decides) == (
        "missing",
        (2,),
        {"name": "zod", "version": "3"},
        True,
    )


def test_a_capture_that_took_no_part_is_null() -> None:
    """An optional group that did not match fills a field with null, and vanishes within a text."""
    raw = rule(
        pattern=r"bad (?P<name>\w+)(?: (?P<version>\d+))?$",
        fields={"version": "{version}", "summary": "{name} {version}!"},
    )
    match = RuleSet.parse([raw]).match(excerpt("bad zod"))
    assert match is not None
    assert match.fields == {"version": None, "summary": "zod !"}


def test_no_rule_no_match() -> None:
    """An excerpt that no rule knows gives None, as does a rule set without rules."""
    assert RuleSet.parse([rule()]).match(excerpt("all is well")) is None
    assert RuleSet.parse([]).match(excerpt("boom")) is None


def test_all_must_match_in_order_and_near() -> None:
    """`all` holds where its patterns match in order within `within` lines."""
    raw = {"id": "two", "all": ["first", r"second (?P<name>\w+)"], "within": 3, "fields": {"summary": "{name}"}}
    rules = RuleSet.parse([raw])
    assert rules.match(excerpt("second x", "first")) is None
    assert rules.match(excerpt("first", "", "", "", "second x")) is None
    match = rules.match(excerpt("first", "", "first", "", "second x"))
    assert match is not None
    assert (match.lines, match.fields) == ((3, 5), {"summary": "x"})


def test_any_takes_the_line_that_ranks_first() -> None:
    """Of several mentions the one that ranking put first fills the fields."""
    lines = ("package a not found", "package b not found")
    match = RuleSet.parse([MISSING | {"fields": {"summary": "{name}"}}]).match(excerpt(*lines, ranked=(2, 1)))
    assert match is not None
    assert match.fields == {"summary": "b"}


def test_not_keeps_a_rule_from_matching() -> None:
    """A line that `not` matches anywhere in the excerpt switches the rule off."""
    rules = RuleSet.parse([rule() | {"not": ["overriding"]}])
    assert rules.match(excerpt("boom")) is not None
    assert rules.match(excerpt("boom", "overriding it")) is None


def test_priority_wins_whatever_the_order() -> None:
    """The higher priority wins over rank, over the order in the file and over deciding."""
    low, high = rule(id="low", pattern="a"), rule(id="high", pattern="b", priority=70, decides=False)
    for rules in ([low, high], [high, low]):
        match = RuleSet.parse(rules).match(excerpt("a", "b"))
        assert match is not None
        assert match.rule == "high"


def test_equal_rules_that_disagree_only_propose() -> None:
    """Two faults of one priority in a log: neither decides."""
    rules = RuleSet.parse([rule(), rule(id="other", pattern="bang", fields={"category": "test"})])
    match = rules.match(excerpt("boom", "bang"))
    assert match is not None
    assert not match.decides
    agreeing = RuleSet.parse([rule(), rule(id="other", pattern="bang")]).match(excerpt("boom", "bang"))
    assert agreeing is not None
    assert agreeing.decides


def test_a_fault_that_did_not_end_the_job_only_proposes() -> None:
    """Where another fault comes long after, even one of low priority, the job went on: not certain."""
    rules = RuleSet.parse(
        [rule(priority=70), rule(id="late", pattern="bang", priority=10, fields={"category": "test"})]
    )
    near = rules.match(excerpt("boom", "bang"))
    far = rules.match(excerpt("boom", *["…"] * 40, "bang"))
    assert near is not None
    assert far is not None
    assert (near.decides, far.rule, far.decides) == (True, "one", False)


def test_look_around_works_behind_the_prefilter() -> None:
    """Expressions that only `re` knows are matched exactly, though the prefilter approximates them."""
    rules = RuleSet.parse([rule(pattern=r"(?<!no )error (?!0)\d")])
    assert rules.match(excerpt("no error 3")) is None
    assert rules.match(excerpt("error 0")) is None
    assert rules.match(excerpt("an error 3")) is not None


def test_text_of_any_script_is_matched() -> None:
    """Lines with letters beyond ASCII, and patterns with them, match."""
    match = RuleSet.parse([rule(pattern=r"‘(?P<name>\w+)’ fehlt", fields={"summary": "{name}"})]).match(
        excerpt("‘Größe’ fehlt")
    )
    assert match is not None
    assert match.fields == {"summary": "Größe"}


def test_a_wrong_rule_is_refused_with_its_place() -> None:
    """`parse` names the rule and the key."""
    with pytest.raises(ConfigError, match=r"rule 2, pattern: not a regular expression"):
        RuleSet.parse([rule(), rule(id="b", pattern="(")])


FAULTS: list[tuple[Any, tuple[str, ...], str]] = [
    ("x", (), "a rule is a mapping"),
    (rule(patern="x"), ("patern",), "unknown key 'patern'; did you mean 'pattern'?"),
    (rule(priority="high"), ("priority",), "priority must be a whole number"),
    (rule(priority=True), ("priority",), "priority must be a whole number"),
    (rule(decides="yes"), ("decides",), "decides must be true or false"),
    ({"pattern": "x", "fields": {"category": "compile"}}, (), "id is missing"),
    (rule(id="No Spaces"), ("id",), "an id has lower-case letters"),
    (rule(any=["x"]), (), "exactly one of pattern, any and all"),
    ({"id": "a", "any": [], "fields": {"category": "compile"}}, ("any",), "any must be a list of regular expressions"),
    (rule(pattern="a("), ("pattern",), "not a regular expression"),
    (rule(pattern="a*"), ("pattern",), "matches the empty string"),
    (rule(pattern=r"(\w+)+x"), ("pattern",), "a repetition within a repetition"),
    (rule(pattern=r"(?:\d+\s?)*end"), ("pattern",), "a repetition within a repetition"),
    (rule(**{"not": ["[a"]}), ("not", "0"), "not a regular expression"),
    (rule(fields={"categry": "compile"}), ("fields", "categry"), "did you mean 'category'?"),
    (
        rule(fields={"category": "compil"}),
        ("fields", "category"),
        "'compil' is not among the values of category; did you mean 'compile'?",
    ),
    (
        rule(fields={"faulty_dependency": {"nam": "x"}}),
        ("fields", "faulty_dependency", "nam"),
        "no field 'faulty_dependency.nam'",
    ),
    (
        rule(pattern="(?P<name>x)", fields={"summary": "{nme}"}),
        ("fields", "summary"),
        "captures 'nme'; did you mean 'name'?",
    ),
    (rule(fields={}), (), "a rule that decides needs fields"),
    (rule(precision=3), ("precision",), "a share between 0 and 1"),
]
FIELDS = {"category", "summary", "faulty_dependency", "faulty_dependency.name", "faulty_dependency.version"}


@pytest.mark.parametrize(("raw", "path", "message"), FAULTS, ids=[message[:40] for _, _, message in FAULTS])
def test_lint_finds_the_fault(raw: Any, path: tuple[str, ...], message: str) -> None:
    """Each mistake is reported at its keys, with what is wrong and the nearest name."""
    found = RuleSet.problems([rule(id="fine"), raw], FIELDS, {"category": {"compile", "test"}})
    assert [(one.rule, one.path) for one in found] == [(1, path)]
    assert message in found[0].message


def test_lint_reports_all_at_once() -> None:
    """One run finds every mistake of every rule, a repeated id included."""
    found = RuleSet.problems([rule(pattern="("), rule(patern="x", fields={"categry": "x"})], FIELDS)
    assert [(one.rule, one.path) for one in found] == [
        (0, ("pattern",)),
        (1, ("patern",)),
        (1, ("fields", "categry")),
        (1, ("id",)),
    ]


def test_an_alternative_must_have_the_capture() -> None:
    """With `any` every alternative must bring a capture that the fields name."""
    raw = {"id": "a", "any": [r"(?P<name>\w+) gone", "all gone"], "fields": {"summary": "{name}"}}
    assert [one.message for one in RuleSet.problems([raw])] == ["no pattern of this rule captures 'name'"]


def test_cues_are_the_same_in_each_process() -> None:
    """In the order of rules and letters, not of hashes: what was compiled for them before is found again."""
    words = ["omega left", "alpha left", "kappa left", "delta left", "gamma left", "sigma left"]
    cues = [cue.replace("\\x20", " ") for cue in RuleSet.parse([rule(pattern=f"(?:{'|'.join(words)})")]).cues]
    assert cues == sorted(cues)
    assert len(cues) == len(words)


def test_separated_repetitions_are_let_through() -> None:
    """Lists with a fixed separator are ordinary and safe."""
    assert RuleSet.problems([rule(pattern=r"(?:, *\w+)+ and"), rule(id="b", pattern=r"(?:[\w.-]+/)+x")]) == []


def test_a_search_that_takes_too_long_is_given_up() -> None:
    """An expression of a high power, which lint lets through, costs a bounded time on a line made against it."""
    raw = rule(pattern=r"\w*\d*\w*\d*\w*\d*\w*boom(?P<end>\w*!)")
    began = time.process_time()
    assert RuleSet.parse([raw]).match(excerpt("boom1" * 400)) is None
    assert time.process_time() - began < 20 * LONGEST_SEARCH_S


def test_what_must_be_final_only_proposes_where_the_job_went_on() -> None:
    """A rule with `final` decides near the log's end alone."""
    rules = RuleSet.parse([rule(final=3)])
    near, far = rules.match(excerpt("boom", "", "", "")), rules.match(excerpt("boom", "", "", "", ""))
    assert near is not None
    assert far is not None
    assert (near.decides, far.decides) == (True, False)


def test_a_capture_that_took_no_part_leaves_no_gap() -> None:
    """`{name} {version}.` without a version ends as a sentence does."""
    raw = rule(pattern=r"no (?P<name>\w+)(?:==(?P<version>\S+))?", fields={"summary": "no {name} {version}."})
    matches = [RuleSet.parse([raw]).match(excerpt(text)) for text in ("no a", "no a==1")]
    assert [match.fields["summary"] for match in matches if match is not None] == ["no a.", "no a 1."]


def test_examples_and_cases_that_are_no_logs_end_nothing() -> None:
    """An example says so at its place; a case may be about such a log."""
    tried = [rule(examples=["it goes boom", "\0\0"], counterexamples=["quiet"])]
    found = trial(tried, lambda _: None, ["", "\0"])
    told = "no log: the body is binary data, not a log"
    assert [(one.path, one.message) for one in found] == [(("examples", "1"), told)]
