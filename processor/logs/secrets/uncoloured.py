"""A text without a terminal's codes for colours, as who reads it sees it, and where its parts stand in the text.

`"password"` and its value may each have a colour, a tool that highlights what it found colours the midst of a token:
what the codes stand between belongs together.
"""

from __future__ import annotations

import bisect
import re
from itertools import accumulate
from typing import Final

_CODE: Final = re.compile(rb"\x1b\[[\d;:?]{0,20}[A-Za-z]")
_WRITTEN: Final = re.compile(rb"\\(?:u001[bB]|x1[bB]|033|e)\[[\d;:?]{0,20}[A-Za-z]")
"""The same with the escape written out, as in JSON and in scripts."""
_ANY: Final = re.compile(rb"(?!\A)(?:%b|%b)" % (_CODE.pattern, _WRITTEN.pattern))
"""Takes six times as long as codes alone."""


class Uncoloured:
    """The `text` of some data without codes; of data without any the very same object. Their first byte is the same."""

    def __init__(self, data: bytes) -> None:
        self.data: Final = data
        self._code = _code(data)
        self.text: Final = self._code.sub(b"", data) if self._code else data
        self._places: tuple[list[int], list[int]] | None = None

    def start(self, at: int) -> int:
        """Where in the data a byte of the text stands, or its end."""
        if self._code is None:
            return at
        if self._places is None:
            self._places = self._found(self._code)
        places, removed = self._places
        return at + removed[bisect.bisect_right(places, at)]

    def stop(self, at: int) -> int:
        """Where in the data ends what ends in the text before `at`; what codes come next is behind it."""
        return self.start(at - 1) + 1 if at else 0

    def _found(self, code: re.Pattern[bytes]) -> tuple[list[int], list[int]]:
        """Where codes stood in the text, in order, and how many bytes were left out before each and in all."""
        codes = [found.span() for found in code.finditer(self.data)]
        removed = list(accumulate((stop - start for start, stop in codes), initial=0))
        return [start - before for (start, _), before in zip(codes, removed, strict=False)], removed


def _code(data: bytes) -> re.Pattern[bytes] | None:
    """What finds the codes of some data, if there may be any."""
    if _WRITTEN.search(data) or data[:1] == b"\x1b":
        return _ANY
    return _CODE if b"\x1b[" in data else None
