"""Out with what differs between two runs of the same fault: numbers, paths, hashes, times, hosts, ids.

`mask` makes fingerprints and templates. It is deterministic and idempotent: masks hold nothing that a mask
would match.
"""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

import re
from typing import Final

_WHEN: Final = (
    r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z\b|UTC\b|[+-]\d\d:?\d\d))?)?"
    r"|\b\d\d?:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? (?:\d\d? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\w*"
)
_UUID: Final = r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
_HASH: Final = r"\b(?:sha(?:1|256|384|512)[:-])[A-Za-z0-9+/=]{16,}|\b(?=[a-f]*[0-9])[0-9a-fA-F]{7,}\b|\b0x[0-9a-fA-F]+\b|@[0-9a-f]{5,}\b"
_URL: Final = r"\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>()\[\]{}]+"
_HOST: Final = r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\b[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.(?:com|org|net|io|dev|local|internal|cloud|localdomain)\b(?::\d+)?"
_PATH: Final = r"(?:(?<![\w./@<>-])(?:[A-Za-z]:[\\/]|~?/|\.{1,2}/)|(?<![\w./@<>-])(?=[\w.@-]+/[\w.@-]+/))(?:[\w.@+~-]+[\\/])*(?P<leaf>[\w.@+~-]*)"
_NUMBER: Final = (
    r"(?<![A-Za-z_\d])[-+]?\d+(?:[.,]\d+)*(?:%|(?:ms|s|m|h|kB|MB|GB|KB|MiB|KiB|GiB|B|us|ns|px)?\b)?|(?<=[a-z_])\d+"
)
_MASK: Final = re.compile(
    f"(?P<when>{_WHEN})|(?P<uuid>{_UUID})|(?P<url>{_URL})|(?P<hash>{_HASH})|(?P<host>{_HOST})|(?P<path>{_PATH})"
    f"|(?P<number>{_NUMBER})"
)
_PACKAGE: Final = re.compile(
    r"(?:node_modules|site-packages|dist-packages)[\\/]((?:@[\w.-]+/)?[A-Za-z][\w.-]*)(?=[\\/])"
)
_SPACE: Final = re.compile(r"\s+")
_NAMES: Final = {"when": "<when>", "uuid": "<id>", "url": "<url>", "hash": "<hash>", "host": "<host>"}
_DIGITS: Final = re.compile(r"\d+")


def mask(text: str) -> str:
    """`text` with what varies between runs replaced by `<when>`, `<id>`, `<url>`, `<hash>`, `<host>`, `<n>`.

    Of a path the last part stays (its name tells the fault, its place does not), and the installed package that it
    lies in. Runs of white space
    become one space. Error codes (`TS2304`, `E0382`: capitals and figures) stay.
    """
    masked = _MASK.sub(_replace, text)
    while masked != text:  # what was cut off by a mask may need one now
        text, masked = masked, _MASK.sub(_replace, masked)
    return _SPACE.sub(" ", masked).strip()


def template(line: bytes) -> bytes:
    """A cheap stand-in for `mask` on raw bytes, to count lines that differ in figures only."""
    return line.translate(None, b"0123456789 \t")


def _replace(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "leaf" or kind == "path":
        leaf = _DIGITS.sub("<n>", match["leaf"] or "") or "<path>"
        package = _PACKAGE.search(match[0])
        if package is None or package[1] == match["leaf"]:
            return leaf
        return f"{_DIGITS.sub('<n>', package[1])}: {leaf}"
    if kind == "number":
        return "<n>"
    return _NAMES[kind or ""]
