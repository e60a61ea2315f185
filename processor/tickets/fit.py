"""Makes documents fit into Jira's limit: evidence goes before anything else does, the cause last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from processor.tickets.document import (
    TEXT_LIMIT,
    Block,
    Code,
    Document,
    Heading,
    Inline,
    Items,
    Paragraph,
    Quote,
    Rule,
    Text,
    cut,
    units,
)

WIDTHS: Final = (1000, 300, 120)
"""Units that a line of evidence is cut to in turn, once there are few lines left."""

FEW: Final = 8
"""Lines of evidence that stay longest."""

LONGEST: Final = 2000
"""Units that no text is longer than: it would be read by nobody, and takes its time to write."""

LONG: Final = (1000, 400, 160, 60, 20)
"""Units that any text is cut to in turn."""

Size = Callable[[Document], int]
"""How much of the limit a document takes."""


def fitted(document: Document, size: Size, limit: int = TEXT_LIMIT) -> Document:
    """The document, with what is needed left out so that it fits; the same document always becomes the same."""
    made = document = Document(tuple(_short(block, LONGEST) for block in document.blocks))
    for made in _smaller(document):
        if size(made) <= limit:
            return made
    return _beginning(made, size, limit)


def _smaller(document: Document) -> Iterator[Document]:
    """Ever smaller versions of the document."""
    yield document
    keep = max((len(each.lines) for each in document.blocks if isinstance(each, Code)), default=0)
    while keep > FEW:
        keep = max(keep // 2, FEW)
        yield _with_evidence(document, keep)
    for width in WIDTHS:
        yield _with_evidence(document, FEW, width)
    for keep in (FEW // 2, 1, 0):
        yield _with_evidence(document, keep, WIDTHS[-1])
    bare = _with_evidence(document, 0, WIDTHS[-1])
    for limit in LONG:
        yield Document(tuple(_short(block, limit) for block in bare.blocks))


def _with_evidence(document: Document, keep: int, width: int = TEXT_LIMIT) -> Document:
    """The document with at most so many lines of evidence, which says how many are missing."""
    blocks: list[Block] = []
    for block in document.blocks:
        if not (isinstance(block, Code) and block.evidence):
            blocks.append(block)
            continue
        lines = tuple(cut(line, width) for line in block.lines[:keep])
        if lines:
            blocks.append(replace(block, lines=lines))
        if missing := len(block.lines) - len(lines):
            said = f"{missing} more lines of the log do not fit in here." if missing > 1 else ""
            blocks.append(Paragraph((Text(said or "One more line of the log does not fit in here.", em=True),)))
    return Document(tuple(blocks))


def _short(block: Block, limit: int) -> Block:
    """The block with each text, and each line of code, cut to a length, and lists to a number of entries."""
    match block:
        case Paragraph(content):
            return Paragraph(_shortened(content, limit))
        case Heading(level, content):
            return Heading(level, _shortened(content, limit))
        case Code(lines, evidence):
            return Code(tuple(cut(line, limit) for line in lines[:limit]), evidence)
        case Items(entries, ordered):
            kept = entries[: max(limit // 8, 1)]
            return Items(tuple(tuple(_short(each, limit) for each in entry) for entry in kept), ordered)
        case Quote(blocks):
            return Quote(tuple(_short(each, limit) for each in blocks[: max(limit // 8, 1)]))
        case Rule():
            return block


def _shortened(content: tuple[Inline, ...], limit: int) -> tuple[Inline, ...]:
    return tuple(
        replace(each, text=cut(each.text, limit)) if isinstance(each, Text) and units(each.text) > limit else each
        for each in content[: max(limit, 1)]
    )


def _beginning(document: Document, size: Size, limit: int) -> Document:
    """As many of its first blocks as fit."""
    low, high = 0, len(document.blocks)
    while low < high:
        middle = (low + high + 1) // 2
        if size(Document(document.blocks[:middle])) <= limit:
            low = middle
        else:
            high = middle - 1
    return Document(document.blocks[:low])
