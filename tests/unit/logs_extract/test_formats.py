"""Each format that an ecosystem's tools print gives the package, test, place or exit that it is about."""

from __future__ import annotations

import re
import string
import time
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.logs.extract import candidates
from processor.logs.extract.ecosystems import PATTERNS
from processor.logs.extract.patterns import BLAMED, LONGEST, PROPOSED, REGISTERED
from processor.logs.literals import required_literals
from tests.unit.logs_extract.excerpts import excerpt


def rows(name: str, columns: int) -> list[list[str]]:
    """The rows of a table of examples: columns between bars, the last one the line as it is printed."""
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    return [line.split(" | ", columns - 1) for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("ecosystem", "name", "version", "line"), rows("packages.txt", 4))
def test_the_package_is_first_and_blamed(ecosystem: str, name: str, version: str, line: str) -> None:
    """What a message is about comes before whatever else it names, with its version, as an error names it."""
    found = candidates(excerpt("Building", line, "Done"))["packages"]
    assert found, "nothing is named"
    first = found[0]
    assert (first.ecosystem, first.name, first.version) == (ecosystem, name, None if version == "-" else version)
    assert first.score >= BLAMED


@pytest.mark.parametrize(("kind", "name", "line"), rows("tests_and_places.txt", 3))
def test_the_test_or_place_is_named(kind: str, name: str, line: str) -> None:
    """Failing tests, files, hosts and exit codes are found in the form in which they are compared."""
    assert name in [one.name for one in candidates(excerpt("Running", line, "Done"))[kind]]


def test_ecosystems_are_types_of_package_urls() -> None:
    """Whatever is named can be written as a package URL."""
    assert {one.ecosystem for one in PATTERNS if one.kind == "package"} <= REGISTERED | PROPOSED


def test_every_pattern_has_a_cue_and_the_groups_that_are_read() -> None:
    """A pattern without something to look for would be tried on every line, one without a name would find nothing."""
    for pattern in PATTERNS:
        assert pattern.cue
        assert "name" in pattern.regex.groupindex


UNITS = ("a", "a.", "a/", "a-", "a@", "a ", "1", "(", "a, ", "a::", " ", "│ ", "a > ", "'a", "..", "a:1")
EXAMPLES = [line for *_, line in [*rows("packages.txt", 4), *rows("tests_and_places.txt", 3)]]


def seconds(expression: re.Pattern[str], line: str) -> float:
    """Processor time of finding all that there is."""
    began = time.process_time()
    deque(expression.finditer(line), maxlen=0)
    return time.process_time() - began


@pytest.mark.parametrize("unit", UNITS)
def test_no_line_makes_a_pattern_slow(unit: str) -> None:
    """However a line repeats itself around what a pattern looks for, time stays near what its length costs."""
    for pattern in PATTERNS:
        literal = min(required_literals(pattern.source) or {""}, key=len)
        for line in (literal + unit * LONGEST, unit * (LONGEST // len(unit) - len(literal)) + literal):
            # What is slow is slow each time; a collection of garbage that falls into a search is not.
            assert any(seconds(pattern.regex, line[:LONGEST]) < 0.1 for _ in range(3)), pattern.source


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(EXAMPLES),
    st.data(),
    st.text(alphabet=string.printable.replace("\n", "") + "ä›│✖\u200b", max_size=60),
)
def test_a_message_that_is_mangled_breaks_nothing(line: str, data: st.DataObject, text: str) -> None:
    """Whatever stands in the middle of a message, names are clean, short and on its line."""
    cut = data.draw(st.integers(0, len(line)))
    for found in candidates(excerpt(line[:cut] + text + line[cut:])).values():
        assert all(one.name == one.name.strip() and 0 < len(one.name) <= 300 and one.lines == (1,) for one in found)
