"""Planted secrets of documented formats go, look-alikes stay, and what was redacted once stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.planted import LOOKALIKES, Planted, corpus, lookalikes
from processor.logs.redact import redactor
from processor.logs.secrets.names import holds
from processor.logs.secrets.unnamed import decoded
from processor.logs.secrets.values import opaque, random_looking, wordlike
from processor.stages.reduce import Reduce

SAMPLES = Path(__file__).parents[3] / "pipelines/ci_failure/samples"


@pytest.fixture(scope="module")
def planted() -> list[Planted]:
    """A round over all formats, names, syntaxes and files, of a seed that nothing was written by."""
    return list(corpus(7919))


def left(one: Planted, clean: str) -> bool:
    """Whether anything is left of a secret."""
    return any(secret in clean for secret in one.secret)


def test_planted_secrets_go(planted: list[Planted]) -> None:
    """At most one in a hundred secrets is missed."""
    missed = [one for one in planted if left(one, redactor().redact_text(f"start\n{one.text}\nnext line: ok\n"))]
    assert len(planted) >= 2000
    assert len(missed) * 100 < len(planted), [one.syntax for one in missed]


def test_planted_secrets_shift_no_line(planted: list[Planted]) -> None:
    """No newline comes or goes, and redacting again changes nothing."""
    for one in planted[::3]:
        once = redactor().redact_text(one.text)
        assert once.count("\n") == one.text.count("\n"), one.syntax
        assert redactor().redact_text(once) == once, one.syntax


def test_look_alikes_stay() -> None:
    """Versions, digests, hashes, ids, paths, masked values and prose survive."""
    lines = list(lookalikes(7919))
    assert len(lines) == 5 * len(LOOKALIKES)
    assert [line for line in lines if redactor().redact_text(line) != line] == []


def test_real_logs_are_hardly_touched() -> None:
    """Of the recorded samples, which hold no secret, fewer than one line in two hundred changes."""
    changed = total = 0
    for path in sorted(SAMPLES.glob("*.log")):
        log = path.read_bytes()
        clean = redactor().redact(log)
        total += log.count(b"\n")
        changed += sum(a != b for a, b in zip(log.split(b"\n"), clean.split(b"\n"), strict=True))
    assert total > 10_000
    assert changed * 200 < total


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"DB_PASSWORD", "password"),
        (b"spring.datasource.password", "password"),
        (b"userPass", "password"),
        (b"X_API_SECRET", "password"),
        (b"apiKey", "token"),
        (b"X-Auth-Token", "token"),
        (b"CYPRESS_RECORD_KEY", "token"),
        (b"sessionid", "session"),
        (b"key", "key"),
        (b"cache_key", "nothing"),
        (b"PASS", "nothing"),
        (b"tests/test_password.py", "nothing"),
        (b"TOKEN_EXPIRY", "nothing"),
        (b"max_tokens", "nothing"),
        (b"PASSWORD_FILE", "nothing"),
        (b"compass", "nothing"),
        (b"__", "nothing"),
    ],
)
def test_what_a_name_holds(name: bytes, kind: str) -> None:
    """Names are read word by word."""
    assert holds(name) == kind


@pytest.mark.parametrize(
    ("value", "random"),
    [
        (b"k3Jx9QpL2vRt8WzY", True),
        (b"TestSessionAdapter2024", False),
        (b"node-cache-Linux-x64-yarn-ac21e57e247bf46540ec3396644d1e83", False),
        (b"/usr/lib/x86_64-linux-gnu/libssl.so.3", False),
        (b"google-auth-library-oauth2-http", False),
        (b"https://example.org/a1B2c3D4e5F6", False),
        (b"ac21e57e247bf46540ec3396644d1e83", False),
        (b"short1A", False),
    ],
)
def test_what_looks_random(value: bytes, random: bool) -> None:
    """Identifiers, paths, addresses and numbers in hexadecimal digits do not."""
    assert random_looking(value) is random


def test_words_are_told_from_chance() -> None:
    """By how letters follow each other; hexadecimal digits are no letters."""
    assert wordlike(b"literalMutationString137")
    assert not wordlike(b"xKqZvWjTpQnRb")
    assert not wordlike(b"deadbeefcafe")
    assert not opaque(b"libx11-session-common")


def test_base64_is_decoded_where_it_is_text() -> None:
    """Binary data and what is no base64 stand for no text."""
    assert decoded(b"aGVsbG8gd29ybGQ") == b"hello world"
    assert decoded(b"//79/Pv6+fg=") is None
    assert decoded(b"abcde") is None


@pytest.mark.parametrize("prefix", ["[worker-1:42] ", "[error:1] ", "[main:7] [x-y:3] "])
def test_what_looks_like_a_placeholder_hides_nothing(prefix: str) -> None:
    """A log's own brackets with a number are no placeholder."""
    assert redactor().redact_text(f"{prefix}DB_PASSWORD=correcthorse") == f"{prefix}DB_PASSWORD=[password:1]"


@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_file_is_reduced_without_secrets(tmp_path: Path, size: int) -> None:
    """A log in a file, small or large, is read to its end in one pass, its secrets taken out, and closed."""
    log = tmp_path / "a.log"
    log.write_text("all is well\n" * size + "error: login with password=correcthorse failed\n")
    file = log.open("rb")
    excerpt = await Reduce(200)(file, redactor().session())
    assert file.closed
    assert excerpt.total_lines == size + 1
    assert "password=[password:1] failed" in excerpt.text
