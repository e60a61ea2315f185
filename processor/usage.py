"""The tokens of calls of models, and their price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(slots=True)
class Usage:
    """Tokens of one or several model calls.

    `cached_tokens`, of the prompt's, is None where a server does not count them, `cost_usd` where no price is set.
    """

    prompt_tokens: int = 0
    cached_tokens: int | None = 0
    completion_tokens: int = 0
    cost_usd: float | None = None

    @classmethod
    def sum(cls, usages: Sequence[Self]) -> Self:
        """All together; the cost, and what was cached, is unknown as soon as it is of one of them."""
        costs, cached = [each.cost_usd for each in usages], [each.cached_tokens for each in usages]
        return cls(
            prompt_tokens=sum(each.prompt_tokens for each in usages),
            cached_tokens=None if None in cached else sum(tokens or 0 for tokens in cached),
            completion_tokens=sum(each.completion_tokens for each in usages),
            cost_usd=None if not costs or None in costs else sum(cost for cost in costs if cost is not None),
        )

    @property
    def fresh_tokens(self) -> int:
        """Tokens of the prompt that were computed, as far as is known."""
        return self.prompt_tokens - (self.cached_tokens or 0)
