"""Records of 10 MB in each codec of Kafka's, with the topic's setting that docs/kafka.md names."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record
from processor.errors import Unwritable
from processor.settings.kafka import KafkaSettings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sources.kafka import KafkaSource, KafkaSourceConfig

pytestmark = pytest.mark.kafka

MOST = 10_000_000
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


async def created(bootstrap: str, **config: str) -> str:
    """A topic with this configuration."""
    name = f"large-{uuid.uuid4().hex[:10]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config)])
    finally:
        await admin.close()
    return name


class Listening:
    """Takes what is assigned."""

    async def assigned(self, partitions: Any) -> None: ...

    async def revoked(self, partitions: Any) -> None: ...


async def written(client: KafkaClient, codec: str, records: list[Outbound]) -> None:
    """Writes records as a daemon with `kafka.compression: <codec>` does."""
    compression = None if codec == "none" else codec
    sink = KafkaSink(KafkaSinkConfig(client, max_bytes=50_000_000, compression=compression))
    await sink.start()
    try:
        await sink.publish(records)
    finally:
        await sink.stop()


async def read(client: KafkaClient, topic: str, count: int) -> list[Record]:
    """What lies on the topic."""
    source = KafkaSource(client, KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}))
    await source.start(Listening())
    try:
        found: list[Record] = []
        async with asyncio.timeout(60):
            while len(found) < count:
                found += await source.poll(0.2, 10)
        return found
    finally:
        await source.stop()


def random_bytes(size: int) -> bytes:
    """What no codec makes smaller, the same each time."""
    return random.Random(size).randbytes(size)  # noqa: S311 (nothing secret)


def log_of(size: int) -> bytes:
    """A log, part of which can't be compressed."""
    return random_bytes(size // 2) + b"error: it did not work\n" * (size // 46)


def test_every_codec_is_a_setting() -> None:
    """And nothing else is."""
    assert [KafkaSettings(compression=codec).compression for codec in CODECS] == list(CODECS)


@pytest.mark.parametrize("codec", CODECS)
async def test_ten_megabytes_in_each_codec(codec: str, apache_kafka: str) -> None:
    """Written and read whole, between small ones that keep their order."""
    topic = await created(apache_kafka, **{"max.message.bytes": "10500000"})
    client = KafkaClient.of(KafkaSettings(bootstrap=apache_kafka))
    large = log_of(MOST)
    await written(client, codec, [Outbound(topic, b"k", value) for value in (b"before", large, b"after")])
    assert [record.value for record in await read(client, topic, 3)] == [b"before", large, b"after"]


async def test_a_record_that_the_topic_refuses_is_told(apache_kafka: str) -> None:
    """By its position; those beside it are written."""
    topic = await created(apache_kafka, **{"max.message.bytes": "1000000"})
    client = KafkaClient.of(KafkaSettings(bootstrap=apache_kafka))
    large = random_bytes(2_000_000)
    with pytest.raises(Unwritable) as caught:
        await written(client, "none", [Outbound(topic, b"k", value) for value in (b"before", large, b"after")])
    assert caught.value.positions == (1,)
    assert [record.value for record in await read(client, topic, 2)] == [b"before", b"after"]
