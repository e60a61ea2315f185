"""What tools print when a build fails, with the category that it means: the ranker learns from it beside logs."""

from __future__ import annotations

import functools
from pathlib import Path

from processor.contract import Excerpt
from tools.labelled import excerpt_of

LESSONS = Path(__file__).with_suffix(".txt")


@functools.cache
def lessons() -> tuple[tuple[str, Excerpt], ...]:
    """Category and excerpt of each lesson, in the file's order."""
    found, category = [], ""
    for line in LESSONS.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            category = line.removeprefix("== ")
        elif line and not line.startswith("#"):
            found.append((category, excerpt_of(line.replace(" ⏎ ", "\n").encode())))
    return tuple(found)
