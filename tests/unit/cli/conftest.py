"""The program called as from a shell, in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from processor.cli import main


class Told(NamedTuple):
    """What a call printed, and its exit code."""

    code: int
    out: str
    err: str


Program = Callable[..., Told]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Calls `faultstream` with arguments; `stdin` is its input, `terminal` says what it prints to."""
    for name in ("NO_COLOR", "FORCE_COLOR", "FAULTSTREAM_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def call(*arguments: str | Path, stdin: bytes = b"", terminal: bool = False) -> Told:
        monkeypatch.setattr(sys, "argv", ["faultstream", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        code = end.value.code
        return Told(code if isinstance(code, int) else int(code is not None), said.out, said.err)

    return call


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """The log of a failed build: 1,200 lines, the fault on line 700, the end of the job on the last."""
    lines = [f"[{number}/1200] Compiling unit_{number} with flags {number * 7919 % 1000}" for number in range(1, 1201)]
    lines[699] = "npm ERR! code ERESOLVE"
    lines[700] = "npm ERR! ERESOLVE unable to resolve dependency tree"
    lines[1199] = "##[error]Process completed with exit code 1."
    path = tmp_path / "build.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
