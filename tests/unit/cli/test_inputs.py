"""What commands read: archives cut anywhere, damaged ones, names that are no text."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.cli.inputs import Input, unpacked
from processor.errors import Rejected
from tests.unit.cli.conftest import Program

PACKERS: list[Callable[[bytes], Any]] = [
    gzip.compress, lzma.compress, bz2.compress, cramjam.zstd.compress, cramjam.lz4.compress,
]  # fmt: skip
MAGIC = [b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"BZh", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"]


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[first:last] for first, last in pairwise(cuts)]


@given(st.sampled_from(PACKERS), st.binary(max_size=2000), st.lists(st.integers(0, 10_000), max_size=5))
def test_an_archive_may_come_in_any_chunks(pack: Callable[[bytes], Any], data: bytes, places: list[int]) -> None:
    """Wherever chunks end, the same bytes come out."""
    plain = b"log\n" + data
    assert b"".join(unpacked(_cut(bytes(pack(plain)), places))) == plain


@given(st.sampled_from(MAGIC), st.binary(max_size=400), st.lists(st.integers(0, 1000), max_size=3))
def test_what_only_starts_as_an_archive_is_rejected(magic: bytes, data: bytes, places: list[int]) -> None:
    """Whatever follows the first bytes of an archive, it ends in bytes or in a told error."""
    ended: Any = None
    try:
        ended = b"".join(unpacked(_cut(magic + data, places)))
    except Rejected as error:
        ended = error.reason
    assert ended == "undecodable" or isinstance(ended, bytes)


@given(st.binary(max_size=400).filter(lambda data: not data.startswith(tuple(MAGIC))), st.integers(0, 400))
def test_what_is_not_packed_stays(data: bytes, place: int) -> None:
    """Plain bytes pass as they are."""
    assert b"".join(unpacked(_cut(data, [place]))) == data


def test_a_bomb_takes_no_memory() -> None:
    """Of what unpacks to a gigabyte no more than a chunk is there at a time."""
    bomb = gzip.compress(gzip.compress(bytes(1 << 26)) * 16)
    sizes = [len(chunk) for chunk in unpacked([bomb])]
    assert sum(sizes) == 1 << 30
    assert max(sizes) <= 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="the file system's names are bytes on Linux alone")
def test_a_name_that_is_no_text_is_printed(program: Program, tmp_path: Path) -> None:
    """A file whose name is Latin-1 or holds control characters is read, and named in what can be printed."""
    for name in (b"caf\xe9.log", b"a\x1b[31m\n.log"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("error: no\n", encoding="utf-8")
    told = program("reduce", "--lines", tmp_path)
    assert told.code == 0
    assert [Path(json.loads(line)["file"]).name for line in told.out.splitlines()] == ["a�[31m�.log", "caf�.log"]
    assert "caf�.log" in program("reduce", "--text", tmp_path).out
    assert Input("-").label == "-"


def test_any_locale_will_do(failing: Path) -> None:
    """Where the locale has no such characters, JSON is UTF-8 nevertheless and text has question marks."""
    failing.write_text("error: größer ⋮ ✗\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    call = [sys.executable, "-m", "processor", "reduce", str(failing)]
    found = subprocess.run([*call, "--json"], capture_output=True, check=True, env=environment).stdout
    assert json.loads(found)["text"] == "error: größer ⋮ ✗"
    found = subprocess.run([*call, "--text"], capture_output=True, check=True, env=environment).stdout
    assert "error: größer ? ?\n" in found.decode("latin-1")
