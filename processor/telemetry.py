"""What the daemon says about itself: JSON log lines, metrics, and whether it is alive and ready."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

import orjson
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from processor.contract import Record, Step, deciding
from processor.errors import ConfigError

RECORD: ContextVar[Record | None] = ContextVar("record", default=None)
"""The record that is worked on; set by the engine. Log lines name it."""

PIPELINE: ContextVar[str | None] = ContextVar("pipeline", default=None)
"""The pipeline that is at work; set by the line."""

Redact = Callable[[str], str]


def configure_logs(
    level: str = "info", form: str = "json", *, redact: Redact = str, stream: TextIO | None = None
) -> None:
    """Has structlog and the standard library's logging write JSON lines (or text, for `form` "console").

    `redact` is applied to every text of every line, messages and tracebacks of libraries included. Each line
    carries `event` (topic/partition/offset), `offset` and `pipeline` where there are any; the text is `message`.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        add_work,
        Redaction(redact),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(event_key="message", colors=(stream or sys.stderr).isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(Seldom(("aiokafka", "kafka")))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # These say in every case what the engine's own lines say once and better.
    for chatty in ("aiokafka", "kafka", "aiohttp.access", "faust", "mode", "processor.tickets.faust_consumer"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


class Seldom(logging.Filter):
    """Lets a message of these libraries through once in `every_s`: without a broker they say it many times a second."""

    def __init__(self, names: tuple[str, ...], every_s: float = 30.0) -> None:
        super().__init__()
        self._names, self._every_s = names, every_s
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written. Messages are told apart by their text before arguments are put in."""
        if record.name.partition(".")[0] not in self._names:
            return True
        key, now = (record.name, str(record.msg)), record.created
        if now - self._last.get(key, 0) < self._every_s:
            return False
        if len(self._last) > 1000:  # a library that formats its texts itself must not fill the memory
            self._last.clear()
        self._last[key] = now
        return True


def add_work(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Names the event and the pipeline that are at work, unless the line names its own."""
    record = RECORD.get()
    if record is not None:
        line.setdefault("event", f"{record.topic}/{record.partition}/{record.place}")
        line.setdefault("offset", record.place)
    pipeline = PIPELINE.get()
    if pipeline is not None:
        line.setdefault("pipeline", pipeline)
    return line


class Redaction:
    """Takes secrets out of every text in a log line, nested ones included."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A structlog processor."""
        for key, value in line.items():
            if not key.startswith("_"):
                line[key] = self._clean(value)
        return line

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, bytes):
            return self._redact(value.decode("utf-8", "replace"))
        if isinstance(value, Mapping):
            return {self._clean(k): self._clean(v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._redact(repr(value) if not isinstance(value, BaseException) else str(value))


def _dumps(line: Any, **_: Any) -> str:
    return orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


Check = Callable[[], str | None]
"""Says what is wrong, or None."""


@dataclass(slots=True)
class Health:
    """Checks by name. `alive`: a restart would help; `ready`: it can do its work now; `notes`: worth knowing."""

    alive: dict[str, Check] = field(default_factory=dict)
    ready: dict[str, Check] = field(default_factory=dict)
    notes: dict[str, Check] = field(default_factory=dict)

    @staticmethod
    def problems(checks: Mapping[str, Check]) -> dict[str, str]:
        """What is wrong, by check."""
        found = {name: check() for name, check in checks.items()}
        return {name: problem for name, problem in found.items() if problem is not None}


class TelemetryServer:
    """`/metrics`, `/healthz` and `/readyz` on one port. Port 0 takes a free one; `port` says which."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        self.host = host
        self.port = port
        self._registry = registry
        self._health = health
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listens. Raises ConfigError where the port is taken."""
        app = web.Application()
        app.add_routes(
            [web.get("/metrics", self._metrics), web.get("/healthz", self._alive), web.get("/readyz", self._ready)]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        try:
            await site.start()
        except OSError as error:
            where, why = f"{self.host}:{self.port}", _plainly(error)
            raise ConfigError(f"can't listen on {where}: {why}; set http.host and http.port (0: a free one)") from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _alive(self, _request: web.Request) -> web.Response:
        return self._answer(self._health.alive)

    async def _ready(self, _request: web.Request) -> web.Response:
        return self._answer(self._health.alive, self._health.ready)

    def _answer(self, *groups: Mapping[str, Check]) -> web.Response:
        problems: dict[str, str] = {}
        for checks in groups:
            problems |= self._health.problems(checks)
        told = {"ok": not problems, "problems": problems, "notes": self._health.problems(self._health.notes)}
        return web.json_response(told, status=503 if problems else 200)


def _plainly(error: OSError) -> str:
    """What the system says; asyncio wraps it in words of its own."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


_REMEMBERED: Final = 100_000
"""Grammars by replica that are kept in mind."""


class LineMetrics:
    """What the line counts: per pipeline findings and who decided them, dead letters, repairs, tokens, time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        one, prefix = ["pipeline"], "faultstream_line"
        self._findings = Counter(f"{prefix}_findings", "Findings.", [*one, "decided_by"], registry=registry)
        self._rejected = Counter(f"{prefix}_dead_letters", "Dead letters.", [*one, "reason"], registry=registry)
        self._repaired = Counter(f"{prefix}_repairs", "Answers asked for again.", [*one, "reason"], registry=registry)
        self._waiting = Counter(f"{prefix}_waits", "Tries that wait for a dependency.", one, registry=registry)
        self._unrouted = Counter(f"{prefix}_unrouted", "Events no pipeline wanted.", ["topic"], registry=registry)
        self._passed = Counter(f"{prefix}_passed", "Passed builds told to decide.", ["topic"], registry=registry)
        self._parked = Counter(f"{prefix}_parked", "Events put aside.", one, registry=registry)
        self._aside = Gauge(f"{prefix}_parked_waiting", "Events that lie aside, at most.", one, registry=registry)
        self._age = Gauge(f"{prefix}_parked_age_seconds", "Age of the oldest of them.", one, registry=registry)
        self._kept = Gauge(f"{prefix}_parked_kept_seconds", "How long they are kept.", one, registry=registry)
        self._tokens = Counter(f"{prefix}_tokens", "Tokens of model calls.", [*one, "kind"], registry=registry)
        self._seconds = Histogram(f"{prefix}_step_seconds", "Time of a step.", [*one, "step"], registry=registry)
        # What is counted for every event is bound to its labels once: looking them up costs more than counting.
        self._bound: dict[tuple[str, str], Counter] = {}
        self._counted: dict[str, tuple[Counter, Counter]] = {}
        self._timed: dict[tuple[str, str], Histogram] = {}
        by = [*one, "tier"]
        self._grammars = Gauge(f"{prefix}_grammars", "Grammars that servers were asked for.", by, registry=registry)
        self._guided = Counter(f"{prefix}_guided", "Questions by their grammar.", [*by, "grammar"], registry=registry)
        self._compiled: set[tuple[str, str]] = set()
        self._asked: dict[tuple[str, str], tuple[Counter, Counter, Gauge]] = {}

    def guided(self, pipeline: str, tier: str, replica: str, grammar: str, grammars: int) -> None:
        """A question that `replica` answered by a grammar, one of so many of its pipeline: known there, or new."""
        known = (replica, grammar) in self._compiled
        if not known:
            if len(self._compiled) >= _REMEMBERED:  # replicas come and go
                self._compiled.clear()
            self._compiled.add((replica, grammar))
        bound = self._asked.get((pipeline, tier))
        if bound is None:
            guided = [self._guided.labels(pipeline, tier, grammar) for grammar in ("new", "known")]
            bound = self._asked[pipeline, tier] = (guided[0], guided[1], self._grammars.labels(pipeline, tier))
        bound[known].inc()
        bound[2].set(grammars)

    def found(self, pipeline: str, steps: Sequence[Step]) -> None:
        """A finding and the steps that led to it."""
        decided = deciding(steps)
        by = decided.decided_by if decided is not None else "model"
        counter = self._bound.get((pipeline, by))
        if counter is None:
            counter = self._bound[pipeline, by] = self._findings.labels(pipeline, by)
        counter.inc()
        for step in steps:
            self._spent(pipeline, step)

    def _spent(self, pipeline: str, step: Step) -> None:
        if step.decided_by == "model":
            used = step.usage
            prompt, completion = self._tokens_of(pipeline)
            prompt.inc(used.prompt_tokens)
            completion.inc(used.completion_tokens)
            if used.cached_tokens is not None:  # what nobody counts has no series
                self._tokens.labels(pipeline, "cached").inc(used.cached_tokens)
            for name, milliseconds in step.timings_ms.items():
                timed = self._timed.get((pipeline, name))
                if timed is None:
                    timed = self._timed[pipeline, name] = self._seconds.labels(pipeline, name)
                timed.observe(milliseconds / 1000)

    def _tokens_of(self, pipeline: str) -> tuple[Counter, Counter]:
        """The counters of prompt and completion tokens."""
        bound = self._counted.get(pipeline)
        if bound is None:
            kinds = self._tokens.labels(pipeline, "prompt"), self._tokens.labels(pipeline, "completion")
            bound = self._counted[pipeline] = kinds
        return bound

    def rejected(self, pipeline: str, reason: str) -> None:
        """A dead letter."""
        self._rejected.labels(pipeline, reason).inc()

    def repaired(self, pipeline: str, reason: str) -> None:
        """An answer that had to be asked for again."""
        self._repaired.labels(pipeline, reason).inc()

    def waiting(self, pipeline: str) -> None:
        """A try that waits for a dependency."""
        self._waiting.labels(pipeline).inc()

    def parked(self, pipeline: str) -> None:
        """An event was put aside."""
        self._parked.labels(pipeline).inc()

    def aside(self, pipeline: str, count: int, age_s: float, kept_s: float) -> None:
        """What lies aside: at most `count` events, the oldest for `age_s` seconds; they are deleted after `kept_s`."""
        self._aside.labels(pipeline).set(count)
        self._age.labels(pipeline).set(age_s)
        self._kept.labels(pipeline).set(kept_s)

    def outcome(self, topic: str) -> None:
        """A passed build."""
        self._passed.labels(topic).inc()

    def unrouted(self, topic: str) -> None:
        """An event that no pipeline wanted."""
        self._unrouted.labels(topic).inc()
