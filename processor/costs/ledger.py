"""Adds up what findings cost, by hour and pipeline.

The findings themselves are the books, and the dead letters of events that a model was asked for: each says which tiers
worked for it and how much. So nothing is kept beside them, and nothing can be forgotten by a restart. A finding that
came twice (a replay, a crash where deliveries are at least once) was paid for twice, and is added twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import orjson

from processor.contract import Record, Usage
from processor.models.prices import Prices
from processor.settings.costs import CostSettings, Weights
from processor.settings.models import ModelSettings
from processor.sinks.dead_letters import PIPELINE, REASON, SPENT
from processor.stages.emit import FINDING_TYPE

HOUR_S: Final = 3600
BYTES_PER_TOKEN: Final = 2.6
"""Of build logs: the median of sixty, by Qwen's tokenizer. What a whole log would have cost is estimated by it."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A tier that is paid by the hour, whatever it does: US dollars for an hour of all its replicas."""

    usd: float

    @classmethod
    def of(cls, settings: ModelSettings) -> Self | None:
        """None where it is not."""
        hourly = settings.usd_per_replica_hour
        return cls(hourly * (settings.paid_replicas or len(settings.urls))) if hourly is not None else None


@dataclass(frozen=True, slots=True)
class Tariff:
    """All prices: by tier, by token or by the hour, and those of the large model that is compared with."""

    tokens: Mapping[str, Prices]
    hours: Mapping[str, Paid]
    weights: Weights
    large: Prices
    large_context: int

    @classmethod
    def of(cls, models: Mapping[str, ModelSettings], costs: CostSettings) -> Self:
        """What the settings say."""
        tokens = {tier: Prices.of(one) for tier, one in models.items()}
        hours = {tier: Paid.of(one) for tier, one in models.items()}
        large = costs.large
        return cls(
            {tier: one for tier, one in tokens.items() if one is not None},
            {tier: one for tier, one in hours.items() if one is not None},
            costs.weights,
            Prices(large.usd_per_million_prompt, large.usd_per_million_cached, large.usd_per_million_completion),
            large.context_tokens,
        )

    def work(self, usage: Usage) -> float:
        """How much work these tokens were, in prompt tokens that are read anew."""
        cached = (usage.cached_tokens or 0) * self.weights.cached
        return usage.fresh_tokens + cached + usage.completion_tokens * self.weights.completion


@dataclass(slots=True)
class Entry:
    """What one pipeline did in one hour. `priced_usd` is what is paid by tokens, `unpriced` the steps without a price.

    `dead` are events that became nothing after a model had answered, their usage is in the sum. `once` is the usage of
    one question for each finding that a model was asked for: no second tier's, no shadow's and no dead letter's; where
    the answer was known, what it had cost when it was given. `reused` are the findings with such an answer, `saved` is
    what these would have cost beside. `work` by tier that is paid by the hour. `log_tokens` are those that whole logs
    would have had for the large model, each up to its context.
    """

    findings: int = 0
    asked: int = 0
    reused: int = 0
    escalated: int = 0
    review: int = 0
    shadows: int = 0
    dead: int = 0
    usage: Usage = field(default_factory=Usage)
    once: Usage = field(default_factory=Usage)
    saved: Usage = field(default_factory=lambda: Usage(cost_usd=0.0))
    priced_usd: float = 0.0
    unpriced: int = 0
    work: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    log_tokens: float = 0.0

    def add(self, other: Entry) -> None:
        """Adds another one's figures to this one's."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.usage = Usage.sum([self.usage, other.usage])
        self.once = Usage.sum([self.once, other.once])
        self.saved = Usage.sum([self.saved, other.saved])
        for tier, amount in other.work.items():
            self.work[tier] += amount


_SUMS: Final = (
    "findings", "asked", "reused", "escalated", "review", "shadows", "dead", "priced_usd", "unpriced", "log_tokens",
)  # fmt: skip


class Ledger:
    """Entries by hour (Unix time in hours) and pipeline."""

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self.entries: dict[tuple[int, str], Entry] = defaultdict(Entry)
        self._work: dict[tuple[int, str], float] = defaultdict(float)  # by hour and tier, of all pipelines

    def add(self, record: Record) -> None:
        """Adds a record of a topic of findings, of shadows or of dead letters; anything else is passed over."""
        hour = record.timestamp_ms // 1000 // HOUR_S
        headers = dict(record.headers)
        if REASON in headers:  # whatever its bytes are like
            self._letter(hour, headers)
            return
        try:
            found = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError:
            return
        if not isinstance(found, dict):
            return
        if found.get("type") == FINDING_TYPE:
            self._finding(hour, found["data"])
        elif found.get("kind") == "shadow":
            entry = self.entries[hour, str(found["pipeline"])]
            entry.shadows += 1
            self._steps(hour, entry, found["steps"])

    def _letter(self, hour: int, headers: Mapping[str, bytes]) -> None:
        if SPENT not in headers:
            return
        entry = self.entries[hour, headers[PIPELINE].decode()]
        entry.dead += 1
        self._steps(hour, entry, orjson.loads(headers[SPENT]))

    def _finding(self, hour: int, data: Mapping[str, Any]) -> None:
        entry = self.entries[hour, str(data["pipeline"])]
        entry.findings += 1
        entry.review += bool(data["review"])
        steps = [step for step in data["steps"] if step["decided_by"] == "model"]
        saved = [self._priced(str(step["tier"]), each) for step in steps if (each := _saved(step)) is not None]
        entry.asked += bool(steps)
        entry.reused += bool(saved)
        entry.saved = Usage.sum([entry.saved, *saved])
        entry.escalated += len({step["tier"] for step in steps if step["name"] == "diagnose"}) > 1
        first = {step["name"]: step for step in reversed(steps)}
        entry.once = Usage.sum([entry.once, *(_saved(step) or _usage(step["usage"]) for step in first.values())])
        entry.log_tokens += min(_log_bytes(data) / BYTES_PER_TOKEN, self.tariff.large_context)
        self._steps(hour, entry, steps)

    def _steps(self, hour: int, entry: Entry, steps: Iterable[Mapping[str, Any]]) -> None:
        for step in steps:
            self.spend(hour, entry, str(step["tier"]), _usage(step["usage"]))

    def _priced(self, tier: str, usage: Usage) -> Usage:
        """With what it cost at the time, else at the present price, where there is one."""
        prices = self.tariff.tokens.get(tier)
        if usage.cost_usd is not None or prices is None:
            return usage
        return replace(usage, cost_usd=prices.cost(usage))

    def spend(self, hour: int, entry: Entry, tier: str, usage: Usage) -> None:
        """Adds what a tier did for an entry."""
        entry.usage = Usage.sum([entry.usage, usage])
        cost = self._priced(tier, usage).cost_usd
        if tier in self.tariff.hours:
            work = self.tariff.work(usage)
            entry.work[tier] += work
            self._work[hour, tier] += work
        elif cost is not None:
            entry.priced_usd += cost
        else:
            entry.unpriced += 1

    def cost(self, hour: int, pipeline: str, now_s: float) -> float | None:
        """US dollars that a pipeline spent in an hour; None where something in it has no price.

        Of tiers that are paid by the hour it has the share of its tokens' work. `now_s` is Unix time: of the present
        hour the part that is over is shared out.
        """
        entry = self.entries.get((hour, pipeline))
        return None if entry is not None and entry.unpriced else self.known(hour, pipeline, now_s)

    def known(self, hour: int, pipeline: str, now_s: float) -> float:
        """The same of what has a price."""
        entry = self.entries.get((hour, pipeline))
        if entry is None:
            return 0.0
        shares = [self._hours(hour, tier, now_s) * work / total
                  for tier, work in entry.work.items() if (total := self._work[hour, tier])]  # fmt: skip
        return entry.priced_usd + sum(shares)

    def forget(self, before: int) -> None:
        """Forgets the hours before this one."""
        for hour, name in [key for key in self.entries if key[0] < before]:
            del self.entries[hour, name]
        for hour, tier in [key for key in self._work if key[0] < before]:
            del self._work[hour, tier]

    def _hours(self, hour: int, tier: str, now_s: float) -> float:
        """What the replicas of a tier cost within an hour, up to now."""
        return self.tariff.hours[tier].usd * min(1.0, max(0.0, now_s / HOUR_S - hour))

    def idle(self, hours: Iterable[int], now_s: float) -> float:
        """What replicas that are paid by the hour cost in hours in which nobody asked them anything."""
        return sum(
            self._hours(hour, tier, now_s) for hour in hours for tier in self.tariff.hours if not self._work[hour, tier]
        )


def _usage(given: Mapping[str, Any]) -> Usage:
    return Usage(given["prompt_tokens"], given["cached_tokens"], given["completion_tokens"], given["cost_usd"])


def _saved(step: Mapping[str, Any]) -> Usage | None:
    """What a known answer saved; None of a step that asked."""
    reused = step.get("reused")
    return _usage(reused["saved"]) if reused else None


def _log_bytes(data: Mapping[str, Any]) -> int:
    return int((data.get("log") or {}).get("bytes", 0))
