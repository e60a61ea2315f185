"""Hyperscan databases that were compiled before: a tool that is called for one log starts in a fraction of the time.

Compiling what is known of logs takes seconds, reading it back a millisecond. Databases lie in the user's cache
folder, named by a digest of the expressions and of the library. A file is only read from a folder that nobody else
can write to, and only if its own digest is right; whatever is wrong with it, the expressions are compiled anew.
`FAULTSTREAM_CACHE` names another folder; where none can be written, nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import hyperscan

_WORTH_S: Final = 0.05
"""What compiles faster than this is not kept."""
_MOST: Final = 64
"""Databases that are kept; the ones that were not used for longest go."""
_DIGEST: Final = hashlib.sha256().digest_size


def database(expressions: Sequence[tuple[bytes, int]], mode: int, numbers: Sequence[int] | None = None) -> Any:
    """The database of (expression, flags) pairs; matches are reported by their `numbers`, or else by their places."""
    numbers = range(len(expressions)) if numbers is None else numbers
    name = _name(expressions, mode, numbers)
    folder = _folder()
    known = folder and _read(folder / name, mode)
    if known:
        return known
    began = time.perf_counter()
    made = hyperscan.Database(mode=mode)
    made.compile(
        expressions=[expression for expression, _ in expressions],
        ids=list(numbers),
        elements=len(expressions),
        flags=[flags for _, flags in expressions],
    )
    if folder and time.perf_counter() - began > _WORTH_S:
        with contextlib.suppress(OSError):  # a full disk or a folder for reading only costs time, no more
            _write(folder / name, hyperscan.dumpb(made))
    return made


def _name(expressions: Sequence[tuple[bytes, int]], mode: int, numbers: Sequence[int]) -> str:
    version = hyperscan.__version__  # type: ignore[attr-defined]
    digest = hashlib.sha256(f"{version} {platform.machine()} {mode}".encode())
    for number, (expression, flags) in zip(numbers, expressions, strict=True):
        digest.update(b"%d %d %d %s" % (number, flags, len(expression), expression))
    return f"{digest.hexdigest()[:32]}.hsdb"


def _folder() -> Path | None:
    """The folder of databases, if it is or can be made one that nobody else writes to."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "faultstream")
        folder = Path(os.environ.get("FAULTSTREAM_CACHE") or base, "patterns")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except (OSError, RuntimeError):  # no home
        return None
    ours = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if ours else None


def _read(file: Path, mode: int) -> Any | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
        return None
    try:
        known = hyperscan.loadb(data[_DIGEST:], mode)
        hyperscan.Scratch(known)  # tells a database that was made for another processor
    except hyperscan.error:
        return None
    with contextlib.suppress(OSError):
        os.utime(file)
    return known


def _write(file: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
        part.write(hashlib.sha256(data).digest() + data)
    Path(part.name).replace(file)
    kept = sorted(file.parent.glob("*.hsdb"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in kept[_MOST:]:
        old.unlink(missing_ok=True)
