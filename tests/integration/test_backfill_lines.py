"""Backfill of a pipeline that puts its logs together of lines, on Apache Kafka."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from processor import topology
from processor.cli import app as commands
from processor.cli import options
from processor.cli.backfill import _backfill
from processor.cluster.client import KafkaClient
from processor.cluster.topics import Rules, ensure
from processor.contract import Record
from processor.pipeline import Pipeline
from processor.resend.backfill import Counts, Plan
from processor.resend.sender import Pace, kafka_sender
from processor.sinks.config import KafkaSinkConfig
from processor.sources.history import KafkaHistory

pytestmark = pytest.mark.kafka

START = datetime(2026, 11, 1, tzinfo=UTC)
BUILDS, LINES = 60, 25


class KilledError(Exception):
    """The process died here."""


@pytest.fixture
def deployment(apache_kafka: str, tmp_path: Path, checkout: Path) -> tuple[Path, Path, str]:
    """A home whose only pipeline is fed with lines, its settings' file, and its prefix."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    home, file = tmp_path / "home", tmp_path / "faultstream.yaml"
    folder = home / "pipelines" / "ci_failure"
    shutil.copytree(checkout / "pipelines" / "ci_failure", folder, ignore=shutil.ignore_patterns("samples"))
    values = yaml.safe_load((folder / "pipeline.yaml").read_text(encoding="utf-8"))
    values["source"] = {
        "kafka": {"topics": [f"{prefix}.lines"], "format": "log"},
        "assemble": {"key": "run_id", "end": "^END$", "idle": "60s", "max_age": "2h"},
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    kafka = {"bootstrap": apache_kafka, "partitions": 2, "create_topics": True}
    file.write_text(yaml.safe_dump({"kafka": kafka, "topics": {"prefix": prefix}, "pipelines": ["ci_failure"]}))
    homes, _ = options.load([home], file)
    wanted = [each.wanted for each in topology.topics(prefix, [Pipeline.load(folder, homes)])]
    asyncio.run(ensure(KafkaClient(apache_kafka).arguments(), wanted, Rules(partitions=2), create=True))
    return home, file, prefix


async def filled(bootstrap: str, topic: str) -> Counter[bytes]:
    """Lines of builds of an hour in turn. Returns the logs."""
    dice = random.Random(7)  # noqa: S311 (no secret)
    texts = {run: [b"run %d line %d" % (run, n) for n in range(LINES)] + [b"END"] for run in range(BUILDS)}
    rows = sorted(
        (run * 60 + n * 5 + dice.random(), run, text) for run, log in texts.items() for n, text in enumerate(log)
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    for seconds, run, text in rows:
        ms = int((START + timedelta(seconds=seconds)).timestamp() * 1000)
        await producer.send(topic, text, partition=run % 2, timestamp_ms=ms, headers=[("run_id", b"r%d" % run)])
    await producer.stop()
    return Counter(b"\n".join(log) for log in texts.values())


def test_past_logs_are_sent_once(
    apache_kafka: str, deployment: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two spans of time, the first of which was killed with logs open."""
    home, file, prefix = deployment
    homes, settings = options.load([home], file)
    wanted = asyncio.run(filled(apache_kafka, f"{prefix}.lines"))
    middle = START + timedelta(minutes=30)

    async def interrupted() -> None:
        client = KafkaClient.of(settings.kafka)
        one = _backfill(client, settings, homes, "ci_failure", Plan(START, middle))

        def die(counts: Counts) -> None:
            if counts.kinds["sent"] > 8:
                raise KilledError

        opening = kafka_sender(KafkaSinkConfig.of(settings, client), f"{prefix}.{one.name}")
        with pytest.raises(KilledError):
            await one.run(opening, Pace(1e6), asyncio.Event(), die)
        assert 8 < one.counts.kinds["sent"] < 30

    with monkeypatch.context() as patch:
        patch.setattr("processor.resend.backfill.LINES", 50)
        asyncio.run(interrupted())
    words = ["backfill", "ci_failure", "--home", str(home), "--config", str(file), "--rate", "10000", "--json"]
    for span in (["--since", START.isoformat(), "--until", middle.isoformat()], ["--since", middle.isoformat()]):
        result = CliRunner().invoke(commands, [*words, *span])
        assert result.exit_code == 0, result.output
        again = json.loads(CliRunner().invoke(commands, [*words, *span]).stdout)
        assert again["before"] == again["there"]

    async def sent() -> list[Record]:
        topic = f"{prefix}.retry.ci_failure"
        return [record async for record in KafkaHistory(KafkaClient(apache_kafka)).all(topic)]

    found = asyncio.run(sent())
    assert Counter(record.value for record in found) == wanted
    assert {dict(record.headers)["ce_run_id"] for record in found} == {b"r%d" % run for run in range(BUILDS)}
