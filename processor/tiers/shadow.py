"""Asks a larger tier as well, for a share of answers, and compares the two: what one would gain by it.

Nothing waits for it. The finding is made and delivered whatever becomes of its shadow: at most so many are open at
once, under load none is begun, and what is open when the daemon stops is lost. So the records stand in no transaction,
and some findings have none; one that was made twice may have two, of the same id.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol, runtime_checkable

import structlog

from processor.contract import FORMAT, Event, Finding, Outbound, Reading, Step, packed
from processor.errors import FaultstreamError
from processor.models.chat import Model
from processor.pipeline import Pipeline
from processor.tiers.ask import Ask, Asked
from processor.tiers.metrics import SPENT, TierMetrics

log = structlog.get_logger(__name__)

WITHIN_S: Final = 120.0
"""A shadow that takes longer, from its question to its record, is given up."""

Publish = Callable[[Sequence[Outbound]], Awaitable[None]]


@runtime_checkable
class Bounded(Protocol):
    """A model that knows when it has enough to do."""

    @property
    def full(self) -> bool:
        """Whether another request would have to wait."""
        ...


def full(model: Model) -> bool:
    """Whether a model has enough to do; one that does not say so never has."""
    return isinstance(model, Bounded) and model.full


class Shadows:
    """Room for the shadows of all pipelines, and the way out for what comes of them."""

    def __init__(self, publish: Publish, metrics: TierMetrics, most: int = 4) -> None:
        self._publish = publish
        self._metrics = metrics
        self._most = most
        self._open: set[asyncio.Task[None]] = set()

    def begin(self, pipeline: str, make: Callable[[], Awaitable[Outbound | None]]) -> None:
        """Has a record made and published some time, or drops it where all room is taken."""
        if len(self._open) >= self._most:
            self.dropped(pipeline)
            return
        task = asyncio.create_task(self._run(pipeline, make), name=f"shadow {pipeline}")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    def dropped(self, pipeline: str) -> None:
        """One that was not begun."""
        self._metrics.shadowed(pipeline, "dropped")

    async def _run(self, pipeline: str, make: Callable[[], Awaitable[Outbound | None]]) -> None:
        SPENT.set(None)  # it has a record of its own
        try:
            async with asyncio.timeout(WITHIN_S):
                record = await make()
                if record is not None:
                    await self._publish([record])
        except (FaultstreamError, TimeoutError) as error:
            self._metrics.shadowed(pipeline, "lost")
            log.info("no shadow", action="shadow", error=str(error) or f"not done within {WITHIN_S:g} s")

    async def settled(self) -> None:
        """Waits until none is open."""
        while self._open:
            await asyncio.wait(self._open)

    async def stop(self) -> None:
        """Gives up those that are open."""
        for task in self._open:
            task.cancel()
        await self.settled()


@dataclass(frozen=True, slots=True)
class Shadow:
    """The shadow of one pipeline: `share` of its answers (0 to 1), chosen by the finding's id, are asked of `ask` too.

    `busy` says whether the daemon has enough to do without it. `prose` are fields that two models never word alike.
    """

    topic: str
    ask: Ask
    share: float
    room: Shadows
    metrics: TierMetrics
    busy: Callable[[], bool]
    prose: frozenset[str]

    @classmethod
    def of(
        cls, pipeline: Pipeline, prefix: str, ask: Ask, room: Shadows, metrics: TierMetrics, busy: Callable[[], bool]
    ) -> Shadow | None:
        """The shadow that a pipeline wants, if any."""
        part = pipeline.model.shadow
        if part is None or not part.share:
            return None
        prose = frozenset(each.name for each in pipeline.questions if each.kind == "text")
        return cls(f"{prefix}.shadow.{pipeline.name}", ask, part.share, room, metrics, busy, prose)

    def __call__(self, event: Event, reading: Reading, finding: Finding) -> None:
        """Has a finding that one model decided answered again, if it is one of the share. Waits for nothing.

        An answer that was known had its chance when it was given.
        """
        steps = _own(finding)
        alone = len(steps) == 1 and steps[0].decided_by == "model" and steps[0].tier != self.ask.infer.tier
        if not alone or steps[0].reused is not None or not chosen(finding.id, self.share):
            return
        if self.busy():
            self.room.dropped(finding.pipeline)
            return
        self.room.begin(finding.pipeline, lambda: self._record(event, reading, finding))

    async def _record(self, event: Event, reading: Reading, finding: Finding) -> Outbound | None:
        asked = await self.ask(event, replace(reading, bound=None))  # it has all the time of a shadow
        answer = asked.answer.result if asked.answer is not None else {}
        fields = compare({name: finding.result.get(name) for name in answer}, answer)
        agree = all(each["same"] for name, each in fields.items() if name not in self.prose) if fields else None
        for name, each in fields.items():
            if name not in self.prose:
                self.metrics.compared(finding.pipeline, name, same=each["same"])
        self.metrics.shadowed(finding.pipeline, "invalid" if agree is None else "agrees" if agree else "differs")
        value = packed(_said(finding, asked, fields, agree))
        return Outbound(self.topic, finding.fingerprint.encode(), value, (("content-type", b"application/json"),))


def _own(finding: Finding) -> list[Step]:
    """The steps of the pipeline's own question, without those of its chain."""
    return [step for step in finding.steps if step.name == "diagnose"]


def chosen(finding: str, share: float) -> bool:
    """Whether a finding's id is one of the share; other things that are chosen by the id are chosen apart from it."""
    drawn = hashlib.sha256(f"shadow {finding}".encode()).digest()
    return int.from_bytes(drawn[:4], "big") < share * 2**32


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Field by field what each says, and whether that is the same; of text case and white space don't matter."""
    return {
        name: {"first": first.get(name), "second": second.get(name), "same": _alike(first.get(name), second.get(name))}
        for name in dict.fromkeys([*first, *second])
    }


def _alike(first: Any, second: Any) -> bool:
    if isinstance(first, str) and isinstance(second, str):
        return first.split() == second.split() or first.casefold().split() == second.casefold().split()
    return bool(first == second)


def _said(finding: Finding, asked: Asked, fields: Mapping[str, Any], agree: bool | None) -> dict[str, Any]:
    return {
        "v": FORMAT,
        "kind": "shadow",
        "id": finding.id,
        "pipeline": finding.pipeline,
        "pipeline_version": finding.pipeline_version,
        "fingerprint": finding.fingerprint,
        "event": finding.event,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "agree": agree,
        "fields": fields,
        "first": _who(_own(finding)[0]),
        "second": _who(asked.step),
        "steps": [asked.step],
        "usage": asked.step.usage,
    }


def _who(step: Step) -> dict[str, Any]:
    return {"tier": step.tier, "model": step.model, "adapter": step.adapter, "confidence": step.confidence}
