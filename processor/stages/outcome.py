"""outcome: a passed build → the signal that tells *decide* so. No model, no finding."""

from __future__ import annotations

from typing import Final

from processor.contract import FORMAT, Event, Outbound, packed

OUTCOME: Final = "outcomes"
"""Stands for a pipeline in the ids of outcomes."""

TOLD: Final = ("repo", "branch", "commit", "job", "workflow", "jobs", "run_id", "attempt", "url", "provider", "time")
"""The attributes of an event that its outcome carries."""


def outcome(prefix: str, event: Event) -> Outbound:
    """The signal of a passed build, keyed by its repository as findings are. The event's attributes are redacted."""
    said = {name: event.attributes[name] for name in TOLD}
    value = {
        "kind": "outcome",
        "finding": None,
        "outcome": {"id": event.origin.id(OUTCOME), "state": "passed", **said},
        "v": FORMAT,
    }
    return Outbound(f"{prefix}.signals", str(said["repo"]).encode(), packed(value))
