"""Logs in which several programs talk at once, each line led by the name of who says it.

`web-1  | text` (docker compose), `[CI/build]   | text` (act), `@acme/web:build: text` (turbo), `[web] text`
(concurrently, lerna, ant), `packages/web test: text` (pnpm). What lines
say is looked for behind the name, and neighbours are the lines of the same speaker. Output of `make -j` has no names:
its lines stay neighbours of whatever stands beside them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_NAME: Final = (
    rb"(?:[A-Za-z@][\w.@/-]{0,60} {0,40}\| ?"
    rb"|\[[A-Za-z][^\]\n]{0,80}\] {1,20}\| ?"
    rb"|@?[\w/-]{1,60}(?:[:#][a-z][\w-]{0,40}): "
    rb"|@[\w-]{1,40}/[\w.-]{1,60}: "
    rb"|[\w@.-]{0,40}/[\w@./-]{1,60} [a-z][\w:-]{0,40}(?::|\$) "
    rb"|\[(?!(?:error|warn|warning|info|debug|trace|success|fatal|notice|command|\d{3,})\])[a-z@\d][\w@/.:-]{0,40}\] )"
)
_LED: Final = re.compile(rb"\n" + _NAME)
_LEAD: Final = re.compile(_NAME)
_LEAD_OF_TEXT: Final = re.compile(_NAME.decode(), re.ASCII)
_SAMPLED: Final = 8
_ENOUGH: Final = 3
"""Of the sampled lines so many must be led by a name."""


def bare(block: bytes) -> bytes:
    """A block of clean lines without the speakers' names, if a sample of its lines has them."""
    led = 0
    for start in range(0, len(block), len(block) // _SAMPLED + 1):
        line = block.find(b"\n", start)
        led += line >= 0 and _LED.match(block, line) is not None
    return unled(block) if led >= _ENOUGH else block


def unled(block: bytes) -> bytes:
    """A block of clean lines without the speakers' names."""
    return _LED.sub(b"\n", b"\n" + block)[1:]


def speakers(lines: Mapping[int, bytes]) -> Sequence[Sequence[int]] | None:
    """The line numbers of each speaker, if most lines are led by the name of one of several."""
    sample = tuple(lines.values())[:: len(lines) // _SAMPLED + 1]
    if 3 * sum(_LEAD.match(line) is not None for line in sample) < len(sample):
        return None
    groups: dict[bytes, list[int]] = {}
    for number, line in lines.items():
        lead = _LEAD.match(line)
        groups.setdefault(lead[0].rstrip() if lead else b"", []).append(number)
    unnamed = len(groups.get(b"", ()))
    return tuple(groups.values()) if len(groups) > 1 + (unnamed > 0) and unnamed * 2 < len(lines) else None


def behind(line: str) -> str:
    """What a line says behind the name of a speaker; the line itself where none leads it."""
    return line[lead.end() :] if (lead := _LEAD_OF_TEXT.match(line)) else line
