"""What is counted of tiers: what goes up, why, and what came of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from processor.contract import Reused, Step

WINDOW_S: Final = 900.0
"""The escalated share is that of the answers of the last quarter of an hour."""


_SURE: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

SPENT: ContextVar[list[Step] | None] = ContextVar("spent", default=None)
"""What models did for the event that is worked on; set by the line, so that a dead letter can say what it cost."""


class Share:
    """The share of marked ones among what was counted within a window, kept by slices of a thirtieth of it."""

    def __init__(self, window_s: float = WINDOW_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._slice_s = window_s / 30
        self._clock = clock
        self._slices: deque[list[int]] = deque()  # number of the slice, marked, all

    def add(self, marked: bool) -> None:
        """Counts one."""
        now = int(self._clock() / self._slice_s)
        self._forget(now)
        if not self._slices or self._slices[-1][0] != now:
            self._slices.append([now, 0, 0])
        self._slices[-1][1] += marked
        self._slices[-1][2] += 1

    def value(self) -> float:
        """The share, 0 to 1; 0 of nothing."""
        self._forget(int(self._clock() / self._slice_s))
        total = sum(each[2] for each in self._slices)
        return sum(each[1] for each in self._slices) / total if total else 0.0

    def _forget(self, now: int) -> None:
        while self._slices and self._slices[0][0] <= now - 30:
            self._slices.popleft()


Outcome = Literal["valid", "repaired", "invalid"]
"""Of a question: its first answer was good, its second one, or none."""

Whose = tuple[str, str, str]
"""Tier, pipeline, served name of the adapter (empty: the base model)."""


class AnswerMetrics:
    """How good answers are, by tier, pipeline and version of the adapter: servers can't know."""

    def __init__(self, registry: CollectorRegistry) -> None:
        whose, prefix = ["tier", "pipeline", "adapter"], "faultstream_model"
        self._answers = Counter(
            f"{prefix}_answers",
            "Questions by what came of them: valid (at the first answer), repaired (at the second), invalid.",
            [*whose, "outcome"],
            registry=registry,
        )
        self._repairs = Counter(
            f"{prefix}_repairs", "First answers that were asked for again.", [*whose, "reason"], registry=registry
        )
        self._confidence = Histogram(
            f"{prefix}_confidence", "Calibrated confidence of answers.", whose, buckets=_SURE, registry=registry
        )
        self._certainty = Histogram(
            f"{prefix}_certainty", "Probability of the choices, as it is.", whose, buckets=_SURE, registry=registry
        )
        self._bound: dict[tuple[Whose, Outcome], tuple[Counter, Histogram, Histogram]] = {}

    def answered(self, whose: Whose, outcome: Outcome, confidence: float | None, certainty: float | None) -> None:
        """A question has all its answers."""
        bound = self._bound.get((whose, outcome))
        if bound is None:
            sure = self._confidence.labels(*whose), self._certainty.labels(*whose)
            bound = self._bound[whose, outcome] = (self._answers.labels(*whose, outcome), *sure)
        bound[0].inc()
        for histogram, value in ((bound[1], confidence), (bound[2], certainty)):
            if value is not None:
                histogram.observe(value)

    def repaired(self, whose: Whose, reason: str) -> None:
        """A first answer is asked for again."""
        self._repairs.labels(*whose, reason).inc()

    def forget(self, adapter: str) -> None:
        """The series of a version end."""
        for key in [key for key in self._bound if key[0][2] == adapter]:
            del self._bound[key]
        for family in (self._answers, self._repairs, self._confidence, self._certainty):
            family.remove_by_labels({"adapter": adapter})


class ReuseMetrics:
    """Answers that were there, and what they saved: as much as the answer had cost when it was first given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reused = Counter(
            "faultstream_model_reused",
            "Questions that no model was asked since the answer was known: to the same one, or to one alike.",
            ["tier", "pipeline", "adapter", "to"],
            registry=registry,
        )
        self._usd = Counter(
            "faultstream_cost_saved_usd",
            "What known answers saved, where tokens have a price.",
            ["pipeline", "tier"],
            registry=registry,
        )
        self._tokens = Counter(
            "faultstream_cost_saved_tokens",
            "Tokens that known answers saved; of prompt tokens, those cached are counted apart.",
            ["pipeline", "tier", "kind"],
            registry=registry,
        )

    def reused(self, pipeline: str, tier: str, adapter: str, reused: Reused) -> None:
        """A known answer."""
        saved, to = reused.saved, "alike" if reused.alike else "same"
        self._reused.labels(tier, pipeline, adapter, to).inc()
        self._usd.labels(pipeline, tier).inc(saved.cost_usd or 0.0)
        kinds = {"prompt": saved.fresh_tokens, "cached": saved.cached_tokens, "completion": saved.completion_tokens}
        for kind, count in kinds.items():
            if count is not None:  # what nobody counts has no series
                self._tokens.labels(pipeline, tier, kind).inc(count)

    def forget(self, adapter: str) -> None:
        """The series of a version end."""
        self._reused.remove_by_labels({"adapter": adapter})


class TierMetrics:
    """Counts by pipeline. `clock` gives monotonic seconds."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        prefix = "faultstream_line"
        self._escalated = Counter(
            f"{prefix}_escalations",
            "Answers that were passed up: whose, why, and what came of it.",
            ["pipeline", "adapter", "why", "outcome"],
            registry=registry,
        )
        self._share = Gauge(
            f"{prefix}_escalated_share",
            "Share of the model's answers in the last 15 minutes that were to be passed up.",
            ["pipeline"],
            registry=registry,
        )
        self._triaged = Counter(
            f"{prefix}_triaged",
            "Events for a model by how hard they look beforehand: simple, moderate, complex.",
            ["pipeline", "level"],
            registry=registry,
        )
        self._shadows = Counter(
            "faultstream_shadow_answers",
            "Second answers for comparison: agrees, differs, invalid, dropped (not asked for, under load), lost.",
            ["pipeline", "outcome"],
            registry=registry,
        )
        self._compared = Counter(
            "faultstream_shadow_fields",
            "Fields of answers that were compared with a second one.",
            ["pipeline", "field", "same"],
            registry=registry,
        )
        self._cost = Counter(
            "faultstream_cost_usd",
            "What models' answers cost, where tokens have a price: those that became nothing included.",
            ["pipeline", "tier"],
            registry=registry,
        )
        self._tokens = Counter(
            "faultstream_cost_tokens",
            "Tokens of models' answers; of prompt tokens, those cached are counted apart.",
            ["pipeline", "tier", "kind"],
            registry=registry,
        )
        self._answers = AnswerMetrics(registry)
        self._reuse = ReuseMetrics(registry)
        self._clock = clock
        self._spending: dict[tuple[str, str], tuple[Counter, ...]] = {}
        self._shares: dict[str, Share] = {}

    def triaged(self, pipeline: str, level: str) -> None:
        """An event that a model shall decide."""
        self._triaged.labels(pipeline, level).inc()

    def answered(self, pipeline: str) -> None:
        """An answer that stays as it is."""
        self._of(pipeline).add(False)

    def escalated(self, pipeline: str, adapter: str | None, why: str, outcome: str) -> None:
        """An answer that was to be passed up, `adapter` gave it; `outcome`: answered, invalid, away, no_tier."""
        self._escalated.labels(pipeline, adapter or "", why, outcome).inc()
        self._of(pipeline).add(True)

    def shadowed(self, pipeline: str, outcome: str) -> None:
        """What came of a second answer."""
        self._shadows.labels(pipeline, outcome).inc()

    def compared(self, pipeline: str, field: str, *, same: bool) -> None:
        """A field of two answers."""
        self._compared.labels(pipeline, field, str(same).lower()).inc()

    def repaired(self, pipeline: str, tier: str, adapter: str | None, reason: str) -> None:
        """A first answer can't be used and is asked for again."""
        self._answers.repaired((tier, pipeline, adapter or ""), reason)

    def asked(self, pipeline: str, step: Step, outcome: Outcome, confidence: float | None) -> None:
        """What a tier did, whatever becomes of it; `confidence` is calibrated, None where it is not known."""
        if (so_far := SPENT.get()) is not None:
            so_far.append(step)
        self._answers.answered((step.tier or "", pipeline, step.adapter or ""), outcome, confidence, step.confidence)
        key = pipeline, step.tier or ""
        bound = self._spending.get(key)
        if bound is None:
            kinds = [self._tokens.labels(*key, kind) for kind in ("prompt", "completion")]
            bound = self._spending[key] = (self._cost.labels(*key), *kinds)
        usage = step.usage
        amounts = (usage.cost_usd or 0.0, usage.fresh_tokens, usage.completion_tokens)
        for counter, amount in zip(bound, amounts, strict=True):
            counter.inc(amount)
        if usage.cached_tokens is not None:  # what nobody counts has no series
            self._tokens.labels(*key, "cached").inc(usage.cached_tokens)

    def reused(self, pipeline: str, step: Step) -> None:
        """What a tier had done before: it did nothing now."""
        if (so_far := SPENT.get()) is not None:
            so_far.append(step)
        if step.reused is not None:
            self._reuse.reused(pipeline, step.tier or "", step.adapter or "", step.reused)

    def forget(self, adapter: str) -> None:
        """A version of an adapter (its served name) gets no traffic any more: its series end."""
        self._answers.forget(adapter)
        self._reuse.forget(adapter)
        self._escalated.remove_by_labels({"adapter": adapter})

    def _of(self, pipeline: str) -> Share:
        share = self._shares.get(pipeline)
        if share is None:
            share = self._shares[pipeline] = Share(clock=self._clock)
            self._share.labels(pipeline).set_function(share.value)
        return share
