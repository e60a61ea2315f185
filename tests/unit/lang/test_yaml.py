"""YAML with positions, strict and with the types of YAML 1.2."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from processor.lang import yaml


def test_values_know_their_place() -> None:
    """Keys and values are found at their line and column, list items too."""
    document = yaml.parse("a: 1\nb:\n  - x\n  - {c: yes}\n")
    assert document.value == {"a": 1, "b": ["x", {"c": "yes"}]}
    assert document.at(("b", 1, "c")) == (4, 9)
    assert document.at(("b", 1, "c"), key=True) == (4, 6)
    assert document.at(("b", 7, "nothing")) == (3, 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("no", "no"), ("true", True), ("2024-01-01", "2024-01-01"), ("12:30:00", "12:30:00"),
        ("0o17", 15), ("1e3", 1000.0), ("~", None), ("", None), ("1_000", "1_000"),
    ],
)  # fmt: skip
def test_scalars_are_of_yaml_1_2(text: str, value: object) -> None:
    """What YAML 1.1 would turn into booleans, dates and base-60 numbers stays text."""
    assert yaml.parse(f"a: {text}").value == {"a": value}


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        ("a: x == y", 5, (1, 9)),
        ("a: 'x == y'", 5, (1, 10)),
        ("a: |\n  x ==\n  y", 5, (3, 3)),
        ("a: >-\n  x ==\n  y", 5, (3, 3)),
        ("a: x ==\n   y", 5, (2, 4)),
        ('a: "x\\t== y"', 4, (1, 4)),
    ],
)
def test_offsets_within_texts_are_located(text: str, offset: int, place: tuple[int, int]) -> None:
    """An offset within a predicate is found in the file, in every style of scalar that keeps its characters."""
    assert yaml.parse(text).locate(("a",), offset) == place


def test_aliases_that_explode_are_refused() -> None:
    """A billion laughs end in a problem, not in the machine's memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    document = yaml.parse("\n".join(lines))
    assert [one.message for one in document.problems] == [
        "too large or too deeply nested (do aliases refer to each other?)"
    ]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "- " * 100_000 + "x", "{a: " * 3_000 + "}" * 3_000, "[" * 300 + "]" * 300]
)
def test_nesting_without_end_is_refused(text: str) -> None:
    """A hundred thousand brackets end in a problem, not in the machine's stack."""
    assert [one.message for one in yaml.parse(text).problems] == [
        "too large or too deeply nested (do aliases refer to each other?)"
    ]


WORDS = (
    "a",
    "b: ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ":",
    "'",
    '"',
    "|",
    ">-\n  ",
    "#",
    " # x",
    "&a ",
    "*a",
)
MORE = (
    "!t ",
    "---\n",
    "%",
    "@",
    "\t",
    " ",
    "\\u00e4",
    "ä",
    "\u2028",
    "\x85",
    "\ufeff",
    "\0",
    "1",
    "~",
    "true",
    "\r\n",
    "<<: ",
    "\ud800",
)


@given(st.lists(st.sampled_from(WORDS + MORE), max_size=14).map("".join))
def test_both_parsers_read_the_same(text: str) -> None:
    """The fast one finds the values and the places that the other one finds, where it is asked and finds any."""
    fast = yaml.parse(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyyaml, "__with_libyaml__", False)
        slow = yaml.parse(text)
    if slow.problems:
        assert fast.problems == slow.problems or re.search(r"[|>][-+0-9]*#", text)
        return
    assert (fast.value, fast.problems) == (slow.value, [])
    for path in slow._values:
        assert fast.at(path) == slow.at(path)
        assert not path or fast.at(path, key=True) == slow.at(path, key=True)


def test_files_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    """A missing file and one that is not UTF-8 are told, not raised."""
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4\n")
    found = [yaml.load(tmp_path / name).problems[0].message for name in ("latin.yaml", "none.yaml")]
    assert found == ["not UTF-8 text (byte 3)", "can't be read: No such file or directory"]


@given(st.text(max_size=200))
def test_any_text_gives_a_value_or_a_problem(text: str) -> None:
    """No text raises; what can't be read has a problem and no value."""
    document = yaml.parse(text)
    assert document.value is None or not document.problems
