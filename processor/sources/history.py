"""Reads what lies on a topic now, outside of any group's assignment: all of it, or what came in a span of time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError

from processor.cluster.client import KafkaClient
from processor.cluster.diagnose import explain, waiting
from processor.contract import Record, TopicPartition
from processor.errors import Retryable


class Span(NamedTuple):
    """Offsets of a partition, the end left out."""

    start: int
    end: int


async def history(client: KafkaClient, topic: str, partitions: Sequence[int] | None = None) -> AsyncIterator[Record]:
    """The committed records of a topic (or of some of its partitions) that are there at the moment of the call.

    Raises Retryable while the brokers are away, also in the middle.
    """
    async with _reading(client, topic) as consumer:
        found = await _partitions(consumer, client, topic) if partitions is None else partitions
        tps = [ClientPartition(topic, number) for number in found]
        consumer.assign(tps)
        async with asyncio.timeout(client.request_timeout_s):
            ends = dict(await consumer.end_offsets(tps)) if tps else {}
        if tps:
            await consumer.seek_to_beginning(*tps)
        async for record in _until(consumer, ends):
            yield record


async def between(client: KafkaClient, spans: Mapping[TopicPartition, Span]) -> AsyncGenerator[Record, None]:
    """The committed records of these offsets, those of a partition in order. Raises Retryable."""
    ends = {ClientPartition(*tp): span.end for tp, span in spans.items() if span.start < span.end}
    if not ends:  # and a consumer that is stopped as soon as it is started fails
        return
    async with _reading(client, ", ".join(sorted({tp.topic for tp in ends}))) as consumer:
        consumer.assign(list(ends))
        for tp in ends:
            consumer.seek(tp, spans[TopicPartition(*tp)].start)
        async for record in _until(consumer, ends):
            yield record


async def since(
    client: KafkaClient, topics: Collection[str], start: datetime, end: datetime | None = None
) -> dict[TopicPartition, Span]:
    """The offsets of what came on these topics from `start` on, up to `end` or now. Raises Retryable."""
    found: dict[TopicPartition, Span] = {}
    for topic in topics:
        async with _reading(client, topic) as consumer:
            tps = [ClientPartition(topic, number) for number in await _partitions(consumer, client, topic)]
            last = dict(await consumer.end_offsets(tps))
            first = await _at(consumer, last, start)
            stop = last if end is None else await _at(consumer, last, end)
            found |= {TopicPartition(*tp): Span(first[tp], max(first[tp], stop[tp])) for tp in tps}
    return found


class Bookmarks:
    """Committed offsets of a group that nobody joins: how far a work that is done in parts has come."""

    def __init__(self, client: KafkaClient, group: str) -> None:
        self._client = client
        self._group = group

    async def __aenter__(self) -> Self:
        arguments = self._client.arguments()
        self._consumer = AIOKafkaConsumer(group_id=self._group, enable_auto_commit=False, **arguments)
        await _connect(self._consumer, self._client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def read(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offsets of those partitions that have one. Raises Retryable."""
        found = {tp: await self._bounded(self._consumer.committed(ClientPartition(*tp))) for tp in partitions}
        return {tp: offset for tp, offset in found.items() if offset is not None}

    async def write(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commits. Raises Retryable."""
        self._consumer.assign([ClientPartition(*tp) for tp in offsets])
        await self._bounded(self._consumer.commit({ClientPartition(*tp): offset for tp, offset in offsets.items()}))

    async def _bounded(self, call: Any) -> Any:
        try:
            async with asyncio.timeout(self._client.request_timeout_s):
                return await call
        except (KafkaError, TimeoutError) as error:
            raise Retryable(f"offsets: {explain(error, self._client.arguments())}") from error


@asynccontextmanager
async def _reading(client: KafkaClient, what: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that belongs to no group; its errors become Retryable."""
    consumer = AIOKafkaConsumer(
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16_000_000,
        **client.arguments(),
    )
    try:
        await _connect(consumer, client)
        yield consumer
    except (KafkaError, TimeoutError) as error:
        raise Retryable(f"{what} can't be read: {explain(error, client.arguments())}") from error
    finally:
        await consumer.stop()


async def _connect(consumer: AIOKafkaConsumer, client: KafkaClient) -> None:
    try:
        await consumer.start()
    except KafkaError as error:
        await consumer.stop()
        raise await waiting(client.arguments(), error) from error


async def _partitions(consumer: AIOKafkaConsumer, client: KafkaClient, topic: str) -> list[int]:
    async with asyncio.timeout(client.request_timeout_s):
        # The metadata of a topic that nobody subscribed to is fetched by this call alone.
        await consumer._client._wait_on_metadata(topic)  # noqa: SLF001
        return sorted(consumer.partitions_for_topic(topic) or ())


async def _at(
    consumer: AIOKafkaConsumer, last: Mapping[ClientPartition, int], time: datetime
) -> dict[ClientPartition, int]:
    """The offsets of the first records from a time on; the end where there is none."""
    found = await consumer.offsets_for_times(dict.fromkeys(last, int(time.timestamp() * 1000)))
    return {tp: at.offset if (at := found.get(tp)) is not None else end for tp, end in last.items()}


async def _until(consumer: AIOKafkaConsumer, ends: Mapping[ClientPartition, int]) -> AsyncIterator[Record]:
    while await _behind(consumer, ends):
        for tp, messages in (await consumer.getmany(timeout_ms=500)).items():
            for m in messages:
                if m.offset < ends[tp]:
                    yield Record(tp.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)


async def _behind(consumer: AIOKafkaConsumer, ends: Mapping[ClientPartition, int]) -> bool:
    """Whether records are left; a position moves over the markers of transactions, which are no records."""
    return any([await consumer.position(tp) < end for tp, end in ends.items()])
