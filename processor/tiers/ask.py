"""Asks one tier: prompt → infer → check, with one repair."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from processor.contract import Event, Reading, Step, Usage
from processor.errors import FaultstreamError
from processor.logs.tokens import TokenCounter, estimate
from processor.models.chat import Completion, Model
from processor.models.question import Prompt
from processor.pipeline import Pipeline
from processor.stages.check import Answer, Check, Invalid
from processor.stages.infer import Infer, Served, as_named
from processor.stages.prompt import BuildPrompt
from processor.telemetry import LineMetrics
from processor.tiers.metrics import Outcome, TierMetrics


@dataclass(frozen=True, slots=True)
class Asked:
    """A tier's valid answer, or what is wrong with its last one; `step` says what it cost either way."""

    step: Step
    answer: Answer | None = None
    fault: Invalid | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One pipeline's questions to one tier. `running` bounds those that are open at once, `count` counts tokens."""

    name: str
    prompt: BuildPrompt
    infer: Infer
    check: Check
    metrics: LineMetrics
    tiers: TierMetrics
    running: asyncio.Semaphore
    count: TokenCounter = estimate

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        tier: str,
        model: Model,
        metrics: LineMetrics,
        tiers: TierMetrics,
        *,
        concurrency: int = 64,
        context_tokens: int = 8192,
        count: TokenCounter = estimate,
        served: Served = as_named,
    ) -> Ask:
        """The questions of a pipeline to `tier`, which `model` answers; `count` counts that model's tokens.

        `served` says which version of its adapter an event asks. That adapter belongs to the pipeline's own tier: any
        other one answers with its base model.
        """
        part = pipeline.model
        return cls(
            name=pipeline.name,
            prompt=BuildPrompt(
                pipeline.name,
                pipeline.prompt.system,
                pipeline.prompt.user,
                pipeline.questions,
                context_tokens,
                part.max_tokens,
                count,
            ),
            infer=Infer(model, tier, part.adapter if tier == part.tier else None, part.max_tokens, served),
            check=Check(pipeline.schema, pipeline.questions, partial(pipeline.calibrations.find, tier)),
            metrics=metrics,
            tiers=tiers,
            running=asyncio.Semaphore(concurrency),
            count=count,
        )

    async def __call__(self, event: Event, reading: Reading) -> Asked:
        """What the tier says, after one repair where its answer can't be used. Raises Rejected or Retryable."""
        prompt = self.prompt(event, reading)
        waiting = time.perf_counter()
        async with self.running:
            queued_ms = (time.perf_counter() - waiting) * 1000
            first = await self.infer(prompt)
            self.metrics.guided(self.name, self.infer.tier, first.replica, prompt.form.grammar, self.prompt.grammars)
            try:
                answer = self.check(prompt, first, reading)
                return Asked(self._step([first], queued_ms, answer), answer)
            except Invalid as fault:
                self.metrics.repaired(self.name, fault.reason)
                self.tiers.repaired(self.name, self.infer.tier, first.adapter, fault.reason)
                second = await self._repaired(prompt, first, fault, queued_ms)
        try:
            answer = self.check(prompt, second, reading)
        except Invalid as fault:
            return Asked(self._step([first, second], queued_ms), fault=fault)
        return Asked(self._step([first, second], queued_ms, answer), answer)

    async def _repaired(self, prompt: Prompt, first: Completion, fault: Invalid, queued_ms: float) -> Completion:
        """The second answer. Where none comes the first one was paid for all the same."""
        try:
            return await self.infer(self.prompt.repair(prompt, first, str(fault)))
        except FaultstreamError:
            self._step([first], queued_ms)
            raise

    def _step(self, completions: Sequence[Completion], queued_ms: float, answer: Answer | None = None) -> Step:
        usages = [each.usage for each in completions]
        step = Step(
            name="diagnose",
            decided_by="model",
            tier=self.infer.tier,
            model=completions[-1].model,
            adapter=completions[-1].adapter,
            usage=usages[0] if len(usages) == 1 else Usage.sum(usages),
            timings_ms={
                "queue": round(queued_ms + sum(each.waited_ms for each in completions), 2),
                "infer": round(sum(each.milliseconds for each in completions), 2),
            },
            confidence=answer.certainty if answer is not None else None,
            shrunk=shown._asdict() if (shown := completions[-1].shown) is not None else None,
        )
        outcome: Outcome = "invalid" if answer is None else "valid" if len(completions) == 1 else "repaired"
        self.tiers.asked(self.name, step, outcome, answer.confidence.value if answer is not None else None)
        return step
