"""Large records and references through the daemon as a process, on Apache Kafka, with the settings that docs/ name."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError

from tests.e2e.deployment import TOPIC, Deployment, sample
from tests.e2e.test_daemon import BUILD, replay

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(400)]

MOST = 10_000_000
LARGEST = {"max.message.bytes": "10500000"}
"""As docs/kafka.md has it for records of up to 10 MB."""
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


@pytest.fixture
async def deployment(apache_kafka: str, jira_double: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment on a source topic that takes records of 10 MB."""
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    try:
        created = await admin.create_topics([NewTopic(TOPIC, 2, 1, topic_configs=LARGEST)])
        if created.topic_errors[0][1] == TopicAlreadyExistsError.errno:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs=LARGEST)])
    finally:
        await admin.close()
    made = Deployment(apache_kafka, jira_double, tmp_path)
    await made.model.start()
    try:
        yield made
    finally:
        await made.close()


def log_of(size: int) -> bytes:
    """A log of exactly so many bytes: lines that hardly compress, and the fault at its end."""
    fault = sample("npm-eresolve-a1")
    rng = random.Random(size)  # noqa: S311 (nothing secret)
    lines = b"".join(b"#7 %07d layer %032x\n" % (number, rng.getrandbits(128)) for number in range(size // 48))
    return (lines[: size - len(fault) - 1] + b"\n" + fault).rjust(size, b".")


async def sent(bootstrap: str, codec: str | None, value: bytes, run: str) -> tuple[str, int, int]:
    """Where the record lies that a producer with this codec wrote."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type=codec, max_request_size=MOST + 100_000, max_batch_size=65_536
    )
    await producer.start()
    try:
        headers = [(name, text.encode()) for name, text in {**BUILD, "run_id": run}.items()]
        at = await producer.send_and_wait(TOPIC, value, key=run.encode(), headers=headers)
        return at.topic, at.partition, at.offset
    finally:
        await producer.stop()


async def test_ten_megabytes_in_each_codec(deployment: Deployment) -> None:
    """A log has its finding, from its last lines; what is no log is a dead letter, whole, also the second time."""
    await deployment.start()
    log, binary = log_of(MOST), random.Random(1).randbytes(MOST)  # noqa: S311
    assert len(log) == MOST
    last = log.count(b"\n")
    places = [await sent(deployment.bootstrap, codec, log, codec or "none") for codec in CODECS]
    bad = await sent(deployment.bootstrap, None, binary, "binary")
    await deployment.until(
        lambda: set(places) <= deployment.findings.keys() and bad in deployment.dead, "every record ended"
    )
    for place in places:
        lines = [each["line"] for each in deployment.findings[place]["data"]["evidence"]]
        assert last - 100 < max(lines) <= last + 1
    assert deployment.dead.keys() == {bad}
    [letter] = deployment.records["dead-letters"]
    assert letter.value == binary
    assert (await replay(deployment, "--reason", "binary"))["sent"] == 1
    await deployment.until(lambda: deployment.dead[bad]["fs-attempt"] == "2", "it came back and was rejected again")
    assert [record.value for record in deployment.records["dead-letters"]] == [binary, binary]


async def test_a_letter_that_fits_its_topic_compressed_alone(deployment: Deployment) -> None:
    """Producers that compress may send more than the topics take uncompressed: kafka.compression keeps it whole."""
    value = b"\0" * (2 * MOST)
    kafka = {"bootstrap": deployment.bootstrap, "create_topics": True, "partitions": 2, "session_timeout_s": 6}
    await deployment.start(kafka=kafka)
    producer = AIOKafkaProducer(
        bootstrap_servers=deployment.bootstrap, compression_type="zstd", max_request_size=3 * MOST
    )
    await producer.start()
    try:
        first = await producer.send_and_wait(TOPIC, value)
        place = (first.topic, first.partition, first.offset)
        await deployment.until(lambda: place in deployment.dead, "it is a dead letter")
        assert deployment.dead[place]["fs-body-left-out"] == str(len(value))
        assert await deployment.stop() == 0
        await deployment.start(kafka={**kafka, "compression": "zstd"})
        second = await producer.send_and_wait(TOPIC, value)
    finally:
        await producer.stop()
    place = (second.topic, second.partition, second.offset)
    await deployment.until(lambda: place in deployment.dead, "the second is a dead letter too")
    assert deployment.dead[place]["fs-reason"] == "binary"
    assert deployment.records["dead-letters"][-1].value == value


@pytest.mark.s3
async def test_logs_in_a_bucket(deployment: Deployment, s3_double: str, tmp_path: Path) -> None:
    """An event that refers to an object ends as its finding; one that refers to another bucket is a dead letter."""
    bucket, log = f"logs-{uuid.uuid4().hex[:12]}", log_of(12_000_000)
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{s3_double}/{bucket}") as answer:
            assert answer.status == 200
        (tmp_path / "build.log").write_bytes(log)
        with (tmp_path / "build.log").open("rb") as file:
            async with session.put(f"{s3_double}/{bucket}/2026/build.log", data=file) as answer:
                assert answer.status == 200
    secret = uuid.uuid4().hex
    (tmp_path / "secret").write_text(secret)
    s3 = {
        "buckets": [bucket],
        "endpoint": s3_double,
        "access_key_id": "AK",
        "secret_access_key_file": str(tmp_path / "secret"),
    }
    await deployment.start(fetch={"schemes": ["s3"], "s3": s3})
    place, gone, other = await deployment.send(
        (b"", {**BUILD, "log_url": f"s3://{bucket}/2026/build.log"}),
        (b"", {**BUILD, "log_url": f"s3://{bucket}/2026/other.log"}),
        (b"", {**BUILD, "log_url": "s3://other/2026/build.log"}),
    )
    await deployment.until(
        lambda: place in deployment.findings and {gone, other} <= deployment.dead.keys(), "every record ended"
    )
    finding = deployment.findings[place]["data"]
    assert finding["result"]["category"] == "dependency_resolution"
    assert max(each["line"] for each in finding["evidence"]) > log.count(b"\n") - 100
    assert deployment.dead[gone]["fs-reason"] == "reference_failed"
    assert "404 NoSuchKey" in deployment.dead[gone]["fs-error"]
    assert deployment.dead[other]["fs-reason"] == "reference_not_allowed"
    assert "fetch.s3.buckets" in deployment.dead[other]["fs-error"]
    written = [record.value or b"" for topic in deployment.records.values() for record in topic]
    assert secret not in deployment.log + json.dumps([value.decode("utf-8", "replace") for value in written])
