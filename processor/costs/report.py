"""The table of costs: by day and pipeline, beside what a large model and naive prompting would have cost."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from processor.contract import Usage
from processor.costs.ledger import HOUR_S, Entry, Ledger
from processor.models.prices import Prices


@dataclass(slots=True)
class Row:
    """The costs of one pipeline on one day (UTC), in all of a pipeline (`day` empty), or of everything (both empty)."""

    day: str
    pipeline: str
    entry: Entry = field(default_factory=Entry)
    cost_usd: float | None = 0.0

    def add(self, entry: Entry, cost: float | None) -> None:
        """Adds an hour; what is unknown in a part is unknown in all."""
        self.entry.add(entry)
        self.cost_usd = None if cost is None or self.cost_usd is None else self.cost_usd + cost

    def said(self, large: Prices) -> dict[str, Any]:
        """As JSON."""
        entry, usage = self.entry, self.entry.usage
        all_large, naive = compared(entry, large)
        return {
            "day": self.day or None,
            "pipeline": self.pipeline or None,
            "findings": entry.findings,
            "asked": entry.asked,
            "reused": entry.reused,
            "escalated": entry.escalated,
            "review": entry.review,
            "shadows": entry.shadows,
            "dead_letters": entry.dead,
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "saved_prompt_tokens": entry.saved.prompt_tokens,
            "saved_cached_tokens": entry.saved.cached_tokens,
            "saved_completion_tokens": entry.saved.completion_tokens,
            "saved_usd": entry.saved.cost_usd,
            "cost_usd": self.cost_usd,
            "per_finding_usd": None if self.cost_usd is None or not entry.findings else self.cost_usd / entry.findings,
            "large_model_usd": all_large,
            "naive_usd": naive,
        }


def compared(entry: Entry, large: Prices) -> tuple[float | None, float | None]:
    """What the same events would have cost on the large model: with our prompts, and with whole logs and no cache.

    It would have been asked of every event, those that rules decided too. These are taken to have had the prompts and
    answers that the others had on average; None where there are no others, and for whole logs where none is known.
    """
    if not entry.asked:
        return None, None
    usage, times = entry.once, entry.findings / entry.asked
    ours = large.cost(Usage(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)) * times
    whole = large.cost(Usage(math.ceil(entry.log_tokens), 0, round(usage.completion_tokens * times)))
    return ours, whole if entry.log_tokens else None


@dataclass(frozen=True, slots=True)
class Report:
    """Rows by day and pipeline, their sums by pipeline, the sum of all, and what replicas cost while nobody asked."""

    days: list[Row]
    pipelines: list[Row]
    total: Row
    idle_usd: float
    large: Prices

    @classmethod
    def of(cls, ledger: Ledger, start_s: float, now_s: float, names: Collection[str]) -> Report:
        """The report of these pipelines, from an hour's beginning up to now (Unix time)."""
        days: dict[tuple[str, str], Row] = {}
        pipelines: dict[str, Row] = {}
        total = Row("", "")
        for (hour, name), entry in sorted(ledger.entries.items()):
            if name in names:
                cost = ledger.cost(hour, name, now_s)
                day = datetime.fromtimestamp(hour * HOUR_S, UTC).date().isoformat()
                row, whole = days.setdefault((day, name), Row(day, name)), pipelines.setdefault(name, Row("", name))
                for each in (row, whole, total):
                    each.add(entry, cost)
        idle = ledger.idle(range(int(start_s) // HOUR_S, int(now_s) // HOUR_S + 1), now_s)
        return cls([days[key] for key in sorted(days)], list(pipelines.values()), total, idle, ledger.tariff.large)

    def said(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "days": [row.said(self.large) for row in self.days],
            "pipelines": [row.said(self.large) for row in self.pipelines],
            "total": self.total.said(self.large),
            "idle_usd": self.idle_usd,
        }
