"""What a kind of secret is: a row of the tables in this package, or of a user's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Check = Literal["none", "opaque", "value", "password", "key-block"]
"""What a match must also be: see `processor.logs.secrets.values`; a key block ends where its lines end."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A kind of secret. `lines`: how many lines after that of the trigger its expression may reach into."""

    name: str
    trigger: str
    regex: str
    check: Check = "none"
    caseless: bool = False
    lines: int = 0
