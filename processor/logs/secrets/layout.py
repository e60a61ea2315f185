"""Secrets whose place in a layout tells that they are: a column of a table, an entry of a Kubernetes secret."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from processor.logs.secrets.kinds import Place
from processor.logs.secrets.names import holds
from processor.logs.secrets.values import _FILE, _VERSION, _WORDY, harmless, opaque

LINES: Final = 16
"""How far below its header or its name a secret stands."""
_TOLD: Final = r"(?i:(?:[a-z]{2,12}[ _-]?)?(?:passw(?:or)?d|passphrase|pwd|secret|token|api[ _-]?key|access[ _-]?key))"
COLUMN: Final = (
    rf"\|[ \t]*{_TOLD}[ \t]*(?:\||\r?$)|\w\"?,\"?{_TOLD}\"?(?:,\"?\w|\r?$)"
    r"|[A-Z][ \t]{2,40}(?:[A-Z]{2,12}[ _-])?(?:PASSWORD|SECRET|TOKEN|API[ _-]?KEY)(?:[ \t]{2}|[ \t]?\r?$)"
)
"""Hyperscan: the header of a column of secrets."""
MANIFEST: Final = r"\bstringData\\{0,3}[\"']?:|\bdata:[ \t]*\r?$|\bkind\\{0,3}[\"']?:[ \t]?\\{0,3}[\"']?Secret\b"
"""Hyperscan: what a Kubernetes secret is told by."""

_NAMED: Final = re.compile(_TOLD.encode())
_SHORTEST: Final = 4
_SPACED: Final = re.compile(
    rb"(?<=[ \t]{2})(?:[A-Z]{2,12}[ _-])?(?:PASSWORD|SECRET|TOKEN|API[ _-]?KEY)(?=[ \t]{2}|[ \t]?\r?\Z)"
)
_SECRET: Final = re.compile(rb"\bkind\\{0,3}[\"']?:[ \t]?\\{0,3}[\"']?Secret\b")
_DATA: Final = re.compile(rb"\b(?:data|stringData):[ \t]*\r?$", re.MULTILINE)
_ENTRY: Final = re.compile(rb"[^\n]{0,60}?(?P<name>[\w.-]+):[ \t]+(?P<q>[\"'])?(?P<value>(?(q)[^\"'\n]+|[^\s\"']+))")
_OBJECT: Final = re.compile(rb"\b(?:data|stringData)\\{0,3}[\"']?:[ \t]?\{(?P<entries>[^{}\n]{1,8192})\}")
_PAIR: Final = re.compile(rb"[\"'][ \t]?:[ \t]?\\{0,3}[\"'](?P<value>[^\"'\\]+)\\{0,3}[\"']")


def columns(data: bytes, first: int, last: int, end: int) -> Iterator[Place]:
    """The values below the headers, on the line on which a trigger ended, that tell of secrets."""
    end -= data[end - 1 : end] == b"\n"
    line = data.find(b"\n", end, last)
    head = data[first : line if line >= 0 else last]
    sign = b"|" if b"|" in head else b"," if not _SPACED.search(head) else b""
    wanted = {place: name for place, name in _cells(head, sign) if _NAMED.fullmatch(name)} if sign else {}
    spaced = [] if sign else list(_SPACED.finditer(head))
    while line >= 0:
        first, line = line + 1, data.find(b"\n", line + 1, last)
        row = data[first : line if line >= 0 else last]
        if not row.strip() or (sign and row.count(sign) != head.count(sign) and row.strip(b" \t\r|+-")):
            return
        if sign:
            found = [
                (place, wanted[number], cell)
                for number, (place, cell) in enumerate(_spans(row, sign))
                if number in wanted
            ]
        else:
            found = [(one.start(), one[0], _word(row, one.start())) for one in spaced]
        for place, name, value in found:
            if _fits(name, value):
                yield first + place, first + place + len(value), "password" if _password(name) else "token"


def _cells(row: bytes, sign: bytes) -> list[tuple[int, bytes]]:
    """The cells of a row by their number."""
    return [(number, cell) for number, (_, cell) in enumerate(_spans(row, sign))]


def _spans(row: bytes, sign: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each cell of a row begins, and what it holds."""
    at = 0
    for cell in row.split(sign):
        text = cell.strip(b" \t\r\"'")
        yield at + (cell.find(text) if text else 0), text
        at += len(cell) + len(sign)


def _word(row: bytes, start: int) -> bytes:
    """The word that begins below a header, if one does."""
    if row[start - 1 : start] not in (b" ", b"\t"):
        return b""
    return row[start:].split(None, 1)[0] if row[start : start + 1].strip() else b""


def _password(name: bytes) -> bool:
    return holds(name.replace(b" ", b"_")) == "password"


def _fits(name: bytes, value: bytes) -> bool:
    if len(value) < _SHORTEST or harmless(value):
        return False
    if not _password(name):
        return opaque(value, ids=True)
    return not (_WORDY.match(value) or _VERSION.match(value) or _FILE.search(value))


def manifests(data: bytes, first: int, last: int, end: int) -> Iterator[Place]:
    """The values of a Kubernetes secret of which a part was recognised on the line that begins at `first`."""
    end -= data[end - 1 : end] == b"\n"
    line = data.find(b"\n", end, last)
    line = line if line >= 0 else last
    plain = data.find(b"stringData", first, end) >= 0
    if not plain and not _SECRET.search(data, first, last):
        return
    for one in _OBJECT.finditer(data, first, line):
        for pair in _PAIR.finditer(data, *one.span("entries")):
            if _held(pair["value"], plain=one[0].startswith(b"stringData")):
                yield *pair.span("value"), "kubernetes-secret"
    begun = _DATA.search(data, first, last)
    if begun:
        yield from _entries(data, begun.start(), last, plain=begun[0].startswith(b"stringData"))


def _entries(data: bytes, start: int, last: int, *, plain: bool) -> Iterator[Place]:
    """The values below `data:`, as far as they stand more to the right."""
    indent = start - data.rfind(b"\n", 0, start)
    line = data.find(b"\n", start, last)
    while line >= 0:
        entry = _ENTRY.match(data, line + 1, last)
        if entry is None or entry.start("name") - line <= indent:
            return
        if _held(entry["value"], plain=plain):
            yield *entry.span("value"), "kubernetes-secret"
        line = data.find(b"\n", line + 1, last)


def _held(value: bytes, *, plain: bool) -> bool:
    """Whether an entry's value can be what it should be: base64, but for `stringData`."""
    if len(value) < _SHORTEST or harmless(value):
        return False
    try:
        return plain or bool(base64.b64decode(value, validate=True))
    except binascii.Error:
        return False
