"""Databases that are kept: read back, and never trusted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hyperscan
import pytest

from processor.logs import compiled

EXPRESSIONS = [(b"err(or)?:", hyperscan.HS_FLAG_MULTILINE), (b"^fatal", hyperscan.HS_FLAG_MULTILINE)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, in which everything is worth keeping."""
    monkeypatch.setenv("FAULTSTREAM_CACHE", str(tmp_path))
    monkeypatch.setattr(compiled, "_WORTH_S", 0.0)
    return tmp_path / "patterns"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each database that is compiled."""
    made: list[int] = []
    real = hyperscan.Database

    def database(**arguments: Any) -> Any:
        made.append(1)
        return real(**arguments)

    monkeypatch.setattr(hyperscan, "Database", database)
    return made


def _hits(database: Any) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    database.scan(
        b"an error: x\nfatal\n",
        match_event_handler=lambda index, _start, end, _flags, _context: found.append((index, end)),
        scratch=hyperscan.Scratch(database),
    )
    return found


def test_a_second_start_compiles_nothing(folder: Path, compilations: list[int]) -> None:
    """The same expressions are read back and find the same; others are compiled."""
    first = compiled.database(EXPRESSIONS, hyperscan.HS_MODE_BLOCK)
    second = compiled.database(EXPRESSIONS, hyperscan.HS_MODE_BLOCK)
    assert len(compilations) == 1
    assert _hits(first) == _hits(second) == [(0, 9), (1, 17)]
    compiled.database(EXPRESSIONS[:1], hyperscan.HS_MODE_BLOCK)
    compiled.database([(EXPRESSIONS[0][0], hyperscan.HS_FLAG_CASELESS)], hyperscan.HS_MODE_BLOCK)
    assert len(compilations) == 3
    assert len(list(folder.iterdir())) == 3


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def _other(file: Path) -> None:
    body = b"no database at all"
    file.write_bytes(hashlib.sha256(body).digest() + body)


@pytest.mark.parametrize("harm", [_flip, _other, lambda file: file.write_bytes(b""), lambda file: file.unlink()])
def test_what_is_wrong_is_compiled_anew(folder: Path, compilations: list[int], harm: Callable[[Path], None]) -> None:
    """A file that is damaged, none of ours, empty or gone costs time and no more, and is put right."""
    compiled.database(EXPRESSIONS, hyperscan.HS_MODE_BLOCK)
    harm(next(folder.iterdir()))
    assert _hits(compiled.database(EXPRESSIONS, hyperscan.HS_MODE_BLOCK)) == [(0, 9), (1, 17)]
    compiled.database(EXPRESSIONS, hyperscan.HS_MODE_BLOCK)
    assert len(compilations) == 2


def test_a_folder_that_others_write_to_is_not_used(folder: Path, compilations: list[int]) -> None:
    """Databases are code in a way: nothing is read from where another user could have put it, nor written there."""
    folder.mkdir()
    folder.chmod(0o777)
    for _ in range(2):
        compiled.database(EXPRESSIONS, hyperscan.HS_MODE_BLOCK)
    assert len(compilations) == 2
    assert not list(folder.iterdir())


def test_a_folder_that_can_not_be_made_is_done_without(
    tmp_path: Path, compilations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only file system costs time and no more."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("FAULTSTREAM_CACHE", str(tmp_path / "file"))
    assert _hits(compiled.database(EXPRESSIONS, hyperscan.HS_MODE_BLOCK))
    assert len(compilations) == 1


def test_old_databases_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many versions the latest stay."""
    monkeypatch.setattr(compiled, "_MOST", 2)
    for number in range(4):
        compiled.database([(b"%d" % number, 0)], hyperscan.HS_MODE_BLOCK)
        for place, file in enumerate(sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)):
            os.utime(file, (number + place, number + place))
    assert len(list(folder.iterdir())) == 2
