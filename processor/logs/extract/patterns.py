"""What an extractor is: a cue, a regular expression with named groups, and how strongly a hit blames what it names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["package", "test", "file", "host", "exit_code"]

BLAMED = 0.6
"""From this score on a candidate was named by an error message as its object, not merely mentioned."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way in which tools name something.

    `cue` is a Hyperscan expression that is true of every line `regex` can match. `regex` has the group `name` and,
    for packages, may have `version`. `weight` (0..1) is how strongly such a line blames what it names; with `all`
    every match of the line counts, not only the first. `clean` puts the name into its usual form, or gives "" to
    drop it.
    """

    kind: Kind
    cue: str
    regex: re.Pattern[str]
    weight: float
    ecosystem: str = ""
    all: bool = False
    clean: Callable[[str], str] | None = None


def package(
    ecosystem: str,
    cue: str,
    regex: str,
    weight: float,
    *,
    all: bool = False,  # noqa: A002
    clean: Callable[[str], str] | None = None,
) -> Pattern:
    """A pattern that names a package of `ecosystem` (a package-URL type)."""
    return Pattern("package", cue, re.compile(regex), weight, ecosystem, all, clean)


def place(kind: Kind, cue: str, regex: str, weight: float, *, clean: Callable[[str], str] | None = None) -> Pattern:
    """A pattern that names something that has no version: a test, a file, a host or an exit code."""
    return Pattern(kind, cue, re.compile(regex), weight, "", False, clean)
