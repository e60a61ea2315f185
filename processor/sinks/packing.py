"""Packs records into batches per partition, and hands those to a producer (aiokafka 0.14).

One batch and one acknowledgement per partition instead of one future per record: that is where most of a
producer's time would go. Records of one key keep their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
)
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from processor.cluster.diagnose import explain
from processor.contract import Outbound
from processor.errors import Retryable, Unwritable

log = structlog.get_logger(__name__)

FOR_GOOD = (MessageSizeTooLargeError, InvalidTopicError, CorruptRecordException)
"""Errors that the same record would meet again."""

AFTER_A_GAP = OutOfOrderSequenceNumber
"""The error of a batch whose predecessor was refused."""


@dataclass(slots=True)
class Batch:
    """Records of one partition that travel and are acknowledged together; `positions` are theirs in the call."""

    topic: str
    partition: int
    builder: BatchBuilder
    positions: list[int]
    rank: int = 0  # how many batches of the same partition go before it


class Packer:
    """Packs and submits for one producer at a time; `arguments` are those of the cluster's clients."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._next = 0

    async def submit(
        self, producer: AIOKafkaProducer, records: Sequence[Outbound], positions: Sequence[int], *, one_by_one: bool
    ) -> list[tuple[list[int], asyncio.Future[Any]]]:
        """Hands over what is at `positions`; the future of each batch is its acknowledgement.

        Raises Retryable where something outside must change first: a missing topic, a missing right.
        """
        batches = await self._pack(producer, records, positions, one_by_one)
        return [
            (batch.positions, await self._submit(producer, batch)) for batch in sorted(batches, key=lambda b: b.rank)
        ]

    async def _pack(
        self, producer: AIOKafkaProducer, records: Sequence[Outbound], positions: Sequence[int], one_by_one: bool
    ) -> list[Batch]:
        """Packs records by partition, in order."""
        batches: list[Batch] = []
        open_: dict[tuple[str, int], Batch] = {}
        partitions: dict[str, list[int]] = {}
        for at in positions:
            record = records[at]
            topic = record.topic
            known = partitions.get(topic)
            if known is None:
                known = partitions[topic] = await self._partitions(producer, topic)
            partition = self._chosen(record, known)
            batch = open_.get((topic, partition))
            if batch is not None and not one_by_one and _append(batch, record):
                batch.positions.append(at)
                continue
            rank = 0 if batch is None else batch.rank + 1
            batch = open_[topic, partition] = Batch(topic, partition, producer.create_batch(), [at], rank)
            _append(batch, record)
            batches.append(batch)
        self._next += 1  # records without a key share a partition per call
        return batches

    async def targets(self, producer: AIOKafkaProducer, records: Sequence[Outbound]) -> set[ClientPartition]:
        """Where the next call of `submit` sends them. Raises as that does."""
        known = {topic: await self._partitions(producer, topic) for topic in {each.topic for each in records}}
        return {ClientPartition(each.topic, self._chosen(each, known[each.topic])) for each in records}

    def _chosen(self, record: Outbound, known: Sequence[int]) -> int:
        if record.partition is not None:
            return record.partition
        return known[(self._next if record.key is None else hashed(record.key)) % len(known)]

    async def _partitions(self, producer: AIOKafkaProducer, topic: str) -> list[int]:
        try:
            return sorted(await producer.partitions_for(topic))
        except KafkaError as error:
            why = f"{self.told(error)}; `faultstream topics` says what is missing"
            raise Retryable(f"topic {topic} can't be written: {why}") from error

    async def _submit(self, producer: AIOKafkaProducer, batch: Batch) -> asyncio.Future[Any]:
        # Closed, for the client to send it as it is; the client allows one batch per partition to wait.
        batch.builder.close()
        while True:
            try:
                future: asyncio.Future[Any] = await producer.send_batch(
                    batch.builder, batch.topic, partition=batch.partition
                )
                return future
            except KafkaError as error:
                if not error.retriable:
                    raise Retryable(f"{batch.topic}: {self.told(error)}") from error
                log.warning("brokers are slow to take records", action="publish", error=self.told(error))

    def told(self, error: BaseException) -> str:
        """What an error of the brokers means."""
        return explain(error, self._arguments)


def oversized(records: Sequence[Outbound], limit: int) -> dict[int, str]:
    """Why records are refused before they are sent, by their index: the client would wait for an answer for ever."""
    return {at: f"over {limit} bytes" for at, record in enumerate(records) if _size(record) > limit}


def unwritable(records: Sequence[Outbound], refused: dict[int, str]) -> Unwritable:
    """The error that tells which records were refused, and why the first was."""
    at, why = min(refused.items())
    return Unwritable(f"{records[at].topic} refuses {len(refused)} records: {why}", tuple(sorted(refused)))


@lru_cache(maxsize=65_536)
def hashed(key: bytes) -> int:
    """Kafka's hash of a key, the same as every other client's; findings of a fault come again and again."""
    return int(murmur2(key)) & 0x7FFFFFFF


def _append(batch: Batch, record: Outbound) -> bool:
    added = batch.builder.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return added is not None


def _size(record: Outbound) -> int:
    size = record.size
    for name, value in record.headers:
        size += len(name) + len(value) + 8
    return size
