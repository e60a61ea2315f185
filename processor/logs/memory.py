"""Remember what lines hold: builds repeat each other's lines, so most were read before.

What is remembered of a line must follow from its text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

Found = TypeVar("Found")

MOST_LINES: Final = 16_384
"""Lines that are remembered at least, and twice as many at most: some 10 MB for what one reader finds on them."""


class PerLine(Generic[Found]):
    """What `read` finds on lines, by their text; it is asked at once for all that are not remembered.

    `read` gives a result for each line that it is given, never None. Two generations, of which the older is
    forgotten when the younger is full, keep the lines that are in use. Thread-safe: two threads may read a line twice.
    """

    def __init__(self, read: Callable[[Sequence[str]], Sequence[Found]], most: int = MOST_LINES) -> None:
        self._read = read
        self._most = most
        self._young: dict[str, Found] = {}
        self._old: dict[str, Found] = {}

    def __call__(self, lines: Sequence[str]) -> list[Found]:
        """What is on each of `lines`, which hold no newline."""
        young = self._young
        found = [young.get(line) for line in lines]
        if None in found:
            self._learn([line for line, one in zip(lines, found, strict=True) if one is None])
            young = self._young
            found = [young[line] if one is None else one for line, one in zip(lines, found, strict=True)]
        return found  # type: ignore[return-value]  # those that were None are not any more

    def _learn(self, lines: Sequence[str]) -> None:
        old = self._old
        known = {line: old[line] for line in lines if line in old}
        unknown = [line for line in dict.fromkeys(lines) if line not in known]
        known.update(zip(unknown, self._read(unknown), strict=True))
        if len(self._young) + len(known) > self._most:
            self._old, self._young = self._young, known
        else:
            self._young.update(known)
