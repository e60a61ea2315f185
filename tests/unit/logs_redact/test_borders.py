"""Secrets over several lines: found all the same wherever the blocks end that are looked at together."""

from __future__ import annotations

import base64
import itertools
import random
import re
import string
from collections.abc import Iterator

import pytest

from processor.logs.redact import BLOCK, redactor

CHANCE = random.Random(23)  # noqa: S311  repeatable, and no secret
FILLER = b"[ 12%] Building CXX object src/CMakeFiles/core.dir/io.cpp.o\n"


def some(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Random characters, with a digit early on."""
    while True:
        text = "".join(CHANCE.choices(alphabet, k=count))
        if any(sign.isdigit() for sign in text[2:8]):
            return text


def body(lines: int) -> tuple[str, ...]:
    """The lines of a made-up key."""
    return tuple(some(64) for _ in range(lines))


BEGIN, END = "-----BEGIN RSA " + "PRIVATE KEY-----", "-----END RSA " + "PRIVATE KEY-----"
SECRETS = {
    "a token that is wrapped": (f"using ghp_{some(46)}", some(50), f"{some(30)} done"),
    "one that is bare after another pass": (f"token {some(24)} {some(40)}", some(40), some(20)),
    "two that are": (f"token {some(24)} {some(24)} {some(40)}", some(40), some(40)),
    "a header that is wrapped": (f"Authorization: Bearer {some(60)}", some(60)),
    "a token of two parts": (f"jwt eyJ{some(40)}.eyJ{some(50)}.{some(20)}", some(20)),
    "base64": ("x " + base64.b64encode(f'{{"auths":{{"r":{{"password":"{some(30)}"}}}}}}'.encode()).decode(), some(30)),
    "a value below its name": ("- name: DB_PASSWORD", f"  value: {some(20)}"),
    "a block of YAML": ("api_token: |", f"   {some(30)}"),
    "a tag's own line": ("<password>", f"   {some(20)}", "</password>"),
    "a password below": ("the password is here:", "", f"  {some(20)}"),
    "a password below another": ("Enter password:", "password for bot:", some(20)),
    "netrc": ("machine git.example", "  login bot", f"  password {some(12)}"),
    "a password that is piped on": (f"+ echo {some(14)}", "+ tool login --password-stdin"),
    "a key": (BEGIN, *body(24), END),
    "a key that is cut": (BEGIN, *body(24)),
    "a key's end": (*body(24), END),
    "PuTTY's key": ("Private-Lines: 8", *body(8)),
    "what a line begins with": (f"-iv {some(32, '0123456789abcdef')}",),
    "a name that a line begins with": (f"credentials {some(24)}",),
}
"""What stands on lines of its own, none of which shows a secret afterwards."""


def unnumbered(clean: bytes) -> bytes:
    """Placeholders of a kind alike: what is found in a second look at a block is numbered before what a first finds."""
    return re.sub(rb"(?<=\[)([a-z0-9-]{2,40}):\d+(?=\])", rb"\1", clean)


def filled(size: int) -> bytes:
    """So many bytes of lines without secrets."""
    whole, rest = divmod(size, len(FILLER))
    return FILLER * whole + b"." * (rest - 1) + b"\n" * (rest > 0)


def around_borders(secret: bytes) -> Iterator[bytes]:
    """What can stand before a secret so that a block ends before, behind or within each of its lines."""
    ends = [0, *itertools.accumulate(len(line) + 1 for line in secret.split(b"\n"))]
    for at in sorted({place for end in ends for place in (end, end + 1, end + 7)}):
        yield filled(BLOCK - at)


@pytest.mark.parametrize("stamp", ["", "2024-05-01T10:00:00.1234567Z "])
@pytest.mark.parametrize("name", SECRETS)
def test_wherever_blocks_end(name: str, stamp: str) -> None:
    """The same is left of a text at the beginning of a log and at each place around the border of blocks."""
    lines = SECRETS[name]
    text = "".join(f"{stamp}{line}\n" for line in lines).encode()
    secrets = [one for one in re.findall(rb"[A-Za-z0-9]{12,}", text) if one != b"Authorization"]
    part = text + FILLER * 20
    clean = unnumbered(redactor().redact(part))
    assert secrets
    assert not any(secret in clean for secret in secrets)
    for before in around_borders(text):
        assert unnumbered(redactor().redact(before + part)) == before + clean


@pytest.mark.parametrize("blocks", [1, 3])
def test_what_is_bare_later_is_held_back_with_what_goes_on(blocks: int) -> None:
    """Passes hold back on their own: blocks that end within a wrapped token, with and without others between."""
    text, secrets = b"", [some(40).encode() for _ in range(18)]
    for parts in zip(*[iter(secrets)] * 3, strict=True):
        text += filled(blocks * BLOCK - len(text) % BLOCK - 120)
        text += b"token %s %s\n%s\n%s\n" % (some(24).encode(), *parts)
    clean = redactor().redact(text)
    assert not any(secret in clean for secret in secrets)
    assert clean.count(b"\n") == text.count(b"\n")
    assert unnumbered(redactor().redact(text + FILLER * 5000)) == unnumbered(clean) + FILLER * 5000


def test_lines_of_a_key_are_held_back_no_longer_than_a_key_is() -> None:
    """Lines that could be a key's pass on where no END line follows, and the words before it do not count."""
    text = "".join(f"{some(64, '0123456789abcdef')}\n" for _ in range(4000)).encode()
    pieces = list(redactor().session().stream((text,)))
    assert b"".join(pieces) == text
    assert all(len(piece) > BLOCK // 2 for piece in pieces[:-1])
