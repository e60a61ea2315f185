"""Secrets that nothing names: random values that are assigned to something, and credentials wrapped in base64."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from processor.logs.secrets.kinds import Place
from processor.logs.secrets.names import NEUTRAL, holds
from processor.logs.secrets.values import mixed, random_looking, without_end

ASSIGNED: Final = r"[=:][ \t]?[\"']?(?:[A-Za-z+_-][A-Za-z+/_-]{0,20})?[0-9][A-Za-z0-9+/_-]{11}"
"""Hyperscan: a run of the characters of keys with a digit early on, behind the sign of an assignment."""
PREFIXED: Final = r"[A-Za-z0-9][_-][A-Za-z]{0,12}[0-9][A-Za-z0-9]{12}"
"""Hyperscan: a run of letters with a digit early on, behind the sign that ends a prefix."""
WRAPPED: Final = (
    r"(?:eyJ|eyA|ewog|ewoJ|ew0K|LS0t)[A-Za-z0-9+/]{20}"  # JSON, key blocks
    r"|(?:cG9zdGdyZX|bXlzcWw6Ly|bW9uZ29kYj|cmVkaXM6Ly|cmVkaXNzOi8v|YW1xcDovL|YW1xcHM6Ly|aHR0cHM6Ly|aHR0cDovL)"
    r"[A-Za-z0-9+/]{8}"  # addresses
    r"|[A-Za-z0-9+/]{15}[A-Za-z0-9+/=][\"']? ?\| ?(?:base64|openssl)"
)
"""Hyperscan: base64 of what often holds credentials."""

BELOW: Final = (
    r"\b(?:(?:\w[\w-]{0,20}[_-]|api|private|secret|access|auth)?(?:key|secret|token)"
    r"(?:[\"'` \t.]{0,3}\r?$|\b[^\n:]{0,60}:[ \t]*\r?$)|openssl rand [\w -]{1,30}\r?$)"
)
"""Hyperscan, caseless: a line that ends by telling of a secret."""
BELOW_LINES: Final = 2
"""How far below such a line a value stands that it tells of."""

_NAME: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.$@/-"
_RUN: Final = re.compile(rb"[ \t]?[\"']?(?P<value>[A-Za-z0-9+/_.~-]{20,4096}={0,2})")
_NO_SECRET: Final = re.compile(
    rb"(?i)sha\d|hash|digest|check|integrity|commit|rev|ref|etag|finger|image|cache|uuid|guid|\bid$|[._-]id$|[a-z]Id$|path|file|dir"
    rb"|url|uri|name|class|test|version|branch|tag|expected|actual|got|want|left|right|output|public|h1|crc|nonce|trace|span"
    rb"|request|build|layer|symbol|error|warning|note|at$|in$|key$"
)
_TOKEN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_PREFIXED: Final = re.compile(
    rb"(?!sha\d|md5|h1)[A-Za-z][A-Za-z0-9]{0,14}[_-](?P<random>[A-Za-z0-9_-]{20,400})(?![\w./\\+=-])"
)
_NO_TOKEN_AFTER: Final = (b"/", b".", b"\\", b"@", b"#", b"%", b"$")
_VALUE_BELOW: Final = re.compile(
    rb"\r?\n(?:[^\n]{0,40}\n)?(?:[^\n]{0,60}[ \t])?(?P<value>[A-Za-z0-9+/_.~=-]{32,512})[ \t]*(?=\r?\n|\Z)"
)
_NO_SECRET_BELOW: Final = NEUTRAL | frozenset(
    b"id ids uuid hashes digests checksums thumbprint sum commit commits revision image layer gpg pgp pub".split()
)
_WORDS: Final = re.compile(rb"[A-Za-z][a-z]+|[A-Z]+|\d+")
_HEX: Final = re.compile(rb"(?i)[0-9a-f]+")
_COMMIT: Final = 40
"""Digits of a commit's hash."""
_PARTS: Final = re.compile(rb"[_-]")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")
_LONGEST: Final = 65_536


def assigned(data: bytes, first: int, _last: int, end: int) -> Sequence[Place]:
    """A random value that is assigned to a name which tells of nothing else: `X_CONFIG=9fQ…`."""
    low = max(first, end - 40)
    sign = max(data.rfind(b"=", low, end), data.rfind(b":", low, end))
    run = _RUN.match(data, sign + 1)
    if run is None or not mixed(run["value"]):
        return ()
    before = data[max(first, data.rfind(b"\n", sign - 100, sign) + 1, sign - 100) : sign].rstrip(b" \t\"'`\\])=:")
    name = before[len(before.rstrip(_NAME)) :]
    if not name or _harmless_name(name):
        return ()
    value = without_end(run["value"])
    if value.count(b".") < 2 and random_looking(value, shortest=20):
        return ((run.start("value"), run.start("value") + len(value), "assigned-value"),)
    return ()


@functools.lru_cache(maxsize=4096)
def _harmless_name(name: bytes) -> bool:
    return bool(_NO_SECRET.search(name)) and holds(name) == "nothing"


def prefixed(data: bytes, first: int, _last: int, end: int) -> Sequence[Place]:
    """A token of a format that is not known, but made as most are: a short word, then random letters and digits."""
    low = max(first, end - 80)
    before = data[low:end]
    start = end - len(before) + len(before.rstrip(_TOKEN))
    run = _PREFIXED.match(data, start)
    if run and data[start - 1 : start] not in _NO_TOKEN_AFTER and run.end() >= end and _random_part(run["random"]):
        return ((*run.span(), "prefixed-token"),)
    return ()


def _random_part(value: bytes) -> bool:
    """Whether so much of a token is random that no identifier is."""
    longest = max(_PARTS.split(value), key=len)
    return len(longest) >= 20 and mixed(longest) and random_looking(longest, shortest=20)


def below(data: bytes, first: int, last: int, end: int) -> Sequence[Place]:
    """A random value alone on the line below one that tells of a key, a secret or a token."""
    end -= data[end - 1 : end] == b"\r"
    words = {word.lower() for word in _WORDS.findall(data, first, end)}
    found = _VALUE_BELOW.match(data, end, last)
    if found is None or not _NO_SECRET_BELOW.isdisjoint(words):
        return ()
    value = without_end(found["value"])
    if _HEX.fullmatch(value) and len(value) == _COMMIT and data[end - 1 : end] != b":":
        return ()
    if random_looking(value, ids=True, shortest=32):
        return ((found.start("value"), found.start("value") + len(value), "token"),)
    return ()


def wrapped(data: bytes, first: int, last: int, end: int, secret: Callable[[bytes], bool]) -> Iterator[Place]:
    """Base64 that holds a secret once it is decoded."""
    start = max(first, end - 64)
    while start > first and data[start - 1 : start].isalnum():
        start = max(first, start - 64)
    for run in _BASE64.finditer(data, start, min(last, start + _LONGEST)):
        if run.end() < end - 16:
            continue
        if run.start() > end:
            break
        text = decoded(run[0])
        if text and secret(text):
            yield *run.span(), "base64-secret"


def decoded(value: bytes) -> bytes | None:
    """The text that base64 stands for, or None where it is none, or stands for no text."""
    try:
        text = base64.b64decode(value.rstrip(b"=") + b"=" * (-len(value.rstrip(b"=")) % 4), validate=True)
    except binascii.Error:
        return None
    return text if text.isascii() and text.translate(None, b"\r\n\t").decode().isprintable() else None
