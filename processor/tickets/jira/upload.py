"""A file as the body of a request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Upload:
    """A text file. Its name is plain ASCII."""

    name: str
    data: bytes
