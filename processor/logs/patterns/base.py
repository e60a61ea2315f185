"""What a pattern is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from processor.logs.scan import Scanner

Kind = Literal["error", "exit", "summary", "step", "frame", "call", "noise"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression over a clean line (hyperscan syntax: no look-around, `^` is the line's start).

    `weight` says how likely a line that matches tells the fault: 10 names it outright, 5 is a message of
    error severity, 2 a mere word; negative for what looks like an error and is none. Kinds: `error` lines,
    `exit` lines that say that a step or job failed, `summary` lines that say no more than that something did,
    `step` markers that open a section, `frame` lines that continue the one before (code frames), `call` lines that
    do so in stack traces, `noise`. With `behind`, of 64 bytes at most, it only counts where that stands before it on
    the line.
    """

    name: str
    regex: str
    weight: float
    kind: Kind = "error"
    caseless: bool = False
    behind: str = ""


def scanner(patterns: Sequence[Pattern]) -> Scanner:
    """What looks for these patterns in one pass and reports them by their places."""
    behind = {
        index: re.compile(pattern.behind.encode(), re.IGNORECASE * pattern.caseless)
        for index, pattern in enumerate(patterns)
        if pattern.behind
    }
    return Scanner([(pattern.regex, pattern.caseless) for pattern in patterns], behind=behind)


def errors(prefix: str, weight: float, *regexes: str, caseless: bool = False) -> tuple[Pattern, ...]:
    """Error patterns of one weight, named `prefix-1`, and so on."""
    return tuple(
        Pattern(f"{prefix}-{index}", regex, weight, "error", caseless) for index, regex in enumerate(regexes, 1)
    )


def kinds(prefix: str, kind: Kind, weight: float, *regexes: str, caseless: bool = False) -> tuple[Pattern, ...]:
    """Patterns of one kind and weight, named `prefix-1`, and so on."""
    return tuple(Pattern(f"{prefix}-{index}", regex, weight, kind, caseless) for index, regex in enumerate(regexes, 1))
