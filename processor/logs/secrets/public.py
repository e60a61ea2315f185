"""The public members of a key in JSON (RFC 7517): by their looks alone they are as random as its secret ones."""

from __future__ import annotations

import re
from typing import Final

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_LONGEST: Final = 1400
"""Characters of the modulus of a key of 8,192 bits, and some."""
_MODULUS: Final = 300
"""Characters of a modulus at least: that of a key of 2,048 bits has 342."""
_MEMBER: Final = re.compile(rb"[\"' {,](?P<name>kid|n|x|y|x5t(?:#S256)?)\\{0,3}[\"']?[ \t]?:[ \t]?\\{0,3}[\"']\Z")
_RUN: Final = re.compile(rb"[A-Za-z0-9_-]{0,1400}")
_KEY: Final = re.compile(rb"[\"']kty\\{0,3}[\"']")
_NEAR: Final = 800
"""Bytes before or after a member within which its key tells what it is."""


def public(data: bytes, start: int) -> bool:
    """Whether what begins at `start` lies in the modulus of a key, or in another public member of one that says so."""
    before = data[max(0, start - _LONGEST) : start]
    head = before.rstrip(_BASE64)
    member = _MEMBER.search(head, max(0, len(head) - 24))
    if member is None:
        return False
    begun = start - len(before) + len(head)
    run = _RUN.match(data, begun)
    if member["name"] == b"n":
        return run is not None and run.end() - begun >= _MODULUS
    return _KEY.search(data, max(0, begun - _NEAR), begun + _NEAR) is not None
