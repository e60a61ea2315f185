"""Secrets out of logs, attributes, headers, error texts and tickets.

Hyperscan looks for the triggers of all kinds in one pass without the GIL; Python's `re` takes out the exact
span, at hits only, so that a text without secrets costs a scan. The same secret gets the same placeholder
within a session (one log with its attributes): `[aws-key:1]`. Newlines stay, so line numbers never shift;
what helps a diagnosis (versions, digests, commit and integrity hashes, UUIDs) stays too.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from typing import Final

from processor.logs.scan import Scanner
from processor.logs.secrets import SECRETS, Check, Secret

_REACH: Final = 8192
"""On a very long line, how far before and after a trigger the secret is looked for."""
_PEM_REACH: Final = 20_000
_PASSES: Final = 5
"""A placeholder can bare what stood hidden beside it, so a text with secrets is looked at again."""
_PLACEHOLDER: Final = re.compile(rb"\[[a-z-]{2,24}:\d+\]")
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


class Redactor:
    """Takes secrets out. Stateless and safe to share between threads; numbering is per session.

    `secrets` are the kinds looked for, in order of precedence.
    """

    def __init__(self, secrets: tuple[Secret, ...] = SECRETS) -> None:
        self._secrets: Final = secrets
        self._patterns: Final = [
            re.compile(secret.regex.encode(), re.IGNORECASE if secret.caseless else 0) for secret in secrets
        ]
        self._scanner: Final = Scanner([(secret.trigger, secret.caseless) for secret in secrets])

    def session(self) -> Session:
        """A fresh numbering, to be used for everything that belongs to one event."""
        return Session(self)

    def redact(self, data: bytes) -> bytes:
        """`data` without secrets: same number of newlines; the very same object if there was none."""
        return Session(self).redact(data)

    def redact_text(self, text: str) -> str:
        """`text` without secrets."""
        return Session(self).redact_text(text)

    def find(self, data: bytes) -> list[tuple[int, int, str]]:
        """Start, end and kind of each secret in `data`, in order, without overlaps."""
        hits = self._scanner.hits(data)
        return self._resolve(data, hits) if hits else []

    def _resolve(self, data: bytes, hits: list[tuple[int, int]]) -> list[tuple[int, int, str]]:
        spans: list[tuple[int, int, int]] = []
        reached = dict.fromkeys((index for index, _ in hits), -1)
        for index, end in hits:
            if end <= reached[index]:
                continue
            first, last = self._window(data, index, end)
            first = max(first, reached[index])
            reached[index] = last
            check = self._secrets[index].check
            for match in self._patterns[index].finditer(data, first, last):
                start, stop = match.span("s" if "s" in match.re.groupindex else 0)
                if check != "none":
                    stop = start + len(_without_end(data[start:stop]))
                closed = data[stop : stop + 1] in (b"", b"\n", b"\r", b",", b'"', b"'")
                if _is_secret(match[0], data[start:stop], check, closed) and not _redacted(data, match):
                    spans.append((index, start, stop))
        return self._untangle(spans)

    def _window(self, data: bytes, index: int, end: int) -> tuple[int, int]:
        """The line that a trigger ended on, within reach; for key blocks the lines after it too."""
        first = max(data.rfind(b"\n", 0, end) + 1, end - _REACH)
        if index == 0:
            return first, min(len(data), end + _PEM_REACH)
        last = data.find(b"\n", end - 1 if data[end - 1 : end] == b"\n" else end)
        return first, min(last if last >= 0 else len(data), end + _REACH)

    def _untangle(self, spans: list[tuple[int, int, int]]) -> list[tuple[int, int, str]]:
        """The spans in order of place; of those that overlap the first kind's, then the longest."""
        taken: list[tuple[int, int, str]] = []
        claimed: list[tuple[int, int]] = []
        for index, start, stop in sorted(spans, key=lambda span: (span[0], span[1], -span[2])):
            if all(stop <= a or start >= b for a, b in claimed):
                claimed.append((start, stop))
                taken.append((start, stop, self._secrets[index].name))
        return sorted(taken)


class Session:
    """One event's redaction: the same secret gets the same number in its log, attributes and headers."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._numbers: dict[tuple[str, bytes], int] = {}
        self._last: Counter[str] = Counter()

    @property
    def found(self) -> int:
        """How many different secrets were taken out so far."""
        return len(self._numbers)

    def redact(self, data: bytes) -> bytes:
        """`data` without secrets: same number of newlines; the very same object if there was none."""
        for _ in range(_PASSES):
            spans = self._redactor.find(data)
            if not spans:
                break
            data = self._replace(data, spans)
        return data

    def redact_text(self, text: str) -> str:
        """`text` without secrets."""
        data = text.encode("utf-8", "surrogatepass")
        clean = self.redact(data)
        return text if clean is data else clean.decode("utf-8", "surrogatepass")

    def _replace(self, data: bytes, spans: list[tuple[int, int, str]]) -> bytes:
        parts: list[bytes] = []
        position = 0
        for start, stop, name in spans:
            parts += data[position:start], self._placeholder(name, data[start:stop])
            position = stop
        return b"".join([*parts, data[position:]])

    def _placeholder(self, name: str, secret: bytes) -> bytes:
        number = self._numbers.get((name, secret))
        if number is None:
            self._last[name] += 1
            number = self._numbers[name, secret] = self._last[name]
        return b"[%s:%d]" % (name.encode(), number) + b"\n" * secret.count(b"\n")


@functools.cache
def redactor() -> Redactor:
    """The redactor of all known kinds, compiled at first use."""
    return Redactor()


def _without_end(value: bytes) -> bytes:
    """A value without the punctuation of the sentence or list that it ends."""
    value = value.rstrip(b".,:;")
    return value.rstrip(b"]") if b"[" not in value else value


def _redacted(data: bytes, match: re.Match[bytes]) -> bool:
    """Whether a match touches a placeholder: it was redacted before."""
    first, last = match.span()
    for placeholder in _PLACEHOLDER.finditer(data, max(0, first - 40), last + 40):
        if placeholder.start() < last and placeholder.end() > first:
            return True
    return False


def _is_secret(whole: bytes, value: bytes, check: Check, closed: bool) -> bool:
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
