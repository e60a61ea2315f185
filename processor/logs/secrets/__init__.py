"""What secrets look like: formats of tokens, ways of passing them, and how a value tells that it is one."""

from processor.logs.secrets.kinds import Check, Secret
from processor.logs.secrets.tokens import SECRETS

__all__ = ["SECRETS", "Check", "Secret"]
