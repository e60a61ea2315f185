"""Documents for Jira Cloud (REST v3): Atlassian Document Format.

Source: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/. Jira refuses empty texts, line
ends in texts, and marks beside `code` other than a link.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

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
    tidy,
    units,
)

Node = dict[str, Any]


def adf(document: Document) -> Node:
    """The document as ADF."""
    return {"type": "doc", "version": 1, "content": _blocks(document.blocks) or [_paragraph(())]}


def size(document: Document) -> int:
    """How much of Jira's limit the document takes: Jira Cloud keeps, and counts, the JSON."""
    return units(orjson.dumps(adf(document)).decode())


def _blocks(blocks: Iterable[Block]) -> list[Node]:
    return [node for node in map(_block, blocks) if node is not None]


def _block(block: Block) -> Node | None:
    match block:
        case Paragraph(content):
            return _paragraph(content) if _inline(content) else None
        case Heading(level, content):
            made = _inline(content)
            return {"type": "heading", "attrs": {"level": min(max(level, 1), 6)}, "content": made} if made else None
        case Code(lines, _):
            text = "\n".join(lines)
            return {"type": "codeBlock", "content": [{"type": "text", "text": text}]} if text else None
        case Items(entries, ordered):
            items = [{"type": "listItem", "content": made} for made in map(_entry, entries) if made]
            return {"type": "orderedList" if ordered else "bulletList", "content": items} if items else None
        case Quote(blocks):
            return _quote(blocks)
        case Rule():
            return {"type": "rule"}


def _entry(blocks: Iterable[Block]) -> list[Node]:
    """An entry of a list: it begins with a paragraph, and has no headings, quotes and rules."""
    made = _blocks(_paragraphs(blocks, keep=(Code, Items)))
    return made if not made or made[0]["type"] == "paragraph" else [_paragraph(()), *made]


def _quote(blocks: Iterable[Block]) -> Node | None:
    made = _blocks(_paragraphs(blocks, keep=()))
    return {"type": "blockquote", "content": made} if made else None


def _paragraphs(blocks: Iterable[Block], keep: tuple[type, ...]) -> Iterable[Block]:
    """The blocks as paragraphs, but for those kinds that may stand here."""
    for block in blocks:
        match block:
            case Paragraph():
                yield block
            case Heading(_, content):
                yield Paragraph(content)
            case Quote(inner):
                yield from _paragraphs(inner, keep)
            case Rule():
                pass
            case _ if isinstance(block, keep):
                yield block
            case Code(lines, _):
                yield from (Paragraph((Text(line, code=True),)) for line in lines)
            case Items(entries, _):
                for entry in entries:
                    yield from _paragraphs(entry, keep)


def _paragraph(content: Iterable[Inline]) -> Node:
    return {"type": "paragraph", "content": _inline(content)}


def _inline(content: Iterable[Inline]) -> list[Node]:
    return [{"type": "hardBreak"} if isinstance(each, Break) else _text(each) for each in tidy(content)]


def _text(text: Text) -> Node:
    marks: list[Node] = []
    if text.href:
        marks.append({"type": "link", "attrs": {"href": text.href}})
    if text.code:
        marks.append({"type": "code"})
    else:
        marks += [{"type": name} for name, set_ in (("strong", text.strong), ("em", text.em)) if set_]
    return {"type": "text", "text": text.text, **({"marks": marks} if marks else {})}


def plain(node: Mapping[str, Any]) -> str:
    """The text of ADF that Jira gave back, laid out as `document.plain` does, whatever nodes people have added."""
    return "\n\n".join(text for text in map(_plain, node.get("content") or ()) if text)


def _plain(node: Mapping[str, Any]) -> str:
    kind, inner = node.get("type"), [each for each in node.get("content") or () if isinstance(each, Mapping)]
    if kind == "text":
        return str(node.get("text", ""))
    if kind == "hardBreak":
        return "\n"
    if kind in {"bulletList", "orderedList"}:
        said = (" ".join(filter(None, map(_plain, each.get("content") or ()))) for each in inner)
        return "\n".join(f"- {each}" for each in said if each)
    if kind in {"paragraph", "heading", "codeBlock"}:
        return "".join(map(_plain, inner))
    return "\n".join(filter(None, map(_plain, inner)))


def replaced(node: Mapping[str, Any], old: str, new: str) -> Node | None:
    """ADF with the sentence `old` said as `new`; None unless exactly one text of it has the sentence, once."""
    found = _texts(node)
    if sum(each.count(old) for each in found) != 1:
        return None
    return _mapped(node, old, new)


def _texts(node: Any) -> list[str]:
    if not isinstance(node, Mapping):
        return []
    if node.get("type") == "text":
        return [str(node.get("text", ""))]
    return [text for each in node.get("content") or () for text in _texts(each)]


def _mapped(node: Mapping[str, Any], old: str, new: str) -> Node:
    if node.get("type") == "text":
        return {**node, "text": str(node.get("text", "")).replace(old, new)}
    if "content" not in node:
        return dict(node)
    return {**node, "content": [_mapped(each, old, new) for each in node["content"]]}
