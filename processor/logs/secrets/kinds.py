"""What a kind of secret is: a row of the tables in this package, or of a user's file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Check = Literal[
    "none",
    "own",
    "opaque",
    "parameter",
    "password",
    "key-block",
    "key-end",
    "named",
    "assigned",
    "unnamed",
    "column",
    "manifest",
    "below",
    "wrapped",
    "command",
]
"""What a match must also be: see `processor.logs.secrets.values`. The last ten have code instead of an expression."""


Place = tuple[int, int, str]
"""Start and stop of a secret, and the name of its kind."""
Finder = Callable[[bytes, int, int, int], Iterable[Place]]
"""Finds secrets in a text between two offsets (a line or so), in which a trigger ended at a third."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A kind of secret. `lines`: how many lines after that of the trigger its expression may reach into."""

    name: str
    trigger: str
    regex: str
    check: Check = "none"
    caseless: bool = False
    lines: int = 0
