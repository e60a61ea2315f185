"""The logs that a command is given: files, folders, standard input, addresses; compressed or not."""

from __future__ import annotations

import asyncio
import bz2
import lzma
import mmap
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from processor.errors import ConfigError, Rejected

if TYPE_CHECKING:
    from processor.settings.fetch import FetchSettings

_CHUNK: Final = 1 << 20
_LAYERS: Final = 3
_PACKED: Final = r"(?:\.(?:gz|zst|xz|bz2|lz4))?$"
_LOG_NAME: Final = re.compile(
    rf"(?i)(?:\.(?:log|txt|out|err)(?:\.\d+)?|^(?:console(?:text|full)?|log|output|stdout|stderr)){_PACKED}"
)
"""What is read of a folder: other files in it are no logs, most likely."""
KINDS: Final = "*.log, *.txt, *.out, *.err, console, log, stdout, stderr, also as .gz, .zst, .xz, .bz2, .lz4"
_PASSED_OVER: Final = frozenset({"node_modules", "__pycache__", "site-packages"})


@dataclass(frozen=True, slots=True)
class Input:
    """One log: a file's path, `-` for standard input, or an address that `fetch` may allow."""

    name: str
    size: int = 0
    fetch: FetchSettings | None = None

    @property
    def label(self) -> str:
        """Its name as it can be printed: a file's may hold bytes that are no text, and control characters."""
        return printable(os.fsencode(self.name).decode("utf-8", "replace"))

    def read(self) -> Iterator[bytes]:
        """Its bytes, unpacked, in chunks. Raises Rejected, Retryable, OSError."""
        return unpacked(self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        if self.fetch is not None:
            yield asyncio.run(_fetched(self.fetch, self.name))
        elif self.name == "-":
            yield from _pieces(sys.stdin.buffer)
        else:
            with Path(self.name).open("rb") as file:
                yield from _pieces(file)


def printable(text: str) -> str:
    """A text without control characters."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)


def is_address(name: str) -> bool:
    """Whether a name is that of a log on a server."""
    return name.startswith(("http://", "https://", "s3://"))


def gather(names: Sequence[str], fetch: Callable[[], FetchSettings]) -> list[Input]:
    """The logs that `names` stand for: of a folder all that look like logs, however deep, in order of their paths.

    A file that can't be read is found out when it is read. Raises ConfigError where standard input is named twice.
    """
    if names.count("-") > 1:
        raise ConfigError("standard input (-) can be read once only")
    return [each for name in names for each in _inputs(name, fetch)]


def _inputs(name: str, fetch: Callable[[], FetchSettings]) -> list[Input]:
    if name == "-":
        return [Input(name)]
    if is_address(name):
        return [Input(name, fetch=fetch())]
    path = Path(name)
    if not path.is_dir():
        return [Input(name, _size(path))]
    found = [Input(str(file), size) for file in _walk(path) if (size := _size(file))]
    if not found:
        raise ConfigError(f"{name}: no logs in this folder; what is read of a folder: {KINDS}")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _PASSED_OVER:
            continue
        if path.is_dir():
            if not path.is_symlink():  # it may lead back up
                yield from _walk(path)
        elif path.is_file() and _LOG_NAME.search(path.name):
            yield path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


async def _fetched(config: FetchSettings, address: str) -> bytes:
    from processor.stages.fetch import Fetch  # aiohttp, which a file needs not wait for

    async with Fetch(config) as fetch:
        return await fetch(address)


def unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes without gzip, zstd, lz4, xz or bzip2 around them, told by the first bytes; memory stays bounded.

    Raises Rejected ("undecodable") where they are damaged or end early.
    """
    source: Iterator[bytes] = filter(None, chunks)
    for _ in range(_LAYERS):
        head = b""
        while len(head) < 6 and (chunk := next(source, b"")):
            head += chunk
        source = chain((head,) if head else (), source)
        open_ = next((made for magic, made in _FORMATS if head.startswith(magic)), None)
        if open_ is None:
            break
        source = open_(source)
    return source


def _streamed(name: str, make: Callable[[], Any]) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    """Unpacks member by member with an incremental decompressor of the standard library."""

    def unpack(chunks: Iterator[bytes]) -> Iterator[bytes]:
        codec = make()
        try:
            for chunk in chunks:
                rest = chunk
                while rest:
                    if codec.eof:
                        rest = rest.lstrip(b"\0")  # padding between members
                        if not rest:
                            break
                        codec = make()
                    yield from _bounded(codec, rest)
                    rest = codec.unused_data
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise Rejected("undecodable", f"it starts as {name} but does not unpack: {error}") from error
        if not codec.eof:
            raise Rejected("undecodable", f"it starts as {name} but ends early")

    return unpack


def _bounded(codec: Any, data: bytes) -> Iterator[bytes]:
    """What comes out of `data`, in chunks: a few packed bytes may hold gigabytes."""
    out = codec.decompress(data, _CHUNK)
    while out:
        yield out
        if codec.eof:
            return
        left = getattr(codec, "unconsumed_tail", b"")  # zlib gives the rest back, the others keep it
        out = codec.decompress(left, _CHUNK)


def _spooled(name: str) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    """Unpacks through temporary files: cramjam unpacks whole frames only, from and to files within bounded memory."""

    def unpack(chunks: Iterator[bytes]) -> Iterator[bytes]:
        import cramjam

        with tempfile.TemporaryFile() as packed, tempfile.NamedTemporaryFile() as plain:
            for chunk in chunks:
                packed.write(chunk)
            packed.flush()
            with mmap.mmap(packed.fileno(), 0, access=mmap.ACCESS_READ) as whole:
                try:
                    getattr(cramjam, name).decompress_into(whole, cramjam.File(plain.name, write=True))
                except cramjam.DecompressionError as error:
                    raise Rejected("undecodable", f"it starts as {name} but does not unpack: {error}") from error
            yield from _pieces(plain)

    return unpack


_FORMATS: Final = (
    (b"\x1f\x8b\x08", _streamed("gzip", lambda: zlib.decompressobj(wbits=31))),
    (b"\xfd7zXZ\x00", _streamed("xz", lzma.LZMADecompressor)),
    (b"BZh", _streamed("bzip2", bz2.BZ2Decompressor)),
    (b"\x28\xb5\x2f\xfd", _spooled("zstd")),
    (b"\x04\x22\x4d\x18", _spooled("lz4")),
)
