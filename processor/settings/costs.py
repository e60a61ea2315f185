"""What models cost, what they are compared with, and how much a pipeline may spend."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from processor.settings.section import Section


class LargeModel(Section):
    """A large model at list price, for comparison. See docs/costs.md for where the defaults come from, and when."""

    usd_per_million_prompt: float = Field(2.0, ge=0, description="Price of a million prompt tokens.")
    usd_per_million_cached: float = Field(0.2, ge=0, description="Price of a million cached prompt tokens.")
    usd_per_million_completion: float = Field(10.0, ge=0, description="Price of a million written tokens.")
    context_tokens: int = Field(200_000, ge=1, description="Most tokens of a log that it would be given.")


class Weights(Section):
    """How much work a token is, for sharing out replica-hours: that of a prompt token that is read anew is 1."""

    cached: float = Field(0.1, ge=0, description="Of a prompt token whose work was found in the prefix cache.")
    completion: float = Field(5.0, ge=0, description="Of a written token.")


class Budget(Section):
    """How much one pipeline may spend within a window; one limit or both."""

    window: Literal["hour", "day"] = Field("day", description="The hour or day, in UTC, that is looked at.")
    soft_usd: float | None = Field(None, ge=0, description="US dollars after which a warning is given.")
    hard_usd: float | None = Field(
        None, ge=0, description="US dollars after which its events are put aside until the window is over."
    )

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if self.soft_usd is None and self.hard_usd is None:
            raise ValueError("a budget has a limit: soft_usd, hard_usd or both")
        if self.soft_usd is not None and self.hard_usd is not None and self.soft_usd > self.hard_usd:
            raise ValueError("soft_usd is over hard_usd")
        return self


class CostSettings(Section):
    """What is made of the models' prices."""

    weights: Weights = Field(default_factory=Weights, description="How replica-hours are shared out by tokens.")
    large: LargeModel = Field(default_factory=LargeModel, description="The large model that is compared with.")
    budgets: dict[str, Budget] = Field(default_factory=dict, description="By pipeline, what it may spend.")
