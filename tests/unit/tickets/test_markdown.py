"""Templates in Markdown: their text is markup, and what they print stays text wherever it is printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.lang.template import Template
from processor.tickets import adf, markdown, wiki
from processor.tickets.document import Break, Code, Document, Heading, Items, Paragraph, Quote, Rule, Text, clean, plain
from tests.unit.tickets.hostile import FEW, HOSTILE, wiki_structure
from tests.unit.tickets.test_adf import problems

PLACES = """{{ x }}

**{{ x }}** and *{{ x }}* and `{{ x }}`, {{ x | upper }}
# {{ x }}
- {{ x }}
- b {{ x }}

> {{ x }}

1. [{{ x }}]({{ x }})

```
{{ x }}
```
"""


def render(text: str, **values: object) -> Document:
    """The document of a template."""
    return markdown.document(Template(text, finalize=markdown.hide).render(**values))


def kinds(document: Document) -> list[str]:
    """Names of a document's blocks."""
    return [type(block).__name__ for block in document.blocks]


@FEW
@given(HOSTILE)
def test_values_make_no_markup_anywhere(value: str) -> None:
    """In bold, code, a heading, a list, a quote, a link and a fence: the same blocks whatever is printed."""
    made = render(PLACES, x=value)
    blank = not clean(value).strip()
    assert kinds(made) == kinds(render(PLACES, x="x")) or blank
    assert problems(adf.adf(made)) == []
    assert wiki_structure(wiki.wiki(made)).macros == []


@FEW
@given(HOSTILE)
def test_values_are_shown_as_they_are(value: str) -> None:
    """Hidden from the parser, and whole again in the document."""
    assert markdown.show(markdown.hide(value)) == clean(value)
    words = "".join(clean(value).split())
    assert "".join(plain(render("a {{ x }} b", x=value)).split()) == f"a{words}b"


def test_a_link_goes_to_where_it_may() -> None:
    """An http(s) address becomes a link; anything else stays text."""
    said = {"good": "https://ci.example.com/a(1)_b?x=*1", "bad": "javascript:alert(1)", "none": ""}
    (paragraph,) = render("[a]({{ good }}) [b]({{ bad }}) [c]({{ none }})", **said).blocks
    assert isinstance(paragraph, Paragraph)
    links = [each.href for each in paragraph.content if isinstance(each, Text) and each.text in set("abc")]
    assert links == [said["good"], None, None]


def test_every_kind_of_block() -> None:
    """Headings, lists within lists, code, quotes and rules; line ends count, HTML and pictures are text."""
    made = render(
        "## H\na\nb <b>c</b>\n\n- one\n  1. two\n\n> q\n\n```log\nx\n```\n\n---\n![p](http://x/y.png)\n    indented"
    )
    assert kinds(made) == ["Heading", "Paragraph", "Items", "Quote", "Code", "Rule", "Paragraph"]
    heading, paragraph, items, quote, code, rule, last = made.blocks
    assert heading == Heading(2, (Text("H"),))
    assert paragraph == Paragraph((Text("a"), Break(), Text("b <b>c</b>")))
    assert isinstance(items, Items)
    assert items.entries[0][1] == Items(((Paragraph((Text("two"),)),),), ordered=True)
    assert quote == Quote((Paragraph((Text("q"),)),))
    assert code == Code(("x",), evidence=True)
    assert rule == Rule()
    assert plain(Document((last,))) == "!p\nindented"


@pytest.mark.parametrize("name", ["mono", "strong"])
def test_builders_hold_any_text(name: str) -> None:
    """What is built as Markdown holds its value as text."""
    (paragraph,) = markdown.document(getattr(markdown, name)("`*a*` **b")).blocks
    assert paragraph == Paragraph((Text("`*a*` **b", code=name == "mono", strong=name == "strong"),)) or (
        isinstance(paragraph, Paragraph) and Text("`*a*` **b", strong=True) in paragraph.content
    )


@FEW
@given(st.text(alphabet="*_`[](){}#>-+~|!<&\\ \n1.a", max_size=80))
def test_any_template_gives_a_document_that_jira_takes(text: str) -> None:
    """Whatever the Markdown: nodes that Jira knows, nested as it wants them."""
    assert problems(adf.adf(markdown.document(text))) == []
