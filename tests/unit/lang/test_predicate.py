"""Predicates: what they yield, what the static check finds, and that both see the same language."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.errors import Rejected
from processor.lang.predicate import Predicate, PredicateError, check
from processor.lang.types import BOOL, DOUBLE, INT, STRING, Type, enum_of, list_of, object_of

PACKAGE = object_of({"name": STRING, "version": STRING.or_null()})
ROOTS: dict[str, Type] = {
    "event": object_of({"type": STRING, "repo": STRING, "attempt": INT, "late": BOOL}),
    "result": object_of({
        "category": enum_of("test", "compile"), "package": PACKAGE.or_null(), "tests": list_of(STRING),
        "lines": list_of(object_of({"line": INT, "text": STRING})),
    }),
    "confidence": DOUBLE,
}  # fmt: skip
VALUES: dict[str, Any] = {
    "event": {"type": "build.failed", "repo": "acme/web", "attempt": 2, "late": False},
    "result": {
        "category": "test", "package": {"name": "a", "version": None}, "tests": ["t1"],
        "lines": [{"line": 4, "text": "boom"}],
    },
    "confidence": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('event.type == "build.failed" && event.attempt < 3', True),
        ("confidence < 1", True),
        ('result.category in ["compile"]', False),
        ('result.package != null && result.package.name == "a"', True),
        ('result.lines.exists(one, one.text.contains("oo") && one.line > 3)', True),
        ('size(result.tests) == 1 && result.tests.all(t, t.startsWith("t"))', True),
        ("event.late ? true : confidence >= 0.5", True),
        ('event["repo"].matches("^acme/")', True),
        ("!event.late || false", True),
    ],
)
def test_right_predicates_have_no_issues_and_yield(text: str, value: bool) -> None:
    """What the check passes, CEL evaluates."""
    assert check(text, ROOTS) == []
    assert Predicate.compile(text, ROOTS).evaluate(VALUES) is value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("event.attempt < 3", {"event": {}}),
        ("event.attempt < 3", {"event": {"attempt": "2"}}),
        ("event.attempt < 3", {}),
        ("event.attempt < 3", {"event": {"attempt": 2**70}}),
        ('event.repo == "a" || event.late', {"event": {"repo": "b", "late": "yes"}}),
    ],
)
def test_what_fails_at_run_time_is_rejected_never_false(text: str, values: dict[str, Any]) -> None:
    """A missing member, another type or a number out of range rejects the event."""
    with pytest.raises(Rejected) as error:
        Predicate.compile(text, ROOTS).evaluate(values)
    assert error.value.reason == "predicate_failed"


def test_all_issues_are_found_at_once() -> None:
    """An unknown root hides neither another one nor an unknown member."""
    found = check('evnt.type == "x" && event.atempt == 3 && cnfidence < 1', ROOTS)
    assert [(one.offset, one.message) for one in found] == [
        (0, "unknown name 'evnt'"),
        (26, "event has no 'atempt'"),
        (41, "unknown name 'cnfidence'"),
    ]
    assert [one.hint for one in found] == [
        "did you mean 'event'?",
        "did you mean 'attempt'?",
        "did you mean 'confidence'?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("event.repo", "a predicate must be true or false, this is a string"),
        ("result.tests.exists(t, t == 1)", "== compares a string (t) with a whole number (1)"),
        ('result.category == "tset"', "result.category is never 'tset'"),
        ('"tset" == result.category', "result.category is never 'tset'"),
        ('result.package.version < "2"', "result.package may be null"),
        ('result.package != null && result.package.version < "2"', "result.package.version may be null"),
        ("event.repo + 1 == 2", "a string + a whole number: convert one of them first"),
        ("size(event.attempt) > 1", "size() is of strings, lists and maps, event.attempt is a whole number"),
        ("event.repo.name == 1", "event.repo is a string and has no 'name'"),
        ('result.tests["a"] == "b"', "a list's index is a whole number, this is a string"),
        ("event.attempt.exists(x, x > 1)", "event.attempt is a whole number, not a list"),
        ('event == "x"', '== compares an object (event) with a string ("x")'),
        ('event.attempt in ["1"]', "in can't find a whole number in a list of a string"),
        ("event.attempt || true", "|| needs true or false, event.attempt is a whole number"),
        ("event.shout()", "unknown function shout()"),
        ("has(event.reop)", "event has no 'reop'"),
        ("", "not a predicate: it ends too early"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    """Each kind of mistake has its own words."""
    assert message in [one.message for one in check(text, ROOTS)]
    with pytest.raises(PredicateError):
        Predicate.compile(text, ROOTS)


@pytest.mark.parametrize(
    "text",
    [
        'event["repo"] == event.repo',
        "size(event) == 3",
        "[event].exists(one, one.repo == event.repo)",
        "has(event.late)",
    ],
)
def test_a_root_that_is_read_as_a_whole_is_given_as_a_whole(text: str) -> None:
    """Only the members that are named are handed to CEL; that must not show where no member is named."""
    anything = {"event": Type("any")}
    assert Predicate.compile(text, anything).evaluate({"event": {"repo": "a", "late": False, "more": 1}}) is True


EXPRESSIONS = st.recursive(
    st.sampled_from(["event.late", "event.attempt < 3", 'event.repo == "x"', 'result.category == "test"', "true"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda one: f"({one[0]} {one[1]} {one[2]})"),
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner, inner).map(lambda one: f"({one[0]} ? {one[1]} : {one[2]})"),
        inner.map(lambda one: f"result.tests.exists(t, {one})"),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_check_and_evaluation_agree_on_well_typed_expressions(text: str) -> None:
    """Any combination of well-typed parts passes the check and yields a boolean: both see one language."""
    assert Predicate.compile(text, ROOTS).evaluate(VALUES) in {True, False}


@given(st.text(alphabet="event.()&|!=<> '\"tru1x[],?:", max_size=40))
def test_any_text_is_checked_without_raising(text: str) -> None:
    """Nonsense gives issues or a predicate, never another exception."""
    assert all(one.message for one in check(text, ROOTS))
