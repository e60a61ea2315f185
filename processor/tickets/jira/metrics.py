"""What is measured of requests to Jira."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from processor.tickets.jira.gate import Gate
from processor.tickets.jira.kinds import Kind

_PREFIX: Final = "faultstream_jira"
_SECONDS: Final = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300)

_REASONS: Final = ("per-issue", "burst", "quota", "cost", "tenant")
"""Parts of `RateLimit-Reason` that are told apart."""


class JiraMetrics:
    """See docs/operations.md; made once per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        kind = ["kind"]
        self._requests = Counter(f"{_PREFIX}_requests", "Requests by answer.", [*kind, "status"], registry=registry)
        self._waited = Histogram(
            f"{_PREFIX}_wait_seconds", "Time before a request's turn.", kind, buckets=_SECONDS, registry=registry
        )
        self._limited = Counter(f"{_PREFIX}_limited", "Requests refused for their rate.", ["reason"], registry=registry)
        self.trouble = Gauge(f"{_PREFIX}_trouble", "1 while Jira can't be written to.", registry=registry)
        self._gate: Gate | None = None
        registry.register(self)

    def watch(self, gate: Gate) -> None:
        """Has the gauges read from the gate when they are asked for."""
        self._gate = gate

    def went(self, kind: str, waited_s: float) -> None:
        """See GateMetrics."""
        self._waited.labels(kind).observe(waited_s)

    def answered(self, kind: str, status: int) -> None:
        """See GateMetrics. What was done, and what was refused, is not told apart further than by hundreds."""
        known = {0: "none", 401: "401", 403: "403", 429: "429"}
        self._requests.labels(kind, known.get(status, f"{status // 100}xx")).inc()

    def limited(self, reason: str) -> None:
        """See GateMetrics."""
        self._limited.labels(next((part for part in _REASONS if part in reason), "other")).inc()

    def collect(self) -> Iterator[Metric]:
        """What the gate is doing now."""
        waiting = GaugeMetricFamily(f"{_PREFIX}_waiting", "Requests that wait for their turn.", labels=["kind"])
        oldest = GaugeMetricFamily(f"{_PREFIX}_oldest_seconds", "Since the oldest of them waits.", labels=["kind"])
        stopped = GaugeMetricFamily(f"{_PREFIX}_stopped_seconds", "Until Jira wants to hear of them.", labels=["kind"])
        rate = GaugeMetricFamily(f"{_PREFIX}_rate_limit", "Requests per second that are sent at most.")
        if self._gate is not None:
            for kind in Kind:
                waiting.add_metric([kind.label], self._gate.waiting(kind))
                oldest.add_metric([kind.label], self._gate.oldest_s(kind))
                stopped.add_metric([kind.label], self._gate.stopped_s(kind))
            rate.add_metric([], self._gate.rate)
        yield from (waiting, oldest, stopped, rate)
