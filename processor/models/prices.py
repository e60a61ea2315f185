"""What a model's tokens cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from processor.contract import Usage
from processor.settings.models import ModelSettings


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens: prompt tokens that are read anew, those found in the cache, written ones."""

    prompt: float
    cached: float
    completion: float

    @classmethod
    def of(cls, settings: ModelSettings) -> Self | None:
        """A tier's prices; None where none is set. Those that are left out are that of a prompt token."""
        prompt = settings.usd_per_million_prompt
        if prompt is None:
            return None
        cached, completion = settings.usd_per_million_cached, settings.usd_per_million_completion
        return cls(prompt, prompt if cached is None else cached, prompt if completion is None else completion)

    def cost(self, usage: Usage) -> float:
        """US dollars."""
        cached = usage.cached_tokens or 0
        return (
            usage.fresh_tokens * self.prompt + cached * self.cached + usage.completion_tokens * self.completion
        ) / 1e6
