"""park: events of a pipeline that can't work go aside, so that the others on their partition go on.

A pipeline is sick when events fail one after the other for a cause of its own: its adapter is missing, what it
fetches does not come, all its answers are invalid. Its events then go to `<prefix>.parked.<pipeline>`, and are read
from there in order when it is well again. As long as some lie there, new ones go behind them; the last few are waited
for, so that no event overtakes one that was parked before.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import structlog

from processor.contract import ORIGIN_HEADER, Origin, Outbound, Record
from processor.errors import Retryable
from processor.sinks.dead_letters import ATTEMPT, OWN, encode_origin
from processor.sources.backlog import Waiting
from processor.telemetry import LineMetrics

log = structlog.get_logger(__name__)

TIME: Final = "fs-parked"
"""Header of a parked record: when it was first parked, RFC 3339."""

FAILING: Final = 3
"""Different events that fail in a row for a cause of the pipeline's own, after which it is sick."""

INVALID: Final = 20
"""Answers that are invalid in a row, after which it is sick."""

WELL: Final = 2
"""Successes in a row after which it is well again."""

PROBE_S: Final = 5.0
"""Seconds between the events by which a sick pipeline is tried."""

FEW: Final = 100
"""Parked events that are waited for instead of parking more behind them."""

WAIT_S: Final = 0.1
"""Seconds after which an event that waits for parked ones looks again."""

LAST_S, BUSY_S, CALM_S = 0.1, 0.5, 5.0
"""Seconds between looks at what lies parked: while events wait for the last few, while there is some, and else.

What waits holds up the commits of its partition, and with them what other pipelines have found.
"""

AGAIN_S: Final = 3600.0
"""Seconds after which it is said again that parked events are old."""

Way = Literal["go", "park", "wait"]


class Ward:
    """How one pipeline does, and which way its events go. `waiting` is how many of them lie parked."""

    def __init__(self, pipeline: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.pipeline = pipeline
        self.sick: str | None = None  # why
        self.held: str | None = None  # why: by order, however well it is
        self.unfit: str | None = None  # why: what it asks is refused, whatever the event
        self.waiting = 0
        self._clock = clock
        self._failing: set[Origin] = set()
        self._invalid = 0
        self._well = 0
        self._probed_at = -PROBE_S

    @property
    def stopped(self) -> str | None:
        """Why its events don't go on, if they don't."""
        return self.held or self.unfit or self.sick

    def way(self, *, parked: bool, others: bool) -> Way:
        """Where an event goes; `parked` if it comes from there, `others` if another pipeline on its topic is well."""
        if self.held is not None or self.unfit is not None:
            return "park" if others and not parked else "wait"
        if self.sick is not None:
            if others and not parked:
                return "park"
            # What lies parked is tried first. The trial counts as begun with this answer.
            if (parked or not self.waiting) and self._clock() - self._probed_at >= PROBE_S:
                self._probed_at = self._clock()
                return "go"
            return "wait"
        if parked or not self.waiting:
            return "go"
        return "park" if others and self.waiting > FEW else "wait"

    def failed(self, origin: Origin, why: str) -> None:
        """An event failed for a cause that is the pipeline's own, and will be tried again."""
        self._well = 0
        if len(self._failing) < FAILING:
            self._failing.add(origin)
        if len(self._failing) == FAILING:
            self._fall(why)

    def invalid(self, why: str) -> None:
        """The model's answer to an event was no good."""
        self._well = 0
        self._invalid += 1
        if self._invalid >= INVALID:
            self._fall(why)

    def succeeded(self) -> None:
        """An event has its finding."""
        self._failing.clear()
        self._invalid = 0
        if self.sick is None:
            return
        self._well += 1
        self._probed_at = -PROBE_S  # the next may follow at once
        if self._well >= WELL:
            log.warning("pipeline works again", action="park", pipeline=self.pipeline, parked=self.waiting)
            self.sick = None
            self._well = 0

    def _fall(self, why: str) -> None:
        if self.sick is None:
            log.warning("pipeline can't work: parks", action="park", pipeline=self.pipeline, error=why)
            self._probed_at = self._clock()
        self.sick = why


class Aside:
    """Keeps the wards told of how much of theirs lies parked, and warns before it is deleted.

    `waiting` asks for what lies on a topic. `keeps_s`: by pipeline, how long its parked topic keeps events; infinity
    where it keeps them for good.
    """

    def __init__(
        self,
        wards: Mapping[str, Ward],
        waiting: Callable[[str], Awaitable[Waiting]],
        metrics: LineMetrics,
        prefix: str,
        keeps_s: Mapping[str, float],
    ) -> None:
        self._wards = wards
        self._waiting = waiting
        self._metrics = metrics
        self._prefix = prefix
        self._keeps_s = keeps_s
        self._told: dict[str, float] = {}  # when it was last said that a pipeline's are old, by the monotonic clock
        self._looks = 0  # that have begun
        self._looking = asyncio.Lock()

    async def afresh(self) -> None:
        """Returns when a look has ended that began after this was called; many who ask share one. Raises Retryable.

        A partition's new owner has to know what the last one has parked before it takes the next event.
        """
        before = self._looks
        async with self._looking:
            if self._looks > before:
                return
            self._looks += 1
            if error := await self.look():
                raise error

    async def look(self) -> Retryable | None:
        """Tells each ward. Returns what kept it from asking."""
        for name, ward in self._wards.items():
            try:
                waiting = await self._waiting(f"{self._prefix}.parked.{name}")
            except Retryable as error:
                return error
            ward.waiting = waiting.records
            age_s = max(0.0, time.time() - waiting.oldest_ms / 1000) if waiting.oldest_ms else 0.0
            self._metrics.aside(name, waiting.records, age_s, self._keeps_s[name])
            if age_s > self._keeps_s[name] / 2:
                self._warn(name, age_s)
        return None

    def _warn(self, name: str, age_s: float) -> None:
        now = time.monotonic()
        if now - self._told.get(name, -AGAIN_S) >= AGAIN_S:
            self._told[name] = now
            told = {"pipeline": name, "hours": round(age_s / 3600, 1), "kept_h": round(self._keeps_s[name] / 3600, 1)}
            log.error("parked events may be deleted before they are read", action="park", **told)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks now and then, until `stop`."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(map(_look_again_s, self._wards.values()), default=CALM_S))
            if error := await self.look():
                log.warning("can't see what lies parked", action="park", error=str(error))


def _look_again_s(ward: Ward) -> float:
    if ward.stopped is not None:
        return BUSY_S
    if ward.waiting:
        return LAST_S if ward.waiting <= FEW else BUSY_S
    return CALM_S


def parked(prefix: str, record: Record, pipeline: str, origin: Origin, now: str) -> Outbound:
    """The record as it was received, on `<prefix>.parked.<pipeline>`; `now` is RFC 3339.

    Its origin travels with it, so that its finding has the id that it would have had.
    """
    headers = dict(record.headers)
    theirs = tuple(header for header in record.headers if header[0] not in OWN and header[0] != TIME)
    ours = [(ORIGIN_HEADER, encode_origin(origin)), (TIME, headers.get(TIME, now.encode()))]
    if ATTEMPT in headers:
        ours.append((ATTEMPT, headers[ATTEMPT]))
    return Outbound(f"{prefix}.parked.{pipeline}", record.key, record.value, (*theirs, *ours))
