"""Hostile texts and documents of them, and a reader of wiki markup that is written from Jira's notation guide alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st

from processor.tickets.document import (
    Block,
    Break,
    Code,
    Document,
    Heading,
    Inline,
    Items,
    Paragraph,
    Quote,
    Rule,
    Text,
)

PIECES = (
    "{code}", "{noformat}", "{noformat}\n{panel}", "{{x}}", "[~admin]", "[x|http://evil.example]", "[^a.txt]", "[#a]",
    "!http://x/a.png!", "!a.png!", "||h||", "|c|", "h1. T", "bq. q", "* b", "# n", "- d", "----", "*b*", "_i_", "??c??",
    "+u+", "^s^", "~s~", "-d-", "{color:red}", "{quote}", "{html}", "\\\\", "\\", "\\{", "\\[~a]", "{*}", "&#123;code}",
    "&amp;", "@admin", "mailto:a@b.c", "javascript:alert(1)", "http://evil.example/x", "BUILD-12", ":)", "(x)", "(/)",
    "```", "`x`", "**b**", "[t](http://evil.example)", "<b>x</b>", "![i](http://x/a.png)", "# T", "> q", "1. n", "~~~",
    "\u202e", "\u2066", "\u200b", "\ufeff", "\x00", "\x07", "\x1b[31m", "\x1b]8;;http://evil.example\x07", "\ud800",
    "\udfff", "\U000f0041", "\U0010ffff", "\ufffe", "😀", "é", " ", "\n", "\r\n", "\t", "a", "x1",
    '{"type":"mention","attrs":{"id":"1"}}', '"type":"inlineCard"',
)  # fmt: skip
"""What means something in one format or another, or is no text at all."""

HOSTILE = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=8).map("".join)
FEW = settings(max_examples=50, deadline=None)
"""The texts are dense: a few of them try all there is."""

ADDRESSES = st.sampled_from(
    [None, "https://ci.example.com/a_b/7?x=1!2", "javascript:alert(1)", "https://x/]|[evil", "http://x/{code}", "x"]
)


def inlines() -> st.SearchStrategy[tuple[Inline, ...]]:
    """Inline nodes of hostile texts."""
    text = st.builds(Text, HOSTILE, st.booleans(), st.booleans(), st.booleans(), ADDRESSES)
    return st.lists(st.one_of(text, st.just(Break())), max_size=5).map(tuple)


def blocks() -> st.SearchStrategy[Block]:
    """Blocks of hostile texts, within each other."""
    flat = st.one_of(
        inlines().map(Paragraph),
        st.builds(Heading, st.integers(0, 8), inlines()),
        st.builds(Code, st.lists(HOSTILE, max_size=4).map(tuple), st.booleans()),
        st.just(Rule()),
    )
    deeper = st.lists(flat, max_size=3).map(tuple)
    return st.one_of(flat, st.builds(Items, st.lists(deeper, max_size=3).map(tuple), st.booleans()), deeper.map(Quote))


def documents() -> st.SearchStrategy[Document]:
    """Documents whose code stands at the top, as in all tickets."""
    plain = inlines().map(Paragraph)
    code = st.builds(Code, st.lists(HOSTILE, max_size=4).map(tuple), st.booleans())
    items = st.builds(Items, st.lists(st.lists(plain, max_size=2).map(tuple), max_size=3).map(tuple), st.booleans())
    heading = st.builds(Heading, st.integers(0, 8), inlines())
    quote = st.lists(plain, max_size=2).map(tuple).map(Quote)
    return st.lists(st.one_of(plain, code, items, heading, quote, st.just(Rule())), max_size=5).map(tuple).map(Document)


def text_of(document: Document) -> Iterator[Text]:
    """All texts of a document."""
    for block in document.blocks:
        yield from _texts(block)


def _texts(block: Block) -> Iterator[Text]:
    match block:
        case Paragraph(content) | Heading(_, content):
            yield from (each for each in content if isinstance(each, Text))
        case Items(entries, _):
            yield from (text for entry in entries for each in entry for text in _texts(each))
        case Quote(inner):
            yield from (text for each in inner for text in _texts(each))
        case _:
            pass


@dataclass
class Structure:
    """What a reader of wiki markup finds beside text.

    `lines` are what lines begin with (headings, lists, tables, rules); `phrases` what is bold, struck and the like.
    """

    code: list[str] = field(default_factory=list)
    macros: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    images: int = 0
    lines: list[str] = field(default_factory=list)


_MACRO = re.compile(r"(?<![\\{])\{(?![{*_])([a-zA-Z][^{}\n]*)\}")
_LINK = re.compile(r"(?<!\\)\[([^\]\n]+?)(?<!\\)\]")
_BARE = re.compile(r"\b(?:https?|ftp|mailto|javascript|file):[^\s\u200b]+", re.IGNORECASE)
_IMAGE = re.compile(r"(?<!\\)!(?=\S)[^!\n]+!")
_LINE = re.compile(r"^[ \t]*(h[1-6]\. |bq\. |[*#-]+ |-{4,}\s*$|\|)")


def wiki_structure(markup: str) -> Structure:
    """Reads markup as Jira does: blocks of code first, then macros, links, and the beginnings of lines."""
    found = Structure()

    def code(match: re.Match[str]) -> str:
        found.code.append(match[1])
        return "\n"

    rest = re.sub(r"(?<!\\)\{noformat\}\n(.*?)\n\{noformat\}", code, markup, flags=re.DOTALL | re.IGNORECASE)
    found.macros = [name for name in _MACRO.findall(rest) if name != "quote"]

    def link(match: re.Match[str]) -> str:
        found.links.append(match[1].rpartition("|")[2].replace("%21", "!").replace("%2A", "*"))
        return "link"

    rest = _LINK.sub(link, rest)
    found.links += _BARE.findall(rest)
    found.images = len(_IMAGE.findall(rest))
    found.lines = [match[1] for line in rest.split("\n") if (match := _LINE.match(line))]
    return found
