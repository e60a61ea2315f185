"""What of a partition is done, as it is committed: an offset, and in its metadata what above it is not done.

Logs lie interleaved on a partition and end in any order, so what is done is no prefix. All lines below the offset are
done. Of those from there up to the `horizon` (what had been read) the lines of the logs in `undone` are not; the rest
is. Whoever takes the partition over reads from the offset on and leaves out what is done. A log is named by the
offsets of its first and last line: its key is known again as soon as the first line is read.

The brokers allow 4,096 bytes of metadata (`offset.metadata.max.bytes`), so at most `MOST` logs of a partition may be
under way.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

MOST: Final = 340
"""Logs of a partition that are under way: open, or complete and not committed yet."""

METADATA_BYTES: Final = 4_096
"""What brokers have to take beside an offset."""

NOTE_ROOM: Final = 250
"""Bytes of the metadata that are left to the engine's own note."""

ENDS: Final = ("open", "end", "idle", "age", "size", "crowded", "late", "refused")
"""How a log ended. The place is what is written down: new ones go behind the last, and there is room for eight."""

_MARK: Final = re.compile(r";as1 (\w+) (\d+) (\d+) ([\w-]*)")


@dataclass(frozen=True, slots=True)
class Undone:
    """A log that is not done: the offsets of its first line and, once it has ended, of its last one."""

    first: int
    last: int | None = None
    ended: str = "open"

    def holds(self, offset: int) -> bool:
        """Whether the line at the offset, if it has the log's key, is one of its lines."""
        return self.first <= offset and (self.last is None or offset <= self.last)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is done. `number` is that of the next log, `horizon` the offset up to which lines have been read.

    The logs of `undone` that have ended stand in the order in which they get their numbers.
    """

    offset: int
    number: int
    horizon: int
    undone: tuple[Undone, ...] = ()

    def encode(self, key: str, note: str = "") -> str:
        """The offset's metadata. `key` says by what lines were told apart; `note` is the engine's own."""
        packed = bytearray()
        before = self.offset
        for each in self.undone:
            length = 0 if each.last is None else each.last - each.first + 1
            delta = each.first - before
            packed += _varint(delta << 1 if delta >= 0 else ~delta << 1 | 1)
            packed += _varint(length << 3 | ENDS.index(each.ended))
            before = each.first
        text = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
        return f"{note};as1 {key} {self.number} {self.horizon - self.offset} {text}"

    @classmethod
    def parse(cls, offset: int, metadata: str, key: str) -> Checkpoint:
        """The checkpoint at a committed offset.

        Without one, or where lines were told apart otherwise, nothing above the offset counts as done.
        """
        found = _MARK.search(metadata)
        if found is None or found[1] != key:
            return cls(offset, int(found[2]) if found else offset, offset)
        try:
            packed = base64.urlsafe_b64decode(found[4] + "=" * (-len(found[4]) % 4))
            undone = tuple(_unpacked(packed, offset))
        except (binascii.Error, ValueError):
            return cls(offset, int(found[2]), offset)
        return cls(offset, int(found[2]), offset + int(found[3]), undone)


def note_of(metadata: str) -> str:
    """The engine's own note in an offset's metadata."""
    return metadata.partition(";as1 ")[0]


def foreign(metadata: str, key: str) -> bool:
    """Whether the metadata tells of logs whose lines were told apart otherwise."""
    found = _MARK.search(metadata)
    return found is not None and found[1] != key


def _unpacked(packed: bytes, offset: int) -> Iterator[Undone]:
    numbers = iter(list(_numbers(packed)))
    for delta in numbers:
        offset += ~(delta >> 1) if delta & 1 else delta >> 1
        code = next(numbers, None)
        if code is None:
            raise ValueError("cut off")
        length, ended = code >> 3, ENDS[code & 7]
        yield Undone(offset, offset + length - 1 if length else None, ended)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first (LEB128)."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(packed: Iterable[int]) -> Iterator[int]:
    number, shift = 0, 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number, shift = 0, 0
    if shift:
        raise ValueError("cut off")
