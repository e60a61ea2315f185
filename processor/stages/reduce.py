"""reduce: of a log of any size the lines that tell its fault, within a budget of tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from processor.contract import Excerpt
from processor.logs.reduce import reduce
from processor.logs.tokens import TokenCounter, estimate

INLINE_BYTES = 64_000
"""Bodies up to this size are read on the event loop (under a few milliseconds), larger ones in a thread."""


@dataclass(frozen=True, slots=True)
class Reduce:
    """Reduces to `budget_tokens`, as `count` counts them."""

    budget_tokens: int = 1000
    count: TokenCounter = estimate

    async def __call__(self, body: bytes) -> Excerpt:
        """The excerpt of a clean body; large ones are read in a thread. Raises Rejected ("empty", "binary")."""
        if len(body) <= INLINE_BYTES:
            return reduce(body, self.budget_tokens, count=self.count)
        return await asyncio.to_thread(reduce, body, self.budget_tokens, count=self.count)
