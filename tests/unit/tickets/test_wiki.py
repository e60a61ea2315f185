"""Wiki markup: text from logs stays text: no markup, mention, link, macro, image or table is made of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.tickets import wiki
from processor.tickets.document import Break, Code, Document, Heading, Inline, Items, Paragraph, Rule, Text
from tests.unit.tickets.hostile import FEW, HOSTILE, documents, text_of, wiki_structure


@pytest.mark.parametrize(
    "text",
    [
        "npm ERR! Could not resolve dependency: @angular/material@^12.2.0",
        "dependency_resolution of snake_case_name and re-run",
        "cannot find module 'left-pad' (imported from src/index.ts)",
        "assert 1 == 2",
        "why did it break? nobody knows",
        "use npm install --legacy-peer-deps",
        "salt & pepper; a && b",
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
        ("!a.png!!b.png!", r"\!a.png\!\!b.png!"),
        ("| a | b |", r"\| a \| b \|"),
        ("h1. Title", "\u200bh1. Title"),
        ("bq. quoted", "\u200bbq. quoted"),
        ("* bullet", "\u200b* bullet"),
        ("see BUILD-12", "see BUILD\u200b-12"),
        ("mailto:boss@example.com", "mailto:\u200bboss@example.com"),
        (r"\\server\share", r"&#92;\server\share"),
        ("fine :) (x)", r"fine \:) \(x)"),
        ("??cite??", r"\??cite??"),
        ("&#123;code&#125;", "&\u200b#123;code&\u200b#125;"),
    ],
)
def test_markup_is_taken_apart(text: str, shown: str) -> None:
    """Each kind of markup, link and mention is shown literally."""
    assert wiki.wiki(Document((Paragraph((Text(text),)),))) == shown


def test_marks_do_not_pair_up_across_texts() -> None:
    """A mark in one text and one in the next make no phrase around what is between them."""
    line = (Text("*a "), Text("x", code=True), Text(" b* _c "), Text("bold", strong=True), Text(" d_"))
    assert wiki.wiki(Document((Paragraph(line),))) == r"\*a {{x}} b\* \_c *bold* d\_"


def test_marks_within_a_word_are_set_off() -> None:
    """Bold next to a letter needs braces; its white space goes outside."""
    line: tuple[Inline, ...] = (Text("re"), Text("do ", strong=True), Text("it"), Break(), Text(" all ", em=True))
    assert wiki.wiki(Document((Paragraph(line),))) == "re{*}do{*} it\n _all_ "


def test_blocks_are_written_as_people_write_them() -> None:
    """Headings, lists within lists, code, rules."""
    inner = Items(((Paragraph((Text("b"),)),),), ordered=True)
    blocks = (
        Heading(3, (Text("Log"),)),
        Code(("1  x", "2  {noformat}")),
        Items(((Paragraph((Text("a"),)), inner), (Paragraph((Text("c"),)),))),
        Rule(),
    )
    assert wiki.wiki(Document(blocks)) == (
        "h3. Log\n{noformat}\n1  x\n2  { noformat}\n{noformat}\n\n* a\n*# b\n* c\n\n----"
    )


@FEW
@given(st.lists(HOSTILE, min_size=1, max_size=4), st.lists(st.sampled_from(["", "code", "strong", "em"]), min_size=4))
def test_no_macro_link_or_mention_survives(texts: list[str], marks: list[str]) -> None:
    """Whatever the texts and their marks: what a reader of the markup finds in it is what we put there."""
    content = tuple(
        Text(text, code=mark == "code", strong=mark == "strong", em=mark == "em")
        for text, mark in zip(texts, marks, strict=False)
    )
    made = wiki.wiki(Document((Paragraph(content),)))
    found = wiki_structure(made)
    assert found.links == []
    assert found.macros == []
    assert found.images == 0
    assert found.lines == []


@FEW
@given(documents())
def test_documents_say_what_they_hold(document: Document) -> None:
    """Read back, markup has the document's blocks of code as they are, and its links, and nothing else."""
    found = wiki_structure(wiki.wiki(document))
    code = [block for block in document.blocks if isinstance(block, Code) and "\n".join(block.lines)]
    assert len(found.code) == len(code)
    for said, block in zip(found.code, code, strict=True):
        assert said == re.sub(r"\{(?=\s*noformat)", "{ ", "\n".join(block.lines), flags=re.IGNORECASE)
    assert set(found.links) <= {text.href for text in text_of(document) if text.href}
    assert found.macros == []


@FEW
@given(documents())
def test_the_same_document_is_always_written_the_same(document: Document) -> None:
    """Comments are recognised by their text when an answer was lost."""
    assert wiki.wiki(document) == wiki.wiki(document)
    assert wiki.size(document) >= len(wiki.wiki(document))
