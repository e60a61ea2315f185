"""What is counted of chains, by pipeline and step."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram

Outcome = Literal["done", "kept", "skipped", "waits", "rejected"]
"""What became of a step: it gave its result; that of an earlier try was used; it was left out; its event waits for what
it needs; its event became a dead letter."""


class ChainMetrics:
    """Steps and their time. What models cost is counted with all other questions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        by = ["pipeline", "step"]
        self._steps = Counter("faultstream_chain_steps", "Steps of chains.", [*by, "outcome"], registry=registry)
        self._seconds = Histogram("faultstream_chain_step_seconds", "Time of a chain's step.", by, registry=registry)

    def told(self, pipeline: str, step: str, outcome: Outcome) -> None:
        """What became of a step."""
        self._steps.labels(pipeline, step, outcome).inc()

    def took(self, pipeline: str, step: str, seconds: float) -> None:
        """How long a step took."""
        self._seconds.labels(pipeline, step).observe(seconds)
