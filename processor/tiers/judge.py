"""Judges an event by the pipeline's model, and by a larger one where that is unsure or has no valid answer.

There is always a finding where one of them answered: what stays unsure, or could not be passed up, is flagged for
review. The larger model never holds up an answer for longer than `within_s`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import structlog

from processor.bound import Bound
from processor.contract import Event, Reading, Step, Usage
from processor.errors import FaultstreamError, Rejected
from processor.lang.predicate import Predicate
from processor.pipeline import Pipeline
from processor.stages.check import Answer
from processor.stages.triage import triage
from processor.tiers.ask import Ask, Asked
from processor.tiers.metrics import TierMetrics

log = structlog.get_logger(__name__)

FAILURES: Final = 3
"""Times in a row that the larger model did not answer, after which it is left alone for as long as it is waited for."""

Why = Literal["complex", "unsure", "uncalibrated", "invalid_output", "cut_off"]
"""Why an answer goes up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer, the steps that led to it (one of them gave it: `unused` is None there), and if to look at it."""

    answer: Answer
    steps: list[Step]
    review: bool = False


@dataclass(slots=True)
class Larger:
    """The tier that hard cases go up to: waited for a bounded time, and left alone for a while when it is away."""

    ask: Ask
    within_s: float
    clock: Callable[[], float] = time.monotonic
    _failures: int = field(default=0, init=False)
    _rests_until: float = field(default=float("-inf"), init=False)

    async def __call__(self, event: Event, reading: Reading) -> Asked | None:
        """What it says; None where it does not answer in time, or not at all."""
        now = asyncio.get_running_loop().time()
        bound = (reading.bound or Bound(self.within_s)).within(self.within_s, now)
        left_s = bound.begin(now) - now
        if self.clock() < self._rests_until or left_s <= 0:
            return None
        try:
            async with asyncio.timeout(left_s):
                asked = await self.ask(event, replace(reading, bound=bound))
        except (FaultstreamError, TimeoutError) as error:
            said = str(error) or f"no answer within {left_s:.3g} s"
            log.warning("can't be escalated", action="escalate", tier=self.ask.infer.tier, error=said)
            # What is rejected is about the event, not about the tier, and so is an event without time left.
            if not isinstance(error, Rejected) and left_s >= self.within_s:
                self._failed()
            return None
        self._failures = 0
        return asked

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._rests_until = self.clock() + self.within_s


@dataclass(frozen=True, slots=True)
class Escalation:
    """When an answer goes up, and to whom: `larger` is None where this deployment has no such tier."""

    when: Predicate
    tier: str
    larger: Larger | None = None
    uncalibrated: bool = False
    complex: bool = False

    def why(self, asked: Asked, event: Event, reading: Reading) -> Why | None:
        """Why it goes up, or None. Raises Rejected ("predicate_failed")."""
        return asked.invalid if asked.answer is None else self.unsure(asked.answer, event, reading)

    def unsure(self, answer: Answer, event: Event, reading: Reading) -> Literal["unsure", "uncalibrated"] | None:
        """Whether a valid answer is one to be unsure of. Raises Rejected ("predicate_failed")."""
        value = answer.confidence.value
        if value is None:
            return "uncalibrated" if self.uncalibrated else None
        values = {
            "confidence": value,
            "result": answer.result,
            "event": event.attributes,
            "chain": reading.chain,
        }
        return "unsure" if self.when.evaluate(values) else None


@dataclass(frozen=True, slots=True)
class Judge:
    """A pipeline's model and, with an `escalation`, the one behind it.

    `review_unknown` flags answers of unknown confidence (ticket.unsure: review).
    """

    pipeline: str
    ask: Ask
    metrics: TierMetrics
    escalation: Escalation | None = None
    review_unknown: bool = False

    @classmethod
    def of(cls, pipeline: Pipeline, ask: Ask, metrics: TierMetrics, larger: Ask | None = None) -> Judge:
        """The judge of a pipeline; `larger` asks the tier that `model.escalate.to` names, if there is one."""
        part, escalation = pipeline.model.escalate, None
        if part is not None and pipeline.escalate is not None:
            up = Larger(larger, part.within) if larger is not None else None
            escalation = Escalation(pipeline.escalate, part.to, up, part.uncalibrated, part.complex)
        review = pipeline.ticket is not None and pipeline.ticket.unsure == "review"
        return cls(pipeline.name, ask, metrics, escalation, review)

    @property
    def asks(self) -> tuple[Ask, ...]:
        """All that it may ask, of each tier one."""
        up = self.escalation.larger if self.escalation is not None else None
        return (self.ask,) if up is None else (self.ask, up.ask)

    async def __call__(self, event: Event, reading: Reading) -> Verdict:
        """The verdict on an event. Raises Rejected where no tier has a valid answer, else as `Ask`."""
        triaged, escalation = triage(reading), self.escalation
        self.metrics.triaged(self.pipeline, triaged.level)
        if escalation is not None and escalation.complex and triaged.level == "complex":
            return await self._complex(escalation, event, reading)
        asked = await self.ask(event, reading)
        why = escalation.why(asked, event, reading) if escalation is not None else None
        if escalation is None or why is None:
            answer = _valid(asked)
            self.metrics.answered(self.pipeline)
            return Verdict(answer, [asked.step], self._unknown(answer))
        return await self._up(escalation, why, asked, event, reading)

    async def _complex(self, escalation: Escalation, event: Event, reading: Reading) -> Verdict:
        """The verdict on a hard event: the larger model's, or the first one's for people to look at."""
        began = time.perf_counter()
        larger = await escalation.larger(event, reading) if escalation.larger is not None else None
        self.metrics.escalated(self.pipeline, None, "complex", came_of(escalation.larger, larger))
        if larger is not None and larger.answer is not None:
            still = escalation.unsure(larger.answer, event, reading) is not None
            return Verdict(larger.answer, [larger.step], still or self._unknown(larger.answer))
        tried = _tried(escalation, larger, began)
        asked = await self.ask(event, reading)
        asked.step.result = asked.answer.result if tried and asked.answer is not None else None
        return Verdict(_valid(asked), [*tried, asked.step], review=True)

    def by_rule(self, event: Event, reading: Reading, answer: Answer, step: Step) -> Verdict:
        """The verdict where no model decided: one would know no better, so what is unsure is for people."""
        known = answer.confidence.value is not None
        unsure = known and self.escalation is not None and self.escalation.unsure(answer, event, reading) is not None
        return Verdict(answer, [step], unsure or self._unknown(answer))

    async def _up(self, escalation: Escalation, why: Why, first: Asked, event: Event, reading: Reading) -> Verdict:
        """The verdict on an event whose `first` answer will not do."""
        began = time.perf_counter()
        second = await escalation.larger(event, reading) if escalation.larger is not None else None
        self.metrics.escalated(self.pipeline, first.step.adapter, why, came_of(escalation.larger, second))
        first.step.result = first.answer.result if first.answer is not None else None
        if second is not None and second.answer is not None:
            first.step.unused = why
            second.step.result = second.answer.result
            still = escalation.unsure(second.answer, event, reading) is not None
            return Verdict(second.answer, [first.step, second.step], still or self._unknown(second.answer))
        return Verdict(_valid(first), [first.step, *_tried(escalation, second, began)], review=True)

    def _unknown(self, answer: Answer) -> bool:
        return self.review_unknown and answer.confidence.value is None


def came_of(larger: Larger | None, said: Asked | None) -> str:
    """What came of passing an answer up to `larger`, who `said` this: no_tier, away, invalid or answered."""
    if larger is None:
        return "no_tier"
    return "away" if said is None else "invalid" if said.answer is None else "answered"


def _tried(escalation: Escalation, larger: Asked | None, began: float) -> list[Step]:
    """The step of a larger model that was no help, if there is one."""
    if larger is not None:
        larger.step.unused = larger.invalid
        return [larger.step]
    waited_ms = round((time.perf_counter() - began) * 1000, 2)
    return [_away(escalation.tier, waited_ms)] if escalation.larger is not None else []


def _valid(asked: Asked) -> Answer:
    """The answer; raises Rejected where there is none."""
    if asked.answer is None:
        raise asked.rejected() from asked.fault
    return asked.answer


def _away(tier: str, waited_ms: float) -> Step:
    """The step of a tier that did not answer: nothing is known of what it cost, if anything."""
    return Step(
        "diagnose", "model", tier=tier, usage=Usage(cost_usd=0.0), timings_ms={"queue": waited_ms}, unused="away"
    )
