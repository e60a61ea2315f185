"""What is measured of logs that are put together."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from processor.assemble.checkpoint import ENDS

PREFIX = "faultstream_assemble"


class AssemblyMetrics:
    """Of all topics of a daemon."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge(f"{PREFIX}_open", "Logs whose last line has not come.", registry=registry)
        self.waiting = Gauge(
            f"{PREFIX}_waiting", "Logs that are complete and not taken by the engine.", registry=registry
        )
        self.bytes = Gauge(f"{PREFIX}_bytes", "Bytes of those logs.", registry=registry)
        self.lines = Counter(f"{PREFIX}_lines", "Records that were read as lines.", registry=registry)
        self.skipped = Counter(
            f"{PREFIX}_skipped_lines", "Lines read again after a restart, whose log was done.", registry=registry
        )
        self._ended = Counter(
            f"{PREFIX}_ended",
            "Logs by how they ended: end (last line), idle, age, size, crowded, late, refused (no line of a log).",
            ["how"],
            registry=registry,
        )
        for how in ENDS[1:]:
            self._ended.labels(how)

    @classmethod
    def unregistered(cls) -> AssemblyMetrics:
        """Metrics that nobody reads."""
        return cls(CollectorRegistry())

    def ended(self, how: str) -> None:
        """A log has ended."""
        self._ended.labels(how).inc()

    def watch(self, open_: Callable[[], int], waiting: Callable[[], int], bytes_: Callable[[], int]) -> None:
        """Has the gauges read when they are asked for."""
        self.open.set_function(open_)
        self.waiting.set_function(waiting)
        self.bytes.set_function(bytes_)
