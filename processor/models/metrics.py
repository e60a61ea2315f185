"""What is measured of model servers: per pipeline and adapter what vLLM does not tell apart, and how replicas do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from processor.models.chat import ChatRequest, Completion

if TYPE_CHECKING:
    from processor.models.replicas import Replica, Replicas

_SECONDS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 50, 100)
_FIRST_TOKEN: Final = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 30)
_PREFIX: Final = "faultstream_model"
_KINDS: Final = ("prompt", "cached", "completion")


class _Bound(NamedTuple):
    """Metrics of one pipeline, adapter and replica."""

    answered: Counter
    tokens: tuple[Counter, ...]
    seconds: Histogram
    waited: Histogram
    first_token: Histogram


class ModelMetrics:
    """The families of all tiers; `of` binds those of one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        whose = ["tier", "pipeline", "adapter"]
        self.requests = Counter(f"{_PREFIX}_requests", "Requests by outcome.", [*whose, "outcome"], registry=registry)
        self.tokens = Counter(
            f"{_PREFIX}_tokens",
            "Tokens by kind; cached ones are among those of prompts.",
            [*whose, "replica", "kind"],
            registry=registry,
        )
        self.seconds = Histogram(
            f"{_PREFIX}_request_seconds", "Time of an answer.", whose, buckets=_SECONDS, registry=registry
        )
        self.waited = Histogram(
            f"{_PREFIX}_wait_seconds", "Time before it was asked for.", whose, buckets=_SECONDS, registry=registry
        )
        self.first_token = Histogram(
            f"{_PREFIX}_first_token_seconds",
            "Time to first token within the server, where it tells: its queue, and the prompt.",
            whose,
            buckets=_FIRST_TOKEN,
            registry=registry,
        )
        self.expected = Gauge(
            f"{_PREFIX}_cached_share_expected",
            "Share of prompt tokens that the fixed beginning of the prompts makes up.",
            whose,
            registry=registry,
        )
        self.retries = Counter(f"{_PREFIX}_retries", "Tries by what came of them.", ["tier", "what"], registry=registry)
        self.hedges = Counter(
            f"{_PREFIX}_hedges",
            "Requests that were slow for their size, by which replica answered, or why no second one was asked.",
            ["tier", "what"],
            registry=registry,
        )
        self._servers = _Servers()
        registry.register(self._servers)

    def of(self, tier: str, replicas: Replicas) -> TierMetrics:
        """Those of one tier."""
        self._servers.tiers[tier] = replicas
        return TierMetrics(self, tier)


class TierMetrics:
    """What one tier's client counts. What is counted for every request is bound to its labels once."""

    def __init__(self, families: ModelMetrics, tier: str) -> None:
        self._families = families
        self._tier = tier
        self._bound: dict[tuple[str, str | None, str], _Bound] = {}
        self._prefix: dict[str, int] = {}  # tokens by key
        self._prompt: dict[str, float] = {}  # tokens of a prompt by key, on average

    def answered(self, request: ChatRequest, answer: Completion) -> None:
        """A request has its answer."""
        bound = self._bound.get((request.asker, request.model, answer.replica)) or self._bind(request, answer.replica)
        bound.answered.inc()
        used = answer.usage
        for counter, count in zip(bound.tokens, (used.prompt_tokens, used.completion_tokens), strict=True):
            counter.inc(count)
        if used.cached_tokens is not None:  # what nobody counts has no series
            whose = (*self._whose(request), answer.replica, "cached")
            self._families.tokens.labels(*whose).inc(used.cached_tokens)
        bound.seconds.observe(answer.milliseconds / 1000)
        bound.waited.observe(answer.waited_ms / 1000)
        if answer.first_token_ms is not None:
            bound.first_token.observe(answer.first_token_ms / 1000)
        if (prefix := self._prefix.get(request.key)) is not None and used.prompt_tokens:
            mean = self._prompt.get(request.key, float(used.prompt_tokens))
            mean += (used.prompt_tokens - mean) / 50
            self._prompt[request.key] = mean
            self._families.expected.labels(*self._whose(request)).set(min(1.0, prefix / mean))

    def failed(self, request: ChatRequest, outcome: str) -> None:
        """A request has none, after all its tries."""
        self._families.requests.labels(*self._whose(request), outcome).inc()

    def retried(self, what: str) -> None:
        """A try was repeated, or was not for want of budget."""
        self._families.retries.labels(self._tier, what).inc()

    def hedged(self, what: str) -> None:
        """What came of a request that was slow for its size."""
        self._families.hedges.labels(self._tier, what).inc()

    def prefix(self, request: ChatRequest, tokens: int) -> None:
        """The fixed beginning of such requests has so many tokens."""
        self._prefix[request.key] = tokens

    def left(self, replica: str) -> None:
        """A replica will not come back under this address: its series end."""
        for key in [key for key in self._bound if key[2] == replica]:
            del self._bound[key]
            for kind in _KINDS:
                self._families.tokens.remove(self._tier, key[0], key[1] or "", replica, kind)

    def forget(self, adapter: str) -> None:
        """A version of an adapter (its served name) gets no traffic any more: its series end."""
        for key in [key for key in self._bound if key[1] == adapter]:
            del self._bound[key]
        for known in (self._prefix, self._prompt):
            for name in [name for name in known if name.endswith(f"\n{adapter}")]:
                del known[name]
        of, labels = self._families, {"tier": self._tier, "adapter": adapter}
        for family in (of.requests, of.tokens, of.seconds, of.waited, of.first_token, of.expected):
            family.remove_by_labels(labels)

    def _whose(self, request: ChatRequest) -> tuple[str, str, str]:
        return self._tier, request.asker, request.model or ""

    def _bind(self, request: ChatRequest, replica: str) -> _Bound:
        whose, families = self._whose(request), self._families
        bound = self._bound[request.asker, request.model, replica] = _Bound(
            families.requests.labels(*whose, "answered"),
            tuple([families.tokens.labels(*whose, replica, kind) for kind in ("prompt", "completion")]),
            families.seconds.labels(*whose),
            families.waited.labels(*whose),
            families.first_token.labels(*whose),
        )
        return bound


class _Servers(Collector):
    """How the replicas do, read when it is asked for."""

    def __init__(self) -> None:
        self.tiers: dict[str, Replicas] = {}

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The families, without reading anything."""
        return self._families().values()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The families as things stand."""
        families = self._families()
        for tier, replicas in self.tiers.items():
            for replica in replicas:
                for name, value in _standing(replica).items():
                    families[name].add_metric([tier, replica.url], value)
        return families.values()

    @staticmethod
    def _families() -> dict[str, GaugeMetricFamily]:
        texts = {
            "ready": "Whether the replica may be asked.",
            "in_flight": "Requests that the replica holds.",
            "waiting": "Requests that wait for the replica.",
            "limit": "Requests that the replica may hold at once.",
        }
        return {
            name: GaugeMetricFamily(f"{_PREFIX}_replica_{name}", text, labels=["tier", "replica"])
            for name, text in texts.items()
        }


def _standing(replica: Replica) -> Mapping[str, float]:
    return {
        "ready": float(replica.usable),
        "in_flight": replica.in_flight,
        "waiting": len(replica.waiting),
        "limit": replica.limit,
    }
