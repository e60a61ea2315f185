"""route: which pipelines want an event. What nobody wants is counted and kept, never lost silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from processor.contract import FORMAT, Event, Outbound
from processor.errors import Rejected
from processor.lang.predicate import Predicate


@dataclass(frozen=True, slots=True)
class Routed:
    """The pipelines that want an event, and those whose predicate failed on it."""

    wanted: tuple[str, ...]
    failed: tuple[tuple[str, Rejected], ...] = ()


class Route:
    """Asks each pipeline's predicate; `predicates` by pipeline name, None where a pipeline takes everything."""

    def __init__(self, predicates: dict[str, Predicate | None]) -> None:
        self._predicates = predicates

    def __call__(self, event: Event, among: Sequence[str]) -> Routed:
        """The pipelines of `among` whose predicate holds for the event's attributes."""
        wanted: list[str] = []
        failed: list[tuple[str, Rejected]] = []
        values = {"event": event.attributes}
        for name in among:
            predicate = self._predicates[name]
            try:
                if predicate is None or predicate.evaluate(values):
                    wanted.append(name)
            except Rejected as error:
                failed.append((name, error))
        return Routed(tuple(wanted), tuple(failed))


def unrouted(prefix: str, event: Event, redact: Callable[[str], str]) -> Outbound:
    """The record that says which event no pipeline wanted: its attributes and where it lies, not its body."""
    record = event.record
    attributes = {k: redact(v) if isinstance(v, str) else v for k, v in event.attributes.items()}
    place = {"topic": record.topic, "partition": record.partition, "offset": record.place}
    value = orjson.dumps({"attributes": attributes, "event": place, "v": FORMAT})
    return Outbound(f"{prefix}.unrouted", record.key, value, (("content-type", b"application/json"),))
