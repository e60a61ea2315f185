"""What is read of an issue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hit:
    """An issue that a search found. `creator` holds all names of its creator: account id, key, user name."""

    key: str
    labels: tuple[str, ...]
    creator: frozenset[str]
    created: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How an issue stands: its description in markup, and, if it is resolved, as what and when (Unix seconds)."""

    description: str
    resolution: str | None = None
    resolved_at: float = 0.0
