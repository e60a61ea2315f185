"""The line: what happens to an event, from the record to the finding. Read this first.

    source → route → fetch → redact → reduce → recognise → prompt → infer → check → emit
                                                            └─ processor.tiers ─┘
The engine hands `Line.handle` a record and delivers what it returns: findings, dead letters, or the note that
no pipeline wanted the event.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import BinaryIO, Literal

import orjson
import structlog
from prometheus_client import CollectorRegistry

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
)
from processor.errors import Rejected, Retryable, Suspect
from processor.logs.extract.beyond import beyond
from processor.logs.reduce import warm
from processor.logs.rules import RuleSet
from processor.logs.text import sniff
from processor.logs.tokens import counter
from processor.models.chat import Model
from processor.pipeline import Pipeline
from processor.settings import Settings
from processor.sinks.dead_letters import dead_letter, shown
from processor.sources.decode import Decoder
from processor.stages.emit import Emit, trace_of
from processor.stages.fetch import Fetch
from processor.stages.infer import Infer, Served, as_named
from processor.stages.park import PROBE_S, WAIT_S, Ward, Way, parked
from processor.stages.prompt import BuildPrompt
from processor.stages.recognise import Recognise
from processor.stages.redact import Redact
from processor.stages.reduce import Reduce
from processor.stages.route import Route, unrouted
from processor.telemetry import PIPELINE, LineMetrics
from processor.tiers.ask import Ask
from processor.tiers.judge import Judge, Verdict
from processor.tiers.metrics import SPENT, TierMetrics
from processor.tiers.shadow import Shadow, Shadows

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes share. `concurrency` bounds the questions of one pipeline to one tier that are open at once.

    `served` by tier says which version of an adapter an event asks, where the daemon loads them.
    """

    prefix: str
    fetch: Fetch
    redact: Redact
    metrics: LineMetrics
    concurrency: int = 64
    tiers: TierMetrics = field(default_factory=lambda: TierMetrics(CollectorRegistry()))
    served: Mapping[str, Served] = field(default_factory=dict)
    shadows: Shadows | None = None


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

    @classmethod
    def of(cls, pipeline: Pipeline, ask: Ask, shared: Shared, larger: Ask | None = None) -> Lane:
        """The lane of a pipeline whose questions `ask` puts, and `larger` where the answers are unsure."""
        return cls(
            pipeline=pipeline,
            fetch=shared.fetch,
            redact=shared.redact,
            reduce=Reduce(pipeline.reduce.budget_tokens, ask.count),
            recognise=Recognise(
                pipeline.rules or RuleSet(()),
                pipeline.rankers,
                frozenset(each.source for each in pipeline.questions if each.kind == "candidate"),
            ),
            judge=Judge.of(pipeline, ask, shared.tiers, larger),
            emit=Emit(
                pipeline.name,
                pipeline.version,
                shared.prefix,
                ticket=pipeline.ticket is not None,
                scope=pipeline.scope,
                dataschema=f"urn:faultstream:{pipeline.name}:{pipeline.version}",
            ),
            metrics=shared.metrics,
        )

    @classmethod
    def by(cls, pipeline: Pipeline, model: Model, shared: Shared, context_tokens: int = 8192) -> Lane:
        """The lane of a pipeline whose questions one model answers, whatever the settings; tokens are estimated."""
        tier = pipeline.model.tier
        ask = Ask.of(pipeline, tier, model, shared.metrics, shared.tiers, context_tokens=context_tokens)
        return cls.of(pipeline, ask, shared)

    @classmethod
    def on(cls, pipeline: Pipeline, settings: Settings, models: Mapping[str, Model], shared: Shared) -> Lane:
        """The lane of a pipeline for the models of its tiers, each with its own context and tokenizer."""
        part = pipeline.model
        asks = {
            tier: Ask.of(
                pipeline,
                tier,
                model,
                shared.metrics,
                shared.tiers,
                concurrency=shared.concurrency,
                context_tokens=settings.models[tier].context_tokens,
                count=counter(settings.models[tier].tokenizer),
                served=shared.served.get(tier, as_named),
            )
            for tier, model in models.items()
        }
        larger = asks.get(part.escalate.to) if part.escalate is not None else None
        lane = cls.of(pipeline, asks[part.tier], shared, larger=larger)
        second = asks.get(part.shadow.to) if part.shadow is not None else None
        if second is None or shared.shadows is None:
            return lane
        own = replace(second, running=asyncio.Semaphore(shared.concurrency))  # never in the way of what goes up

        def busy() -> bool:
            return lane.judge.ask.running.locked() or second.running.locked()

        shadow = Shadow.of(pipeline, shared.prefix, own, shared.shadows, shared.tiers, busy)
        return replace(lane, shadow=shadow)

    @property
    def prompt(self) -> BuildPrompt:
        """What makes the question to the pipeline's own tier."""
        return self.judge.ask.prompt

    def answered_by(self, infer: Infer) -> Lane:
        """The lane with other answers, and nobody to pass them up to."""
        return replace(
            self, judge=replace(self.judge, ask=replace(self.judge.ask, infer=infer), escalation=None), shadow=None
        )

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
        size = _size(body)
        event, session = self.redact(event)
        excerpt = await self.reduce(body, session, passing)
        reading = self.recognise(excerpt)
        reduced_ms = (time.perf_counter() - started) * 1000
        verdict = await self._judge(event, reading)
        verdict.steps[0].timings_ms["reduce"] = round(reduced_ms, 2)
        self.metrics.found(self.pipeline.name, verdict.steps)
        finding = self.emit.finding(
            event,
            reading,
            result=verdict.answer.result,
            evidence=verdict.answer.evidence,
            confidence=verdict.answer.confidence,
            steps=verdict.steps,
            review=verdict.review,
            size=size,
        )
        if self.shadow is not None:
            self.shadow(event, reading, finding)
        return finding

    async def _judge(self, event: Event, reading: Reading) -> Verdict:
        rule = reading.rule
        if rule is None or not rule.decides:
            return await self.judge(event, reading)
        step = Step("diagnose", "rule", rule=rule.rule, confidence=rule.precision)
        return self.judge.by_rule(event, self.judge.ask.check.decided(reading, rule), step)

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


def _size(body: bytes | BinaryIO) -> int:
    """Of a log, in bytes; a file is left at its beginning."""
    if isinstance(body, bytes):
        return len(body)
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    return size


_INVALID = frozenset({"invalid_output", "schema_refused"})
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
    afresh: Callable[[], Awaitable[None]] | None = None
    """Has the wards told anew of what lies parked. Raises Retryable."""
    _made: dict[TopicPartition, dict[int, dict[str, list[Outbound]]]] = field(default_factory=dict)
    """By offset, of events that wait for one pipeline: what the others have made of them."""

    async def handle(self, record: Record) -> list[Outbound]:
        """A record's outputs: per pipeline that wants it a finding or a dead letter, never nothing."""
        topic = self.topics[record.topic]
        try:
            event = topic.decoder.decode(record)
        except Rejected as error:  # whose it would have been is not known: a letter for each, so that each can replay
            return self.reject(record, error)
        if topic.kind == "parked":  # by the one pipeline that has wanted it
            return await self._through(topic.pipelines[0], event, topic)
        routed = self.route(event, topic.pipelines)  # of a dead letter it may not have been known who wants it
        outputs = [self._dead_letter(record, error, name) for name, error in routed.failed]
        if len(routed.wanted) == 1:
            tickets = topic.kind == "source" or all(name != NO_TICKETS_HEADER for name, _ in record.headers)
            outputs += await self._through(routed.wanted[0], event, topic, tickets=tickets)
        elif routed.wanted:
            outputs += await self._through_all(routed.wanted, event, topic)
        elif not outputs:
            self.metrics.unrouted(record.topic)
            outputs.append(unrouted(self.prefix, event, self.redact.text))
        return outputs

    async def _through_all(self, names: Sequence[str], event: Event, topic: Topic) -> list[Outbound]:
        """The outputs of all these pipelines; one that is done is not asked again while another one has to wait."""
        record = event.record
        kept = self._made.setdefault(TopicPartition(record.topic, record.partition), {})
        made = kept.pop(record.offset, {})
        left = [name for name in names if name not in made]
        told = await asyncio.gather(*(self._through(name, event, topic) for name in left), return_exceptions=True)
        waits: list[Retryable] = []
        for name, each in zip(left, told, strict=True):
            if isinstance(each, Retryable):
                waits.append(each)
            elif isinstance(each, BaseException):
                raise each
            else:
                made[name] = each
        if waits:
            # Whether it is put aside is asked again: it may be well by then.
            kept[record.offset] = {name: each for name, each in made.items() if not self._is_parked(name, each)}
            raise min(waits, key=lambda error: (not error.shared, error.wait or 0))
        return [output for name in names for output in made[name]]

    def _others(self, name: str, topic: Topic) -> bool:
        """Whether another pipeline on the topic is well."""
        return any(self.wards[other].stopped is None for other in topic.pipelines if other != name)

    def _way(self, name: str, topic: Topic) -> Way:
        """Whether an event of the topic goes on, aside, or waits. Raises Retryable for the last."""
        ward = self.wards[name]
        way = ward.way(parked=topic.kind == "parked", others=self._others(name, topic))
        if way == "wait":
            self.metrics.waiting(name)
            why = ward.stopped or f"events of {name} that were parked go first"
            raise Retryable(why, wait=PROBE_S if ward.stopped else WAIT_S)
        return way

    def _is_parked(self, name: str, outputs: Sequence[Outbound]) -> bool:
        return any(output.topic == f"{self.prefix}.parked.{name}" for output in outputs)

    def _park(self, name: str, event: Event) -> list[Outbound]:
        self.metrics.parked(name)
        return [parked(self.prefix, event.record, name, event.origin, _now())]

    async def _through(self, name: str, event: Event, topic: Topic, *, tickets: bool = True) -> list[Outbound]:
        """One pipeline's outputs: what it rejects is its dead letter and nobody else's."""
        ward = self.wards[name]
        if self._way(name, topic) == "park":
            return self._park(name, event)
        spent: list[Step] = []
        token, books = PIPELINE.set(name), SPENT.set(spent)
        try:
            outputs = await self.lanes[name](event, tickets=tickets)
        except Rejected as error:
            if error.reason in _INVALID:
                ward.invalid(str(error))
            elif error.reason in _FAILED:
                ward.failed(event.origin, str(error))
            return [self._dead_letter(event.record, error, name, spent)]
        except Retryable as error:
            self.metrics.waiting(name)
            if error.shared or isinstance(error, Suspect):
                raise
            ward.failed(event.origin, str(error))
            if ward.sick is None or topic.kind == "parked" or not self._others(name, topic):
                raise
            return self._park(name, event)  # at once: what waits holds up the others
        finally:
            PIPELINE.reset(token)
            SPENT.reset(books)
        ward.succeeded()
        return outputs

    def reject(self, record: Record, error: Rejected) -> list[Outbound]:
        """The dead letters of a record that met a defect of ours: one for each pipeline that may have wanted it."""
        return [self._dead_letter(record, error, name) for name in self.topics[record.topic].pipelines]

    def _dead_letter(self, record: Record, error: Rejected, pipeline: str, spent: Sequence[Step] = ()) -> Outbound:
        message = self.redact.text(str(error))
        self.metrics.rejected(pipeline, error.reason)
        log.warning("dead letter", action="reject", pipeline=pipeline, reason=error.reason, error=message)
        origin = self.topics[record.topic].decoder.origin(record)
        output = shown(self.redact.text, error.output)
        return dead_letter(self.prefix, record, error.reason, message, pipeline, origin, _now(), output, spent)

    async def assigned(self, partition: TopicPartition) -> None:
        """The last owner may have parked events which the partition's next ones must not overtake. Raises Retryable."""
        if self.afresh is not None and self.topics[partition.topic].kind != "parked":
            await self.afresh()

    async def revoked(self, partition: TopicPartition) -> None:
        """What was made of events that waited is made anew by the next owner."""
        self._made.pop(partition, None)
