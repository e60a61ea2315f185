"""Whether a value is a secret or a look-alike: a variable, a word, a version, a digest, an id."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

from processor.logs.secrets.kinds import Check

_HARMLESS: Final = re.compile(
    rb"(?i)^(?:\*+|x{3,}|\.{3,}|-+|\[.*\]|<.*>?|\$.*|%\w+%|true|false|null|none|nil|undefined|yes|no|on|off|"
    rb"(?:un)?(?:set|defined)|empty|required|optional|missing|invalid|incorrect|expired|redacted|masked|hidden|"
    rb"secret|password|token|string|str|bool|int|example|changeme|env|process\.env.*|os\.environ.*|secrets\..*|"
    rb"vars\..*|(?-i:[A-Z]+(?:_[A-Z]+)+)|\w+\[[\w., ]*\]?|self\..*|settings\..*|config\..*|this\..*|[a-z]:?[\\/].*|\.{0,2}/[\w./-]*|\w+://[^:@]*)$"
)
_VERSION: Final = re.compile(rb"^[v^~=<>]*\d+(?:\.[\dx*]+)+(?:[-+.][\w.-]{1,30})?$|^\d{1,12}$")
_UUID: Final = re.compile(rb"(?i)^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$")
_DIGEST: Final = re.compile(rb"^(?:sha(?:1|224|256|384|512)|md5|h1)[-:=].*")
_WORDY: Final = re.compile(rb"^[A-Za-z]?[a-z]*(?:[-_. ][A-Za-z]?[a-z]*)*[.!?]?$")
_NOT_SECRET_NAME: Final = re.compile(
    rb"(?i)(?:cache|restore|primary|sort|partition|foreign|public|hash|checksum|integrity|digest|max|num|count|"
    rb"total|unexpected|next|prompt|completion|cached|input|output)[\w. -]{0,16}(?:_?keys?|tokens?)|"
    rb"secret(?:s|_?name|_?ref)|passwords?_?(?:file|policy)|passwordless|token(?:ize|izer|_?type|_?count|s\b)|_key_?id"
)


def without_end(value: bytes) -> bytes:
    """A value without the punctuation of the sentence or list that it ends."""
    value = value.rstrip(b".,:;")
    return value.rstrip(b"]") if b"[" not in value else value


def is_secret(whole: bytes, value: bytes, check: Check, closed: bool) -> bool:
    """Whether a match is a secret and no look-alike.

    `none`: always. `password`: any value but variables, words such as
    `null`, and words of a sentence (unless `closed`: nothing follows the value, or it is quoted).
    `value`: moreover opaque. `opaque`: looks random, whatever the name.
    """
    if check == "none":
        return True
    if _HARMLESS.match(value) or b"***" in value or b"${" in value or b"$(" in value or b"{{" in value:
        return False
    name = whole[: len(whole) - len(value)]
    if check == "password":
        if _VERSION.match(value) and b"=" not in name:
            return False
        tight = whole[: whole.find(value)].rstrip(b"\"'").endswith((b"=", b"@", b":"))
        return not _NOT_SECRET_NAME.search(name) and (tight or closed or not _WORDY.match(value))
    if _NOT_SECRET_NAME.search(name):
        return False
    return opaque(value)


def opaque(value: bytes) -> bool:
    """Whether a value looks random: eight characters or more, mixed classes, no version, UUID or digest."""
    if len(value) < 8 or _VERSION.match(value) or _UUID.match(value) or _DIGEST.match(value):
        return False
    if _WORDY.match(value) or b"/" in value[:2] or value.count(b".") > 3:
        return False
    classes = sum(
        bool(set(value) & set(kind))
        for kind in (b"0123456789", b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    )
    return classes >= 2 and _entropy(value) >= (2.7 if len(value) < 16 else 3.0)


def _entropy(value: bytes) -> float:
    """Shannon entropy, bits per byte."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values())
