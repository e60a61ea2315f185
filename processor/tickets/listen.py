"""Listens to what people do with tickets: by asking Jira now and then what has changed.

One process of a deployment asks, the one that holds the first partition of the commands. How far it came is kept on a
topic of its own; what it hears goes to the writer of the fault as a command, which tells of each change once. So a look
that is repeated, or two processes that ask at once, do no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from time import time
from typing import Any, Final

import orjson
import structlog

from processor.cluster.client import KafkaClient
from processor.contract import FORMAT, Outbound
from processor.errors import Retryable
from processor.sources.history import KafkaHistory
from processor.tickets.feedback import Kind as FeedbackKind
from processor.tickets.feedback import heard
from processor.tickets.jira.dialects import PAGE
from processor.tickets.jira.errors import Refused
from processor.tickets.jira.kinds import Kind, at_work
from processor.tickets.jira.watch import Change, Touched, Watch
from processor.tickets.messages import LABEL, Command, Topics

log = structlog.get_logger(__name__)

OVERLAP_S: Final = 300.0
"""By how much looks overlap, besides the lag of the search: clocks differ."""

LONGEST_S: Final = 30 * 86_400.0
"""How far back a look goes at most."""

REMEMBERED: Final = 20_000
"""Issues and changes that are remembered, so that they are not asked for, or told of, in every look."""

MARK: Final = b"mark"
"""Key of the record that says how far the looks came."""

Publish = Callable[[Sequence[Outbound]], Awaitable[None]]
"""Writes records and awaits their acknowledgements."""


Last = Callable[[], Awaitable[bytes | None]]
"""Reads the last mark, None without any. Raises Retryable."""


def marks(client: KafkaClient, topics: Topics) -> Callable[[], Awaitable[dict[bytes, bytes]]]:
    """Reads how far the looks came, by what is looked for, from their topic."""

    async def last() -> dict[bytes, bytes]:
        history = KafkaHistory(client)
        return {record.key or b"": record.value or b"" async for record in history.all(topics.heard)}

    return last


def last_mark(client: KafkaClient, topics: Topics) -> Last:
    """Reads that of the listener."""
    read = marks(client, topics)

    async def last() -> bytes | None:
        return (await read()).get(MARK)

    return last


class Listener:
    """Looks every `every_s` seconds, while `holds` says that it is our turn; `lag_s` is the search's."""

    def __init__(
        self,
        watch: Watch,
        me: Callable[[], Awaitable[frozenset[str]]],
        publish: Publish,
        last: Last,
        holds: Callable[[], bool],
        topics: Topics,
        *,
        every_s: float,
        lag_s: float,
        label: str,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time,
    ) -> None:
        self._watch = watch
        self._me = me
        self._publish = publish
        self._last = last
        self._topics = topics
        self._holds = holds
        self._every_s = every_s
        self._lag_s = lag_s
        self._label = label
        self._redact = redact
        self._clock = clock
        self._trouble = ""
        self._mark: float | None = None  # when the last look began; None: not read yet
        self._looks: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._told: OrderedDict[str, None] = OrderedDict()

    async def run(self, stop: asyncio.Event) -> None:
        """Looks now and then, until `stop`. What keeps it from looking is told of, and no more."""
        while not stop.is_set():
            try:
                if self._holds():
                    await self.look()
                else:
                    self._mark = None
                self._trouble = ""
            except (Retryable, Refused) as error:
                if str(error) != self._trouble:
                    log.warning("can't hear of feedback", action="feedback", error=self._redact(str(error)))
                self._trouble = str(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every_s)

    async def look(self) -> int:
        """Asks what has changed since the last look and tells of it. Returns how many changes. Raises Retryable."""
        if self._mark is None:
            self._mark = _read(await self._last())
        begun = self._clock()
        mark = begun if self._mark is None else self._mark
        back_s = min(abs(begun - mark), LONGEST_S) + OVERLAP_S + self._lag_s
        minutes = math.ceil(back_s / 60)
        count = 0
        with at_work(Kind.LOOK):
            for condition in ("creator = currentUser()", f'labels = "{self._label}"'):
                async for page in self._watch.touched(condition, minutes):
                    commands = [each for issue in page for each in await self._said(issue, back_s)]
                    if commands:
                        await self._publish([each.record(self._topics) for each in commands])
                        _remember(self._told, [(each.id, None) for each in commands])
                    _remember(self._looks, [(issue.key, issue.looks) for issue in page])
                    count += len(commands)
        await self._publish([Outbound(self._topics.heard, MARK, orjson.dumps({"since": begun, "v": FORMAT}))])
        self._mark = begun
        return count

    async def _said(self, issue: Touched, back_s: float) -> list[Command]:
        """What has been said of an issue that is a ticket of ours, as far as it has not been told already."""
        marks = [label.removeprefix(LABEL) for label in issue.labels if label.startswith(LABEL)]
        if not marks or self._looks.get(issue.key) == issue.looks:
            return []
        me, field = await self._me(), await self._watch.field()
        changes = await self._watch.changes(issue.key)
        # By Jira's own clock: what has changed within the span of this look.
        recent = [each for each in changes if each.at >= issue.updated - back_s]
        found = [
            self._heard(mark, issue, each, kind)
            for mark in marks
            for each in recent
            if (kind := self._kind(each, recent, me, field)) is not None
        ]
        whole = len({each.id for each in changes}) < PAGE
        if whole and self._label in issue.labels and not any(_sets(each, self._label) for each in changes):
            found += [self._labelled(mark, issue) for mark in marks]
        return [each for each in found if each.id not in self._told]

    def _kind(
        self, change: Change, recent: Sequence[Change], me: frozenset[str], field: str | None
    ) -> FeedbackKind | None:
        """What a change says; None for one that says nothing, or was made by ourselves."""
        if change.field == "labels":
            if _sets(change, self._label):
                return "wrong"
            return "right" if self._label in change.before.split() and not _sets(change, self._label) else None
        if change.by & me:
            return None
        if change.field == "resolution" and change.after:
            return "resolution"
        together = {each.field for each in recent if each.id == change.id and each.after}
        if change.field == "status":
            return None if "resolution" in together else "transition"
        return "category" if field is not None and field in {change.field_id, change.field} else None

    def _heard(self, fingerprint: str, issue: Touched, change: Change, kind: FeedbackKind) -> Command:
        values: tuple[Any, Any] = (change.before or None, change.after or None)
        if kind in {"wrong", "right"}:
            values = (None, self._label) if kind == "wrong" else (self._label, None)
        return heard(
            fingerprint,
            issue.key,
            f"{change.id}/{change.field}",
            kind=kind,
            field=change.field,
            before=values[0],
            after=values[1],
            resolution=issue.resolution,
            time=_text(change.at),
        )

    def _labelled(self, fingerprint: str, issue: Touched) -> Command:
        """A label that the history does not speak of: some servers leave that out."""
        said = {"kind": "wrong", "field": "labels", "before": None, "after": self._label}
        time_ = _text(issue.updated)
        return heard(fingerprint, issue.key, "labelled", **said, resolution=issue.resolution, time=time_)


def _sets(change: Change, label: str) -> bool:
    return change.field == "labels" and label in change.after.split() and label not in change.before.split()


def _text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(value: bytes | None) -> float | None:
    """When the last look began, by its mark; None for what is no mark."""
    try:
        return float(orjson.loads(value or b"{}")["since"])
    except (KeyError, TypeError, ValueError):
        return None


def _remember(held: OrderedDict[str, Any], entries: Sequence[tuple[str, Any]]) -> None:
    for key, value in entries:
        held.pop(key, None)
        held[key] = value
    while len(held) > REMEMBERED:
        held.popitem(last=False)
