"""Ways to load a server: the daemon's line, a bare asyncio client, and what both are fed with.

Every question carries a salt (vLLM's `cache_salt`), so that a round finds nothing in the prefix cache but what the
round itself has put there; no server has to be restarted for that, nor trusted to forget.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar

import aiohttp
import orjson
from prometheus_client import CollectorRegistry

from processor.contract import Event
from processor.errors import Rejected
from processor.home import Homes
from processor.lane import Lane, Shared
from processor.logs.redact import redactor
from processor.models.chat import ChatRequest
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.models.probe import CHAT, Reply
from processor.models.residency import Residency
from processor.models.transport import HttpTransport, Transport
from processor.pipeline import Pipeline
from processor.settings import ModelSettings
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from tools.calibrate import stratified
from tools.evaluate import Answer, answer_of, event_of, knowing
from tools.labelled import ROOT, Labelled, dev, samples
from tools.train_ranker import Ranked, out_of_fold

TIMEOUT_S: Final = 900.0
"""Of a request: two cores read a long prompt for minutes."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cases:
    """Labelled logs, and for each the ranking by a ranker that never saw its project."""

    logs: Sequence[Labelled]
    ranked: Ranked

    @classmethod
    def load(cls) -> Cases:
        """All of the dev corpus; the recorded samples where it is absent."""
        everything = [*samples(), *dev()]
        known = [log for log in everything if log.set == "dev"] or [log for log in everything if not log.repeat]
        return cls(known, out_of_fold(everything))

    def sample(self, count: int) -> Cases:
        """So many of them, each category with its share."""
        return replace(self, logs=stratified(self.logs, count))

    def shortest(self, count: int) -> Cases:
        """So many with the shortest excerpts, so that there can be many rounds."""
        return replace(self, logs=sorted(self.logs, key=lambda log: (log.excerpt.tokens, log.id))[:count])


@dataclass
class Salted:
    """HTTP as the daemon speaks it, with `extra` in each question; `sent` has a copy of each while `keep`."""

    inner: Transport
    extra: dict[str, Any] = field(default_factory=dict)
    keep: bool = False
    sent: list[bytes] = field(default_factory=list)

    def salt(self) -> None:
        """From now on nothing of what was asked before is found in a cache."""
        self.extra["cache_salt"] = uuid.uuid4().hex

    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One exchange."""
        if body is not None and path == CHAT:
            if self.keep:
                self.sent.append(body)
            body = salted(body, self.extra)
        return await self.inner.send(endpoint, method, path, body, timeout_s=timeout_s, headers=headers)

    async def close(self) -> None:
        """Closes the connections."""
        await self.inner.close()


def salted(body: bytes, extra: Mapping[str, Any]) -> bytes:
    """A JSON object's bytes with more keys; it must have one at least."""
    return body[:-1] + b"," + orjson.dumps(extra)[1:] if extra else body


def settings_of(url: str, in_flight: int, **more: Any) -> ModelSettings:
    """A tier of one server, by default settings but for the bound on requests and the patience."""
    return ModelSettings(urls=[url], concurrency=in_flight, timeout_s=TIMEOUT_S, **more)


@asynccontextmanager
async def daemon(
    settings: ModelSettings, residency: Residency | None = None
) -> AsyncIterator[tuple[ModelClient, Salted]]:
    """The daemon's client of a tier, with a transport that salts."""
    wire = Salted(HttpTransport(settings))
    async with ModelClient(settings, transport=wire, residency=residency) as client:
        await client.capabilities()
        wire.salt()
        yield client, wire


def lane(client: ModelClient, *, rules: bool, context: int) -> Lane:
    """The pipeline ci_failure, with its rules or without."""
    pipeline = Pipeline.load(ROOT / "pipelines" / "ci_failure", Homes.of([ROOT]), {})
    if not rules:
        pipeline = replace(pipeline, rules=None)
    counts = LineMetrics(CollectorRegistry())
    shared = Shared("bench", Fetch(FetchSettings()), Redact(redactor()), counts, answers=None)  # all are asked
    return Lane.by(pipeline, client, shared, context_tokens=context)


@dataclass
class Run:
    """What came of a load: seconds, answers by log, tokens that the server wrote."""

    seconds: float = 0.0
    answers: dict[str, Answer] = field(default_factory=dict)
    written: int = 0
    requests: int = 0


async def closed_loop(work: Iterable[Callable[[], Awaitable[None]]], in_flight: int) -> float:
    """Does all of it, so much at once. Seconds that it took."""
    left = iter(work)

    async def worker() -> None:
        for one in left:
            await one()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(worker())
    return time.perf_counter() - began


def prefix(lane: Lane) -> ChatRequest:
    """The question that puts a pipeline's system prompt into a server's cache."""
    return ChatRequest(lane.prompt.prefix, max_tokens=1, alternatives=0, pipeline=lane.pipeline.name)


async def through_the_line(client: ModelClient, wire: Salted, lane: Lane, cases: Cases, in_flight: int) -> Run:
    """Each log's finding, from its bytes on; the system prompt is in the cache before, as a daemon has it."""
    wire.salt()
    wire.keep = False
    await client.complete(prefix(lane))
    wire.keep, wire.sent = True, []
    run = Run()
    pairs = [(log, knowing(lane, cases.ranked[log.id]), event_of(log)) for log in cases.logs]

    async def one(log: Labelled, own: Lane, event: Event) -> None:
        try:
            finding = await own.find(event)
        except Rejected:
            return
        run.answers[log.id] = answer_of(finding)
        run.written += finding.usage.completion_tokens

    run.seconds = await closed_loop([partial(one, *pair) for pair in pairs], in_flight)
    run.requests = len(wire.sent)
    return run


async def bare(url: str, first: bytes, bodies: Sequence[bytes], in_flight: int) -> Run:
    """The least that a client can do with the same questions: sends the bytes, reads the answers, parses them.

    `first` is asked before, and not counted.
    """
    extra = {"cache_salt": uuid.uuid4().hex}
    run = Run(requests=len(bodies))
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers, raise_for_status=True
    ) as session:

        async def one(body: bytes) -> int:
            async with session.post(f"{url}/chat/completions", data=body) as response:
                return int(orjson.loads(await response.read())["usage"]["completion_tokens"])

        async def count(body: bytes) -> None:
            tokens = await one(body)  # first: what is added to must be read after it
            run.written += tokens

        await one(salted(first, extra))
        ready = [salted(body, extra) for body in bodies]
        run.seconds = await closed_loop([partial(count, body) for body in ready], in_flight)
    return run
