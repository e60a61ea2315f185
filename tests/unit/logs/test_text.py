"""Cleaning: what goes, what stays, and that no newline is ever added or lost."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.errors import Rejected
from processor.logs import text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"\x1b[31;1merror\x1b[0m: x", b"error: x"),
        (b"\x1b]8;;https://a.example\x07link\x1b]8;;\x07", b"link"),
        (b"2024-05-01T10:00:00.1234567Z ##[error]boom", b"##[error]boom"),
        (b"2024-05-01T10:00:00.123456Z 01E error: boom", b"error: boom"),
        (b"[2024-05-01T10:00:00.123Z] make: *** [all] Error 1", b"make: *** [all] Error 1"),
        (b"12:00:01 BUILD FAILED", b"BUILD FAILED"),
        (b"#19 22.32 [ERROR] boom", b"[ERROR] boom"),
        (b"build\tRun tests\t2024-05-01T10:00:00.1234567Z boom", b"boom"),
        (b" 10%\r 50%\r100% done\r", b"100% done"),
        (b"windows\r", b"windows\r"),
        (b"section_end:1:step\r\x1b[0K\x1b[31;1mERROR: Job failed", b"ERROR: Job failed"),
        (b"spin|\x08/\x08-\x08 ok", b"spin ok"),
        (b"    at a.b(C.java:1)", b"    at a.b(C.java:1)"),
        (b"12:30 is no time stamp", b"12:30 is no time stamp"),
    ],
)
def test_clean_line(raw: bytes, clean: bytes) -> None:
    """Colour, overwritten progress, time stamps and step prefixes go, the message stays."""
    assert text.clean(raw).rstrip(b"\r") == clean.rstrip(b"\r")


@given(st.binary(max_size=2000) | st.text(alphabet="\r\n\x1b[0mab12:-TZ# \t\x08", max_size=400).map(str.encode))
def test_clean_keeps_newlines(data: bytes) -> None:
    """Line numbers never shift, whatever the bytes."""
    assert text.clean(data).count(b"\n") == data.count(b"\n")


@given(st.lists(st.binary(max_size=60), max_size=40), st.integers(4, 64))
def test_blocks_are_the_chunks(chunks: list[bytes], size: int) -> None:
    """Blocks hold the same bytes in order, and all but the last end with a newline."""
    blocks = list(text.blocks(chunks, size))
    assert b"".join(blocks) == b"".join(chunks)
    assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_blocks_bound_a_long_line() -> None:
    """A line over the limit comes in pieces."""
    blocks = list(text.blocks([b"x" * (text.LONGEST_LINE * 3)]))
    assert len(blocks) > 1
    assert max(map(len, blocks)) <= text.LONGEST_LINE + text.BLOCK


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (bytes(range(256)) * 40, "binary"),
        (b"\x7fELF\x02\x01\x01" + b"\x00" * 200, "binary"),
        (b"PK\x03\x04" + bytes(range(32)) * 30, "binary"),
        (b"plain\n", None),
        ("grün ✓ größer\n".encode(), None),
        ("grün größer\n".encode("latin-1"), None),
        (codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le"), None),
        (b"\x1b[31mred\x1b[0m\r\n" * 20, None),
    ],
)
def test_sniff(data: bytes, reason: str | None) -> None:
    """Binary and empty bodies are told from logs in any 8-bit encoding and UTF-16."""
    assert text.sniff(data) == reason


def test_require_text_rejects() -> None:
    """A binary body is rejected with the reason that the dead letter carries."""
    with pytest.raises(Rejected) as caught:
        text.require_text(b"\x00\x01\x02" * 100)
    assert caught.value.reason == "binary"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_decode_utf16(encoding: str) -> None:
    """UTF-16 with a byte-order mark becomes UTF-8."""
    assert text.decode("\ufefferror: größer\n".encode(encoding)) == "error: größer\n".encode()


def test_show_drops_what_hides() -> None:
    """Zero-width and direction-changing characters can't hide or reorder text; padding is shortened."""
    shown = text.show(f"a\u200bb\u202ec\x07 {'=' * 300} d".encode())
    assert shown == f"abc {'=' * 100} d"


def test_drawn_lines_are_shortened() -> None:
    """Rules and bars that tools draw take a token or more a character and say nothing."""
    assert text.show(("⎯" * 20 + " Failed Tests 1 " + "━" * 8 + "│" * 9 + "─" * 7).encode()) == (
        "⎯⎯⎯⎯ Failed Tests 1 ━━━━" + "│" * 9 + "─" * 7
    )


@given(st.binary(min_size=1, max_size=5000), st.integers(0, 5000))
def test_window_is_bounded(line: bytes, around: int) -> None:
    """A window never exceeds its size, and shows what it is around."""
    shown = text.window(line, min(around, len(line)), 400)
    assert len(shown) <= 400
    at = min(around, len(line) - 1)
    assert len(line) <= 400 or line[max(0, at - 4) : at] in shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            f"digest: sha256:{'0123456789abcdef' * 4} status: Image is up to date",
            "digest: sha256:0123456789ab… status: Image",
        ),
        (f"EINTEGRITY: wanted sha512-{'abcDEF0123+/' * 7}== but got another", "sha512-abcDEF0123+/… but got"),
    ],
)
def test_hashes_are_cut_to_their_beginnings(line: str, shown: str) -> None:
    """Of what takes a token per character enough stays to tell it from another."""
    assert shown in text.brief(line)


@pytest.mark.parametrize("line", ["commit 0123456789abcdef0123456789abcdef01234567", f"/srv/{'deep/' * 30}file.py:3"])
def test_what_is_no_long_hash_stays(line: str) -> None:
    """Short lines and paths are left as they are."""
    assert text.brief(line) == line
