"""Reads what lies on a topic now, from its first record to its end, outside of any consumer group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError

from processor.cluster.client import KafkaClient
from processor.cluster.diagnose import explain, waiting
from processor.contract import Record
from processor.errors import Retryable


async def history(client: KafkaClient, topic: str, partitions: Sequence[int] | None = None) -> AsyncIterator[Record]:
    """The committed records of a topic (or of some of its partitions) that are there at the moment of the call.

    Raises Retryable while the brokers are away, also in the middle.
    """
    consumer = AIOKafkaConsumer(
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16_000_000,
        **client.arguments(),
    )
    try:
        await _connect(consumer, client)
        ends = await _ends(consumer, client, topic, partitions)
        if ends:
            await consumer.seek_to_beginning(*ends)
        while await _behind(consumer, ends):
            for tp, messages in (await consumer.getmany(timeout_ms=500)).items():
                for m in messages:
                    if m.offset < ends[tp]:
                        yield Record(topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)
    except (KafkaError, TimeoutError) as error:
        raise Retryable(f"{topic} can't be read: {explain(error, client.arguments())}") from error
    finally:
        await consumer.stop()


async def _connect(consumer: AIOKafkaConsumer, client: KafkaClient) -> None:
    try:
        await consumer.start()
    except KafkaError as error:
        raise await waiting(client.arguments(), error) from error


async def _ends(
    consumer: AIOKafkaConsumer, client: KafkaClient, topic: str, partitions: Sequence[int] | None
) -> dict[ClientPartition, int]:
    async with asyncio.timeout(client.request_timeout_s):
        # The metadata of a topic that nobody subscribed to is fetched by this call alone.
        await consumer._client._wait_on_metadata(topic)  # noqa: SLF001
        numbers = sorted(consumer.partitions_for_topic(topic) or ()) if partitions is None else partitions
        tps = [ClientPartition(topic, number) for number in numbers]
        consumer.assign(tps)
        return dict(await consumer.end_offsets(tps)) if tps else {}


async def _behind(consumer: AIOKafkaConsumer, ends: dict[ClientPartition, int]) -> bool:
    """Whether records are left; a position moves over the markers of transactions, which are no records."""
    return any([await consumer.position(tp) < end for tp, end in ends.items()])
