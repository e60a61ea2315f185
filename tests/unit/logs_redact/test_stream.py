"""Redaction of streams: borders of chunks change nothing, memory stays bounded, keys over many lines go whole."""

from __future__ import annotations

import itertools
import random
import string
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processor.errors import Rejected
from processor.logs.decode import regroup, text_stream
from processor.logs.redact import BLOCK, Found, Redactor, redactor

CHANCE = random.Random(5)  # noqa: S311  repeatable, and no secret
TOKEN = b"ghp_" + "".join(CHANCE.choices(string.ascii_letters + string.digits, k=36)).encode()


def pem(lines: int = 24, prefix: bytes = b"") -> bytes:
    """A made-up key block, each line behind `prefix`."""
    body = ["".join(CHANCE.choices(string.ascii_letters + string.digits + "+/", k=64)) for _ in range(lines)]
    block = ["-----BEGIN RSA " + "PRIVATE KEY-----", *body, "-----END RSA " + "PRIVATE KEY-----"]
    return b"".join(prefix + line.encode() + b"\n" for line in block)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` cut at some places."""
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(borders)]


FILLER = b"2024-05-01T10:00:00.1234567Z Downloading https://example.org/a-1.2.3.tar.gz (12 kB)\n"
PIECES = st.sampled_from(
    [
        FILLER,
        FILLER * 3200,
        b"x" * 9_000,
        b"y " * 150_000,
        b"\x1b[36my \x1b[0m" * 20_000,
        b"\x1b[1mtoken\x1b[0m \x1b[32m" + TOKEN[:9] + b"\x1b[31m" + TOKEN[9:] + b"\x1b[0m ",
        b"\n",
        b" token " + TOKEN + b" ",
        b"password=hunter2\n",
        pem(),
        pem(4, b"2024-05-01T10:00:00Z | "),
        b"-----BEGIN PRIVATE " + b"KEY-----\n",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8).map(b"".join), st.lists(st.integers(0, 1 << 40), max_size=12))
def test_borders_of_chunks_change_nothing(data: bytes, places: list[int]) -> None:
    """A stream gives what the whole does, wherever it is cut, and no newline comes or goes."""
    whole = redactor().redact(data)
    assert b"".join(redactor().session().stream(cut(data, places))) == whole
    assert whole.count(b"\n") == data.count(b"\n")
    assert TOKEN not in whole


@given(
    st.integers(0, BLOCK),
    st.sampled_from([TOKEN + b"\n", b"key " + TOKEN + b" used\n", pem(), b"z" * 300_000 + b" " + TOKEN]),
)
@settings(max_examples=80, deadline=None)
@example(BLOCK - 20, TOKEN + b"\n")
def test_secret_across_the_border_of_blocks(before: int, secret: bytes) -> None:
    """Wherever a secret lies to the blocks that are looked at together, it goes."""
    filler = (FILLER * (before // len(FILLER) + 1))[:before]
    data = filler + b"\n" + secret + FILLER * 4000
    clean = b"".join(redactor().session().stream(regroup((data,), 70_001)))
    assert TOKEN not in clean
    assert clean.count(b"\n") == data.count(b"\n")
    assert not any(line in clean for line in secret.split(b"\n") if len(line) == 64)


def test_same_secret_same_placeholder_in_a_stream() -> None:
    """Numbers go on through a stream and what follows in its session."""
    session = redactor().session()
    clean = b"".join(session.stream([TOKEN + b"\n", FILLER * 5000, TOKEN + b"\n"]))
    assert clean.count(b"[github-token:1]") == 2
    assert session.redact_text(TOKEN.decode()) == "[github-token:1]"


def test_clean_log_larger_than_a_block_is_returned_as_it_is() -> None:
    """Without a secret, the very object comes back, whatever its size."""
    data = FILLER * 10_000
    assert redactor().redact(data) is data


@pytest.mark.parametrize("line", [FILLER * 3000, b"w" * BLOCK, b"-----BEGIN PRIVATE KEY-----\n" + b"QUJD" * 65_000])
def test_memory_is_bounded(line: bytes) -> None:
    """A stream of a hundred megabytes takes a few: of lines, of one line, of keys without end."""

    def chunks() -> Iterator[bytes]:
        for _ in range(100_000_000 // len(line)):
            yield line

    tracemalloc.start()
    total = sum(map(len, redactor().session().stream(chunks())))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 0
    assert peak < 8_000_000


def test_utf_16_is_read_in_chunks() -> None:
    """UTF-16 becomes UTF-8, also where a chunk ends within a character; byte-order marks go."""
    log = "fehlgeschlagen: Größe 𝛼\n" * 40_000
    chunks = regroup((log.encode("utf-16"),), 10_001)
    assert b"".join(text_stream(chunks)).decode() == log
    assert b"".join(text_stream((b"\xef\xbb", b"\xbfabc"))) == b"abc"


@pytest.mark.parametrize(
    ("chunks", "reason"), [([], "empty"), ([b"", b""], "empty"), ([bytes(range(256)) * 9], "binary")]
)
def test_what_is_no_text_is_rejected(chunks: list[bytes], reason: str) -> None:
    """Empty and binary streams are told before anything is read."""
    with pytest.raises(Rejected) as caught:
        text_stream(chunks)
    assert caught.value.reason == reason


@pytest.mark.parametrize("unit", ["PASSWORD=%s ", "PASSWORD:%s;"])
def test_a_long_line_full_of_secrets_is_looked_at_a_few_times(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each secret stands in the context of the next: not a byte more is held back for it, and none is left."""
    looked = 0
    find = Redactor.find

    def counted(self: Redactor, data: bytes) -> Found:
        nonlocal looked
        looked += len(data)
        return find(self, data)

    monkeypatch.setattr(Redactor, "find", counted)
    secrets = ["7x9" + "".join(CHANCE.choices(string.ascii_letters + string.digits, k=21)) for _ in range(16_000)]
    line = "".join([unit % secret for secret in secrets]).encode()
    clean = b"".join(redactor().session().stream([line]))
    assert [secret for secret in secrets if secret[:12].encode() in clean] == []
    assert looked < 4 * len(line)
