"""What watches over pipelines beside the line: what of theirs lies parked, and what they may spend."""

from __future__ import annotations

from functools import partial

from processor import topology
from processor.cluster.patience import patiently, start_waits
from processor.costs.budgets import Budgets
from processor.lifecycle import Lifecycle
from processor.line import Line
from processor.parts import Parts
from processor.sources.backlog import Backlog
from processor.sources.history import KafkaHistory
from processor.stages.park import Aside, Ward
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics


async def watch_over(parts: Parts, line: Line, redact: Redact, metrics: LineMetrics, life: Lifecycle) -> None:
    """Begins to watch; returns when it is known what lies parked and was spent. Raises ConfigError."""
    for name, ward in line.wards.items():
        parts.health.notes[f"pipeline {name}"] = partial(_ailing, ward, redact)
    await _what_is_parked(parts, line, metrics, life)
    await _what_was_spent(parts, line, life)


async def _what_is_parked(parts: Parts, line: Line, metrics: LineMetrics, life: Lifecycle) -> None:
    """What lies parked goes before what is new, from the first event on."""
    backlog = Backlog(parts.client, parts.settings.group)
    life.cleanup("backlog", backlog.stop)
    prefix = parts.settings.topics.prefix
    keeps_s = {name: topology.kept_s(parts.topics[f"{prefix}.parked.{name}"], parts.settings) for name in line.wards}
    aside = Aside(line.wards, backlog.waiting, metrics, prefix, keeps_s)
    await patiently(aside.afresh, life.stop)
    line.afresh = aside.afresh
    life.task("parked", aside.run(life.stop))


async def _what_was_spent(parts: Parts, line: Line, life: Lifecycle) -> None:
    """Budgets are kept over restarts: the topics tell what was spent."""
    listed = topology.topics(parts.settings.topics.prefix, parts.pipelines)
    books = [topic.name for topic in listed if topic.kind in ("findings", "shadow", "dead-letters")]
    budgets = Budgets.of(parts.settings, KafkaHistory(parts.client), books, line.wards, parts.registry)
    if budgets is None:
        return
    while not life.stop.is_set() and (error := await budgets.look()):
        await start_waits(error, life.stop)
    life.task("budgets", budgets.run(life.stop))


def _ailing(ward: Ward, redact: Redact) -> str | None:
    """What /readyz notes of a pipeline that can't work: the daemon is ready all the same, for the others."""
    if ward.stopped is None:
        return f"{ward.waiting} parked events come back" if ward.waiting else None
    return f"can't work, {ward.waiting} events lie parked: {redact.text(ward.stopped)}"
