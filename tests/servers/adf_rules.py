"""Which documents Jira Cloud takes: Atlassian Document Format, by its published structure.

Source: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

TOP: Final = frozenset(
    {"blockquote", "bulletList", "codeBlock", "expand", "heading", "mediaGroup", "mediaSingle"}
    | {"orderedList", "panel", "paragraph", "rule", "table"}
)
LISTED: Final = frozenset({"bulletList", "codeBlock", "mediaSingle", "orderedList", "paragraph"})
INLINE: Final = frozenset(["text", "hardBreak", "emoji", "mention", "inlineCard", "status", "date"])
INNER: Final = {
    "doc": TOP,
    "paragraph": INLINE,
    "heading": INLINE,
    "codeBlock": frozenset({"text"}),
    "bulletList": frozenset({"listItem"}),
    "orderedList": frozenset({"listItem"}),
    "listItem": LISTED,
    "blockquote": frozenset(["paragraph", "bulletList", "orderedList", "codeBlock", "mediaSingle", "mediaGroup"]),
    "panel": frozenset(["paragraph", "heading", "bulletList", "orderedList", "blockCard"]),
    "expand": TOP,
}
FILLED: Final = frozenset({"bulletList", "orderedList", "listItem", "blockquote", "panel", "expand"})
"""Nodes that must not be empty."""
MARKS: Final = frozenset(["code", "em", "link", "strike", "strong", "subsup", "textColor", "underline"])


def wrong(document: Any) -> list[str]:
    """What Jira would not take in a document; nothing if it is fine."""
    if not isinstance(document, dict):
        return ["Operation value must be an Atlassian Document (see the Atlassian Document Format)"]
    if document.get("type") != "doc" or document.get("version") != 1:
        return ["INVALID_INPUT: not a document of version 1"]
    broken = [
        f"a line's end within {parent}" for parent, text in texts(document) if parent != "codeBlock" and "\n" in text
    ]
    return [f"INVALID_INPUT: {each}" for each in [*_node(document), *broken]]


def _node(node: Any) -> Iterator[str]:
    if not isinstance(node, dict) or not isinstance(node.get("type"), str):
        yield "a node without a type"
        return
    kind, inner = node["type"], node.get("content")
    if unknown := set(node) - {"type", "content", "attrs", "marks", "text", "version"}:
        yield f"{kind} has {sorted(unknown)}"
    if kind == "text":
        yield from _text(node)
    if kind == "heading" and node.get("attrs", {}).get("level") not in range(1, 7):
        yield "a heading of no level"
    if kind in FILLED and not inner:
        yield f"{kind} is empty"
    if kind == "listItem" and inner and inner[0].get("type") not in {"paragraph", "codeBlock", "mediaSingle"}:
        yield "listItem begins with no paragraph"
    if kind == "doc" and not isinstance(inner, list):
        yield "doc has no content"
    for each in inner or ():
        if isinstance(each, dict) and each.get("type") not in INNER.get(kind, ()):
            yield f"{each.get('type')} within {kind}"
        if kind == "codeBlock" and isinstance(each, dict) and each.get("marks"):
            yield "marks within codeBlock"
        yield from _node(each)


def _text(node: dict[str, Any]) -> Iterator[str]:
    text, marks = node.get("text"), node.get("marks") or []
    if not isinstance(text, str) or not text:
        yield "an empty text"
    kinds = [mark.get("type") for mark in marks]
    if any(kind not in MARKS for kind in kinds) or len(set(kinds)) != len(kinds):
        yield f"marks {kinds}"
    if "code" in kinds and set(kinds) - {"code", "link"}:
        yield f"code beside {kinds}"
    for mark in marks:
        if mark.get("type") == "link" and not str(mark.get("attrs", {}).get("href", "")).startswith("http"):
            yield "a link without an address"


def texts(node: Any, parent: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a document, each with the kind of its parent."""
    if isinstance(node, dict):
        if node.get("type") == "text":
            yield parent, str(node.get("text", ""))
        for each in node.get("content") or ():
            yield from texts(each, str(node.get("type")))
