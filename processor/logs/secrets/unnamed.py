"""Secrets that nothing names: random values, assigned to something or alone, and credentials wrapped in base64."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from processor.logs.secrets.kinds import Place
from processor.logs.secrets.names import NEUTRAL, holds
from processor.logs.secrets.values import mixed, opaque, random_looking, without_end

ASSIGNED: Final = r"[=:][ \t]?[\"']?(?:[A-Za-z+_-][A-Za-z+/_-]{0,20})?[0-9][A-Za-z0-9+/_-]{11}"
"""Hyperscan: a run of the characters of keys with a digit early on, behind the sign of an assignment."""
RANDOM: Final = r"(?:[0-9][A-Z]|[A-Z][0-9])[A-Za-z0-9]{7}"
"""Hyperscan: a digit beside a capital letter, and more behind them, as nearly all long random values have it."""
WRAPPED: Final = (
    r"(?:eyJ|eyA|ewog|ewoJ|ew0K|LS0t)[A-Za-z0-9+/]{20}"  # JSON, key blocks
    r"|(?:cG9zdGdyZX|bXlzcWw6Ly|bW9uZ29kYj|cmVkaXM6Ly|cmVkaXNzOi8v|YW1xcDovL|YW1xcHM6Ly|aHR0cHM6Ly|aHR0cDovL)"
    r"[A-Za-z0-9+/]{8}"  # addresses
    r"|[A-Za-z0-9+/]{14}[A-Za-z0-9+/=]{2}[\"']? ?\| ?(?:base64|openssl)"
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
    rb"(?i)sha\d|md5|hash|digest|check|integrity|commit|rev|ref|etag|finger|image|cache|uuid|guid|\bid$|[._-]id(?:[._-]\d)?$|[a-z]Id$|path|file|dir"
    rb"|url|uri|name|class|test|version|branch|tag|expected|actual|got|want|left|right|output|public|h1|crc|nonce|trace|span"
    rb"|request|build|layer|symbol|error|warning|note|\bat$|\bin$|key$"
)
_NO_SECRET_KEY: Final = re.compile(rb"(?i)\b(?:cache|restore|primary|public|sort|partition|input) keys?\Z")
_KEY: Final = (b"key", b"Key")
_TOKEN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_DOTTED: Final = _TOKEN + b"."
_PREFIXED: Final = re.compile(
    rb"(?!sha\d|md5|h1|[A-Z]{1,4}_kw)[A-Za-z][A-Za-z0-9]{1,14}[_-](?P<random>[A-Za-z0-9_-]{20,400}+)(?![\w./\\+=-])"
)
_PREFIXED_HEX: Final = re.compile(
    rb"(?P<prefix>[A-Za-z]{2,12})(?:_[a-z][a-z0-9]{0,3})?_[0-9a-f]{32,128}+(?![\w./\\+=-])"
)
_NO_PREFIX: Final = NEUTRAL | frozenset(
    b"network net container volume disk node pod host job run task step temp tmp log lock stack app service svc group "
    b"device snapshot backup session env db database cluster deployment release docker compose project".split()
)
"""What has a number in hexadecimal digits behind it that is no secret."""
_VERSIONED: Final = re.compile(rb"[-_]v?\d+(?:\.\d+)+(?:[-_]|\Z)")
"""Within a value, that it is the name of a package."""
_UUID: Final = re.compile(rb"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_NO_TOKEN_AFTER: Final = (b"/", b".", b"\\", b"@", b"#", b"%", b"$")
_ALONE: Final = re.compile(rb"[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++){0,3}+(?=[\s\"'`)\]}>|,;]|\.?(?:\s|\Z))")
_ALONE_AFTER: Final = frozenset(b" \t\n\"'`([{<|>")
_ENCODED: Final = re.compile(rb"[A-Za-z0-9+/]{20,400}+={1,2}(?=[\s\"'`)\]}>|,;]|\Z)")
_NO_TOKEN: Final = (
    b"LS0tLS1CRUdJTiBDRVJU", b"LS0tLS1CRUdJTiBQVUJM",
    b"AAAAB3", b"AAAAC3", b"AAAAE2", b"MIIBIjANBg", b"MIICIjANBg", b"MIGfMA0G", b"MFkwEwYH", b"Qm", b"_Z", b"_R",
)  # fmt: skip
"""How keys that are public, addresses by content and names of compilers begin."""
_SIGN: Final = re.compile(rb"[=:][ \t]?\\{0,3}[\"'`]?\Z")
_LEAST: Final = 20
"""Bytes of a value that nothing but an assignment, a prefix or an option tells of."""
_DIGITS: Final = 12
_BEFORE_NUMBER: Final = frozenset(b"=: \"'")
"""So many digits in a row, right behind the sign of an assignment, are a number."""
_LEAST_NAME: Final = 3
_LEAST_PLAIN: Final = 24
_LEAST_ALONE: Final = 32
"""The same of a value that nothing tells of, of letters and digits alone or with other signs."""
_JOINS: Final = frozenset(b"+/.")
_JOINED: Final = (b"+", b"/", b".", b"=")
"""What values are made of beside letters, digits, `_` and `-`."""
_SMALL: Final = re.compile(rb"[a-z0-9]{20,128}")
_PUBLIC_MEMBER: Final = re.compile(rb"\"(?:kid|n|x|y|x5t|x5c)\"[ \t]?:[ \t]?\"\Z")
"""Of a key in JSON."""
_WIDTHS: Final = frozenset((60, 64, 70, 72, 76))
"""Of lines into which base64 is broken."""
_OPTION: Final = re.compile(rb"(?:^|[\s\"'])--?(?P<name>[A-Za-z][\w.-]{0,30})[\"']?,?[ \t][\"']?\Z")
_TELLS: Final = re.compile(
    rb"(?i)(?:sha\d{1,3}|md5|hash|digest|check|integrity|commit|revision|etag|finger|image|cache|uuid|layer|trace|span"
    rb"|request|public|ssh-|expected|version|\bid\b|\bw(?=/))[\w.-]*[^A-Za-z0-9\n]{1,4}\Z"
)
"""Before a value, that it is none."""
_VALUE_BELOW: Final = re.compile(
    rb"\r?\n(?:[^\n]{0,40}\n)?(?:[^\n]{0,60}[ \t])?(?P<value>[A-Za-z0-9+/_.~=-]{32,512})[ \t]*(?=\r?\n|\Z)"
)
_NO_SECRET_BELOW: Final = NEUTRAL | frozenset(
    b"id ids uuid hashes digests checksums thumbprint sum commit commits revision image layer gpg pgp pub".split()
)
_WORD: Final = re.compile(rb"[A-Za-z0-9_-]{1,512}+")
"""Bounded, for it is looked at again for each trigger within."""
_BLANK: Final = re.compile(rb"\s")
_FIELDS: Final = re.compile(rb"[:|]")
_WORDS: Final = re.compile(rb"[A-Za-z][a-z]+|[A-Z]+|\d+")
_HEX: Final = re.compile(rb"(?i)[0-9a-f]+")
_COMMIT: Final = 40
"""Digits of a commit's hash."""
_NUMBER: Final = re.compile(rb"(?i)[0-9a-f]{32,128}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_LEAST_NUMBER: Final = 32
_UUID_SIZE: Final = 36
_VARIABLE: Final = re.compile(
    rb"(?:^|[\s;\"'(,{])(?P<name>[A-Z][A-Z0-9]{0,24}(?:_[A-Z0-9]+){0,8}"
    rb"|[a-zA-Z][a-zA-Z0-9]{0,24}(?:[_.-][a-zA-Z0-9]{1,24}){0,6})[\"']?[ \t]?\Z"
)
_NO_NUMBER: Final = NEUTRAL | frozenset(
    b"id ids uuid uid guid commit commits rev revision sha head base ref tag run job pipeline build trace span image "
    b"digest hash version tree parent object oid merge checkout container network volume session node machine host "
    b"instance device serial etag md5 sum got expected actual want have given found address addr sub client tenant "
    b"subscription project account org workspace event message msg correlation request response transaction tx block "
    b"uri url path file dir name git hg svn vcs fingerprint thumbprint signature nonce salt iv".split()
)
"""Words of names beside which a number in hexadecimal digits or a UUID is an id or a digest."""
_SLASH: Final = ord("/")
_OF_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LONGEST_ALONE: Final = 128
_SEGMENT_ENDS: Final = re.compile(rb"/?(?:[\s\"'`)\]}>|,;?#]|\Z)")
_LONGEST_SEGMENT: Final = 400
_LEAST_SEGMENT: Final = 16
_ADDRESS: Final = re.compile(rb"https?://[^\s\"'<>/]{3,120}/(?:[^\s\"'<>/?#]{1,80}/){0,8}\Z")
_NO_SECRET_PATH: Final = re.compile(
    rb"(?i)blob|tree|commit|raw/|archive|sha|md5|cas/|hash|digest|artifact|cache|runs?/|builds?/|jobs?/|assets|static|docs?[/.]"
    rb"|forum|discuss|github\.com|gitlab\.com|youtu|pkg|packag|repo|maven|npm|pypi|download|release|mirror|proxy\.golang"
    rb"|localhost|127\.0|watch|questions|issues|wiki|scans|s3[.-]|cdn|fonts"
)
"""Before a random part of an address, that it is a name of something public."""
_STANDING: Final = re.compile(rb"(?<![^ \t\n\"'`(\[{<])[A-Za-z0-9+/]{40,120}={0,2}(?=[\s\"'`)\]}>|,;]|\Z)")
_FOLDED: Final = re.compile(rb"[A-Za-z0-9+/]{20}\s*\Z|sha\d|SHA\d|h1:|[=:][ \t]?[\"']?\Z")
_BASE64_PARTS: Final = re.compile(rb"[+/=]")
_LEAST_PART: Final = 12
_PARTS: Final = re.compile(rb"[_-]")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")
_LONGEST: Final = 65_536


def assigned(data: bytes, first: int, _last: int, end: int) -> Sequence[Place]:
    """A random value that is assigned to a name which tells of nothing else: `X_CONFIG=9fQ…`."""
    if data[end - _DIGITS : end].isdigit() and data[end - _DIGITS - 1] in _BEFORE_NUMBER:
        return ()
    low = max(first, end - 40)
    sign = max(data.rfind(b"=", low, end), data.rfind(b":", low, end))
    run = _RUN.match(data, sign + 1)
    if run is None:
        return ()
    value = without_end(run["value"])
    small = not mixed(value)
    if small and len(value) >= _LEAST_NUMBER and _NUMBER.fullmatch(value):
        return _number(data, sign, run.start("value"), value)
    if small and not _SMALL.fullmatch(value):
        return _prefixed_hex(data, run.start("value"), end)
    before = data[max(first, data.rfind(b"\n", sign - 100, sign) + 1, sign - 100) : sign].rstrip(b" \t\"'`\\])=:")
    name = before[len(before.rstrip(_NAME)) :]
    if (
        not name
        or _harmless_name(name)
        or (name in _KEY and _NO_SECRET_KEY.search(before))
        or (small and not _names_small(name, value))
    ):
        return ()
    start = run.start("value")
    if value.startswith((b"//", *_NO_TOKEN)) or _VERSIONED.search(value):
        return ()
    if value.count(b".") > 1 or not random_looking(value, shortest=_LEAST):
        return _encoded(data, start, end)
    if _PUBLIC_MEMBER.search(data, max(first, start - 12), start):
        return ()
    return ((start, start + len(value), "assigned-value"),)


def _number(data: bytes, sign: int, start: int, value: bytes) -> Sequence[Place]:
    """A number in hexadecimal digits or a UUID that a variable is set to, as keys are: `ADYEN_HMAC=8CEA…`."""
    name = _VARIABLE.search(data, max(0, sign - 60), sign)
    if name is None or (len(value) != _UUID_SIZE and len(value) % 8):
        return ()
    before = data[max(0, name.start() - 30) : name.end()]
    words = {word.lower() for word in _WORDS.findall(before[before.rfind(b"\n") + 1 :])}
    told = data[sign : sign + 1] == b"=" or name["name"].isupper()
    if not told or not _NO_NUMBER.isdisjoint(words) or _harmless_name(name["name"]):
        return ()
    return ((start, start + len(value), "assigned-value"),)


@functools.lru_cache(maxsize=4096)
def _harmless_name(name: bytes) -> bool:
    return bool(_NO_SECRET.search(name)) and holds(name) == "nothing"


def unnamed(data: bytes, first: int, _last: int, end: int) -> Sequence[Place]:
    """The secret that a trigger ended in, if a prefix or its looks alone tell that it is one."""
    low = max(first, end - 80)
    start = low + len(data[low:end].rstrip(_TOKEN))
    if start == low > first and data[start - 1] in _TOKEN:
        return ()  # a blob: were it a secret, a trigger nearer to its beginning would have told
    word = _WORD.match(data, start)
    if word is None:
        return ()
    text = word[0]
    if text == text.upper():
        return ()
    if data[start - 1] == _SLASH and (found := _in_address(data, first, start, text)):
        return found
    if len(text) < _LEAST and data[start - 1] not in _JOINS and data[word.end() : word.end() + 1] not in _JOINED:
        return ()
    found = _prefixed(data, start, end) or _alone(data, first, low, end)
    return () if found and _told_public(data, first, found[0][0]) else found


def _prefixed(data: bytes, start: int, end: int) -> Sequence[Place]:
    """A token of a format that is not known, but made as most are: a short word, then random letters and digits."""
    run = _PREFIXED.match(data, start)
    if run and data[start - 1 : start] not in _NO_TOKEN_AFTER and run.end() >= end and _random_part(run["random"]):
        return ((*run.span(), "prefixed-token"),)
    return ()


def _prefixed_hex(data: bytes, start: int, end: int) -> Sequence[Place]:
    """The same with digits in hexadecimal, as long as those of keys are: `web_4be1…`."""
    run = _PREFIXED_HEX.match(data, start)
    if run is None or run.end() < end or data[start - 1 : start] in _NO_TOKEN_AFTER or _harmless_name(run["prefix"]):
        return ()
    return ((*run.span(), "prefixed-token"),) if run["prefix"].lower() not in _NO_PREFIX else ()


def _names_small(name: bytes, value: bytes) -> bool:
    """Whether a value without capital letters may be a secret by its name, and has more than hexadecimal digits."""
    return len(name) >= _LEAST_NAME and not _NO_SECRET.search(name) and _beyond_hex(value)


def _beyond_hex(value: bytes) -> bool:
    """Whether so much of a value is no hexadecimal digit as chance has it, or half of that."""
    return len(value.translate(None, b"0123456789abcdef")) * 4 >= len(value)


def _alone(data: bytes, first: int, low: int, end: int) -> Sequence[Place]:
    """A random value with nothing around it: so long that no identifier is, or behind an option of a command."""
    before = data[low:end]
    start = low + len(before.rstrip(_DOTTED))
    if data[start - 1] not in _ALONE_AFTER:
        return _encoded(data, start, end) or _base64_run(data, first, start, end)
    word = _ALONE.match(data, start)
    if word is None or word.end() < end:
        return _encoded(data, start, end) or _base64_alone(data, start, end)
    part = max(word[0].split(b"."), key=len)
    if len(part) < _LEAST or not mixed(part):
        return ()
    lead = data[max(first, data.rfind(b"\n", low, start) + 1, start - 60) : start]
    option = _OPTION.search(lead) if b"-" in lead else None
    shortest = _LEAST if option else _LEAST_PLAIN if part.isalnum() and part == word[0] else _LEAST_ALONE
    if len(part) < shortest:
        return ()
    if len(part) in _WIDTHS and not lead.strip() and data[word.end() : word.end() + 1] in (b"\n", b"\r", b""):
        return ()
    if not random_looking(part, shortest=_LEAST):
        return ()
    if _told(lead, option) or word[0].startswith(_NO_TOKEN) or _VERSIONED.search(word[0]) or _UUID.search(part):
        return ()
    return ((*word.span(), "token"),)


def _told(lead: bytes, option: re.Match[bytes] | None) -> bool:
    """Whether what stands before a value tells that it is no secret, or is a name that was judged."""
    if option and _NO_SECRET.search(option["name"]) and holds(option["name"]) in ("nothing", "key"):
        return True
    return bool(_SIGN.search(lead))


def _told_public(data: bytes, first: int, start: int) -> bool:
    """Whether what stands before a random value tells that it is a digest or the public part of a key."""
    lead = data[max(first, data.rfind(b"\n", max(0, start - 60), start) + 1, start - 60) : start]
    return bool(_TELLS.search(lead) or _PUBLIC_MEMBER.search(lead))


def _encoded(data: bytes, start: int, end: int) -> Sequence[Place]:
    """Base64 with its end that holds a user and a password, or the like: `OWY3Y…fHdyaXRl`."""
    if data[start - 1] not in _ALONE_AFTER and data[start - 1 : start] not in (b"=", b":"):
        return ()
    word = _ENCODED.match(data, start)
    text = decoded(word[0]) if word and word.end() >= end else None
    if word is None or text is None or _BLANK.search(text) or text[:1] in b"{[<":
        return ()
    parts = _FIELDS.split(text)
    if len(parts) > 1 and any(opaque(part, ids=True) for part in parts):
        return ((*word.span(), "base64-secret"),)
    return ()


def _in_address(data: bytes, first: int, start: int, word: bytes) -> Sequence[Place]:
    """A random part of an address's path: `https://smee.io/D2BsBkcdXidvQOlD`."""
    if not _LEAST_SEGMENT <= len(word) < _LONGEST_SEGMENT or not mixed(word):
        return ()
    if not _SEGMENT_ENDS.match(data, start + len(word)):
        return ()
    lead = data[max(first, start - 200) : start]
    if not _ADDRESS.search(lead) or not random_looking(word, shortest=_LEAST_SEGMENT):
        return ()
    if _NO_SECRET_PATH.search(lead) or _VERSIONED.search(word) or word.startswith(_NO_TOKEN):
        return ()
    return ((start, start + len(word), "url-token"),)


def _base64_run(data: bytes, first: int, start: int, end: int) -> Sequence[Place]:
    """The same where the trigger lies behind a `+` or a `/` within."""
    if data[start - 1] not in _OF_BASE64:
        return ()
    low = max(first, end - _LONGEST_ALONE)
    begun = low + len(data[low:start].rstrip(_OF_BASE64))
    return _base64_alone(data, begun, end) if begun > low else ()


def _base64_alone(data: bytes, start: int, end: int) -> Sequence[Place]:
    """Base64 of random bytes with nothing around it, as long as keys are and no line of many."""
    word = _STANDING.match(data, start)
    if word is None or word.end() < end or len(word[0]) in _WIDTHS or word[0].startswith((*_NO_TOKEN, b"sha")):
        return ()
    if decoded(word[0]) is not None or _FOLDED.search(data, max(0, start - 100), start):
        return ()
    part = max(_BASE64_PARTS.split(word[0]), key=len)
    if len(part) < _LEAST_PART or not mixed(word[0]) or not random_looking(part, shortest=_LEAST_PART):
        return ()
    return ((*word.span(), "base64-secret"),)


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
