"""The excerpt as a text file: numbers of the whole log, gaps, repeats, what decided, and a bound."""

from __future__ import annotations

from processor.contract import Excerpt, ExcerptLine
from processor.logs.numbered import numbered

EXCERPT = Excerpt(
    (ExcerptLine(1, "+ npm ci"), ExcerptLine(998, "npm ERR! ünique", repeated=3), ExcerptLine(1001, "exit 1")),
    total_lines=1204,
)


def test_each_line_has_its_number_and_each_gap_its_size() -> None:
    """A reader finds every line again in the whole log, and sees where something was left out."""
    assert numbered(EXCERPT, {1001}).split("\n") == [
        "     1 | + npm ci",
        "       | [... 996 lines ...]",
        "   998 | npm ERR! ünique  [3 times]",
        "> 1001 | exit 1",
        "       | [... 203 lines ...]",
    ]


def test_whole_log_has_no_gaps() -> None:
    """Nothing is said to be missing where nothing is."""
    whole = Excerpt((ExcerptLine(1, "a"), ExcerptLine(2, "b")), total_lines=2)
    assert numbered(whole, ()) == "  1 | a\n  2 | b"


def test_empty_log_is_no_file() -> None:
    """Nothing in, nothing out."""
    assert numbered(Excerpt((), total_lines=0), ()) == ""


def test_too_much_text_loses_its_beginning_and_says_so() -> None:
    """Bounded in bytes, whatever the characters; what was lost is a gap like the others."""
    lines = tuple(ExcerptLine(number, "é" * 50) for number in range(1, 1001))
    text = numbered(Excerpt(lines, total_lines=1000), {1000}, most=4096)
    kept = text.split("\n")
    assert len(text.encode()) <= 4096
    assert kept[-1] == "> 1000 | " + "é" * 50
    assert kept[0] == f"       | [... {1000 - len(kept) + 1} lines ...]"
    assert len(kept) > 30
