"""Ticket templates are Markdown (CommonMark): their text is markup, and what they print is text, whatever it holds.

A printed value is put into the private plane 15, a character a UTF-16 unit, so that nothing in it means anything to
the Markdown parser; it is put back where the parsed document takes its texts. What is built here as Markdown goes in
as it is.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

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
    clean,
    one_line,
)

EVIDENCE: Final = "log"
"""Language of a fence that holds lines of the log: they go first where a ticket is too long."""

_PLANE: Final = 0xF0000
_HIDDEN: Final = re.compile(f"[{chr(_PLANE)}-{chr(_PLANE + 0xFFFF)}]+")
_DEEP: Final = 6
"""Levels of lists and quotes; deeper ones are shown as text."""


class Markdown(str):
    """Markdown that was built here and goes into a template's text as it is."""

    __slots__ = ()


def hide(value: Any) -> Markdown:
    """A printed value, as text that means nothing to Markdown. What is Markdown already stays."""
    if isinstance(value, Markdown):
        return value
    units = array("H", clean(value).encode("utf-16-le"))
    return Markdown("".join([chr(_PLANE + unit) for unit in units]))


def show(text: str) -> str:
    """The text with its hidden values, cleaned."""
    while _HIDDEN.search(text):
        text = _HIDDEN.sub(lambda found: _shown(found[0]), text)
    return clean(text)


def _shown(hidden: str) -> str:
    return clean(array("H", [ord(each) - _PLANE for each in hidden]).tobytes().decode("utf-16-le", "replace"))


def mono(value: Any) -> Markdown:
    """The value in fixed width."""
    text = hide(one_line(value))
    return Markdown(f"`{text}`") if text else text


def strong(value: Any) -> Markdown:
    """The value in bold."""
    return Markdown(f"**{hide(value)}**")


def link(url: Any, value: Any) -> Markdown:
    """The value as a link, if the address is one that may be linked to."""
    return Markdown(f"[{hide(value)}](<{hide(url)}>)") if url else hide(value)


def log(lines: Iterable[str]) -> Markdown:
    """Lines of the log."""
    body = "\n".join(hide(line) for line in lines)
    return Markdown(f"```{EVIDENCE}\n{body}\n```") if body else Markdown("")


def join(parts: Iterable[str], between: str = "") -> Markdown:
    """Pieces that are Markdown, the empty ones left out, with `between` in between."""
    return Markdown(between.join(part for part in parts if part))


def document(text: str) -> Document:
    """The document that Markdown says, its hidden values in their places."""
    return Document(tuple(_blocks(SyntaxTreeNode(_PARSER.parse(text)).children, 0)))


def _parser() -> MarkdownIt:
    """CommonMark whose line ends count, without HTML, pictures, and what comes about by accident (indented code)."""
    made = MarkdownIt("commonmark", {"breaks": True, "html": False, "maxNesting": 2 * _DEEP + 4})
    made.disable(["html_block", "html_inline", "image", "code", "lheading", "entity"])
    # Addresses are judged when the values are back in them (`document.address`).
    made.normalizeLink = lambda url: url  # type: ignore[method-assign]
    made.validateLink = bool  # type: ignore[method-assign, assignment]
    return made


_PARSER: Final = _parser()


def _blocks(nodes: Sequence[SyntaxTreeNode], depth: int) -> Iterator[Block]:
    for node in nodes:
        match node.type:
            case "heading":
                yield Heading(int(node.tag[1:]), _inline(node))
            case "fence":
                info = node.info.strip()
                yield Code(tuple(_lines(node.content.removesuffix("\n"))), evidence=info == EVIDENCE)
            case "bullet_list" | "ordered_list":
                entries = tuple(tuple(_blocks(each.children, depth + 1)) for each in node.children)
                yield Items(entries, ordered=node.type == "ordered_list")
            case "blockquote":
                yield Quote(tuple(_blocks(node.children, depth + 1)))
            case "hr":
                yield Rule()
            case _:
                yield Paragraph(_inline(node))


def _lines(content: str) -> Iterator[str]:
    """The lines of a fence. A value that holds line ends has lines of its own."""
    for line in content.split("\n"):
        yield from show(line).split("\n")


@dataclass(frozen=True, slots=True)
class _Marks:
    strong: bool = False
    em: bool = False
    href: str | None = None


def _inline(node: SyntaxTreeNode) -> tuple[Inline, ...]:
    return tuple(each for child in node.children for each in _nodes(child, _Marks()))


def _nodes(node: SyntaxTreeNode, marks: _Marks) -> Iterator[Inline]:
    match node.type:
        case "text" | "text_special":
            yield from _texts(node.content, marks)
        case "code_inline":
            yield Text(show(node.content), marks.strong, marks.em, code=True, href=marks.href)
        case "softbreak" | "hardbreak":
            yield Break()
        case "strong":
            yield from _within(node, _Marks(True, marks.em, marks.href))
        case "em":
            yield from _within(node, _Marks(marks.strong, True, marks.href))
        case "link":
            yield from _within(node, _Marks(marks.strong, marks.em, show(str(node.attrs.get("href", "")))))
        case _:
            yield from _within(node, marks) if node.children else _texts(node.content, marks)


def _within(node: SyntaxTreeNode, marks: _Marks) -> Iterator[Inline]:
    for child in node.children:
        yield from _nodes(child, marks)


def _texts(content: str, marks: _Marks) -> Iterator[Inline]:
    """A text; line ends that a value holds are line ends here."""
    for index, line in enumerate(show(content).split("\n")):
        if index:
            yield Break()
        yield Text(line, marks.strong, marks.em, href=marks.href)
