"""Whether a value is a secret or a look-alike: a variable, a word, a version, a digest, an id, a path."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from processor.logs.secrets.kinds import Check, Place, Secret

_HARMLESS: Final = re.compile(
    rb"(?i)^(?:\*+|x{3,}|\.{2,}|-+|_+|#+|\[.*\]|<.*>?|\$.*|%\w+%|@\w+@|true|false|null|none|nil|undefined|yes|no|on|off|"
    rb"(?:un)?(?:set|defined)|empty|required|optional|missing|invalid|incorrect|expired|redacted|masked|hidden|filtered|"
    rb"secret|password|token|key|string|str|bytes|text|bool|boolean|int|number|any|object|unknown|example|changeme|env|inherit|"
    rb"process\.env.*|os\.(?:environ|getenv).*|secrets\..*|vars?\..*|env\..*|(?:local|module|data|each)\.[a-z_.]+|"
    rb"(?-i:[A-Z]+(?:_[A-Z]+)+)|\w+\[[\w., ]*\]?|self\..*|settings\..*|config\..*|this\..*|props\..*|[a-z]:\\.*|"
    rb"\w+://[^:@]*|(?:file|path|vault|ssm|op|arn|aws|gcp):.*|\([a-z]+|amd64|arm64|i386|migrat(?:ing|ed)|revert(?:ing|ed)|!(?:ref|sub|vault|secret|getatt|env|reference)\b.*|[a-z_]++(?:64|32|256|512|1|5)?[a-z_]*+\(.*|&\w+|\{.*)$"
)
_VERSION: Final = re.compile(rb"^[v^~=<>]*\d+(?:\.[\dx*]+)+(?:[-+.][\w.-]{1,30})?$|^\d{1,12}(?:\.\d+)?[a-z%]{0,3}$")
_UUID: Final = re.compile(rb"(?i)^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$")
_DIGEST: Final = re.compile(rb"^(?:sha(?:1|224|256|384|512)|md5|h1|SHA256|MD5)[-:=].*")
_HEX: Final = re.compile(rb"(?i)^(?:0x)?[0-9a-f]+$")
_WORDY: Final = re.compile(rb"^(?:[A-Za-z][a-z]*)?(?:[-_. ](?:[A-Za-z][a-z]*)?)*[.!?]?$")
_OPTION: Final = re.compile(rb"(?:^|[\s\"'])--?[A-Za-z][\w.-]{0,40} \Z")
_PROSE: Final = frozenset(
    b"a an and are argument as at be but by can cannot command does environment file flag for from has have if in "
    b"instead is isn it line may must not of on only option or parameter prompt should so stdin that the this to use "
    b"using value variable via was were when which will with without you your".split()
)
"""What follows the name of an option in a sentence about it."""
_JUDGED: Final = 128
"""Bytes of a value that it is judged by: a longer one tells no more."""
_OWN_REACH: Final = 1024
"""Bytes before and after what was scanned for that a user's expression may read."""
_MARK: Final = re.compile(rb"\*\*\*|\$[{(]|\{\{")
_CODE: Final = re.compile(rb"^[a-z_][A-Za-z_]*(?:(?:\.|->|::)[a-z_][A-Za-z_]*)+[()]*$")
_PATH: Final = re.compile(rb"^(?:~|\.{1,2})?/[\w.@+/-]*$")
_LONG_ID: Final = re.compile(rb"(?i)(?<![0-9a-z])[0-9a-f]{16,}(?![0-9a-z])")
_IDS: Final = re.compile(rb"(?i)(?<![0-9a-z])[0-9a-f]{7,}(?![0-9a-z])")
_TIME: Final = re.compile(rb"^\d{4}-\d\d-\d\d|^\d\d:\d\d")
_FILE: Final = re.compile(
    rb"\.(?:[cm]?[jt]sx?|py|java|kt|go|rs|rb|php|cs|c|cc|cpp|h|hpp|json|ya?ml|xml|toml|txt|log|md|html?|css|sh|lock|jar|whl|"
    rb"tgz|gz|zip|tar|pem|crt|cer|pub|so|dll|exe|o|a|d|png|svg|snap|csproj|sln|gradle|properties|conf|cfg|ini|sql)(?:[:(@,.].*)?$"
)
_DIGIT_RUNS: Final = re.compile(rb"\d+")
_LETTERS: Final = re.compile(rb"[a-z]+")
_CAMEL: Final = re.compile(rb"(?:[A-Z][a-z]{2,}){2,}[A-Z]{0,3}\d{0,4}[A-Z]{0,3}")
_ADDRESS: Final = re.compile(rb"0x[0-9a-f]{6,16}")
_WEIGHED: Final = (0.0, *(n * math.log2(n) for n in range(1, _JUDGED + 1)))
"""By how often a byte is there what it takes off the entropy, times the bytes."""
_CLASSES: Final = bytes(
    ord("a" if chr(byte).islower() else "A" if chr(byte).isupper() else "0" if chr(byte).isdigit() else "!")
    if byte in b"!%^*#@$&~" or (byte < 128 and chr(byte).isalnum())
    else ord(" ")
    for byte in range(256)
)
_CHANGES: Final = (b"a0", b"0a", b"0A", b"A0", b"aA", b"Aa", b"!")
"""What changes from one character to the next, by their classes."""
_PAIRS: Final = frozenset(
    tuple(pair.encode())
    for pair in re.findall(
        "..",
        "abacadagaialamanaparasataubabebiblbobucacechcickclcocrctcudadedidoeaecedeeefelemeneperesetevexfefifogegigogrha"
        "hehihoiaibicidieifigiliminioipirisitivizkekilalelilllolsltlulymamemimompnancndnengninonsntocodogolomonoooporos"
        "otouowpapepiplpoppprptpyqurarcrdrerirmrorrrsrtrurysascseshsisospssstsutatctethtitotrtstttutyuiulumunupurusutva"
        "veviwawize",
    )
)
"""Pairs of letters that make up four fifths of the words in logs, and a quarter of random letters."""


def without_end(value: bytes) -> bytes:
    """A value without the punctuation of the sentence or list that it ends."""
    value = value.rstrip(b".,:;")
    return value.rstrip(b"]") if b"[" not in value else value


def harmless(value: bytes) -> bool:
    """Whether a value stands for a secret without being one: a variable, a mask, a type, a file, code."""
    value = value[:_JUDGED]
    return bool(
        _HARMLESS.match(value)
        or _MARK.search(value)
        or (_CODE.match(value) and (len(value) < 10 or wordlike(value)))
        or (_PATH.match(value) and (b"." in value or len(value) < 20 or not mixed(value)))
    )


def matches(
    secret: Secret, pattern: re.Pattern[bytes], data: bytes, first: int, last: int, end: int
) -> Iterator[Place]:
    """What a kind's expression matches and its check lets pass, all over the line."""
    group = "s" if "s" in pattern.groupindex else 0
    if secret.check == "own":  # a user's expression is given what stands around its trigger, to bound its time
        first, last = max(first, end - _OWN_REACH), min(last, end + _OWN_REACH)
    for match in pattern.finditer(data, first, last):
        start, stop = match.span(group)
        if secret.check not in ("none", "own"):
            stop = start + len(without_end(data[start:stop]))
        closed = data[stop : stop + 1] in (b"", b"\n", b"\r", b",", b'"', b"'")
        if is_secret(match[0], data[start:stop], secret.check, closed):
            yield start, stop, secret.name


def is_secret(whole: bytes, value: bytes, check: Check, closed: bool) -> bool:
    """Whether a match is a secret and no look-alike.

    `none`: always. `password`: any value but variables, words such as `null`, and words of a sentence
    (unless `closed`: nothing follows the value, or it is quoted). `opaque`: looks random.
    """
    if check in ("none", "own"):
        return bool(value)
    if harmless(value):
        return False
    if check == "password":
        name = whole[: whole.find(value)]
        if _VERSION.match(value) and b"=" not in name and b"@" not in whole:
            return False
        if (
            name.rstrip(b"\"'").endswith((b"=", b"@", b":"))
            or whole.endswith(b"@")
            or closed
            or not _WORDY.match(value)
        ):
            return True
        return of_option(name, value)
    return opaque(value, ids=check == "parameter")


def of_option(before: bytes, value: bytes) -> bool:
    """Whether a word stands behind an option, as its value: `--password letmein`, not `--password is insecure`."""
    return bool(_OPTION.search(before)) and value.lower() not in _PROSE


def opaque(value: bytes, *, ids: bool = False) -> bool:
    """Whether a value looks random: eight characters or more, of mixed classes, no words, version or digest.

    With `ids` a UUID counts as random too.
    """
    value = value[:_JUDGED]
    if len(value) < 8 or _VERSION.match(value) or _DIGEST.match(value) or _TIME.match(value):
        return False
    if _UUID.match(value):
        return ids
    if _WORDY.match(value) or _FILE.search(value) or value.count(b".") > 3:
        return False
    if wordlike(value) and not (_LONG_ID.search(value) or _restless(value)):
        return False
    path = value[:1] == b"/" or (value[1:2] == b"/" and not _LONG_ID.search(value))
    if path and not (len(value) > 19 and mixed(value)):
        return False
    return _classes(value) >= 2 and _entropy(value) >= (2.7 if len(value) < 16 else 3.0)


def random_looking(value: bytes, *, ids: bool = False, shortest: int = 12) -> bool:
    """Whether a value can hardly be anything but random: no name, path, address, version, digest, date.

    With `ids` a UUID or a hexadecimal number counts as random too.
    """
    value = value[:_JUDGED]
    if len(value) < shortest or _classes(value) < 2 or b"://" in value or harmless(value) or not opaque(value, ids=ids):
        return False
    if _UUID.match(value):
        return True
    if _CAMEL.fullmatch(value) or _ADDRESS.fullmatch(value):
        return False
    rest = _IDS.sub(b"", value)
    if len(rest) < 8 or wordlike(rest):  # a number in hexadecimal digits, with words around it at most
        return ids and len(value) >= 20 and len(rest) < 8
    changes = sum(map(rest.translate(_CLASSES).count, _CHANGES))
    return changes * 5 >= len(rest) and _entropy(rest) >= 3.0


def wordlike(value: bytes) -> bool:
    """Whether the letters of a value follow each other as in words, not as chance has it."""
    if _HEX.match(value):
        return False
    small = value[:_JUDGED].lower()
    runs = _LETTERS.findall(small)
    pairs = sum(map(len, runs)) - len(runs)
    if pairs < 5:
        return False
    common = sum(map(_PAIRS.__contains__, pairwise(small)))
    return common * 100 >= pairs * (88 if pairs < 9 else 75 if pairs < 16 else 66)


def _restless(value: bytes) -> bool:
    """Whether digits stand in so many places between capital and small letters that a value's words are chance's."""
    if len(value) < 12 or not mixed(value) or len(_DIGIT_RUNS.findall(value)) < 3:
        return False
    return sum(map(value.translate(_CLASSES).count, _CHANGES)) * 2 >= len(value)


def mixed(value: bytes) -> bool:
    """Whether a value has digits, small and capital letters."""
    return _classes(value) == 3


def _classes(value: bytes) -> int:
    """How many of these a value has: small letters, capital letters, digits."""
    return (
        (value != value.upper()) + (value != value.lower()) + (len(value.translate(None, b"0123456789")) < len(value))
    )


def _entropy(value: bytes) -> float:
    """Shannon entropy, bits per byte."""
    size = len(value)
    return math.log2(size) - sum(map(_WEIGHED.__getitem__, Counter(value).values())) / size
