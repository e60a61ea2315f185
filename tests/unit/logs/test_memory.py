"""What is remembered of lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st

from processor.logs.memory import Lines, PerLine


class Upper:
    """A reader that notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, lines: Sequence[str]) -> list[str]:
        self.asked.append(list(lines))
        return [line.upper() for line in lines] or ["one too many, as split gives for nothing"]


def test_a_line_is_read_once() -> None:
    """Twice in one log or in two, all unknown lines of a log at once."""
    upper = Upper()
    remembered = PerLine(upper)
    assert remembered(["a", "b", "a"]) == ["A", "B", "A"]
    assert remembered(["b", "c"]) == ["B", "C"]
    assert upper.asked == [["a", "b"], ["c"]]


def test_lines_in_use_are_kept_and_others_forgotten() -> None:
    """Beyond the bound the older half goes, but for what was asked for meanwhile."""
    upper = Upper()
    remembered = PerLine(upper, most=4)
    for log in (["keep", "a", "b"], ["keep", "c", "d"], ["keep", "e", "f"], ["keep", "g", "h"]):
        remembered(log)
    assert [line for asked in upper.asked for line in asked].count("keep") == 1
    remembered(["a"])
    assert upper.asked[-1] == ["a"]


@given(st.lists(st.lists(st.text("ab", max_size=2), max_size=6), max_size=30), st.integers(1, 5))
def test_what_is_found_does_not_depend_on_what_is_remembered(logs: list[list[str]], most: int) -> None:
    """Whatever came before, each line gives its own result."""
    remembered = PerLine(Upper(), most)
    assert [remembered(log) for log in logs] == [[line.upper() for line in log] for log in logs]


class Named:
    """Finds which of its words are on a line."""

    def __init__(self, *cues: str) -> None:
        self.cues = cues

    def read(self, _line: str, cued: Collection[int], /) -> tuple[str, ...]:
        """The words."""
        return tuple(self.cues[cue] for cue in cued)


def test_readers_get_their_own_cues() -> None:
    """One scan for all of them; a line that interests one reader only is nothing to the other."""
    lines = Lines(Named("red", "blue"), Named("blue", "green"))
    assert lines(["blue and red", "", "green"]) == [(("red", "blue"), ("blue",)), ((), ()), ((), ("green",))]
