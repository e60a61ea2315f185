"""Asks one tier: prompt → infer → check, with one repair."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from processor.contract import Event, Reading, Reused, Step, Usage
from processor.errors import FaultstreamError, Rejected
from processor.logs.tokens import TokenCounter, estimate
from processor.models.chat import Completion, Model
from processor.models.question import Prompt
from processor.pipeline import Pipeline
from processor.pipeline.chain import AskConfig
from processor.stages.check import Answer, Check, Invalid
from processor.stages.infer import Infer, Served, as_named
from processor.stages.prompt import BuildPrompt
from processor.telemetry import LineMetrics
from processor.tiers.answers import Answers, Recall, Turn
from processor.tiers.metrics import Outcome, TierMetrics


@dataclass(frozen=True, slots=True)
class Asked:
    """A tier's valid answer, or what is wrong with its last one; `step` says what it cost either way.

    `replica` is the server that gave it.
    """

    step: Step
    answer: Answer | None = None
    fault: Invalid | None = None
    replica: str = ""

    @property
    def invalid(self) -> Literal["invalid_output", "cut_off"]:
        """In a word, why there is no answer."""
        return self.fault.reason if self.fault is not None else "invalid_output"

    def rejected(self) -> Rejected:
        """The dead letter's error, where nobody has an answer."""
        return self.fault.rejected() if self.fault is not None else Rejected("invalid_output")


@dataclass(frozen=True, slots=True)
class Ask:
    """One pipeline's questions to one tier. `running` bounds those that are open at once, `count` counts tokens.

    `step` is that of its chain which asks, or `diagnose`. `recall` finds what was answered before, if that is wanted.
    """

    name: str
    prompt: BuildPrompt
    infer: Infer
    check: Check
    metrics: LineMetrics
    tiers: TierMetrics
    running: asyncio.Semaphore
    count: TokenCounter = estimate
    step: str = "diagnose"
    recall: Recall | None = None

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
        question: AskConfig | None = None,
        answers: Answers | None = None,
    ) -> Ask:
        """The questions of a pipeline to `tier`, which `model` answers; `count` counts that model's tokens.

        `served` says which version of its adapter an event asks. That adapter belongs to the question's own tier: any
        other one answers with its base model, and reads the whole excerpt. `question` is one of its chain instead of
        the pipeline's own. `answers` are those that are remembered, where any are.
        """
        asked = question or pipeline.question
        # How sure a model is was measured for the pipeline's own question alone.
        calibrated = partial(pipeline.calibrations.find, tier) if question is None else _uncalibrated
        chained = bool(pipeline.chain)
        own = tier == asked.tier
        return cls(
            name=pipeline.name,
            prompt=BuildPrompt(
                pipeline.name,
                asked.prompt.system,
                asked.prompt.user,
                asked.questions,
                context_tokens,
                asked.max_tokens,
                count,
                excerpt_tokens=asked.prompt.excerpt_tokens if own else None,
                chained=chained,
            ),
            infer=Infer(
                model,
                tier,
                asked.adapter if own else None,
                asked.max_tokens,
                served,
                step=asked.step,
                home=pipeline.name if chained else "",
            ),
            check=Check(asked.schema, asked.questions, calibrated),
            metrics=metrics,
            tiers=tiers,
            running=asyncio.Semaphore(concurrency),
            count=count,
            step=asked.step or "diagnose",
            recall=Recall.of(pipeline, answers),
        )

    async def __call__(self, event: Event, reading: Reading) -> Asked:
        """What the tier says, or has said before to this question. Raises Rejected or Retryable."""
        prompt = self.prompt(event, reading)
        if self.recall is None:
            return await self._asked(prompt, reading)
        waiting = time.perf_counter()
        async with self.recall.turn(self.infer, prompt, event, reading) as turn:
            waited_ms = (time.perf_counter() - waiting) * 1000
            return self._known(turn, prompt, reading, waited_ms) or await self._asked(prompt, reading, turn)

    def _known(self, turn: Turn, prompt: Prompt, reading: Reading, waited_ms: float) -> Asked | None:
        """The answer that was given before, read for this event; None where there is none."""
        known = turn.known
        if known is None:
            return None
        completion = replace(known.completion, shown=prompt.shown) if turn.alike else known.completion
        try:
            answer = self.check(prompt, completion, reading, known.read)
        except Invalid:
            return None
        step = self._made([completion], {"queue": round(waited_ms, 2)}, answer)
        step.reused = Reused(known.finding, turn.alike, step.usage)
        step.usage = Usage(cost_usd=0.0)
        self.tiers.reused(self.name, step)
        return Asked(step, answer)

    async def _asked(self, prompt: Prompt, reading: Reading, turn: Turn | None = None) -> Asked:
        """What the tier says, after one repair where its answer can't be used. Raises as a call does."""
        waiting = time.perf_counter()
        async with self.running:
            queued_ms = (time.perf_counter() - waiting) * 1000
            first = await self.infer(prompt)
            self.metrics.guided(self.name, self.infer.tier, first.replica, prompt.form.grammar, self.prompt.grammars)
            try:
                answer = self.check(prompt, first, reading)
                if turn is not None:
                    turn.answered(first, answer.read)
                return Asked(self._step([first], queued_ms, answer), answer, replica=first.replica)
            except Invalid as fault:
                if turn is not None:
                    turn.invalid()
                self.metrics.repaired(self.name, fault.reason)
                self.tiers.repaired(self.name, self.infer.tier, first.adapter, fault.reason)
                second = await self._repaired(prompt, first, fault, queued_ms)
        try:
            answer = self.check(prompt, second, reading)
        except Invalid as fault:
            return Asked(self._step([first, second], queued_ms), fault=fault, replica=second.replica)
        return Asked(self._step([first, second], queued_ms, answer), answer, replica=second.replica)

    async def _repaired(self, prompt: Prompt, first: Completion, fault: Invalid, queued_ms: float) -> Completion:
        """The second answer. Where none comes the first one was paid for all the same."""
        try:
            return await self.infer(self.prompt.repair(prompt, first, str(fault)))
        except FaultstreamError:
            self._step([first], queued_ms)
            raise

    def _step(self, completions: Sequence[Completion], queued_ms: float, answer: Answer | None = None) -> Step:
        timings_ms = {
            "queue": round(queued_ms + sum(each.waited_ms for each in completions), 2),
            "infer": round(sum(each.milliseconds for each in completions), 2),
        }
        step = self._made(completions, timings_ms, answer)
        outcome: Outcome = "invalid" if answer is None else "valid" if len(completions) == 1 else "repaired"
        self.tiers.asked(self.name, step, outcome, answer.confidence.value if answer is not None else None)
        return step

    def _made(self, completions: Sequence[Completion], timings_ms: dict[str, float], answer: Answer | None) -> Step:
        usages, last = [each.usage for each in completions], completions[-1]
        return Step(
            name=self.step,
            decided_by="model",
            tier=self.infer.tier,
            model=last.model,
            adapter=last.adapter,
            usage=usages[0] if len(usages) == 1 else Usage.sum(usages),
            timings_ms=timings_ms,
            confidence=answer.certainty if answer is not None else None,
            shrunk=last.shown._asdict() if last.shown is not None else None,
        )


def _uncalibrated(_: Completion) -> None:
    return None
