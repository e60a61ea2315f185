"""The line: what happens to an event, from the record to the finding. Read this first.

    source → route → fetch → redact → reduce → recognise → prompt → infer → check → emit

The engine hands `Line.handle` a record and delivers what it returns: findings, dead letters, or the note that
no pipeline wanted the event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Literal

import orjson
import structlog

from processor.contract import (
    NO_TICKETS_HEADER,
    Event,
    Excerpt,
    ExcerptLine,
    Finding,
    Outbound,
    Reading,
    Record,
    Step,
    TopicPartition,
    Usage,
)
from processor.errors import Rejected, Retryable, Suspect
from processor.logs.extract.beyond import beyond
from processor.logs.reduce import warm
from processor.logs.rules import RuleSet
from processor.logs.text import sniff
from processor.logs.tokens import TokenCounter, counter, estimate
from processor.models.chat import Completion, Model
from processor.pipeline import Pipeline
from processor.settings import Settings
from processor.sinks.dead_letters import dead_letter
from processor.sources.decode import Decoder
from processor.stages.check import Answer, Check, Invalid
from processor.stages.emit import Emit, trace_of
from processor.stages.fetch import Fetch
from processor.stages.infer import Infer
from processor.stages.park import PROBE_S, WAIT_S, Ward, Way, parked
from processor.stages.prompt import BuildPrompt
from processor.stages.recognise import Recognise
from processor.stages.redact import Redact
from processor.stages.reduce import Reduce
from processor.stages.route import Route, unrouted
from processor.telemetry import PIPELINE, LineMetrics

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes share. `concurrency` bounds the questions of one pipeline that are open at once."""

    prefix: str
    fetch: Fetch
    redact: Redact
    metrics: LineMetrics
    concurrency: int = 64


@dataclass(frozen=True, slots=True)
class Lane:
    """One pipeline's way through the line."""

    pipeline: Pipeline
    fetch: Fetch
    redact: Redact
    reduce: Reduce
    recognise: Recognise
    prompt: BuildPrompt
    infer: Infer
    check: Check
    emit: Emit
    metrics: LineMetrics
    running: asyncio.Semaphore

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        model: Model,
        shared: Shared,
        *,
        context_tokens: int = 8192,
        count: TokenCounter = estimate,
    ) -> Lane:
        """The lane of a pipeline whose questions `model` answers; `count` counts that model's tokens."""
        part = pipeline.model
        return cls(
            pipeline=pipeline,
            fetch=shared.fetch,
            redact=shared.redact,
            reduce=Reduce(pipeline.reduce.budget_tokens, count),
            recognise=Recognise(
                pipeline.rules or RuleSet(()),
                pipeline.rankers,
                frozenset(each.source for each in pipeline.questions if each.kind == "candidate"),
            ),
            prompt=BuildPrompt(
                pipeline.name,
                pipeline.prompt.system,
                pipeline.prompt.user,
                pipeline.questions,
                context_tokens,
                part.max_tokens,
                count,
            ),
            infer=Infer(model, part.tier, part.adapter, part.max_tokens),
            check=Check(pipeline.schema, pipeline.questions),
            emit=Emit(
                pipeline.name,
                pipeline.version,
                shared.prefix,
                ticket=pipeline.ticket is not None,
                scope=pipeline.scope,
                dataschema=f"urn:faultstream:{pipeline.name}:{pipeline.version}",
            ),
            metrics=shared.metrics,
            running=asyncio.Semaphore(shared.concurrency),
        )

    @classmethod
    def on(cls, pipeline: Pipeline, settings: Settings, model: Model, shared: Shared) -> Lane:
        """The lane of a pipeline for the model of its tier, with that one's context and tokenizer."""
        tier = settings.models[pipeline.model.tier]
        return cls.of(pipeline, model, shared, context_tokens=tier.context_tokens, count=counter(tier.tokenizer))

    def warm(self) -> None:
        """Compiles what would be compiled at first use, so that no event pays for it (seconds, all in all)."""
        warm()
        beyond({}, {}, (), lambda _: ())
        self.recognise(Excerpt((ExcerptLine(1, "error"),), 1, (1,)))

    async def __call__(self, event: Event, *, tickets: bool = True) -> list[Outbound]:
        """The records of the event's finding, without a signal unless `tickets`. Raises Rejected or Retryable."""
        finding = await self.find(event)
        return self.emit.records(finding, trace_of(event), tickets=tickets)

    async def find(self, event: Event) -> Finding:
        """The event's finding: by a rule where one decides, else by the model."""
        started = time.perf_counter()
        body, passing = await self._body(event), await self._passing(event)
        event, session = self.redact(event)
        excerpt = await self.reduce(body, session, passing)
        reading = self.recognise(excerpt)
        reduced_ms = (time.perf_counter() - started) * 1000
        if reading.rule is not None and reading.rule.decides:
            answer, step = self.check.decided(reading, reading.rule), _by_rule(reading)
        else:
            answer, step = await self._ask(event, reading)
        step.timings_ms["reduce"] = round(reduced_ms, 2)
        self.metrics.found(self.pipeline.name, step)
        return self.emit.finding(
            event,
            reading,
            result=answer.result,
            evidence=answer.evidence,
            confidence=answer.confidence,
            steps=[step],
            review=self._unsure(answer, event),
        )

    def _unsure(self, answer: Answer, event: Event) -> bool:
        """Whether a person should look at it."""
        value, pipeline = answer.confidence.value, self.pipeline
        if value is None:
            return pipeline.ticket is not None and pipeline.ticket.unsure == "review"
        if pipeline.escalate is None:
            return False
        return pipeline.escalate.evaluate({"confidence": value, "result": answer.result, "event": event.attributes})

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

    async def _ask(self, event: Event, reading: Reading) -> tuple[Answer, Step]:
        """The model's answer, with one repair; what it cost in all."""
        prompt = self.prompt(event, reading)
        waiting = time.perf_counter()
        async with self.running:
            queued_ms = (time.perf_counter() - waiting) * 1000
            first = await self.infer(prompt)
            try:
                answer = self.check(prompt, first, reading)
                return answer, self._step([first], answer, queued_ms)
            except Invalid as fault:
                self.metrics.repaired(self.pipeline.name, fault.reason)
                second = await self.infer(self.prompt.repair(prompt, first, str(fault)))
        try:
            answer = self.check(prompt, second, reading)
        except Invalid as fault:
            raise fault.rejected() from fault
        return answer, self._step([first, second], answer, queued_ms)

    def _step(self, completions: Sequence[Completion], answer: Answer, queued_ms: float) -> Step:
        usages = [each.usage for each in completions]
        costs = [usage.cost_usd for usage in usages if usage.cost_usd is not None]
        return Step(
            name="diagnose",
            decided_by="model",
            tier=self.infer.tier,
            model=completions[-1].model,
            adapter=completions[-1].adapter,
            usage=Usage(
                sum(usage.prompt_tokens for usage in usages),
                sum(usage.cached_tokens for usage in usages),
                sum(usage.completion_tokens for usage in usages),
                sum(costs) if len(costs) == len(usages) else None,
            ),
            timings_ms={
                "queue": round(queued_ms + sum(each.waited_ms for each in completions), 2),
                "infer": round(sum(each.milliseconds for each in completions), 2),
            },
            confidence=answer.certainty,
        )


def _by_rule(reading: Reading) -> Step:
    rule = reading.rule
    return Step("diagnose", "rule", rule=rule.rule if rule else None, confidence=rule.precision if rule else None)


_INVALID = frozenset({"invalid_answer", "cut_off"})
_FAILED = frozenset({"model_failed", "request_refused"})
"""Reasons that are an event's own; of several events in a row, their pipeline's."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that is read: how its records are decoded and which pipelines are asked."""

    decoder: Decoder
    pipelines: tuple[str, ...]
    kind: Literal["source", "retry", "parked"] = "source"


@dataclass(slots=True)
class Line:
    """The engine's worker: all lanes, and the way into them."""

    prefix: str
    topics: Mapping[str, Topic]
    lanes: Mapping[str, Lane]
    route: Route
    metrics: LineMetrics
    redact: Redact
    wards: Mapping[str, Ward]

    async def handle(self, record: Record) -> list[Outbound]:
        """A record's outputs: per pipeline that wants it a finding or a dead letter, never nothing."""
        topic = self.topics[record.topic]
        try:
            event = topic.decoder.decode(record)
        except Rejected as error:  # whose it would have been is not known: a letter for each, so that each can replay
            return [self._dead_letter(record, error, name) for name in topic.pipelines]
        if topic.kind != "source":  # sent back to one pipeline, which has wanted it before
            tickets = all(name != NO_TICKETS_HEADER for name, _ in record.headers)
            return await self._through(topic.pipelines[0], event, self._way(topic.pipelines[0], topic), tickets=tickets)
        routed = self.route(event, topic.pipelines)
        outputs = [self._dead_letter(record, error, name) for name, error in routed.failed]
        if len(routed.wanted) == 1:
            outputs += await self._through(routed.wanted[0], event, self._way(routed.wanted[0], topic))
        elif routed.wanted:
            ways = [self._way(name, topic) for name in routed.wanted]
            lanes = zip(routed.wanted, ways, strict=True)
            for made in await asyncio.gather(*(self._through(name, event, way) for name, way in lanes)):
                outputs += made
        elif not outputs:
            self.metrics.unrouted(record.topic)
            outputs.append(unrouted(self.prefix, event, self.redact.text))
        return outputs

    def _way(self, name: str, topic: Topic) -> Way:
        """Whether an event of the topic goes on, aside, or waits. Raises Retryable for the last."""
        ward = self.wards[name]
        others = any(self.wards[other].sick is None for other in topic.pipelines if other != name)
        way = ward.way(parked=topic.kind == "parked", others=others)
        if way == "wait":
            self.metrics.waiting(name)
            why = ward.sick or f"{ward.waiting} events of {name} that were parked go first"
            raise Retryable(why, wait=PROBE_S if ward.sick else WAIT_S)
        return way

    async def _through(self, name: str, event: Event, way: Way, *, tickets: bool = True) -> list[Outbound]:
        """One pipeline's outputs: what it rejects is its dead letter and nobody else's."""
        ward = self.wards[name]
        if way == "park":
            self.metrics.parked(name)
            return [parked(self.prefix, event.record, name, event.origin, _now())]
        token = PIPELINE.set(name)
        try:
            outputs = await self.lanes[name](event, tickets=tickets)
        except Rejected as error:
            if error.reason in _INVALID:
                ward.invalid(str(error))
            elif error.reason in _FAILED:
                ward.failed(event.origin, str(error))
            return [self._dead_letter(event.record, error, name)]
        except Retryable as error:
            self.metrics.waiting(name)
            if not (error.shared or isinstance(error, Suspect)):
                ward.failed(event.origin, str(error))
            raise
        finally:
            PIPELINE.reset(token)
        ward.succeeded()
        return outputs

    def reject(self, record: Record, error: Rejected) -> Outbound:
        """The dead letter of a record that met a defect of ours."""
        pipelines = self.topics[record.topic].pipelines
        return self._dead_letter(record, error, pipelines[0] if len(pipelines) == 1 else "")

    def _dead_letter(self, record: Record, error: Rejected, pipeline: str) -> Outbound:
        message = self.redact.text(str(error))
        self.metrics.rejected(pipeline, error.reason)
        log.warning("dead letter", action="reject", pipeline=pipeline, reason=error.reason, error=message)
        origin = self.topics[record.topic].decoder.origin(record)
        return dead_letter(self.prefix, record, error.reason, message, pipeline, origin, _now())

    async def assigned(self, partition: TopicPartition) -> None:
        """The line keeps no state of its partitions."""

    async def revoked(self, partition: TopicPartition) -> None:
        """The line keeps no state of its partitions."""
