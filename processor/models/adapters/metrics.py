"""Where versions of adapters are, and what traffic goes to them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class AdapterMetrics:
    """What is counted of adapters: which server has which version, loads and losses, what traffic goes where."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "faultstream_adapter"
        self._loads = Counter(f"{prefix}_loads", "Loads.", ["adapter", "outcome"], registry=registry)
        self._lost = Counter(f"{prefix}_lost", "Versions found gone from a server.", ["adapter"], registry=registry)
        self._seconds = Histogram(
            f"{prefix}_load_seconds",
            "Time of a load.",
            buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60),
            registry=registry,
        )
        self._resident = Gauge(
            f"{prefix}_resident", "1 where a server has a version.", ["replica", "adapter"], registry=registry
        )
        self._share = Gauge(f"{prefix}_share", "Share of the traffic of a version.", ["adapter"], registry=registry)
        self._trouble = Gauge(f"{prefix}_trouble", "1 where an adapter can't be used.", ["adapter"], registry=registry)
        self._routed: dict[str, set[str]] = {}

    def loaded(self, replica: str, served: str, seconds: float) -> None:
        """A server has loaded a version."""
        self._loads.labels(served, "loaded").inc()
        self._seconds.observe(seconds)
        self.held(replica, served)

    def refused(self, served: str) -> None:
        """A server refused a version."""
        self._loads.labels(served, "refused").inc()

    def held(self, replica: str, served: str) -> None:
        """A server has a version."""
        self._resident.labels(replica, served).set(1)

    def gone(self, replica: str, served: str) -> None:
        """A server has a version no more, as was meant."""
        with suppress(KeyError):
            self._resident.remove(replica, served)

    def retired(self, served: str) -> None:
        """A version gets no traffic any more, and has been taken from the servers: its series end."""
        for family in (self._loads, self._lost, self._resident):
            family.remove_by_labels({"adapter": served})

    def lost(self, replica: str, served: str) -> None:
        """A server had dropped a version."""
        self._lost.labels(served).inc()
        self.gone(replica, served)

    def routed(self, name: str, shares: Mapping[str, float]) -> None:
        """The versions of an adapter that get traffic, and how much of it (0 to 1)."""
        for served in self._routed.get(name, set()) - set(shares):
            self._share.remove(served)
        self._routed[name] = set(shares)
        for served, share in shares.items():
            self._share.labels(served).set(share)

    def troubled(self, name: str, is_so: bool) -> None:
        """Whether an adapter can't be used, or can't move on."""
        self._trouble.labels(name).set(int(is_so))
