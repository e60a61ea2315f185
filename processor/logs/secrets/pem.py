"""Where a private key ends: at its END line, or, in a log that was cut, with the last line that looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from processor.logs.secrets.kinds import Place

REACH: Final = 20_000
"""Bytes of the longest key block."""
_END: Final = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_MARK: Final = b"-----"
_JOIN: Final = rb"(?:\\[rn]|[\"',+;|\s])*"
"""What may stand around a line of a key in JSON, YAML or source text."""
_BODY: Final = re.compile(
    rb"(?:[^\n]{0,300}[\s\"'|>])?[A-Za-z0-9+/]{16,}={0,2}" + _JOIN + rb"|[^\n]{0,300}?(?:Proc-Type|DEK-Info|Version"
    rb"|Comment|Hash|Charset): [^\n]{1,200}\s*|" + _JOIN
)
"""A line of a key, behind the prefix that a log puts before each."""
_LINE: Final = re.compile(rb"(?:[^\n]{0,300}[\s\"'|>])?\+?(?P<body>[A-Za-z0-9/][A-Za-z0-9+/]{15,}={0,2})[\"',;\s]*")
_LAST: Final = re.compile(rb"(?:[^\n]{0,300}[\s\"'|>])?[A-Za-z0-9+/]{2,}={0,2}" + _JOIN)


def key_blocks(data: bytes, first: int, _last: int, end: int) -> Iterator[Place]:
    """The key block whose first line ends at `end`."""
    start = data.rfind(b"-----BEGIN", first, end)
    if start >= 0:
        yield start, end_of_key(data, end), "private-key"


def key_ends(data: bytes, first: int, _last: int, end: int) -> Iterator[Place]:
    """The lines of a key before its last one, which ends at `end`, where a log lacks the first."""
    mark = data.rfind(b"-----END", first, end)
    start, line = mark, data.rfind(b"\n", 0, mark)
    while line > 0 and end - line < REACH:
        before = data.rfind(b"\n", 0, line) + 1
        body = _LINE.fullmatch(data, before, line)
        if body is None:
            break
        start, line = body.start("body"), before - 1
    if 0 <= start < mark:
        yield start, end, "private-key"


def open_lines(data: bytes) -> int:
    """Where the lines at the end of `data` begin that are a key's if its END line comes next."""
    start = len(data)
    while start > 1 and len(data) - start < REACH:
        before = data.rfind(b"\n", 0, start - 1) + 1
        if not _LINE.fullmatch(data, before, start - 1):
            break
        start = before
    return start


def end_of_key(data: bytes, start: int) -> int:
    """The end of the key block whose first line ends at `start`; `len(data)` where it may go on behind it."""
    limit = data.find(b"-----BEGIN", start, start + REACH)
    limit = limit if limit >= 0 else start + REACH
    end = _END.search(data, start, limit)
    if end and data.find(_MARK, start, end.start()) < 0:
        return end.end()
    limit = min(limit, len(data))
    position = start
    while position < limit:
        newline = data.find(b"\n", position, limit)
        line = limit if newline < 0 else newline
        if data.find(_MARK, position, line) >= 0:
            break
        if not _BODY.fullmatch(data, position, line):
            return line if position > start and _LAST.fullmatch(data, position, line) else position
        position = min(line + 1, limit)
    return position
