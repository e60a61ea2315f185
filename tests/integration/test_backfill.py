"""Backfill on Apache Kafka: past events to their pipeline's retry topic, each once, however often it is started."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

from processor import topology
from processor.cli import app as commands
from processor.cluster.client import KafkaClient
from processor.cluster.topics import Rules, ensure
from processor.contract import Record
from processor.errors import Retryable
from processor.home import Homes
from processor.pipeline import Pipeline
from processor.resend.backfill import Backfill, Counts, Plan
from processor.resend.sender import Pace, kafka_sender
from processor.settings.kafka import KafkaSettings
from processor.sinks.config import KafkaSinkConfig
from processor.sources.decode import Decoder
from processor.sources.history import KafkaHistory
from processor.sources.providers import Providers

pytestmark = pytest.mark.kafka

START = datetime(2026, 11, 1, tzinfo=UTC)
COUNT = 500


class KilledError(Exception):
    """The process died here."""


@dataclass
class Past:
    """A deployment with a topic on which one event came every minute: three of four failed builds, some binary."""

    bootstrap: str
    prefix: str
    file: Path
    home: Path
    topic: str
    pipeline: Pipeline

    def run(self, since: datetime = START, **plan: Any) -> dict[str, Any]:
        """A whole backfill, and what it says."""

        async def whole() -> dict[str, Any]:
            backfill = self.backfill(Plan(since, **plan))
            await self.go(backfill)
            return backfill.counts.said()

        return asyncio.run(whole())

    def read(self, kind: str, count: int) -> list[Record]:
        """What lies on a topic of the deployment, when it is `count` at least: a commit shows a moment later."""

        async def all_of() -> list[Record]:
            async with asyncio.timeout(30):
                while True:
                    client = KafkaClient(self.bootstrap)
                    found = [record async for record in KafkaHistory(client).all(f"{self.prefix}.{kind}")]
                    if len(found) >= count:
                        return found

        return asyncio.run(all_of())

    def backfill(self, plan: Plan) -> Backfill:
        """One that has not begun."""
        client = KafkaClient.of(KafkaSettings(bootstrap=self.bootstrap))
        decoder = Decoder(self.pipeline.decode, Providers(), f"{self.prefix}.line")
        return Backfill(KafkaHistory(client), self.prefix, self.pipeline, decoder, plan)

    async def go(self, backfill: Backfill, rate: float = 1e6, tell: Callable[[Counts], None] = lambda _: None) -> None:
        """Runs it to its end."""
        config = KafkaSinkConfig(KafkaClient(self.bootstrap))
        opening = kafka_sender(config, f"{self.prefix}.{backfill.name}")
        await backfill.run(opening, Pace(rate), asyncio.Event(), tell)


@pytest.fixture(scope="module")
def made(apache_kafka: str, tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Past:
    """The topic is filled once; each test has a prefix of its own."""
    home = tmp_path_factory.mktemp("home")
    topic = f"builds-{uuid.uuid4().hex[:8]}"
    for name in ("schemas", "adapters", "config"):
        (home / name).symlink_to(checkout / name)
    folder = home / "pipelines" / "ci_failure"
    folder.mkdir(parents=True)
    for file in (checkout / "pipelines" / "ci_failure").iterdir():
        if file.name == "pipeline.yaml":
            (folder / file.name).write_text(file.read_text().replace("[ci.builds.failed]", f"[{topic}]"))
        else:
            (folder / file.name).symlink_to(file)
    past = Past(apache_kafka, "none", home / "none.yaml", home, topic, Pipeline.load(folder, Homes.of([home])))
    asyncio.run(filled(past))
    return past


async def filled(past: Past) -> None:
    """Makes the source topic and its events."""
    admin = AIOKafkaAdminClient(bootstrap_servers=past.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(past.topic, 3, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=past.bootstrap)
    await producer.start()
    for n in range(COUNT):
        kind = b"build.passed" if n % 4 == 0 else b"build.failed"
        headers = [("ce_type", kind), ("repo", b"acme/web"), ("fs-reason", b"spoofed")]
        value = b"\x1f\x8b\x08broken" if n % 50 == 1 else b"error: build %d" % n
        time = int((START + timedelta(minutes=n)).timestamp() * 1000)
        await producer.send(past.topic, value, key=b"%d" % n, headers=headers, timestamp_ms=time, partition=n % 3)
    await producer.stop()


@pytest.fixture
def past(made: Past, tmp_path: Path) -> Past:
    """A deployment of its own over the same past."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    file = tmp_path / "faultstream.yaml"
    kafka = {"bootstrap": made.bootstrap, "partitions": 1, "create_topics": True}
    file.write_text(yaml.safe_dump({"kafka": kafka, "topics": {"prefix": prefix}, "pipelines": ["ci_failure"]}))
    wanted = [each.wanted for each in topology.topics(prefix, [made.pipeline])]
    asyncio.run(ensure(KafkaClient(made.bootstrap).arguments(), wanted, Rules(partitions=1), create=True))
    return replace(made, prefix=prefix, file=file)


def test_it_is_counted_then_sent_then_done(past: Past) -> None:
    """Only what the pipeline wants; what can't be read is a dead letter; a second time nothing is left."""
    words = ["--since", START.isoformat(), "--dry-run", "--json", "--config", str(past.file), "--home", str(past.home)]
    told = json.loads(CliRunner().invoke(commands, ["backfill", "ci_failure", *words]).stdout)
    times = {"since": "2026-11-01T00:00:00Z", "until": None}
    assert told == {**times, "there": COUNT, "before": 0, "kinds": {}}
    told = past.run()
    assert told["kinds"] == {"sent": 365, "not wanted": 125, "rejected": 10}
    sent = past.read("retry.ci_failure", 365)
    assert len({record.key for record in sent}) == len(sent) == 365
    assert {record.value for record in sent} == {b"error: build %d" % n for n in range(COUNT) if n % 4 and n % 50 != 1}
    headers = dict(sent[0].headers)
    group, topic, partition, offset = json.loads(headers["fs-origin"])
    assert (group, topic) == (f"{past.prefix}.line", past.topic)
    assert (int(sent[0].key or b"") % 3, int(sent[0].key or b"") // 3) == (partition, offset)
    assert "fs-reason" not in headers
    assert "fs-no-tickets" not in headers
    letters = past.read("dead-letters", 10)
    assert {dict(letter.headers)["fs-reason"] for letter in letters} == {b"undecodable"}
    assert past.run() == {"there": COUNT, "before": COUNT, "kinds": {}}
    assert len(past.read("retry.ci_failure", 365)) == 365


def test_a_span_of_time_without_tickets_and_once_more(past: Past) -> None:
    """From a time up to another; the mark travels along; --again sends them a second time, with the same origin."""
    begin, plan = START + timedelta(minutes=300), {"end": START + timedelta(minutes=400), "tickets": False}
    assert past.run(begin, **plan)["kinds"] == {"sent": 73, "not wanted": 25, "rejected": 2}
    first = past.read("retry.ci_failure", 73)
    assert {dict(record.headers)["fs-no-tickets"] for record in first} == {b"1"}
    assert min(int(record.key or b"") for record in first) > 300
    assert past.run(begin, **plan)["kinds"] == {}
    assert past.run(begin, again=True, **plan)["kinds"]["sent"] == 73
    origins = Counter(dict(record.headers)["fs-origin"] for record in past.read("retry.ci_failure", 146))
    assert set(origins.values()) == {2}


def test_what_was_interrupted_goes_on_where_it_stopped(past: Past) -> None:
    """After the first batch, and between writing and progress: nothing twice, nothing left out."""

    async def interrupted() -> int:
        backfill = past.backfill(Plan(START))

        def die(_: Counts) -> None:
            raise KilledError

        with pytest.raises(KilledError):
            await past.go(backfill, tell=die)
        return backfill.counts.kinds["sent"]

    first = asyncio.run(interrupted())
    assert 0 < first < 365
    told = past.run()
    assert told["before"] > 0
    assert told["kinds"]["sent"] + first == 365
    sent = past.read("retry.ci_failure", 365)
    assert len({record.key for record in sent}) == len(sent) == 365


def test_two_at_once_do_not_double(past: Past) -> None:
    """The later one takes over; the earlier one ends with an error."""

    async def both() -> list[Any]:
        one, two = (past.backfill(Plan(START)) for _ in range(2))
        began = asyncio.Event()
        earlier = asyncio.create_task(past.go(one, 400, lambda _: began.set()))
        await began.wait()
        later = asyncio.create_task(past.go(two, 400))
        return list(await asyncio.gather(earlier, later, return_exceptions=True))

    earlier, later = asyncio.run(both())
    assert isinstance(earlier, Retryable), earlier
    assert later is None, later
    sent = past.read("retry.ci_failure", 365)
    assert len({record.key for record in sent}) == len(sent) == 365
