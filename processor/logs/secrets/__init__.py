"""What secrets look like: formats of tokens, ways of passing them, and how a value tells that it is one."""

from __future__ import annotations

from typing import Final

from processor.logs.secrets.commands import LINES
from processor.logs.secrets.commands import TRIGGER as COMMAND
from processor.logs.secrets.further import FURTHER
from processor.logs.secrets.kinds import Check, Finder, Secret
from processor.logs.secrets.layout import COLUMN, MANIFEST
from processor.logs.secrets.layout import LINES as LAYOUT_LINES
from processor.logs.secrets.names import SHORT_TRIGGER, TRIGGER
from processor.logs.secrets.tokens import TOKENS
from processor.logs.secrets.unnamed import ASSIGNED, BELOW, BELOW_LINES, RANDOM, WRAPPED
from processor.logs.secrets.ways import WAYS

SECRETS: Final[tuple[Secret, ...]] = (
    *TOKENS,
    Secret("base64-secret", WRAPPED, "", "wrapped"),
    Secret("command-password", COMMAND, "", "command", lines=LINES),
    *WAYS,
    *FURTHER,
    Secret("token", TRIGGER, "", "named", caseless=True, lines=1),
    Secret("password", SHORT_TRIGGER, "", "named"),
    Secret("token", BELOW, "", "below", caseless=True, lines=BELOW_LINES),
    Secret("password", COLUMN, "", "column", lines=LAYOUT_LINES),
    Secret("kubernetes-secret", MANIFEST, "", "manifest", lines=LAYOUT_LINES),
    Secret("prefixed-token", RANDOM, "", "unnamed"),
    Secret("assigned-value", ASSIGNED, "", "assigned"),
)
"""Every kind that is looked for. Where two overlap, the one that stands first wins."""

__all__ = ["SECRETS", "Check", "Finder", "Secret"]
