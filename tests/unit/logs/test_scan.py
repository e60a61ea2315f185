"""The scanner finds what each expression finds: no match is lost among many expressions, none is made up."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from processor.logs.classify import MarkerReader
from processor.logs.extract import EVERYTHING, MentionReader
from processor.logs.patterns import DETAILS, SIGNS, Pattern, scanner
from processor.logs.rules import RuleSet
from processor.logs.scan import Scanner
from processor.logs.secrets import SECRETS
from processor.logs.text import clean

PIPELINE = Path(__file__).parents[3] / "pipelines" / "ci_failure"

Expressions = list[tuple[str, bool]]


def cues() -> Expressions:
    """What rules, extractors and the ranking look for in one scan."""
    rules = RuleSet.parse(yaml.safe_load((PIPELINE / "rules.yaml").read_text(encoding="utf-8")))
    readers = (rules, MentionReader(EVERYTHING), MarkerReader())
    return [(cue, False) for reader in readers for cue in reader.cues]


def whole(patterns: Sequence[Pattern]) -> Expressions:
    """The expressions of patterns with what they only count behind."""
    return [(f"{one.behind}.*{one.regex}" if one.behind else one.regex, one.caseless) for one in patterns]


SECRET: Expressions = [(secret.trigger, secret.caseless) for secret in SECRETS]
SETS: dict[str, tuple[Scanner, Expressions]] = {
    "signs": (scanner(SIGNS), whole(SIGNS)),
    "details": (scanner(DETAILS), whole(DETAILS)),
    "secrets": (Scanner(SECRET), SECRET),
    "cues": (Scanner(cues()), cues()),
}


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Different lines of recorded logs, as they are read."""
    logs = sorted((PIPELINE / "samples").glob("*.log"))[::5]
    found = dict.fromkeys(line for log in logs for line in clean(log.read_bytes()).split(b"\n") if len(line) < 1_000)
    return list(found)[::3]


@pytest.mark.parametrize("name", SETS)
def test_finds_what_each_expression_finds(name: str, lines: list[bytes]) -> None:
    """Together and over many lines, expressions hit where Python's own matcher finds each on a line by itself."""
    block = b"\n".join(lines)
    found: dict[int, set[int]] = defaultdict(set)
    at = position = 0
    scans, expressions = SETS[name]
    for index, end in scans.hits(block):
        at += block.count(b"\n", position, end)
        position = end
        found[index].add(at)
    for index, (regex, caseless) in enumerate(expressions):
        expression = re.compile(regex.encode(), re.IGNORECASE * caseless)
        there = {number for number, line in enumerate(lines) if expression.search(line)}
        assert found[index] == there, regex


LATE = b'billing/charge.py:8: error: Incompatible return value type (got "float", expected "str")'
TRACE = [b"x", *[b"\tat com.acme.shop.Cart.total(Cart.java:41)"] * 4, b"\tat java.base/total(Money.java:41)"]


@pytest.mark.parametrize(
    ("expressions", "block", "ends"),
    [
        ((":[0-9]+: (fatal |internal compiler |syntax )?error",), LATE, [26]),
        ((r"^\s+at [\w$.]+\([\w$]+\.java:\d+\)", r"^\s+at (?:java\.base/|sun\.|jdk\.|org\.junit)"), b"\n".join(TRACE),
         [44, 87, 130, 173, 188]),
    ],
    ids=["digits before alternatives", "white space before alternatives"],
)  # fmt: skip
def test_keeps_what_vectorscan_5_4_12_loses(expressions: tuple[str, ...], block: bytes, ends: list[int]) -> None:
    """The library that hyperscan 0.7.23 to 0.9.1 carries misses these on x86 (VectorCamp/vectorscan 304, 382)."""
    assert [end for _, end in Scanner([(one, False) for one in expressions]).hits(block)] == ends


def test_keeps_the_order_of_matches_over_several_databases() -> None:
    """What is looked for alone is reported by its own number, in order with the rest."""
    expressions = [("[0-9]{3}", False), ("one", False), ("[a-z]{3}", False)]
    assert Scanner(expressions, alone=(0, 2)).hits(b"123 one 456") == [(0, 3), (1, 7), (2, 7), (0, 11)]


BEHIND = [Pattern("status", r"\b404\b", 7, caseless=True, behind=r"\b(?:http|code)"), Pattern("word", "bad", 2)]


@pytest.mark.parametrize(
    ("block", "ends"),
    [
        (b"HTTP 404", [8]),
        (b"404 code", []),  # what comes first comes behind
        (b"code\n404", []),  # it stands on another line
        (b"404 http 404, 404\n404", [12, 17]),
        (b"xcode 404", []),  # it is no word
        (b"404\n404 code 404", [16]),
        (b"bad 404 bad", []),
    ],
)
def test_what_only_counts_behind_something(block: bytes, ends: list[int]) -> None:
    """Such a pattern hits where what names it comes before it on the line; other patterns hit all the same."""
    hits = scanner(BEHIND).hits(block)
    assert [end for index, end in hits if index == 0] == ends
    assert sum(index for index, _ in hits) == block.count(b"bad")


def test_a_long_line_is_read_once_for_what_comes_first() -> None:
    """Reading it anew at each of half a million hits would take minutes."""
    began = time.process_time()
    assert scanner(BEHIND).hits(b"404 " * 500_000) == []
    assert time.process_time() - began < 10
