"""Documents in Jira's wiki markup (Data Center, REST v2): text goes in as text, never as markup.

Notation: https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

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
    flat,
    tidy,
    units,
)

_BREAK: Final = "\u200b"
"""Zero-width space: stands between two characters that together would be a link or a mention."""

_MARKED: Final = re.compile(r"[\\{}\[\]|*_+^~?!#:;&()-]|^[^\S\n]*(?:h[1-6]|bq|fn\d*)\.", re.MULTILINE)
_SCHEME: Final = re.compile(
    r"\b(https?|ftps?|file|mailto|news|nntp|irc|svn|callto|skype|tel|javascript|data):(?=\S)", re.IGNORECASE
)
_ISSUE_KEY: Final = re.compile(r"\b([A-Z][A-Z0-9_]+)-(?=\d)")
_ENTITY: Final = re.compile(r"&(?=#?\w+;)")
_EMOTICON: Final = re.compile(r"\((?=(?:[!?/xiyn+\-]|\*[rgby]?|on|off|flag|flagoff)\))|[:;](?=-?[()DP](?!\w))")
_BLOCK: Final = re.compile(r"^([^\S\n]*)(?=(?:h[1-6]|bq|fn\d*)\.|[*#-]+\s|-{4,}[^\S\n]*$)", re.MULTILINE)
_LINK_TEXT: Final = str.maketrans({"[": "(", "]": ")", "|": "/"})
_PICTURE: Final = re.compile(r"!(?=\S)|!$")
_PHRASES: Final = ("*", "_", "+", "-", "^", "~", "??")


def wiki(document: Document) -> str:
    """The document in markup."""
    made = [(block, _block(block)) for block in document.blocks]
    said = [(block, text) for block, text in made if text]
    parts: list[str] = []
    for index, (block, text) in enumerate(said):
        parts.append(text)
        # A heading stands right above its text, as people write it.
        if index + 1 < len(said):
            parts.append("\n" if isinstance(block, Heading) else "\n\n")
    return "".join(parts)


def size(document: Document) -> int:
    """How much of Jira's limit the document takes; a line's end counts as two, since Jira may keep it as CR LF."""
    text = wiki(document)
    return units(text) + text.count("\n")


def _block(block: Block, prefix: str = "") -> str:
    match block:
        case Paragraph(content):
            return _inline(content)
        case Heading(level, content):
            text = _inline(each for each in content if isinstance(each, Text))
            return f"h{min(max(level, 1), 6)}. {text}" if text else ""
        case Code(lines, _):
            return _noformat(lines)
        case Items(entries, ordered):
            mark = prefix + ("#" if ordered else "*")
            return "\n".join(filter(None, (_entry(entry, mark) for entry in entries)))
        case Quote(blocks):
            inner = "\n\n".join(filter(None, map(_block, blocks)))
            return f"{{quote}}\n{inner}\n{{quote}}" if inner else ""
        case Rule():
            return "----"


def _entry(blocks: Iterable[Block], mark: str) -> str:
    """An entry of a list: an empty line would end the list, so there is none."""
    made = [_block(block, mark) for block in blocks]
    lines = [text for text in made if text]
    if not lines:
        return ""
    first = "" if lines[0].startswith((f"{mark}*", f"{mark}#")) else f"{mark} "
    return first + "\n".join(lines)


def _inline(content: Iterable[Inline]) -> str:
    lines: list[list[Text]] = [[]]
    for each in tidy(content):
        if isinstance(each, Break):
            lines.append([])
        else:
            lines[-1].append(each)
    # What a line begins with decides over what it is.
    return "\n".join(_BLOCK.sub(rf"\1{_BREAK}", _line(texts)) for texts in lines)


def _line(texts: list[Text]) -> str:
    made = ""
    for index, each in enumerate(texts):
        others = "".join(_signs(other) for other in texts if other is not each)
        made += _text(each, others, made[-1:], flat(texts[index + 1 :])[:1])
    return made


def _signs(text: Text) -> str:
    """A text with the marks that it gets: what may pair up with a mark in another text of the line."""
    return text.text + "**" * text.strong + "__" * text.em


def _text(text: Text, others: str, before: str, after: str) -> str:
    core = text.text.strip()
    if not core:
        return text.text
    lead, _, tail = text.text.partition(core)
    others += "**" * text.strong + "__" * text.em
    tight = (not lead and before.isalnum()) or (not tail and after.isalnum())
    made = _link(core, text.href, others) if text.href else escape(core, others)
    if text.code and not text.href:
        made = f"{{{{{made}}}}}"
    for mark, wanted in (("_", text.em), ("*", text.strong)):
        if wanted and not text.code:
            made = f"{{{mark}}}{made}{{{mark}}}" if tight else f"{mark}{made}{mark}"
    return f"{lead}{made}{tail}"


def _link(text: str, href: str, others: str) -> str:
    shown = escape(text.translate(_LINK_TEXT), others)
    target = href.replace("!", "%21").replace("*", "%2A")
    return f"[{shown}|{target}]"


def escape(text: str, others: str = "") -> str:
    """Markup that shows `text` literally: no formatting, link, mention, macro, image, table or emoticon.

    What needs no escape stays as it is, since people also read tickets as plain text (mails, search results).
    `others` is what else stands on the line.
    """
    source = clean(text)
    if not _MARKED.search(source):
        return source
    source = _ENTITY.sub(f"&{_BREAK}", source)
    # A lone backslash is literal; before a mark, or doubled (a line break), it would not be.
    source = re.sub(r"\\(?=[\\{}\[\]|*_+^~?!#:;()-]|$)", "&#92;", source, flags=re.MULTILINE)
    source = "\n".join(_phrases(line, others) for line in source.split("\n"))
    source = re.sub(r"[{}\[\]|]", r"\\\g<0>", source)
    source = "\n".join(_pictures(line, others) for line in source.split("\n"))
    source = _EMOTICON.sub(r"\\\g<0>", source)
    source = _ISSUE_KEY.sub(rf"\1{_BREAK}-", source)
    source = re.sub(r"(?<=\[)(?=\\?~)", _BREAK, source)
    return _SCHEME.sub(rf"\1:{_BREAK}", source)


def _pictures(line: str, others: str) -> str:
    """Escapes the marks that could begin a picture: all but the last of the line."""
    last = len(line) if "!" in others else line.rfind("!")
    return _PICTURE.sub(lambda found: r"\!" if found.start() < last else "!", line) if last > 0 else line


def _phrases(line: str, others: str) -> str:
    """Escapes the marks that open a phrase (*bold*, -struck-, …), that is those that something closes."""
    for mark in _PHRASES:
        shared = mark in others
        at = line.find(mark)
        while at >= 0:
            step = len(mark)
            if _edges(line, at, mark) if shared else _opens(line, at, mark):
                line = f"{line[:at]}\\{line[at:]}"
                step += 1
            at = line.find(mark, at + step)
    return line


def _edges(line: str, at: int, mark: str) -> bool:
    """Whether the mark at `at` could begin or end a phrase with one elsewhere: it is not within a word."""
    within = mark in "^~"
    before, after = line[at - 1 : at] if at else "", line[at + len(mark) :][:1]
    return within or not (before.isalnum() and after.isalnum())


def _opens(line: str, at: int, mark: str) -> bool:
    """Whether the mark at `at` would begin a phrase in this line: by its neighbours, and by a mark that ends it."""
    within = mark in "^~"
    begins = within or at == 0 or not line[at - 1].isalnum()
    rest = line[at + len(mark) :]
    if not begins or not rest[:1].strip():
        return False
    end = rest.find(mark, 1)
    while end >= 0:
        follows = rest[end + len(mark) : end + len(mark) + 1]
        if not rest[end - 1].isspace() and (within or not follows.isalnum()):
            return True
        end = rest.find(mark, end + 1)
    return False


def _noformat(lines: Iterable[str]) -> str:
    """A block that shows the lines as they are. The one thing that could end it is taken apart."""
    body = "\n".join(re.sub(r"\{(?=\s*noformat)", "{ ", line, flags=re.IGNORECASE) for line in lines)
    return "{noformat}\n" + body + "\n{noformat}" if body else ""
