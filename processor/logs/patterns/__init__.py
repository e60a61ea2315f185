"""What failing logs say, by tool and CI system: the knowledge that `rank` weighs.

Add a pattern to the file of its tool; the order of the files decides nothing.
"""

from __future__ import annotations

from typing import Final

from processor.logs.patterns import checkers, ci, generic, infrastructure, javascript, jvm, native, python, systems
from processor.logs.patterns.base import Kind, Pattern

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

SIGNS: Final = tuple(pattern for pattern in _ALL if pattern.weight > 0 and pattern.kind != "frame")
"""What speaks for a line: looked for in the whole log."""
DETAILS: Final = tuple(pattern for pattern in _ALL if pattern.weight <= 0 or pattern.kind == "frame")
"""What speaks against a line, continues one or opens a section: looked for near signs only."""

__all__ = ["DETAILS", "SIGNS", "Kind", "Pattern"]
