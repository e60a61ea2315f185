"""What failing logs say, by tool and CI system: the knowledge that `rank` weighs.

Add a pattern to the file of its tool; the order of the files decides nothing.
"""

from __future__ import annotations

from typing import Final

from processor.logs.patterns import checkers, ci, generic, infrastructure, javascript, jvm, native, python, systems
from processor.logs.patterns.base import Kind, Pattern, scanner

_ALL: Final[tuple[Pattern, ...]] = (
    *generic.PATTERNS,
    *ci.PATTERNS,
    *checkers.PATTERNS,
    *python.PATTERNS,
    *javascript.PATTERNS,
    *jvm.PATTERNS,
    *native.PATTERNS,
    *systems.PATTERNS,
    *infrastructure.PATTERNS,
)

CONTINUING: Final = frozenset({"frame", "call"})
"""Kinds of patterns on lines that continue others."""

SIGNS: Final = tuple(pattern for pattern in _ALL if pattern.weight > 0 and pattern.kind not in CONTINUING)
"""What speaks for a line: looked for in the whole log."""
DETAILS: Final = tuple(pattern for pattern in _ALL if pattern.weight <= 0 or pattern.kind in CONTINUING)
"""What speaks against a line, continues one or opens a section: looked for near signs only."""

CALLS: Final = frozenset(index for index, pattern in enumerate(DETAILS) if pattern.kind == "call")
"""The places in DETAILS of the calls of stack traces."""

__all__ = ["CALLS", "CONTINUING", "DETAILS", "SIGNS", "Kind", "Pattern", "scanner"]
