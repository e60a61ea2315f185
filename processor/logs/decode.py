"""Logs of any encoding as UTF-8, in chunks: what a stream of raw bytes passes first."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from processor.logs.text import refused, sniff, wide

_PIECE: Final = 1 << 16


def text_stream(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same log in pieces of 64 KiB: UTF-16 and UTF-32 as UTF-8, byte-order marks removed.

    Raises Rejected ("empty", "binary") by its first 8 KiB, before the first piece.
    """
    source = regroup(chunks, _PIECE)
    head = next(source, b"")
    reason = sniff(head)
    if reason:
        raise refused(reason)
    if known := wide(head):
        name, mark = known
        return _transcoded(chain((head[mark:],), source), name)
    return chain((head.removeprefix(codecs.BOM_UTF8),), source)


def regroup(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of exactly `size`, the last one of what is left."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        start = 0
        while length + len(chunk) - start >= size:
            end = start + size - length
            yield b"".join((*held, chunk[start:end]))
            held, length, start = [], 0, end
        if start < len(chunk):
            held.append(chunk[start:])
            length += len(chunk) - start
    if length:
        yield b"".join(held)


def _transcoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")
