"""How much of a topic a group has not read yet, and since when that lies there."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError

from processor.cluster.client import KafkaClient, stopped
from processor.cluster.diagnose import explain
from processor.errors import Retryable
from processor.sources.history import ends, outsider, partitions, starts

LOOK_MS = 200
"""Bound on one look for a record, in milliseconds."""

LOOK_BYTES = 100_000
"""Most bytes of one look: the first record is all that is wanted. A larger one comes all the same."""


class Waiting(NamedTuple):
    """At most so many records, and the time of the oldest in Unix milliseconds; 0 if there is none."""

    records: int
    oldest_ms: int


class Backlog:
    """Asks for a group that others are the members of; one connection, made when it is first needed."""

    def __init__(self, client: KafkaClient, group: str) -> None:
        self._client = client
        self._group = group
        self._consumer: AIOKafkaConsumer | None = None
        self._one = asyncio.Lock()

    async def waiting(self, topic: str) -> Waiting:
        """What lies on `topic` behind the group's committed offsets. Raises Retryable."""
        async with self._one:
            try:
                async with asyncio.timeout(self._client.request_timeout_s):
                    return await self._ask(topic)
            except (KafkaError, TimeoutError) as error:
                # An assignment while the client looks for its coordinator ends the client's task for good.
                await self.stop()
                raise Retryable(f"{topic}: {explain(error, self._client.arguments())}") from error

    async def _ask(self, topic: str) -> Waiting:
        consumer = await self._connected()
        tps = await partitions(consumer, topic)
        consumer.assign(tps)
        last, first = await ends(consumer, tps), await starts(consumer, tps)
        behind: dict[ClientPartition, int] = {}  # records and markers
        for tp in tps:
            at = max(await consumer.committed(tp) or 0, first[tp])
            if at < last[tp]:
                behind[tp] = last[tp] - at
                consumer.seek(tp, at)
        # The end may stand behind nothing but markers of transactions: only a record tells, or a position at the end.
        left, oldest = 0, 0
        while behind:
            found = await consumer.getmany(*behind, timeout_ms=LOOK_MS)
            for tp in list(behind):
                if records := found.get(tp):
                    left += behind.pop(tp)
                    oldest = min(oldest or records[0].timestamp, records[0].timestamp)
                elif await consumer.position(tp) >= last[tp]:
                    del behind[tp]
        return Waiting(left, oldest)

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = outsider(self._client, self._group, LOOK_BYTES)
            try:
                await consumer.start()
            except BaseException:
                await stopped(consumer)
                raise
            self._consumer = consumer
        return self._consumer

    async def stop(self) -> None:
        """Disconnects."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await stopped(consumer)
