"""A whole deployment for tests: Apache Kafka, a fake model server, the Jira double, and the daemon as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from processor.testing.model import FakeModelServer
from tools.demo.check import jira_tickets
from tools.servers.process import free_port

TOPIC = "ci.builds.failed"
SAMPLES = Path(__file__).resolve().parents[2] / "pipelines" / "ci_failure" / "samples"
PATIENCE_S = 200


@dataclass
class Deployment:
    """One deployment with a prefix of its own; `records` holds what came out, by the topic's last part."""

    bootstrap: str
    jira: str
    folder: Path
    topic: str = TOPIC
    pipeline: str = "ci_failure"
    model: FakeModelServer = field(default_factory=FakeModelServer)
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")
    port: int = field(default_factory=free_port)
    records: dict[str, list[Any]] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    model_url: str = ""
    _reader: asyncio.Task[None] | None = None

    def write_settings(self, **more: Any) -> Path:
        """The daemon's settings file."""
        values = {
            "kafka": {"bootstrap": self.bootstrap, "create_topics": True, "partitions": 2, "session_timeout_s": 6},
            "topics": {"prefix": self.prefix},
            "pipelines": [self.pipeline],
            "models": {"lite": {"urls": [self.model_url or self.model.url], "timeout_s": 10, "attempts": 2}},
            "jira": {"url": self.jira, "token": "jira-token-of-the-test", "search_lag_s": 0, "timeout_s": 5},
            "limits": {"record_bytes": 50_000_000, "drain_s": 10, "answers_bytes": 0},  # tests count questions
            "http": {"port": self.port},
            **more,
        }
        file = self.folder / "faultstream.yaml"
        file.write_text(yaml.safe_dump(values))
        return file

    @property
    def log(self) -> str:
        """What the daemon wrote."""
        file = self.folder / "daemon.log"
        return file.read_text(errors="replace") if file.exists() else ""

    async def start(self, **settings: Any) -> None:
        """Starts the daemon and waits until line and ticket role are connected."""
        file = self.write_settings(**settings)
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "processor", "run", "--config", str(file), stdout=log, stderr=log
            )
        await self.until(self._connected, "the daemon is connected")
        if self._reader is None:  # connected before anybody may do something to the broker
            self._reader = asyncio.create_task(self._read(await self._consumer()), name="reader")

    async def _connected(self) -> bool:
        problems = await self.problems()
        return problems is not None and not {"line", "decide", "write"} & problems.keys()

    async def problems(self) -> dict[str, str] | None:
        """What /readyz says is wrong; None while nobody listens."""
        try:
            return dict((await self.health("readyz"))[1]["problems"])
        except aiohttp.ClientError:
            return None

    async def health(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and answer of /readyz or /healthz."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/{path}") as answer,
        ):
            return answer.status, await answer.json()

    async def until(self, condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
        """Waits for a condition, looking at it a few times a second; fails with the daemon's last lines."""
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    met = condition()
                    if await met if asyncio.iscoroutine(met) else met:
                        return
                    if self.process is not None and self.process.returncode is not None:
                        raise AssertionError(f"the daemon ended ({self.process.returncode}):\n{self.log[-3000:]}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            came = {topic: len(found) for topic, found in self.records.items()}
            raise AssertionError(f"not within {patience_s} s: {what}; came: {came}\n{self.log[-3000:]}") from None

    async def _consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            metadata_max_age_ms=1000,
            isolation_level="read_committed",
        )
        consumer.subscribe(pattern=f"^{self.prefix}\\..*")
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        try:
            async for record in consumer:
                self.records.setdefault(record.topic.removeprefix(f"{self.prefix}."), []).append(record)
        finally:
            await consumer.stop()

    async def send(self, *builds: tuple[bytes | None, Mapping[str, str]]) -> list[tuple[str, int, int]]:
        """Sends records; gives their topic, partition and offset."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_request_size=100_000_000)
        await producer.start()
        try:
            places: list[tuple[str, int, int]] = []
            for value, headers in builds:
                packed = [(name, text.encode()) for name, text in headers.items()]
                at = await producer.send_and_wait(self.topic, value, key=b"k%d" % len(places), headers=packed)
                places.append((at.topic, at.partition, at.offset))
            return places
        finally:
            await producer.stop()

    @property
    def findings(self) -> dict[tuple[str, int, int], dict[str, Any]]:
        """The findings by where their event lies; a repeat overwrites its equal."""
        found = [json.loads(record.value) for record in self.records.get(f"findings.{self.pipeline}", [])]
        at = [one["data"]["event"] for one in found]
        return {(e["topic"], e["partition"], e["offset"]): one for e, one in zip(at, found, strict=True)}

    @property
    def dead(self) -> dict[tuple[str, int, int], dict[str, str]]:
        """Headers of the dead letters by where their event lies."""
        letters = [
            {name: value.decode("utf-8", "replace") for name, value in record.headers}
            for record in self.records.get("dead-letters", [])
        ]
        return {tuple(json.loads(headers["fs-origin"])[1:4]): headers for headers in letters}

    @property
    def settled(self) -> dict[str, dict[str, Any]]:
        """The last ticket event by finding."""
        events = [json.loads(record.value) for record in self.records.get("ticket-events", [])]
        return {event["finding"]: event for event in events}

    def tickets(self) -> dict[str, str]:
        """Ticket key by fingerprint, of this deployment's findings, as Jira has them."""
        ours = {finding["data"]["fingerprint"] for finding in self.findings.values()}
        return {fingerprint: key for fingerprint, key in jira_tickets(self.jira).items() if fingerprint in ours}

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(40):
            return await self.process.wait()

    async def close(self) -> None:
        """Ends everything."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self.model.stop()


def sample(name: str) -> bytes:
    """The log of a recorded build."""
    return (SAMPLES / f"{name}.log").read_bytes()


def truths() -> list[dict[str, Any]]:
    """What the recorder knows of its builds."""
    return [json.loads(line) for line in (SAMPLES / "truth.jsonl").read_text().splitlines()]
