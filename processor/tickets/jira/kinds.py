"""What requests to Jira are for, and which of them go first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum


class Kind(IntEnum):
    """What a request is for; a lesser number goes first."""

    CREATE = 0
    COMMENT = 1
    EDIT = 2
    LOOK = 3

    @property
    def label(self) -> str:
        """As metrics name it."""
        return self.name.lower()


PURPOSE: ContextVar[Kind] = ContextVar("purpose", default=Kind.CREATE)
"""What is being worked on: no request of it ranks before that."""

FINGERPRINT: ContextVar[str] = ContextVar("fingerprint", default="")
"""The fault that is being worked on; the audit log names it."""


@contextmanager
def at_work(kind: Kind, fingerprint: str = "") -> Iterator[None]:
    """All requests inside are for this, and rank so at most."""
    tokens = PURPOSE.set(kind), FINGERPRINT.set(fingerprint)
    try:
        yield
    finally:
        PURPOSE.reset(tokens[0])
        FINGERPRINT.reset(tokens[1])
