"""Regular expressions that blow up are told from those that look like it."""

from __future__ import annotations

import re
import time

import pytest

from processor.logs.backtracking import explodes

EVIL = [
    r"(a+)+b",
    r"(\w+)+x",
    r"(?:\d+\s?)*end",
    r"(a*)*b",
    r"(?:a+a)+b",
    r"(?:\w+a)+b",
    r"(a|ab|b)*c",
    r"(?:.*,)*x",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(?:a{2,3})*b",
    r"(x+x+)+y",
    r"(?:\s*\w*)*:",
    r'(?:[^"\\]|\\?.)*"',
    r"(?:\w{1,30}){1,30}!",
    r"start (?=(a+)+b) end",
]
SAFE = [
    r"(?:, *\w+)+ and",
    r"(?:[\w.-]+/)+x",
    r"\w+\.\w+",
    r'(?:[^"\\]|\\.)*"',
    r"(?:ab|cd)*e",
    r".*foo.*bar",
    r"(?:\d+\.)*\d+",
    r"(?: (?:\|\||-) [^\s,]+)*x",
    r"(?:a|b)*c",
    r"(?:(?:x|y)z)*",
    r"(?:/[\w.-]+)*$",
    r"(?:ab?c)*d",
    r"(\w|\d)*x",
    r"(?:[a-z]{1,3}-){2,40}x",
]


@pytest.mark.parametrize("pattern", EVIL)
def test_what_blows_up_is_found(pattern: str) -> None:
    """Nested and overlapping repetitions are refused."""
    assert explodes(pattern)


@pytest.mark.parametrize("pattern", SAFE)
def test_what_is_harmless_is_let_through(pattern: str) -> None:
    """Repetitions whose rounds can be told apart are fine."""
    assert not explodes(pattern)


@pytest.mark.parametrize("pattern", SAFE)
def test_the_harmless_ones_are_quick_on_hostile_text(pattern: str) -> None:
    """What is let through fails fast on long texts of what its loops read."""
    began = time.process_time()
    hostile = ["a" * 300, "ab" * 150, "a1." * 100, "a/" * 150, ', a"\\' * 60, "xz" * 150, " || a" * 60, "abc-" * 75]
    found = [re.search(pattern, text + "\n!") for text in hostile]
    assert len(found) == len(hostile)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "pattern", ["(?:" + "a?" * 140 + ")*b", "(?:" + "(?:" * 24 + "a?" + ")?" * 24 + "b)*c", "(?:" + "ab" * 99 + ")*"]
)
def test_an_expression_that_is_hostile_itself_is_looked_at_in_bounded_time(pattern: str) -> None:
    """An expression with very many ways through it is refused, and soon."""
    began = time.process_time()
    assert explodes(pattern)
    assert time.process_time() - began < 3
