"""Topics on Apache Kafka: compared, created on demand, and never by the way."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

from processor.assemble import METADATA_BYTES
from processor.cli import app
from processor.cluster.client import KafkaClient
from processor.cluster.topics import Rules, Wanted, describe, ensure, metadata_most
from processor.contract import Outbound
from processor.errors import ConfigError, Retryable
from processor.settings.kafka import KafkaSettings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sources.kafka import KafkaSource, KafkaSourceConfig

pytestmark = pytest.mark.kafka

HOUR = 3_600_000
RULES = Rules(partitions=2, retention_ms=24 * HOUR, record_bytes=20_000_000)


def names(prefix: str) -> list[Wanted]:
    """A source and topics that follow it."""
    return [
        Wanted(f"{prefix}.source", source=True),
        Wanted(f"{prefix}.findings.ci"),
        Wanted(f"{prefix}.dead-letters", originals=True),
        Wanted(f"{prefix}.ticket-commands"),
        Wanted(f"{prefix}.ticket-state", compact=True, like=f"{prefix}.ticket-commands"),
    ]


async def create(bootstrap: str, name: str, partitions: int = 1, **config: str) -> None:
    """A topic as an operator makes it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topic = NewTopic(
            name, partitions, 1, topic_configs={key.replace("_", "."): text for key, text in config.items()}
        )
        await admin.create_topics([topic])
    finally:
        await admin.close()


def client(bootstrap: str) -> KafkaClient:
    """A client with a short patience."""
    return KafkaClient.of(KafkaSettings(bootstrap=bootstrap, request_timeout_s=3))


async def settled(bootstrap: str, wanted: list[Wanted], count: int) -> dict[str, Any]:
    """The topics that are there, when `count` are."""
    async with asyncio.timeout(30):
        while len(found := await describe(client(bootstrap).arguments(), wanted)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


async def test_missing_topics_are_created_as_they_should_be(apache_kafka: str) -> None:
    """Only when that is asked for; afterwards nothing differs."""
    wanted = names(f"t{uuid.uuid4().hex[:8]}")
    arguments = client(apache_kafka).arguments()
    await create(apache_kafka, wanted[0].name, 3, retention_ms=str(5 * HOUR), max_message_bytes="3000000")
    await create(apache_kafka, wanted[3].name, 5, retention_ms="-1")
    await settled(apache_kafka, wanted, 2)
    with pytest.raises(ConfigError) as caught:
        await ensure(arguments, wanted, RULES, create=False)
    told = str(caught.value).splitlines()
    assert told == [f"topic {each.name}: missing; faultstream topics --create" for each in (*wanted[1:3], wanted[4])]
    assert len(await describe(arguments, wanted)) == 2
    given = await ensure(arguments, wanted, RULES, create=True)
    found = await settled(apache_kafka, wanted, 5)
    assert {name: each.partitions for name, each in found.items()} == {n: e.partitions for n, e in given.items()}
    assert [found[each.name].partitions for each in wanted] == [3, 2, 2, 5, 5]
    letters = found[wanted[2].name].config
    assert (letters["retention.ms"], letters["max.message.bytes"]) == (str(5 * HOUR), "3065536")
    assert found[wanted[4].name].config["cleanup.policy"] == "compact"
    assert await ensure(arguments, wanted, RULES, create=False) == found


async def test_a_topic_that_must_not_be_run_on_is_refused(apache_kafka: str) -> None:
    """A state that is deleted after a while, findings that are compacted."""
    wanted = names(f"t{uuid.uuid4().hex[:8]}")
    for topic in wanted[:3]:
        await create(apache_kafka, topic.name, cleanup_policy="compact" if "findings" in topic.name else "delete")
    await create(apache_kafka, wanted[3].name)
    await create(apache_kafka, wanted[4].name)
    await settled(apache_kafka, wanted, 5)
    with pytest.raises(ConfigError) as caught:
        await ensure(client(apache_kafka).arguments(), wanted, RULES, create=True)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"topic {wanted[1].name}: cleanup.policy is compact, not delete")
    assert second.startswith(f"topic {wanted[4].name}: cleanup.policy is delete, not compact")
    assert f"--entity-name {wanted[4].name} --add-config cleanup.policy=compact" in second


async def test_nothing_is_created_in_passing(apache_kafka: str) -> None:
    """Though the broker would: neither by writing, nor by reading, nor by asking."""
    absent = [Wanted(f"absent-{uuid.uuid4().hex[:8]}-{kind}") for kind in ("written", "read", "asked")]
    ours = client(apache_kafka)
    sink = KafkaSink(KafkaSinkConfig(ours))
    await sink.start()
    try:
        with pytest.raises(Retryable, match=f"topic {absent[0].name} can't be written.*faultstream topics"):
            await sink.publish([Outbound(absent[0].name, b"k", b"v")])
    finally:
        await sink.stop()
    source = KafkaSource(ours, KafkaSourceConfig("g-absent", {absent[1].name: "earliest"}))
    with pytest.raises(Retryable, match="can't resolve where to start"):
        await source.start(None)  # type: ignore[arg-type]
    assert await describe(ours.arguments(), absent) == {}
    control = Wanted(f"control-{uuid.uuid4().hex[:8]}")
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    await admin.describe_topics([control.name])  # the library's own way of asking
    await admin.close()
    assert list(await settled(apache_kafka, [control], 1)) == [control.name]


async def test_the_brokers_bound_on_metadata_is_read(apache_kafka: str) -> None:
    """The default of Apache Kafka is what logs of lines need."""
    assert await metadata_most(client(apache_kafka).arguments()) == METADATA_BYTES


def test_the_command_creates_and_compares(apache_kafka: str, checkout: Path, tmp_path: Path) -> None:
    """Exit code 1 until all is there; then 0. JSON says what is wanted and what was found."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    file = tmp_path / "faultstream.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "kafka": {"bootstrap": apache_kafka, "partitions": 1},
                "topics": {"prefix": prefix},
                "pipelines": ["ci_failure"],
            }
        )
    )
    words = ["topics", "--json", "--home", str(checkout), "--config", str(file)]
    before = CliRunner().invoke(app, words)
    rows = {row["topic"]: row for row in orjson.loads(before.stdout)}
    assert before.exit_code == 1
    assert rows[f"{prefix}.findings.ci_failure"]["found"] is None
    assert rows[f"{prefix}.findings.ci_failure"]["differences"][0]["grave"]
    created = CliRunner().invoke(app, [*words, "--create"])
    after = CliRunner().invoke(app, words)
    assert (created.exit_code, after.exit_code) == (0, 0)
    state = next(row for row in orjson.loads(after.stdout) if row["topic"] == f"{prefix}.ticket-state")
    assert (state["found"]["cleanup"], state["differences"]) == ("compact", [])
