"""What failing logs say, by tool and CI system: the knowledge that `rank` weighs.

Add a pattern to the file of its tool; the order of the files decides nothing.
"""

from __future__ import annotations

from typing import Final

from processor.logs.patterns import ci, generic, infrastructure, javascript, jvm, native, python, systems
from processor.logs.patterns.base import Kind, Pattern

PATTERNS: Final[tuple[Pattern, ...]] = (
    *generic.PATTERNS,
    *ci.PATTERNS,
    *python.PATTERNS,
    *javascript.PATTERNS,
    *jvm.PATTERNS,
    *native.PATTERNS,
    *systems.PATTERNS,
    *infrastructure.PATTERNS,
)

__all__ = ["PATTERNS", "Kind", "Pattern"]
