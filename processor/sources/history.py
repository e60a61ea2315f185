"""Reads what lies on topics now, outside of any group's assignment: all of it, or what came in a span of time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError

from processor.cluster import leaders
from processor.cluster.client import KafkaClient, stopped
from processor.cluster.diagnose import explain, waiting
from processor.contract import Record, TopicPartition
from processor.errors import Retryable

LOOK_MS: Final = 500
"""Bound on one wait for records, in milliseconds."""

LOOK: Final = 500
"""Most records that are unpacked at once."""

FETCH_BYTES: Final = 4_000_000
"""Most bytes that are fetched at once: what one reader holds. A larger record comes all the same, alone."""


class Span(NamedTuple):
    """Offsets of a partition, the end left out."""

    start: int
    end: int


class History(Protocol):
    """What lies on topics; committed records only. Each call raises Retryable while the brokers are away."""

    async def spans(
        self, topics: Collection[str], start: datetime | None = None, end: datetime | None = None
    ) -> dict[TopicPartition, Span]:
        """The offsets that lie on these topics, or those of what came from `start` on, up to `end`."""

    def between(self, spans: Mapping[TopicPartition, Span]) -> AsyncGenerator[Record, None]:
        """The records of these offsets, those of a partition in order."""


class KafkaHistory:
    """See History."""

    def __init__(self, client: KafkaClient) -> None:
        self._client = client

    async def existing(self, topics: Collection[str]) -> list[str]:
        """Those of these topics that are there. Asks for all topics of the cluster. Raises Retryable."""
        async with _reading(self._client, ", ".join(topics)) as consumer:
            there = await consumer.topics()
        return [topic for topic in topics if topic in there]

    async def spans(
        self, topics: Collection[str], start: datetime | None = None, end: datetime | None = None
    ) -> dict[TopicPartition, Span]:
        """See History."""
        found: dict[TopicPartition, Span] = {}
        if not topics:  # and a consumer that is stopped as soon as it is started fails
            return found
        async with _reading(self._client, ", ".join(topics)) as consumer:
            for topic in topics:
                async with asyncio.timeout(self._client.request_timeout_s):
                    tps = await partitions(consumer, topic)
                    last = await ends(consumer, tps)
                    first = await starts(consumer, tps) if start is None else await _at(consumer, last, start)
                    stop = last if end is None else await _at(consumer, last, end)
                    found |= {TopicPartition(*tp): Span(first[tp], max(first[tp], stop[tp])) for tp in tps}
        return found

    async def between(self, spans: Mapping[TopicPartition, Span]) -> AsyncGenerator[Record, None]:
        """See History."""
        ends = {ClientPartition(*tp): span.end for tp, span in spans.items() if span.start < span.end}
        if not ends:  # and a consumer that is stopped as soon as it is started fails
            return
        async with _reading(self._client, ", ".join(sorted({tp.topic for tp in ends}))) as consumer:
            consumer.assign(list(ends))
            for tp in ends:
                consumer.seek(tp, spans[TopicPartition(*tp)].start)
            async for record in _until(consumer, ends, self._client.request_timeout_s):
                yield record

    async def all(self, topic: str, partition: int | None = None) -> AsyncIterator[Record]:
        """The records that lie on a topic, or on one of its partitions. Raises Retryable."""
        spans = await self.spans([topic])
        if partition is not None:
            spans = {tp: span for tp, span in spans.items() if tp.partition == partition}
            if not spans:
                raise Retryable(f"topic {topic} has no partition {partition}")
        async with aclosing(self.between(spans)) as records:
            async for record in records:
                yield record


def outsider(client: KafkaClient, group: str | None = None, fetch_bytes: int = FETCH_BYTES) -> AIOKafkaConsumer:
    """A consumer, not started, of committed records, that joins no group and may look at the offsets of one."""
    return AIOKafkaConsumer(
        group_id=group,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_bytes=fetch_bytes,
        max_partition_fetch_bytes=fetch_bytes,
        **client.arguments(),
    )


@asynccontextmanager
async def _reading(client: KafkaClient, what: str) -> AsyncIterator[AIOKafkaConsumer]:
    """An outsider that is connected; its errors become Retryable."""
    consumer = outsider(client)
    try:
        try:
            await consumer.start()
        except KafkaError as error:
            raise await waiting(client.arguments(), error) from error
        yield consumer
    except (KafkaError, TimeoutError) as error:
        raise Retryable(f"{what} can't be read: {explain(error, client.arguments())}") from error
    finally:
        await stopped(consumer)


async def partitions(consumer: AIOKafkaConsumer, topic: str) -> list[ClientPartition]:
    """The partitions of a topic that nobody subscribed to."""
    await consumer._client._wait_on_metadata(topic)  # noqa: SLF001  (its metadata is fetched by this call alone)
    return [ClientPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]


async def ends(consumer: AIOKafkaConsumer, tps: Collection[ClientPartition]) -> dict[ClientPartition, int]:
    """Where they end, as who leads them now says; of old brokers, as one says who leads or led them."""
    found = await leaders.offsets(consumer._client, dict.fromkeys(tps, leaders.LATEST))  # noqa: SLF001 (as all that asks brokers)
    return dict(await consumer.end_offsets(tps)) if found is None else found


async def starts(consumer: AIOKafkaConsumer, tps: Collection[ClientPartition]) -> dict[ClientPartition, int]:
    """Where they begin, in the same way."""
    found = await leaders.offsets(consumer._client, dict.fromkeys(tps, leaders.EARLIEST))  # noqa: SLF001
    return dict(await consumer.beginning_offsets(tps)) if found is None else found


async def placed(consumer: AIOKafkaConsumer, tp: ClientPartition, lost: int) -> int:
    """Where to read on where an offset was told to be out of range: there if it isn't, else from the beginning."""
    found = await leaders.placed(consumer._client, {tp: lost})  # noqa: SLF001
    if found is not None:
        return found[tp]
    first, last = await consumer.beginning_offsets([tp]), await consumer.end_offsets([tp])
    return leaders.put(tp, lost, int(first[tp]), last[tp])


async def _at(
    consumer: AIOKafkaConsumer, last: Mapping[ClientPartition, int], time: datetime
) -> dict[ClientPartition, int]:
    """The offsets of the first records from a time on, in the same way; the end where there is none."""
    times = dict.fromkeys(last, int(time.timestamp() * 1000))
    told = await leaders.offsets(consumer._client, times)  # noqa: SLF001
    if told is not None:
        return {tp: min(told[tp], end) if told[tp] >= 0 else end for tp, end in last.items()}
    found = await consumer.offsets_for_times(times)
    return {tp: at.offset if (at := found.get(tp)) is not None else end for tp, end in last.items()}


async def _until(
    consumer: AIOKafkaConsumer, ends: Mapping[ClientPartition, int], patience_s: float
) -> AsyncIterator[Record]:
    looks = patience_s * 1000 / LOOK_MS
    read: dict[ClientPartition, int] = {}  # up to where: a former leader may have the client begin anew
    while await _behind(consumer, ends):
        looks -= 1
        if looks < 0:
            raise TimeoutError(f"no record came for {patience_s:g} s")
        for tp, messages in (await consumer.getmany(timeout_ms=LOOK_MS, max_records=LOOK)).items():
            looks = patience_s * 1000 / LOOK_MS
            for m in messages:
                if read.get(tp, 0) <= m.offset < ends[tp]:
                    read[tp] = m.offset + 1
                    yield Record(tp.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)


async def _behind(consumer: AIOKafkaConsumer, ends: Mapping[ClientPartition, int]) -> bool:
    """Whether records are left; a position moves over the markers of transactions, which are no records."""
    return any([await consumer.position(tp) < end for tp, end in ends.items()])
