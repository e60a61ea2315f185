"""Jira's wiki markup (Data Center, REST v2): text from logs goes in as text, never as markup.

Notation: https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all. Lengths are counted as Jira
counts them, in UTF-16 units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

SUMMARY_LIMIT: Final = 255
TEXT_LIMIT: Final = 32_767
LABEL_LIMIT: Final = 255

_INVISIBLE: Final = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\U000e0000-\U000e007f]"
)
"""Terminal colours, control characters, and what hides text or turns it around (bidirectional overrides)."""

_BREAK: Final = "\u200b"
"""Zero-width space: stands between two characters that together would be a link or a mention."""

_MARKED: Final = re.compile(r"[\\{}\[\]|*_+^~?!#:;()-]|^[^\S\n]*(?:h[1-6]|bq|fn\d*)\.", re.MULTILINE)
_SCHEME: Final = re.compile(
    r"\b(https?|ftps?|file|mailto|news|nntp|irc|svn|callto|skype|tel|javascript|data):(?=\S)", re.IGNORECASE
)
_ISSUE_KEY: Final = re.compile(r"\b([A-Z][A-Z0-9_]+)-(?=\d)")
_EMOTICON: Final = re.compile(r"\((?=(?:[!?/xiyn+\-]|\*[rgby]?|on|off|flag|flagoff)\))|[:;](?=-?[()DP](?!\w))")
_BLOCK: Final = re.compile(r"^([^\S\n]*)(?=(?:h[1-6]|bq|fn\d*)\.|[*#-]+\s|-{4,}[^\S\n]*$)", re.MULTILINE)
_PHRASES: Final = ("*", "_", "+", "-", "^", "~", "??")


class Wiki(str):
    """Text that is markup already and goes in as it is."""

    __slots__ = ()


def clean(text: Any) -> str:
    """The text without control characters, colours and direction overrides; line ends are newlines."""
    return _INVISIBLE.sub("", str(text).replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: Any) -> str:
    """The cleaned text with all white space, line ends included, as single spaces."""
    return " ".join(clean(text).split())


def escape(text: Any) -> Wiki:
    """Markup that shows `text` literally: no formatting, link, mention, macro, image, table or emoticon.

    What needs no escape stays as it is, since people also read tickets as plain text (mails, search results).
    """
    if isinstance(text, Wiki):
        return text
    source = clean(text)
    if not _MARKED.search(source):
        return Wiki(source)
    # A lone backslash is literal; before a mark, or doubled (a line break), it would not be.
    source = re.sub(r"\\(?=[\\{}\[\]|*_+^~?!#:;()-]|$)", "&#92;", source, flags=re.MULTILINE)
    source = "\n".join(_phrases(line) for line in source.split("\n"))
    source = re.sub(r"[{}\[\]|]", r"\\\g<0>", source)
    source = re.sub(r"!(?=[^\s!][^!\n]*!)", r"\!", source)
    source = _EMOTICON.sub(r"\\\g<0>", source)
    source = _BLOCK.sub(rf"\1{_BREAK}", source)
    source = _ISSUE_KEY.sub(rf"\1{_BREAK}-", source)
    source = re.sub(r"(?<=\[)(?=\\?~)", _BREAK, source)
    return Wiki(_SCHEME.sub(rf"\1:{_BREAK}", source))


def _phrases(line: str) -> str:
    """Escapes the marks that open a phrase (*bold*, -struck-, …), that is those that something closes."""
    for mark in _PHRASES:
        at = line.find(mark)
        while at >= 0:
            step = len(mark)
            if _opens(line, at, mark):
                line = f"{line[:at]}\\{line[at:]}"
                step += 1
            at = line.find(mark, at + step)
    return line


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


def mono(text: Any) -> Wiki:
    """The text in a fixed-width face."""
    return Wiki("{{" + escape(one_line(text)) + "}}")


def bold(text: Any) -> Wiki:
    """The text in bold."""
    return Wiki(f"*{escape(one_line(text))}*")


def link(address: Any, text: Any = "") -> Wiki:
    """A link to an http(s) address that this product was configured or told with; other schemes are shown as text."""
    target = clean(address)
    if not re.fullmatch(r"https?://[^\s|\[\]{}]+", target):
        return escape(target)
    shown = escape(one_line(text)).replace("|", "") if text else ""
    return Wiki(f"[{shown}|{target}]" if shown else f"[{target}]")


def noformat(lines: Iterable[Any]) -> Wiki:
    """A block that shows the lines as they are. The one thing that could end it is taken apart."""
    body = "\n".join(re.sub(r"\{(?=\s*noformat)", "{ ", clean(line), flags=re.IGNORECASE) for line in lines)
    return Wiki("{noformat}\n" + body + "\n{noformat}")


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
