"""Where failing tests stand: their file and line, from the output of their runners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from processor.contract import Candidate, Excerpt, ExcerptLine
from processor.logs.extract import candidates

_SECTIONS = ("\n" + (Path(__file__).parent / "located.txt").read_text()).split("\n== ")[1:]


def _section(text: str) -> tuple[str, dict[str, str], list[str]]:
    """A runner, the places of its tests, the lines of its output."""
    runner, *lines = text.rstrip("\n").split("\n")
    wanted = dict(line[2:].split(" | ") for line in lines if line.startswith("@ "))
    return runner, wanted, [line for line in lines if not line.startswith("@ ")]


def named(lines: Sequence[str]) -> dict[str, Candidate]:
    """The failing tests that an output names."""
    numbered = tuple(ExcerptLine(number, line) for number, line in enumerate(lines, 1))
    return {one.name: one for one in candidates(Excerpt(numbered, len(lines)))["tests"]}


@pytest.mark.parametrize(
    ("wanted", "lines"), [pytest.param(*rest, id=runner) for runner, *rest in map(_section, _SECTIONS)]
)
def test_a_test_has_its_place(wanted: dict[str, str], lines: list[str]) -> None:
    """Each failing test carries its own file and line, and the line of the log that tells it."""
    found = named(lines)
    assert {name: found[name].place for name in wanted if name in found} == wanted
    for name, place in wanted.items():
        file, _, line = place.rpartition(":")
        told = lines[found[name].lines[-1] - 1]
        assert file in told
        assert line in told


def test_a_test_without_a_place_has_none() -> None:
    """What only libraries or other tests name is no test's place."""
    output = ["--- FAIL: TestTotal (0.00s)", "", "--- FAIL: TestTax (0.00s)", "    tax_test.go:9: no", *["fine"] * 20]
    assert named(output)["TestTotal"].place is None
    library = ["  ● Cart › adds up", "    at fail (node_modules/expect/index.js:10:1)"]
    assert named(library)["Cart > adds up"].place is None


@pytest.mark.parametrize(
    "line", ["    bind(port)", "  × No solution found when resolving dependencies:", "  CMakeLists.txt:18 (x)"]
)
def test_what_is_no_test(line: str) -> None:
    """Calls in a Python traceback, resolvers' messages and CMake's call stacks are no failing tests."""
    assert not named([line])
