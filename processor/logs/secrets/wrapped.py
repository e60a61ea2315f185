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
    return data[stop : stop + 1] in (b"\n", b"") or data[stop : stop + 2] in (b"\r\n", b"\\\n")


class Wrapped:
    """Where secrets of `data` go on. Each line is looked at once, however many that end before it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._rests: dict[int, tuple[int, int] | None] = {}

    def continued(self, stop: int) -> tuple[list[tuple[int, int]], bool]:
        """Where a secret that ends its line at `stop` goes on; whether the data holds the line that tells its end."""
        parts: list[tuple[int, int]] = []
        while len(parts) < _MOST and ends_line(self._data, stop):
            line = self._data.find(b"\n", stop) + 1
            if not line or line == len(self._data):
                return parts, False
            if line not in self._rests:
                self._rests[line] = self._rest(line)
            rest = self._rests[line]
            if rest is None:
                break
            parts.append(rest)
            stop = rest[1]
        return parts, True

    def _rest(self, line: int) -> tuple[int, int] | None:
        """What of a line a secret can go on with."""
        found = _GOES_ON.match(self._data, line)
        return found.span("rest") if found and random_looking(found["rest"], shortest=12) else None
