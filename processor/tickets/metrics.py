"""What becomes of tickets, counted: one for each event on `<p>.ticket-events`, by what was done and why."""

from __future__ import annotations

import re
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from processor.pipeline.ticket import Recur, TicketDocument
from processor.tickets.messages import TicketEvent

_KEY: Final = re.compile(r"ticket\.((?:[a-z_]+\.)?[a-z_]+)")
_KEYS: Final = frozenset({*TicketDocument.model_fields, *(f"recur.{name}" for name in Recur.model_fields)})

_WORDS: Final = (
    ("nothing new", "nothing_new"),
    ("no pipeline", "no_pipeline"),
    ("ordered by hand", "order"),
    ("found after", "recovered"),
    ("deleted or moved", "missing"),
    ("twin", "twin"),
    ("log-excerpt", "attach"),
    ("Jira answered", "refused"),
    *((f"{kind}: ", kind) for kind in ("wrong", "right", "resolution", "transition", "category")),
)


class TicketMetrics:
    """See docs/operations.md; made once per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["pipeline", "action", "reason"]
        self._events = Counter(
            "faultstream_ticket_events", "What was done with tickets, or left, and why.", labels, registry=registry
        )

    def told(self, event: TicketEvent) -> None:
        """An event is told of."""
        self._events.labels(event.pipeline, event.action, reason_kind(event)).inc()


def reason_kind(event: TicketEvent) -> str:
    """Why, in one of few words: the key of `ticket` that the reason names, else what it is about."""
    for key in map(str, _KEY.findall(event.reason)):
        known = next((name for name in (key, key.partition(".")[0]) if name in _KEYS), None)
        if known is not None:
            return known
    return next((kind for words, kind in _WORDS if words in event.reason), "other" if event.reason else "none")
