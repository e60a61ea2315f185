"""Compressed bodies: gzip, zstd and lz4 frames, told by their first bytes, unpacked within a bound."""

from __future__ import annotations

from typing import Any

import cramjam

from processor.errors import Rejected

_FORMATS: tuple[tuple[bytes, str, Any], ...] = (
    (b"\x1f\x8b\x08", "gzip", cramjam.gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", cramjam.zstd),
    (b"\x04\x22\x4d\x18", "lz4", cramjam.lz4),
)
_LAYERS = 3


def unpack(body: bytes, limit: int) -> bytes:
    """The body unpacked if it is compressed (a few layers deep at most), as it is if not.

    Raises Rejected: `too_large` when more than `limit` bytes come out (unpacking stops there, so a bomb costs
    no more memory than the limit), `undecodable` when it is truncated or corrupt.
    """
    for _ in range(_LAYERS):
        found = next(((name, codec) for magic, name, codec in _FORMATS if body.startswith(magic)), None)
        if found is None:
            break
        body = _unpacked(body, limit, *found)
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _unpacked(body: bytes, limit: int, name: str, codec: Any) -> bytes:
    size = min(limit, max(1 << 16, 8 * len(body)))
    while True:
        room = bytearray(size)
        try:
            return bytes(memoryview(room)[: codec.decompress_into(body, room)])
        except cramjam.DecompressionError as error:
            # cramjam tells an output that is too small by this text alone.
            if "whole buffer" not in str(error):
                raise Rejected("undecodable", f"the body starts as {name} but does not unpack: {error}") from error
        if size >= limit:
            raise _too_large(limit)
        size = min(limit, 4 * size)


def _too_large(limit: int) -> Rejected:
    return Rejected("too_large", f"the body has more than {limit:,} bytes; raise source.max_bytes or send a reference")
