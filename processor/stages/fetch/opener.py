"""What all that open references have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from processor.errors import Rejected

Log = bytes | BinaryIO
"""A log that was fetched: its bytes, or a file of them if there are more than `IN_MEMORY`."""

IN_MEMORY = 8_000_000
"""Bytes of a log that is held in memory; a larger one is a temporary file."""


class Opener(Protocol):
    """Opens references of some scheme."""

    async def open(self, reference: str) -> Log:
        """What is behind `reference`. Raises Rejected or Retryable."""

    async def close(self) -> None:
        """Lets go of connections."""


def shown(reference: str) -> str:
    """A reference without what may be a secret in it: user, password, query."""
    parts = urlsplit(reference)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def not_allowed(what: str, setting: str, allowed: Sequence[Any]) -> Rejected:
    """The refusal of a place that the setting does not list."""
    listed = ", ".join(map(str, allowed)) or "nothing"
    return Rejected("reference_not_allowed", f"{what} is not allowed; {setting} lists {listed}")


def too_large(limit: int) -> Rejected:
    """The refusal of a log over the limit, in bytes."""
    return Rejected("too_large", f"the log is larger than fetch.max_bytes ({limit:,})")
