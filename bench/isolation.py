"""Whether a pipeline that can't work disturbs another one on its topic: `faultstream run` on Apache Kafka.

A model server of our own takes 100 ms for each answer. In each round the second pipeline loses its adapter and gets
it back; how long events take to the first one's findings is told by phase: before, while the other parks (from the
moment that its adapter is gone), while its events come back, and after. Rounds follow each other in one daemon, and the
phases around each parked one are what it is compared with, so that whatever else the machine does meets all of them.

`python -m bench.isolation` writes bench/results/isolation.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.line import HERE
from bench.machine import machine
from processor.testing.model import FakeModelServer
from tools.servers import kafka

RESULTS = HERE / "results" / "isolation.json"
CHECKOUT = HERE.parent
PREFIX, TOPIC, ADAPTER = "isolation", "isolation-events", "tuned"
WELL, ILL = "well", "ill"
PHASES = ("before", "parked", "drain", "after")

At = tuple[int, int]
"""Partition and offset of an event."""


@dataclass
class SlowServer(FakeModelServer):
    """Takes `latency_s` for each answer."""

    latency_s: float = 0.1

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        answer = await super()._chat(request)
        self.asked.clear()
        if answer.status == 200:
            await asyncio.sleep(self.latency_s)
        return answer


def home(folder: Path) -> Path:
    """A home with two pipelines on the topic, like log_router; the second one asks an adapter."""
    theirs = CHECKOUT / "pipelines" / "log_router"
    for name in (WELL, ILL):
        ours = folder / "pipelines" / name
        ours.mkdir(parents=True)
        for file in ("system.j2", "user.j2"):
            (ours / file).write_text((theirs / file).read_text(encoding="utf-8"), encoding="utf-8")
        document = yaml.safe_load((theirs / "pipeline.yaml").read_text(encoding="utf-8"))
        document["pipeline"] = name
        document["source"]["kafka"] = {"topics": [TOPIC], "format": "log", "start": "earliest"}
        if name == ILL:
            document["model"]["adapter"] = ADAPTER
        (ours / "pipeline.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    adapter = folder / "adapters" / ADAPTER
    adapter.mkdir(parents=True)
    (adapter / "manifest.yaml").write_text("base_model: any\n", encoding="utf-8")
    return folder


@asynccontextmanager
async def daemon(folder: Path, address: str, url: str) -> AsyncIterator[None]:
    """`faultstream run --role line`, with its log in the folder."""
    settings = {
        "kafka": {"bootstrap": address, "create_topics": True, "partitions": 2},
        "topics": {"prefix": PREFIX},
        "pipelines": [WELL, ILL],
        "models": {"lite": {"urls": [url], "concurrency": 64}},
        "limits": {"answers_bytes": 0},  # what is measured is asking
        "http": {"port": 0},
    }
    file = folder / "faultstream.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    words = ["-m", "processor", "run", "--role", "line", "--config", file, "--home", home(folder / "home")]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *map(str, words), stdout=log, stderr=log, env=env
        )
        try:
            yield
        except TimeoutError:
            end = (folder / "log").read_text(encoding="utf-8", errors="replace")[-3000:]
            raise SystemExit(f"the daemon does not keep up; its log ends with\n{end}") from None
        finally:
            process.terminate()
            await process.wait()


@dataclass
class Watch:
    """When each event was sent and when its finding was seen, by pipeline; which pipelines have parked how many."""

    consumer: AIOKafkaConsumer
    sent: dict[At, tuple[str, float]] = field(default_factory=dict)
    seen: dict[str, dict[At, float]] = field(default_factory=lambda: {WELL: {}, ILL: {}})
    parked: int = 0

    async def run(self) -> None:
        """Reads until it is cancelled."""
        while True:
            for messages in (await self.consumer.getmany(timeout_ms=1000)).values():
                now = time.perf_counter()
                for message in messages:
                    _, kind, name = message.topic.rsplit(".", 2)
                    if kind == "parked":
                        self.parked += 1
                    else:
                        event = json.loads(message.value)["data"]["event"]
                        self.seen[name].setdefault((event["partition"], event["offset"]), now)

    def done(self, name: str) -> bool:
        """Whether a pipeline has a finding of each event."""
        return self.sent.keys() <= self.seen[name].keys()

    def took(self, phase: str) -> list[float]:
        """Milliseconds to the well pipeline's findings, of the events of a phase."""
        return [(self.seen[WELL][at] - when) * 1000 for at, (name, when) in self.sent.items() if name == phase]


@dataclass
class Bench:
    """Sends events at a rate, each noted down under the phase in which it was sent."""

    producer: AIOKafkaProducer
    watch: Watch
    model: SlowServer
    rate: float
    seconds: float
    phase: str = "warm"

    async def send(self) -> None:
        """Sends evenly, whatever became of those before, until it is cancelled."""
        began, number = time.perf_counter(), 0
        while True:
            await asyncio.sleep(began + number / self.rate - time.perf_counter())
            now, phase = time.perf_counter(), self.phase
            value = f"2026-03-02T10:11:12Z ERROR [service-{number}] connection refused\n".encode()
            answer = await self.producer.send(TOPIC, value, key=b"%d" % (number % 97))
            answer.add_done_callback(partial(self._sent, phase, now))
            number += 1

    def _sent(self, phase: str, when: float, answer: asyncio.Future[Any]) -> None:
        told = answer.result()
        self.watch.sent[told.partition, told.offset] = (phase, when)

    async def until_done(self, name: str, slack: int = 0) -> None:
        """Waits until a pipeline has kept up, but for the last few events."""
        async with asyncio.timeout(400):  # a busy machine takes long to start a daemon
            while len(self.watch.sent) - len(self.watch.seen[name]) > slack:  # noqa: ASYNC110 (many events change it)
                await asyncio.sleep(0.05)

    async def round(self, number: int) -> None:
        """All phases once."""
        self.phase = f"{number} before"
        await asyncio.sleep(self.seconds)
        self.phase = f"{number} parked"
        before = self.watch.parked
        self.model.adapters.discard(ADAPTER)
        await asyncio.sleep(self.seconds)
        if self.watch.parked == before:
            raise SystemExit("nothing was parked")
        self.phase = f"{number} drain"
        self.model.adapters.add(ADAPTER)
        await self.until_done(ILL, slack=int(self.rate))
        self.phase = f"{number} after"
        await asyncio.sleep(self.seconds)


async def measure(address: str, folder: Path, rounds: int, rate: float, seconds: float) -> Watch:
    """Runs all rounds on one daemon."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    names = [f"{PREFIX}.findings.{WELL}", f"{PREFIX}.findings.{ILL}", f"{PREFIX}.parked.{ILL}"]
    await admin.create_topics([NewTopic(TOPIC, 2, 1), *(NewTopic(name, 2, 1) for name in names)])
    await admin.close()
    consumer = AIOKafkaConsumer(
        *names, bootstrap_servers=address, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    model = SlowServer(adapters={ADAPTER, "another"})  # a server without any would be refused at start
    watch = Watch(consumer)
    bench = Bench(producer, watch, model, rate, seconds)
    async with model, daemon(folder, address, model.url):
        await consumer.start()
        await producer.start()
        tasks = [asyncio.create_task(bench.send(), name="send"), asyncio.create_task(watch.run(), name="watch")]
        try:
            await asyncio.sleep(2)
            await bench.until_done(WELL, slack=int(rate))
            await bench.until_done(ILL, slack=int(rate))
            for number in range(rounds):
                await bench.round(number)
            tasks[0].cancel()
            await asyncio.wait([tasks[0]])
            await producer.flush()
            await bench.until_done(WELL)
            await bench.until_done(ILL)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await consumer.stop()
            await producer.stop()
    return watch


def told(watch: Watch, rounds: int) -> dict[str, Any]:
    """By phase the medians over the rounds of p50 and p99, and the parked phase beside those around it."""
    runs: dict[str, list[dict[str, float]]] = {phase: [] for phase in PHASES}
    for number in range(rounds):
        for phase in PHASES:
            took = watch.took(f"{number} {phase}")
            cuts = statistics.quantiles(took, n=100, method="inclusive")
            runs[phase].append({"p50_ms": cuts[49], "p99_ms": cuts[98], "events": len(took)})
    measures: dict[str, float] = {}
    for phase, each in runs.items():
        for name in ("p50_ms", "p99_ms"):
            measures[f"{phase}_{name}"] = statistics.median(run[name] for run in each)
    for name in ("p50_ms", "p99_ms"):
        ratios = [
            2 * parked[name] / (before[name] + after[name])
            for before, parked, after in zip(runs["before"], runs["parked"], runs["after"], strict=True)
        ]
        measures[f"parked_vs_around_{name[:3]}"] = statistics.median(ratios)
    return {"measures": {name: round(value, 3) for name, value in measures.items()}, "runs": runs, "machine": machine()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs it and writes the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.isolation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=30, help="events a second")
    parser.add_argument("--seconds", type=float, default=30, help="length of each phase but the drain")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(kafka.kafka(folder / "broker"))
        watch = asyncio.run(measure(server.address, folder, given.rounds, given.rate, given.seconds))
    result = told(watch, given.rounds)
    result["machine"] |= {"rate": given.rate, "seconds": given.seconds, "model_ms": 100}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, value in result["measures"].items():
        print(f"{name:36} {value:10.3f}")


if __name__ == "__main__":
    main()
