"""What a ticket says, before it is written for one Jira or the other: a document of a few kinds of nodes.

Text in it is text: it is cleaned where a node is made, and the writers (`adf`, `wiki`) make no markup of it. Lengths
are counted as Jira counts them, in UTF-16 units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

SUMMARY_LIMIT: Final = 255
TEXT_LIMIT: Final = 32_767
LABEL_LIMIT: Final = 255

_INVISIBLE: Final = re.compile(
    r"\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b\[[0-9;?]*[ -/]*[@-~]"  # terminal colours, titles and links
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\xad]"  # control characters; Jira refuses many of them
    r"|[\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0]"
    r"|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"  # joiners, which only other scripts need
    r"|[\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
"""What hides text, turns it around, or is no text: direction overrides, zero widths, tags, private planes."""

_LONE: Final = re.compile(r"[\ud800-\udfff]")
_ADDRESS: Final = re.compile(r"https?://[^\s|\[\]{}<>\"'\\^`]+", re.IGNORECASE)


def clean(text: Any) -> str:
    """The text without control characters, colours and direction overrides; line ends are newlines."""
    source = str(text).replace("\r\n", "\n").replace("\r", "\n")
    while (cleaned := _INVISIBLE.sub("", source)) != source:  # what is left may close up to another sequence
        source = cleaned
    return _LONE.sub("\ufffd", source)


def one_line(text: Any) -> str:
    """The cleaned text with all white space, line ends included, as single spaces."""
    return " ".join(clean(text).split())


def address(url: Any) -> str | None:
    """The http(s) address, if it is one that may be linked to; other schemes never are."""
    text = str(url)
    return text if text == clean(text) and _ADDRESS.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Text:
    """A stretch of text with its marks; `href` makes it a link, if `address` accepts it."""

    text: str
    strong: bool = False
    em: bool = False
    code: bool = False
    href: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean(self.text).replace("\n", " "))
        object.__setattr__(self, "href", address(self.href) if self.href else None)


@dataclass(frozen=True, slots=True)
class Break:
    """The end of a line within a paragraph."""


Inline = Text | Break


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    content: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 to 6."""

    level: int
    content: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines in fixed width, as they are. `evidence`: they are from the log, and go first where there is no room."""

    lines: tuple[str, ...]
    evidence: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(each for line in self.lines for each in clean(line).split("\n")))


@dataclass(frozen=True, slots=True)
class Items:
    """A list; each entry is one or more blocks."""

    entries: tuple[tuple[Block, ...], ...]
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """Quoted blocks."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across."""


Block = Paragraph | Heading | Code | Items | Quote | Rule


@dataclass(frozen=True, slots=True)
class Document:
    """A whole text."""

    blocks: tuple[Block, ...]

    def mapped(self, change: Callable[[str], str]) -> Document:
        """The document with each of its texts changed; code is one text."""
        return Document(tuple(_mapped(block, change) for block in self.blocks))


def _mapped(block: Block, change: Callable[[str], str]) -> Block:
    match block:
        case Paragraph(content):
            return Paragraph(tuple(_changed(each, change) for each in content))
        case Heading(level, content):
            return Heading(level, tuple(_changed(each, change) for each in content))
        case Code(lines, evidence):
            return Code(tuple(change("\n".join(lines)).split("\n")), evidence)
        case Items(entries, ordered):
            return Items(tuple(tuple(_mapped(each, change) for each in entry) for entry in entries), ordered)
        case Quote(blocks):
            return Quote(tuple(_mapped(each, change) for each in blocks))
        case Rule():
            return block


def _changed(inline: Inline, change: Callable[[str], str]) -> Inline:
    if isinstance(inline, Break):
        return inline
    return replace(inline, text=change(inline.text), href=change(inline.href) if inline.href else None)


def of(text: Document | str) -> Document:
    """A document of plain text: paragraphs are parted by empty lines. A document stays as it is."""
    return text if isinstance(text, Document) else Document(tuple(map(_paragraph, re.split(r"\n{2,}", clean(text)))))


def _paragraph(text: str) -> Paragraph:
    lines = [(Break(), Text(line)) for line in text.split("\n")]
    return Paragraph(tuple(each for pair in lines for each in pair)[1:])


def plain(document: Document) -> str:
    """The document as bare text: what is compared, logged and shown where there is no markup."""
    return "\n\n".join(text for text in map(_plain, document.blocks) if text)


def _plain(block: Block) -> str:
    match block:
        case Paragraph(content) | Heading(_, content):
            return flat(tidy(content))
        case Code(lines, _):
            return "\n".join(lines)
        case Items(entries, _):
            return "\n".join(f"- {said}" for entry in entries if (said := " ".join(filter(None, map(_plain, entry)))))
        case Quote(blocks):
            return "\n".join(filter(None, map(_plain, blocks)))
        case Rule():
            return ""


def flat(content: Iterable[Inline]) -> str:
    """The text of inline nodes."""
    return "".join(each.text if isinstance(each, Text) else "\n" for each in content)


def tidy(content: Iterable[Inline]) -> Iterator[Inline]:
    """Inline nodes without empty ones, neighbours of the same marks joined, no break at either end."""
    kept: list[Inline] = []
    for each in content:
        last = kept[-1] if kept else None
        if isinstance(each, Break):
            if kept:
                kept.append(each)
        elif isinstance(last, Text) and marks(last) == marks(each):
            kept[-1] = Text(last.text + each.text, *marks(each))
        elif each.text:
            kept.append(each)
    while kept and isinstance(kept[-1], Break):
        kept.pop()
    return iter(kept)


def marks(text: Text) -> tuple[bool, bool, bool, str | None]:
    """The marks of a text, in the order of its fields."""
    return text.strong, text.em, text.code, text.href


def units(text: str) -> int:
    """Length as Jira counts it: UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units of the text, with an ellipsis where it was cut; never half a character."""
    if units(text) <= limit:
        return text
    kept = text.encode("utf-16-le", "surrogatepass")[: 2 * (limit - 1)]
    return kept.decode("utf-16-le", "ignore").rstrip() + "…"


def label(text: Any) -> str:
    """The text as a Jira label: no white space, at most 255 characters; empty if nothing is left."""
    return cut(re.sub(r"\s+", "-", clean(text).strip()), LABEL_LIMIT)
