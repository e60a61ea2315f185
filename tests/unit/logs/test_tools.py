"""The failing line of each tool in tests/data/failing_tools.txt is found in a long log full of harmless noise.

The file was written by hand after the form in which tools print, a section each; the recorded samples are the real
ones. `▶` marks the line that must be kept.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from processor.logs import reduce

NOISE = (
    "Downloading component-{n}.tar.gz ({n} kB)",
    "[{n}/900] Building object src/module_{n}.o",
    "+ mkdir -p build/out{n}",
    "ok  acme/pkg{n} 0.{n}s",
    "  ✓ handles error number {n} (3 ms)",
    "INFO step {n} took {n} ms, no errors",
    "warning: unused variable v{n} in module {n}",
    "npm warn deprecated left-pad@{n}: use something else",
    "retrying request {n} after a short pause",
    "PASS test/unit/error_{n}_test.js",
    "Unpacking libgpg-error{n}:amd64 (1.{n}-1) ...",
    "test errors::parse_fail_{n} ... ok",
    "-- Looking for error_t{n} - not found",
    "checking for feature{n}... no",
    "[INFO] Copying {n} resources",
    "DEBUG handler.{n}: exception handler registered",
)
ENDS = (
    "##[error]Process completed with exit code 1.\nPost job cleanup.\n[command]/usr/bin/git version\ngit version 2.43",
    'The command "./build.sh" exited with 1.\ncache.2\nstore build cache\nDone. Your build exited with 1.',
    "Running after_script\nUploading artifacts for failed job\nERROR: No files to upload\nERROR: Job failed: exit 1",
    "[Pipeline] // stage\nArchiving artifacts\nERROR: script returned exit code 1\nFinished: FAILURE",
    "Exited with code exit status 1",
    "🚨 Error: The command exited with status 1",
    "##[error]Bash exited with code '1'.\nFinishing: Build",
)


def _sections() -> list[tuple[str, list[str]]]:
    text = (Path(__file__).parents[2] / "data" / "failing_tools.txt").read_text()
    sections = [section.split("\n") for section in ("\n" + text.rstrip()).split("\n== ")[1:]]
    return [(name, lines) for name, *lines in sections]


@pytest.mark.parametrize(("name", "lines"), [pytest.param(*section, id=section[0]) for section in _sections()])
def test_finds_what_the_tool_says(name: str, lines: list[str]) -> None:
    """300 tokens of a log of a thousand lines hold the marked line, wherever the CI system's own words end it."""
    chance = random.Random(name)  # noqa: S311  repeatable
    noise = [chance.choice(NOISE).format(n=chance.randrange(1000)) for _ in range(1000)]
    at = 600 + chance.randrange(100)
    after = noise[at : at + chance.choice((0, 5, 60, 300))]
    marked = at + 1 + next(place for place, line in enumerate(lines) if line.startswith("▶"))
    log = "\n".join([*noise[:at], *(line.removeprefix("▶") for line in lines), *after, chance.choice(ENDS)])
    assert marked in {line.number for line in reduce(log.encode(), 300).lines}
