"""Secrets that a terminal or a runner wrapped: what stands at the end of a line goes on with the next."""

from __future__ import annotations

import re
from typing import Final

from processor.logs.secrets.values import random_looking

_MOST: Final = 40
"""Lines that a secret is wrapped over."""
_GOES_ON: Final = re.compile(
    rb"(?:\d{4}-\d\d-\d\dT[\d:.]{8,18}Z ?)?[ \t]{0,40}(?P<rest>[A-Za-z0-9+/_.~-]{12,8192}={0,2})(?=[\s\"',;)}\]]|\Z)"
)
"""The next line, behind a runner's stamp."""


def ends_line(data: bytes, stop: int) -> bool:
    """Whether a line ends where a secret does."""
    return data[stop : stop + 1] in (b"\n", b"") or data[stop : stop + 2] == b"\r\n"


def continued(data: bytes, stop: int) -> tuple[list[tuple[int, int]], bool]:
    """Where a secret that ends its line at `stop` goes on, and whether the data holds the line that tells its end."""
    parts: list[tuple[int, int]] = []
    while len(parts) < _MOST and ends_line(data, stop):
        line = data.find(b"\n", stop) + 1
        if not line or line == len(data):
            return parts, False
        rest = _GOES_ON.match(data, line)
        if rest is None or not random_looking(rest["rest"], shortest=12):
            break
        parts.append(rest.span("rest"))
        stop = rest.end()
    return parts, True
