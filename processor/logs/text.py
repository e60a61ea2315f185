"""From raw bytes to clean lines: decoding, colour codes, progress bars, time stamps, step prefixes.

Cleaning works on whole blocks and never adds or removes a newline, so that the n-th clean line is the n-th
line of the raw bytes split on newlines. (A UTF-16 log counts the newlines of its decoded text.)
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final

from processor.errors import Rejected
from processor.reasons import REASONS

BLOCK: Final = 1 << 16
"""Bytes per block: enough to amortise calls, few enough that other threads wait a millisecond, not many."""
LONGEST_LINE: Final = 1 << 21
"""A line longer than this comes in several blocks."""

SNIFFED: Final = 8192
"""Bytes by which a text is told from what is none."""
_TEXT_BYTES: Final = bytes(range(0x20, 0x7F)) + b"\t\n\r\x1b\x08\x0c" + bytes(range(0x80, 0x100))
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before that of UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_ANSI: Final = re.compile(
    rb"\x1b(?:\[[0-9;]*[mK]|\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]{0,500}(?:\x07|\x1b\\)?|[()][0-9A-Za-z]|[0-Z\\^_=>a-z]|)"
)
_STAMP: Final = (
    rb"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?\]?[ \t]?"
    rb"|\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]?(?=[ \t])[ \t])"
)
_USUAL: Final = (
    rb"[0-9]{4}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]\.[0-9]{6,7}Z (?:[0-9][0-9][EO][ +]|)(?![\[0-9#])"
)
"""How GitHub and GitLab begin a line, told from other ways at half the cost."""
_OTHER: Final = (
    rb"(?:"
    + _STAMP
    + rb"(?:\d\d[EO][ +])?"  # GitLab: stream number, and whether the line goes on
    + rb"|#\d{1,3} \d{1,5}\.\d{1,3} )+"  # BuildKit: step, seconds
)
_PREFIX: Final = re.compile(rb"\n(?:" + _USUAL + rb"|" + _OTHER + rb")")
_STEP: Final = re.compile(rb"\n[^\t\n]{1,160}\t[^\t\n]{1,160}\t(?:\xef\xbb\xbf)?(?=\d{4}-\d\d-\d\dT)")
"""`gh run view --log` writes job and step before each line, and a byte-order mark where a step begins."""
_SAMPLED: Final = 12
_FEW: Final = 512
"""Bytes per sampled line below which all lines are looked at."""
_TRAVIS: Final = re.compile(rb"travis_(?:time|fold):(?:start|end):[^\r\n]{0,120}(?=\r|\n|$)")
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
    # invisible and direction-changing ones, other ends of lines, tags
)
_PLAIN: Final = bytes(range(0x20, 0x7F)) + b"\t\n"
_PADDING: Final = tuple((char * 101, re.compile(rf"\{char}{{101,}}"), char * 100) for char in "=-_*#.~+ ")
"""By character of runs: what to look for first, the run, what is left of it (a hundred take one to three tokens)."""
_DRAWN: Final = re.compile("([─━═⎯┄┈╌╍▔▁▄▀█░▒▓■])\\1{7,}")
"""Runs of drawn lines and bars, which take up to three tokens a character; four are left, as of other padding."""
_BLOB: Final = re.compile(
    r"\b([0-9a-f]{12})[0-9a-f]{20,}\b|\b(sha(?:1|256|384|512)-[A-Za-z0-9+/]{12})[A-Za-z0-9+/]{12,}={0,2}"
)
_SHAPE: Final = bytes(ord("0") if byte in b"0123456789abcdef" else ord(" ") for byte in range(256))
_HEX_RUN: Final = b"0" * 32
"""What is in the shape of a line with a long hash of hexadecimal digits: told at a tenth of what the search costs."""
_BRIEF: Final = 48
"""Shorter lines are left as they are."""
LONGEST_SHOWN: Final = 1200
"""Bytes of one line that are shown at most, unless the whole log is."""
_CUT: Final = " … ".encode()


def sniff(data: bytes) -> str | None:
    """Why these bytes can't be read as a log ("empty", "binary"), or None if they can.

    Looks at the first 8 KiB: text of any 8-bit encoding passes, as do UTF-16 and UTF-32.
    """
    if not data:
        return "empty"
    head = data[:SNIFFED]
    return None if wide(head) or _is_text(head) else "binary"


def wide(head: bytes) -> tuple[str, int] | None:
    """The codec of UTF-16 or UTF-32 and the length of its byte-order mark, told by the first bytes; else None.

    Without a mark, UTF-16 of mostly Latin letters is told by every other byte being zero.
    """
    head = head[:SNIFFED]
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name, len(bom)
    if b"\0" in head and len(head) > 8:
        for name, low, high in (("utf-16-le", head[::2], head[1::2]), ("utf-16-be", head[1::2], head[::2])):
            if high.count(0) * 10 > len(high) * 9 and _is_text(low):
                return name, 0
    return None


def _is_text(head: bytes) -> bool:
    return len(head.translate(None, _TEXT_BYTES)) * 20 <= len(head)


def decode(data: bytes) -> bytes:
    """UTF-16 and UTF-32 become UTF-8; a byte-order mark goes; all else stays as it is."""
    if known := wide(data):
        name, mark = known
        return data[mark:].decode(name, "replace").encode("utf-8", "replace")
    return data.removeprefix(codecs.BOM_UTF8)


def refused(reason: str) -> Rejected:
    """Why a log can't be read, for those who gave one."""
    return Rejected(reason, "the log is empty" if reason == "empty" else REASONS[reason])


def require_text(data: bytes) -> bytes:
    """The decoded log, or Rejected with the reason that `sniff` gives."""
    reason = sniff(data)
    if reason:
        raise refused(reason)
    return decode(data)


def clean(block: bytes) -> bytes:
    """A block of whole lines without colour codes, overwritten progress, time stamps and step prefixes.

    Time stamps go where a sample of a large block's lines has any: `undated` takes the few that are left.
    """
    if b"\x1b" in block:
        block = b"".join(_ANSI.split(block))
    if b"\x08" in block:
        block = _taken_back(block)
    if b"\r" in block:
        block = _carriage_returns(block)
    return undated(block) if _dated(block) else block


def undated(block: bytes) -> bytes:
    """A block of whole lines without the time stamps and step names that lines begin with."""
    block = b"\n" + block
    if b"\t" in block[:200] and _STEP.match(block):
        block = _STEP.sub(b"\n", block)
    return _PREFIX.sub(b"\n", block)[1:]


def _dated(block: bytes) -> bool:
    """Whether one of some lines, evenly spread, begins with a time stamp or the like."""
    if len(block) < _FEW * _SAMPLED:
        return True
    for start in range(0, len(block), len(block) // _SAMPLED):
        line = block.find(b"\n", start)
        if line >= 0 and (_PREFIX.match(block, line) or _STEP.match(block, line)):
            return True
    return False


def show(lines: bytes) -> str:
    """Clean lines as text: undecodable bytes replaced, control and invisible characters out, padding short.

    Keeps newlines, so it works on one line and on many.
    """
    text = lines.decode("utf-8", "replace")
    if lines.translate(None, _PLAIN):
        text = _DRAWN.sub(r"\1\1\1\1", _HIDDEN.sub("", text))
    for pad, run, left in _PADDING:
        if pad in text:
            text = run.sub(left, text)
    return text


def brief(line: str) -> str:
    """A line with long hashes cut to their beginnings: nearly each of their characters takes a token."""
    if len(line) <= _BRIEF:
        return line
    hashed = "sha" in line or _HEX_RUN in line.encode("utf-8", "replace").translate(_SHAPE)
    return _BLOB.sub(_beginning, line) if hashed else line


def _beginning(blob: re.Match[str]) -> str:
    return f"{blob[1] or blob[2]}…"


def window(line: bytes, around: int | None, longest: int = LONGEST_SHOWN) -> bytes:
    """At most `longest` bytes of a line: its ends, and most of all what stands around offset `around`."""
    if len(line) <= longest:
        return line
    if around is None:
        most = longest * 3 // 5
        return line[:most] + _CUT + line[most - longest + len(_CUT) :]
    side = longest // 8
    first = max(0, around - longest // 2 + side)
    last = min(len(line), first + longest - 2 * side - 2 * len(_CUT))
    head, tail = line[: min(side, first)], line[max(last, len(line) - side) :]
    before = _CUT if first > len(head) else b""
    after = _CUT if last < len(line) - len(tail) else b""
    return b"".join((head, before, line[first:last], after, tail))


def _taken_back(block: bytes) -> bytes:
    """Without backspaces (spinners), each of which takes back the character before it."""
    *parts, last = block.split(b"\x08")
    if b"\n\x08" in block:
        return b"".join([part if part.endswith(b"\n") else part[:-1] for part in parts]) + last
    return b"".join([part[:-1] for part in parts]) + last


def _carriage_returns(block: bytes) -> bytes:
    """Windows line ends go; of a line that overwrites itself only the last state that shows text is kept."""
    block = b"\n".join(block.split(b"\r\n"))  # `replace` takes more than twice as long
    at = block.find(b"\r")
    if at < 0:
        return block
    if b"travis_" in block:
        block = _TRAVIS.sub(b"", block)
        at = block.find(b"\r")
    parts: list[bytes] = []
    done = 0
    while at >= 0:
        start = block.rfind(b"\n", done, at) + 1 or done
        end = block.find(b"\n", at)
        if end < 0:
            end = len(block)
        # Of the states the last one that shows text.
        text = block[start:end].rstrip()
        first = start + text.rfind(b"\r") + 1
        last = block.find(b"\r", start + len(text), end)
        parts += block[done:start], block[first : last if last >= 0 else end] if text else b""
        done = end
        at = block.find(b"\r", end)
    return b"".join((*parts, block[done:]))


def blocks(chunks: Iterable[bytes], size: int = BLOCK) -> Iterator[bytes]:
    """Regroups chunks into blocks of about `size` bytes that end with a newline.

    The last block may lack the newline, and so do the pieces of a line that is over LONGEST_LINE bytes:
    what follows them continues that line. Memory is bounded by LONGEST_LINE.
    """
    held: list[bytes] = []
    length = 0
    for piece in _pieces(chunks, size):
        cut = piece.rfind(b"\n") + 1
        if cut and length + len(piece) >= size:
            yield b"".join([*held, piece[:cut]])
            held, length = [piece[cut:]], len(piece) - cut
        else:
            held.append(piece)
            length += len(piece)
            if length > LONGEST_LINE:
                yield b"".join(held)
                held, length = [], 0
    if length:
        yield b"".join(held)


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) <= size:
            yield chunk
        else:
            for start in range(0, len(chunk), size):
                yield chunk[start : start + size]
