"""What `faultstream doctor` has found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: fine, or what is wrong and what to do."""

    what: str
    fine: bool
    text: str
    milliseconds: float | None = None
