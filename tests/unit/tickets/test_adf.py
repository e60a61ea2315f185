"""Documents for Jira Cloud: only the nodes that Jira takes, each where it may stand, and text that stays text."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from jsonschema import Draft202012Validator

from processor.tickets import adf, document
from processor.tickets.document import Break, Code, Document, Heading, Items, Paragraph, Quote, Text
from tests.unit.tickets.hostile import FEW, blocks, documents


def _node(kind: str, content: Any = None, **more: Any) -> dict[str, Any]:
    said = {"type": {"const": kind}, **more}
    said |= {"content": content} if content else {}
    return {"type": "object", "properties": said, "required": list(said), "additionalProperties": False}


def _list(*names: str, least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}, "minItems": least}


_LINK = _node("link", attrs={"type": "object", "properties": {"href": {"pattern": "^https?://"}}, "required": ["href"]})
_STYLED = {"type": "array", "items": {"anyOf": [_LINK, _node("strong"), _node("em")]}, "minItems": 1}
_MONO = {"type": "array", "items": {"anyOf": [_LINK, _node("code")]}, "minItems": 1}
_SAID = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000-\u0008\n\u000b-\u001f\u007f-\u009f\u202a-\u202e]*$"}
_CODE = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]*$"}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "text": {
            "type": "object",
            "properties": {
                "type": {"const": "text"},
                "text": _SAID,
                "marks": {"anyOf": [_STYLED, _MONO]},
            },
            "required": ["type", "text"],
            "additionalProperties": False,
        },
        "hardBreak": _node("hardBreak"),
        "paragraph": _node("paragraph", _list("text", "hardBreak", least=0)),
        "heading": _node(
            "heading",
            _list("text", "hardBreak"),
            attrs={"type": "object", "properties": {"level": {"type": "integer", "minimum": 1, "maximum": 6}}},
        ),
        "codeBlock": _node("codeBlock", {"type": "array", "items": _node("text", text=_CODE), "maxItems": 1}),
        "listItem": _node("listItem", {**_list("paragraph", "codeBlock", "bulletList", "orderedList"),
                                       "prefixItems": [{"$ref": "#/$defs/paragraph"}]}),
        "bulletList": _node("bulletList", _list("listItem")),
        "orderedList": _node("orderedList", _list("listItem")),
        "blockquote": _node("blockquote", _list("paragraph")),
        "rule": _node("rule"),
    },
    **_node(
        "doc",
        _list("paragraph", "heading", "codeBlock", "bulletList", "orderedList", "blockquote", "rule"),
        version={"const": 1},
    ),
}  # fmt: skip
"""The part of Atlassian's schema of documents that tickets need, no more: a mention, card or picture is none of it."""

VALID = Draft202012Validator(SCHEMA)


def problems(node: dict[str, Any]) -> list[str]:
    """What is wrong with a document."""
    return [error.message for error in VALID.iter_errors(node)]


def test_schema_refuses_what_jira_does() -> None:
    """The schema that the tests go by is not lenient: newlines in texts, empty texts, mentions, scripts."""
    for bad in (
        {"type": "text", "text": "a\nb"},
        {"type": "text", "text": ""},
        {"type": "mention", "attrs": {"id": "1"}},
        {"type": "text", "text": "x", "marks": [{"type": "link", "attrs": {"href": "javascript:alert(1)"}}]},
        {"type": "text", "text": "x", "marks": [{"type": "code"}, {"type": "strong"}]},
    ):
        assert problems({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [bad]}]})


@FEW
@given(documents())
def test_only_known_nodes_come_of_any_text(made: Document) -> None:
    """Whatever the texts hold, the document fits Atlassian's schema, and its JSON can be written."""
    node = adf.adf(made)
    assert problems(node) == []
    assert orjson.loads(orjson.dumps(node)) == node
    assert adf.size(made) >= len(orjson.dumps(node).decode())


@FEW
@given(blocks())
def test_every_block_fits_wherever_it_stands(block: document.Block) -> None:
    """In a list and in a quote, too, where Jira takes fewer kinds."""
    for made in (Document((block,)), Document((Items(((block,),)),)), Document((Quote((block,)),))):
        assert problems(adf.adf(made)) == []


def test_marks_links_and_breaks() -> None:
    """Each kind of text, once."""
    line = (
        Text("a", strong=True),
        Text("b", code=True, strong=True),
        Break(),
        Text("c", href="https://x/1"),
        Text("d"),
    )
    (paragraph,) = adf.adf(Document((Paragraph(line),)))["content"]
    assert paragraph["content"] == [
        {"type": "text", "text": "a", "marks": [{"type": "strong"}]},
        {"type": "text", "text": "b", "marks": [{"type": "code"}]},
        {"type": "hardBreak"},
        {"type": "text", "text": "c", "marks": [{"type": "link", "attrs": {"href": "https://x/1"}}]},
        {"type": "text", "text": "d"},
    ]


@FEW
@given(documents())
def test_text_is_read_back(made: Document) -> None:
    """What Jira gives back is compared as text; nodes of which nothing is left are left out."""
    assert adf.plain(adf.adf(made)) == document.plain(made)


def test_counts_are_replaced_where_they_stand_once() -> None:
    """The sentence with the counts, in the document as Jira gives it back; what people changed stays as it is."""
    made = Document((Heading(3, (Text("x"),)), Paragraph((Text("Seen once."), Break(), Text("b"))), Code(("c",))))
    node = adf.adf(made)
    again = adf.replaced(node, "Seen once.", "Seen 2 times.")
    assert again is not None
    assert adf.plain(again) == "x\n\nSeen 2 times.\nb\n\nc"
    assert adf.replaced(node, "Seen thrice.", "x") is None
    assert adf.replaced({"content": [node, node]}, "Seen once.", "x") is None
