"""The clean lines of a log, found again by their number, in memory while they are few, else in a temporary file."""

from __future__ import annotations

import bisect
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Final

_IN_MEMORY: Final = 1 << 24
_MOST_OF_A_LINE: Final = 1 << 14
_MOST_SPLIT: Final = 8
"""Blocks whose lines are kept apart, since several things ask for lines near each other."""


class Store:
    """Takes blocks of lines one after the other; remembers where each begins."""

    def __init__(self) -> None:
        self.total = 0
        self.open = False
        self._more: dict[int, bytes] = {}
        self._firsts: list[int] = []
        self._places: list[tuple[int, int]] = []
        self._kept: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        self._split: dict[int, list[bytes]] = {}

    def add(self, block: bytes, ends: bool) -> None:
        """Takes a block of lines; unless the last one `ends` with it, `extend` can continue that."""
        self._firsts.append(self.total + 1)
        self.open = not ends
        self.total += block.count(b"\n") + self.open
        if self._size + len(block) <= _IN_MEMORY:
            self._places.append((-1, len(self._kept)))
            self._kept.append(block)
        else:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
            self._places.append((self._file.tell(), len(block)))
            self._file.write(block)
        self._size += len(block)

    def extend(self, piece: bytes, ends: bool) -> None:
        """Continues the last line by a piece; of many pieces the last ones are kept."""
        more = self._more.get(self.total, b"") + " … ".encode() + piece
        self._more[self.total] = more[-_MOST_OF_A_LINE:]
        self.open = not ends

    def texts(self, numbers: Iterable[int]) -> dict[int, bytes]:
        """The lines with these numbers; numbers ascend."""
        found: dict[int, bytes] = {}
        beyond = first = 0
        lines: list[bytes] = []
        for number in numbers:
            if number >= beyond:
                index = bisect.bisect_right(self._firsts, number) - 1
                lines = self._lines(index)
                first = self._firsts[index]
                beyond = self._firsts[index + 1] if index + 1 < len(self._firsts) else self.total + 1
            found[number] = lines[number - first]
        for number in self._more.keys() & found.keys():
            found[number] += self._more[number]
        return found

    def find(self, what: bytes, most: int = 400) -> Iterator[tuple[int, bytes]]:
        """The first lines that hold some bytes, with their numbers; of blocks in memory alone."""
        for first, (offset, place) in zip(self._firsts, self._places, strict=True):
            block = self._kept[place] if offset < 0 else b""
            at = block.find(what)
            number = first
            position = 0
            while at >= 0 and most > 0:
                number += block.count(b"\n", position, at)
                position = block.find(b"\n", at)
                position = len(block) if position < 0 else position
                yield number, block[block.rfind(b"\n", 0, at) + 1 : position]
                most -= 1
                at = block.find(what, position)

    def run(self, number: int, most: int) -> range:
        """The lines around this one that are the same, at most so many each way."""
        if number in self._more:
            return range(number, number + 1)
        line = self.texts((number,))[number]
        return range(number - self._same(line, number, -1, most), number + self._same(line, number, 1, most) + 1)

    def _same(self, line: bytes, number: int, step: int, most: int) -> int:
        """How many lines before or after this one are the same, at most so many."""
        for count in range(most):
            number += step
            if not 0 < number <= self.total or number in self._more:
                return count
            index = bisect.bisect_right(self._firsts, number) - 1
            if self._lines(index)[number - self._firsts[index]] != line:
                return count
        return most

    def _lines(self, index: int) -> list[bytes]:
        lines = self._split.get(index)
        if lines is None:
            if len(self._split) >= _MOST_SPLIT:
                self._split.clear()
            lines = self._split[index] = self._block(index).split(b"\n")
        return lines

    def _block(self, index: int) -> bytes:
        offset, size = self._places[index]
        if offset < 0 or self._file is None:
            return self._kept[size]
        self._file.seek(offset)
        block = self._file.read(size)
        self._file.seek(0, 2)
        return block

    def close(self) -> None:
        """Drops the temporary file."""
        if self._file is not None:
            self._file.close()
