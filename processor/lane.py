"""A lane: one pipeline's way through the line, from an event to its finding. Read this after `line`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import orjson
import structlog
from prometheus_client import CollectorRegistry

from processor.bound import Bound
from processor.chain.metrics import ChainMetrics
from processor.chain.query import Asker
from processor.chain.run import Chain, Chained, asks_of, filled
from processor.contract import (
    Event,
    Excerpt,
    ExcerptLine,
    Finding,
    Outbound,
    Reading,
    RuleMatch,
    Step,
)
from processor.databases.ports import Database
from processor.errors import Rejected, Retryable
from processor.logs.extract.beyond import beyond
from processor.logs.reduce import warm
from processor.logs.rules import RuleSet
from processor.logs.text import sniff
from processor.logs.tokens import counter
from processor.models.chat import Model
from processor.models.question import Prompt
from processor.pipeline import Pipeline
from processor.pipeline.chain import AskConfig
from processor.settings import Settings
from processor.stages.emit import Emit, trace_of
from processor.stages.fetch import Fetch
from processor.stages.infer import Infer, Served, as_named
from processor.stages.prompt import BuildPrompt
from processor.stages.recognise import Recognise
from processor.stages.redact import Redact
from processor.stages.reduce import Reduce
from processor.telemetry import LineMetrics
from processor.tiers.answers import Answers
from processor.tiers.ask import Ask
from processor.tiers.judge import Judge, Larger, Verdict
from processor.tiers.metrics import TierMetrics
from processor.tiers.shadow import Shadow, Shadows, full

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes share. `concurrency` bounds the questions of one pipeline to one tier that are open at once.

    `served` by tier says which version of an adapter an event asks, where the daemon loads them. `answers` are those
    that are remembered, where any are.
    """

    prefix: str
    fetch: Fetch
    redact: Redact
    metrics: LineMetrics
    concurrency: int = 64
    tiers: TierMetrics = field(default_factory=lambda: TierMetrics(CollectorRegistry()))
    served: Mapping[str, Served] = field(default_factory=dict)
    shadows: Shadows | None = None
    answers: Answers | None = None
    databases: Mapping[str, Database] = field(default_factory=dict)
    chains: ChainMetrics = field(default_factory=lambda: ChainMetrics(CollectorRegistry()))


@dataclass(frozen=True, slots=True)
class Lane:
    """One pipeline's way through the line."""

    pipeline: Pipeline
    fetch: Fetch
    redact: Redact
    reduce: Reduce
    recognise: Recognise
    judge: Judge
    emit: Emit
    metrics: LineMetrics
    shadow: Shadow | None = None
    chain: Chain | None = None

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        ask: Ask,
        shared: Shared,
        larger: Ask | None = None,
        steps: Mapping[str, Ask] | None = None,
        larger_steps: Mapping[str, Larger | None] | None = None,
    ) -> Lane:
        """The lane of a pipeline whose questions `ask` puts, and `larger` where the answers are unsure.

        `steps` put those of its chain, and `larger_steps` where the answers are invalid.
        """
        asked = [question for each in pipeline.asks for question in each.questions]
        query = Asker(shared.databases, shared.redact)
        return cls(
            pipeline=pipeline,
            fetch=shared.fetch,
            redact=shared.redact,
            reduce=Reduce(pipeline.reduce.budget_tokens, ask.count),
            recognise=Recognise(
                pipeline.rules or RuleSet(()),
                pipeline.rankers,
                frozenset(each.source for each in asked if each.kind == "candidate"),
            ),
            judge=Judge.of(pipeline, ask, shared.tiers, larger),
            emit=Emit(
                pipeline.name,
                pipeline.version,
                shared.prefix,
                ticket=pipeline.ticket is not None,
                attach=pipeline.ticket is not None and pipeline.ticket.attach == "excerpt",
                scope=pipeline.scope,
                dataschema=f"urn:faultstream:{pipeline.name}:{pipeline.version}",
            ),
            metrics=shared.metrics,
            chain=Chain(pipeline, steps or {}, query, shared.chains, larger_steps or {}) if pipeline.chain else None,
        )

    @classmethod
    def by(
        cls,
        pipeline: Pipeline,
        model: Model,
        shared: Shared,
        context_tokens: int = 8192,
        others: Mapping[str, Model] | None = None,
    ) -> Lane:
        """The lane of a pipeline whose questions one model answers, whatever the settings; tokens are estimated.

        `others` answer those of their tiers instead.
        """

        def ask(asked: AskConfig, question: AskConfig | None = None) -> Ask:
            return Ask.of(
                pipeline,
                asked.tier,
                (others or {}).get(asked.tier, model),
                shared.metrics,
                shared.tiers,
                context_tokens=context_tokens,
                served=shared.served.get(asked.tier, as_named),
                question=question,
            )

        return cls.of(
            pipeline, ask(pipeline.question), shared, steps={each.step: ask(each, each) for each in asks_of(pipeline)}
        )

    @classmethod
    def on(cls, pipeline: Pipeline, settings: Settings, models: Mapping[str, Model], shared: Shared) -> Lane:
        """The lane of a pipeline for the models of its tiers, each with its own context and tokenizer."""
        part = pipeline.model

        def ask(tier: str, question: AskConfig | None = None) -> Ask:
            return Ask.of(
                pipeline,
                tier,
                models[tier],
                shared.metrics,
                shared.tiers,
                concurrency=shared.concurrency,
                context_tokens=settings.models[tier].context_tokens,
                count=counter(settings.models[tier].tokenizer),
                served=shared.served.get(tier, as_named),
                question=question,
                answers=shared.answers,
            )

        asks = {tier: ask(tier) for tier in models}

        def step(tier: str, question: AskConfig) -> Ask:  # all that one pipeline asks of a tier is bounded together
            return replace(ask(tier, question), running=asks[tier].running)

        steps = {each.step: step(each.tier, each) for each in asks_of(pipeline)}
        larger = asks.get(part.escalate.to) if part.escalate is not None else None
        lane = cls.of(pipeline, asks[part.tier], shared, larger, steps, _larger_steps(pipeline, models, step))
        second = asks.get(part.shadow.to) if part.shadow is not None else None
        if second is None or shared.shadows is None:
            return lane
        larger_model = models[second.infer.tier]
        # Never in the way of what goes up, and what it compares with is always asked.
        own = replace(second, running=asyncio.Semaphore(shared.concurrency), recall=None)

        def busy() -> bool:
            return lane.judge.ask.running.locked() or second.running.locked() or full(larger_model)

        shadow = Shadow.of(pipeline, shared.prefix, own, shared.shadows, shared.tiers, busy)
        return replace(lane, shadow=shadow)

    @property
    def prompt(self) -> BuildPrompt:
        """What makes the question to the pipeline's own tier."""
        return self.judge.ask.prompt

    @property
    def asks(self) -> tuple[Ask, ...]:
        """All that it may ask of models: by its chain, and of each tier its own question."""
        steps = self.chain.all_asks if self.chain is not None else ()
        return (*steps, *self.judge.asks)

    def answered_by(self, infer: Callable[[Ask], Infer], databases: Mapping[str, Database]) -> Lane:
        """The lane with other answers to its questions and queries, and nobody to pass them up to."""
        chain = self.chain
        if chain is not None:
            asks = {name: replace(ask, infer=infer(ask)) for name, ask in chain.asks.items()}
            chain = Chain(self.pipeline, asks, Asker(databases, self.redact), chain.metrics)
        judge = replace(self.judge, ask=replace(self.judge.ask, infer=infer(self.judge.ask)), escalation=None)
        return replace(self, judge=judge, chain=chain, shadow=None)

    async def first_prompt(self, event: Event, reading: Reading) -> Prompt:
        """The first question that a model would be asked of an event, whose attributes are redacted."""
        if self.chain is None:
            return self.prompt(event, reading)
        done, ask = await self.chain.until_asked(event, reading)
        reading = replace(reading, chain=done.values)
        return (self.prompt if ask is None else ask.prompt)(event, reading)

    def warm(self) -> None:
        """Compiles what would be compiled at first use, so that no event pays for it (seconds, all in all)."""
        warm()
        beyond({}, {}, (), lambda _: ())
        self.recognise(Excerpt((ExcerptLine(1, "error"),), 1, (1,)))

    async def __call__(self, event: Event, *, tickets: bool = True) -> list[Outbound]:
        """The records of the event's finding, without a signal unless `tickets`. Raises Rejected or Retryable."""
        try:
            finding = await self.find(event)
        except Rejected:
            self._forget(event)
            raise
        self._forget(event)
        return self.emit.records(finding, trace_of(event), tickets=tickets)

    def _forget(self, event: Event) -> None:
        """Nothing of the event is needed for another try."""
        if self.chain is not None:
            self.chain.done(event)

    async def find(self, event: Event) -> Finding:
        """The event's finding: by a rule where one decides, else by the model; after the steps of its chain."""
        started = time.perf_counter()
        body, passing = await self._body(event), await self._passing(event)
        size = _size(body)
        event, session = self.redact(event)
        excerpt = await self.reduce(body, session, passing)
        reading = self._bounded(self.recognise(excerpt))
        reduced_ms = (time.perf_counter() - started) * 1000
        chained = await self.chain(event, reading) if self.chain is not None else Chained()
        reading = replace(reading, chain=chained.values, replica=chained.replica) if chained.steps else reading
        verdict = await self._judge(event, reading, chained.finish)
        verdict.steps[0].timings_ms["reduce"] = round(reduced_ms, 2)
        steps = [*chained.steps, *verdict.steps]
        result = filled(self.pipeline, event, reading, verdict.answer.result)
        self.metrics.found(self.pipeline.name, steps)
        finding = self.emit.finding(
            event,
            reading,
            result=result,
            evidence=verdict.answer.evidence,
            confidence=verdict.answer.confidence,
            steps=steps,
            review=verdict.review,
            size=size,
            chain=chained.values,
        )
        if self.shadow is not None:
            self.shadow(event, reading, finding)
        return finding

    def _bounded(self, reading: Reading) -> Reading:
        within_s = self.pipeline.model.within
        return reading if within_s is None else replace(reading, bound=Bound(within_s))

    async def _judge(self, event: Event, reading: Reading, finish: RuleMatch | None) -> Verdict:
        rule = finish or reading.rule
        if rule is None or not rule.decides:
            return await self.judge(event, reading)
        step = Step("diagnose", "rule", rule=rule.rule, confidence=rule.precision)
        if finish is not None:
            step = Step(finish.rule, "evaluate", result=dict(finish.fields))
        return self.judge.by_rule(event, reading, self.judge.ask.check.decided(reading, rule), step)

    async def _body(self, event: Event) -> bytes | BinaryIO:
        if event.body:
            return event.body
        if event.reference:
            return await self.fetch.open(event.reference)
        return orjson.dumps(event.payload, option=orjson.OPT_INDENT_2)

    async def _passing(self, event: Event) -> bytes | None:
        """The log of a passing run, where the event refers to one: of help, and nothing to fail or to wait for."""
        reference = event.attributes["baseline_url"]
        if not reference:
            return None
        try:
            passing = await self.fetch(reference)
        except (Rejected, Retryable) as error:
            log.warning("reads without the passing run", action="fetch", error=str(error))
            return None
        return None if sniff(passing) else passing


def _larger_steps(
    pipeline: Pipeline, tiers: Container[str], ask: Callable[[str, AskConfig], Ask]
) -> dict[str, Larger | None]:
    """By step of the chain, who is asked where its model has no valid answer; None: `tiers` have no such one.

    A step that asks that tier anyway has nobody above it.
    """
    part = pipeline.model.escalate
    if part is None:
        return {}
    steps = [each for each in asks_of(pipeline) if each.tier != part.to]
    return {each.step: Larger(ask(part.to, each), part.within) if part.to in tiers else None for each in steps}


def _size(body: bytes | BinaryIO) -> int:
    """Of a log, in bytes; a file is left at its beginning."""
    if isinstance(body, bytes):
        return len(body)
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    return size
