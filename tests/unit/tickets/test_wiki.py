"""Text from logs stays text: no markup, mention, link, macro, image or table is made of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.tickets import wiki


@pytest.mark.parametrize(
    "text",
    [
        "npm ERR! Could not resolve dependency: @angular/material@^12.2.0",
        "dependency_resolution of snake_case_name and re-run",
        "cannot find module 'left-pad' (imported from src/index.ts)",
        "assert 1 == 2",
        "why did it break? nobody knows",
        "use npm install --legacy-peer-deps",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """What forms no markup is not escaped: people read tickets in mails and lists too."""
    assert wiki.escape(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*bold*", r"\*bold*"),
        ("_em_ and -struck-", r"\_em_ and \-struck-"),
        ("{code}x{code}", r"\{code\}x\{code\}"),
        ("{noformat}", r"\{noformat\}"),
        ("[click|http://evil.example]", "\\[click\\|http:\u200b//evil.example\\]"),
        ("ping [~admin]", "ping \\[\u200b~admin\\]"),
        ("!http://x/a.png!", "\\!http:\u200b//x/a.png!"),
        ("| a | b |", r"\| a \| b \|"),
        ("h1. Title", "\u200bh1. Title"),
        ("bq. quoted", "\u200bbq. quoted"),
        ("* bullet", "\u200b* bullet"),
        ("see BUILD-12", "see BUILD\u200b-12"),
        ("mailto:boss@example.com", "mailto:\u200bboss@example.com"),
        (r"\\server\share", r"&#92;\server\share"),
        ("fine :) (x)", r"fine \:) \(x)"),
        ("??cite??", r"\??cite??"),
    ],
)
def test_markup_is_taken_apart(text: str, shown: str) -> None:
    """Each kind of markup, link and mention is shown literally."""
    assert wiki.escape(text) == shown


def test_control_characters_and_direction_overrides_go() -> None:
    """Colours, bells, bidirectional overrides: not in a ticket."""
    assert wiki.clean("\x1b[31mred\x1b[0m\x07 \u202eevil\u202c\r\nnext") == "red evil\nnext"


@given(st.text(alphabet="ab *_{}[]|!~^+-?\\:/#h1.()\n", max_size=60))
def test_no_macro_link_or_mention_survives(text: str) -> None:
    """Whatever the text: every brace and bracket that is left is escaped, hence nothing opens."""
    escaped = wiki.escape(text)
    assert not re.search(r"(?<!\\)[{\[|]", escaped)
    assert not re.search(r"https?:(?!\u200b)\S", escaped)
    assert "[~" not in escaped


@given(st.lists(st.text(max_size=40), max_size=5))
def test_noformat_block_ends_where_it_should(lines: list[str]) -> None:
    """Nothing in the lines ends the block early."""
    block = wiki.noformat([*lines, "{noformat}", "{ NoFormat }{noformat:x}"])
    assert len(re.findall(r"\{noformat", block, re.IGNORECASE)) == 2
    assert block.startswith("{noformat}\n")
    assert block.endswith("\n{noformat}")


@given(st.text(), st.integers(min_value=2, max_value=50))
def test_cut_text_fits_and_is_whole(text: str, limit: int) -> None:
    """Never longer than the limit in UTF-16 units, never half a character."""
    shortened = wiki.cut(text, limit)
    assert wiki.units(shortened) <= limit
    assert shortened == text or shortened.endswith("…")
    assert shortened.encode("utf-8").decode("utf-8") == shortened


def test_cut_does_not_split_an_emoji() -> None:
    """An emoji is two units; one that does not fit goes as a whole."""
    assert wiki.cut("ab😀cd", 4) == "ab…"


def test_links_are_made_of_http_addresses_alone() -> None:
    """The build's address becomes a link; a script, or an address with markup in it, becomes text."""
    assert wiki.link("https://ci.example.com/7?a=b", "build *7*") == r"[build \*7*|https://ci.example.com/7?a=b]"
    assert wiki.link("javascript:alert(1)", "x") == "javascript:\u200balert(1)"
    assert "[" not in wiki.link("https://x/]|[evil", "x").replace(r"\[", "")


def test_label_has_no_space() -> None:
    """Jira refuses labels with white space, and longer than 255."""
    assert wiki.label("two words\tand a tab") == "two-words-and-a-tab"
    assert wiki.units(wiki.label("x" * 300)) == 255
