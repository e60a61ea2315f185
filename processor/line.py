"""The line: what happens to an event, from the record to the finding. Read this first.

    source → route → fetch → redact → reduce → recognise → (chain) → prompt → infer → check → emit
                                                                      └─ processor.tiers ─┘
The engine hands `Line.handle` a record and delivers what it returns: findings, dead letters, or the note that
no pipeline wanted the event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog

from processor.contract import (
    NO_TICKETS_HEADER,
    PASSED,
    Event,
    Outbound,
    Record,
    Step,
    TopicPartition,
)
from processor.errors import Rejected, Retryable, Suspect
from processor.lane import Lane
from processor.sinks.dead_letters import dead_letter, shown
from processor.sources.decode import Decoder
from processor.stages.outcome import outcome
from processor.stages.park import PROBE_S, WAIT_S, Ward, Way, parked
from processor.stages.redact import Redact
from processor.stages.route import Route, unrouted
from processor.telemetry import PIPELINE, LineMetrics
from processor.tiers.metrics import SPENT

log = structlog.get_logger(__name__)


_INVALID = frozenset({"invalid_output", "schema_refused"})
_FAILED = frozenset({"model_failed", "request_refused", "query_failed"})
"""Reasons that are an event's own; of several events in a row, their pipeline's."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that is read: how its records are decoded and which pipelines are asked."""

    decoder: Decoder
    pipelines: tuple[str, ...]
    kind: Literal["source", "retry", "parked"] = "source"
    outcomes: bool = False
    """Whether passed builds are told to *decide*."""


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
        told = self._outcome(event, topic)
        if told and not (event.body or event.payload or event.reference):
            return told
        return [*told, *await self._routed(event, topic, silent=bool(told))]

    def _outcome(self, event: Event, topic: Topic) -> list[Outbound]:
        """The signal of a passed build, where such are wanted."""
        if not topic.outcomes or event.attributes["type"] != PASSED:
            return []
        self.metrics.outcome(event.record.topic)
        return [outcome(self.prefix, self.redact(event)[0])]

    async def _routed(self, event: Event, topic: Topic, *, silent: bool) -> list[Outbound]:
        """What the pipelines that want the event make of it; `silent`: nobody else need want it."""
        record = event.record
        routed = self.route(event, topic.pipelines)  # of a dead letter it may not have been known who wants it
        outputs = [self._dead_letter(record, error, name) for name, error in routed.failed]
        if len(routed.wanted) == 1:
            tickets = topic.kind == "source" or all(name != NO_TICKETS_HEADER for name, _ in record.headers)
            outputs += await self._through(routed.wanted[0], event, topic, tickets=tickets)
        elif routed.wanted:
            outputs += await self._through_all(routed.wanted, event, topic)
        elif not outputs and not silent:
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
        """The dead letters of a record that met a defect of ours: one for each pipeline that may have wanted it.

        On a topic that is read for outcomes alone it is nobody's.
        """
        names = self.topics[record.topic].pipelines or (None,)
        return [self._dead_letter(record, error, name) for name in names]

    def _dead_letter(
        self, record: Record, error: Rejected, pipeline: str | None, spent: Sequence[Step] = ()
    ) -> Outbound:
        message = self.redact.text(str(error))
        self.metrics.rejected(pipeline or "", error.reason)
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
