"""Writes records to Kafka in batches per partition (aiokafka 0.14).

One batch and one acknowledgement per partition instead of one future per record: that is where most of a
producer's time would go. Records of one key keep their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    for_code,
)
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.transaction import InitProducerIdRequest

from processor.cluster.diagnose import explain, waiting
from processor.contract import Outbound
from processor.errors import Retryable, Unwritable

log = structlog.get_logger(__name__)

PROBES, PROBE_S = 20, 0.25
"""How often a broker is asked whether it has idempotent producers, and how many seconds apart."""

FOR_GOOD = (MessageSizeTooLargeError, InvalidTopicError, CorruptRecordException)
"""Errors that the same record would meet again."""

AFTER_A_GAP = OutOfOrderSequenceNumber
"""The error of a batch whose predecessor was refused."""


@dataclass(slots=True)
class _Batch:
    """Records of one partition that travel and are acknowledged together."""

    topic: str
    partition: int
    builder: BatchBuilder
    positions: list[int]
    rank: int = 0  # how many batches of the same partition go before it


@dataclass(frozen=True, slots=True)
class KafkaSinkConfig:
    """`arguments` are those of every client of the cluster; see processor.sources.kafka.KafkaClient."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    max_bytes: int = 1_000_000  # largest record, uncompressed; the topic's max.message.bytes must allow it
    batch_bytes: int = 262_144
    compression: str | None = None
    notice_s: float = 30.0  # how long acknowledgements may take before a line is logged
    retry_s: float = 0.5  # between tries of what the brokers did not take


class KafkaSink:
    """See processor.engine.ports.Sink."""

    def __init__(self, config: KafkaSinkConfig) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None
        self._next = 0
        self.idempotent = False

    @property
    def max_bytes(self) -> int:
        """Largest record in bytes."""
        return self._config.max_bytes

    async def start(self) -> None:
        """Connects: idempotent where the broker can, else with acks=all alone. Raises Retryable."""
        producer = await self._connect()
        self.idempotent = await self._probe(producer)
        if self.idempotent:
            await producer.stop()
            producer = await self._connect(enable_idempotence=True)
        else:
            log.warning("no idempotent producers on this broker: a retried write may double", action="start")
        self._producer = producer

    async def _connect(self, **options: Any) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            acks="all",
            max_batch_size=self._config.batch_bytes,
            compression_type=self._config.compression,
            **self._config.arguments,
            **options,
        )
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            raise await waiting(self._config.arguments, error) from error
        return producer

    async def _probe(self, producer: AIOKafkaProducer) -> bool:
        """Whether the broker hands out producer ids; asked by the request that an idempotent producer begins with."""
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
        for _ in range(PROBES):
            try:
                answer = await producer.client.send(producer.client.get_random_node(), request)
            except KafkaError as error:
                log.warning("the probe for idempotent producers failed", action="start", error=self._text(error))
                return False
            if not for_code(answer.error_code).retriable:
                break
            await asyncio.sleep(PROBE_S)  # a broker that has just started is still loading its coordinator
        return bool(answer.error_code == 0)

    async def publish(self, records: Sequence[Outbound]) -> None:
        """Writes all and awaits every acknowledgement, however long the brokers are away.

        What they did not take is tried again by itself. Raises Unwritable after all others are acknowledged,
        Retryable where something outside must change first (a missing topic, a missing right).
        """
        limit = self._config.max_bytes
        refused = {at: f"over {limit} bytes" for at, record in enumerate(records) if _size(record) > limit}
        waiting = [at for at in range(len(records)) if at not in refused]
        one_by_one = False
        while waiting:
            failed = await self._send(records, waiting, one_by_one)
            waiting = []
            for positions, error in failed:
                if not isinstance(error, FOR_GOOD):
                    waiting += positions
                elif len(positions) == 1:
                    refused[positions[0]] = explain(error)
                else:
                    one_by_one = True  # one of them is to blame for all
                    waiting += positions
            if waiting and not one_by_one:
                log.warning(
                    "records were not taken", action="publish", error=self._text(failed[0][1]), count=len(waiting)
                )
                await asyncio.sleep(self._config.retry_s)
        if refused:
            at, why = min(refused.items())
            raise Unwritable(f"{records[at].topic} refuses {len(refused)} records: {why}", tuple(sorted(refused)))

    async def _send(
        self, records: Sequence[Outbound], positions: Sequence[int], one_by_one: bool
    ) -> list[tuple[list[int], KafkaError]]:
        """Sends what is at `positions`; returns what failed, and how."""
        batches = await self._batches(records, positions, one_by_one)
        sent = [(batch.positions, await self._submit(batch)) for batch in sorted(batches, key=lambda b: b.rank)]
        await self._acknowledged([future for _, future in sent])
        failed = []
        for at, future in sent:
            error = future.exception()
            if isinstance(error, KafkaError):
                failed.append((at, error))
            elif error is not None:
                raise error
        if any(not error.retriable for _, error in failed):
            await self._renew()
        # What follows a refused batch of an idempotent producer is refused as well, for the gap; the next one takes it.
        gap = any(isinstance(error, FOR_GOOD) for _, error in failed)
        for at, error in failed:
            if not (error.retriable or isinstance(error, FOR_GOOD) or (gap and isinstance(error, AFTER_A_GAP))):
                raise Retryable(f"{records[at[0]].topic}: {self._text(error)}") from error
        return failed

    async def _batches(self, records: Sequence[Outbound], positions: Sequence[int], one_by_one: bool) -> list[_Batch]:
        """Packs records by partition, in order."""
        batches: list[_Batch] = []
        open_: dict[tuple[str, int], _Batch] = {}
        partitions: dict[str, list[int]] = {}
        for at in positions:
            record = records[at]
            topic = record.topic
            known = partitions.get(topic)
            if known is None:
                known = partitions[topic] = await self._partitions(topic)
            partition = record.partition
            if partition is None:
                chosen = self._next if record.key is None else hashed(record.key)
                partition = known[chosen % len(known)]
            batch = open_.get((topic, partition))
            if batch is not None and not one_by_one and _append(batch, record):
                batch.positions.append(at)
                continue
            rank = 0 if batch is None else batch.rank + 1
            batch = open_[topic, partition] = _Batch(topic, partition, self._live.create_batch(), [at], rank)
            _append(batch, record)
            batches.append(batch)
        self._next += 1  # records without a key share a partition per call
        return batches

    async def _partitions(self, topic: str) -> list[int]:
        try:
            return sorted(await self._live.partitions_for(topic))
        except KafkaError as error:
            why = f"{self._text(error)}; `faultstream topics` says what is missing"
            raise Retryable(f"topic {topic} can't be written: {why}") from error

    async def _submit(self, batch: _Batch) -> asyncio.Future[Any]:
        # Closed, for the client to send it as it is; the client allows one batch per partition to wait.
        batch.builder.close()
        while True:
            try:
                future: asyncio.Future[Any] = await self._live.send_batch(
                    batch.builder, batch.topic, partition=batch.partition
                )
                return future
            except KafkaError as error:
                if not error.retriable:
                    raise Retryable(f"{batch.topic}: {self._text(error)}") from error
                log.warning("brokers are slow to take records", action="publish", error=self._text(error))

    async def _acknowledged(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """Idempotent batches have no time-out in the client, by right: sent again, they might double."""
        pending = set(futures)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=self._config.notice_s)
            if pending:
                log.warning("brokers do not acknowledge", action="publish", batches=len(pending))

    async def _renew(self) -> None:
        """A producer that met an error which it can't retry is of no more use."""
        old = self._live
        self._producer = await self._connect(enable_idempotence=self.idempotent)
        await _stopped(old)

    async def stop(self) -> None:
        """Sends what is left and disconnects; bounded, for the brokers may be away."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await _stopped(producer)

    def _text(self, error: BaseException) -> str:
        return explain(error, self._config.arguments)

    @property
    def _live(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise Retryable("the sink is not connected")
        return self._producer


async def _stopped(producer: AIOKafkaProducer) -> None:
    await asyncio.wait([asyncio.create_task(producer.stop(), name="kafka-sink-stop")], timeout=10)


@lru_cache(maxsize=65_536)
def hashed(key: bytes) -> int:
    """Kafka's hash of a key, the same as every other client's; findings of a fault come again and again."""
    return int(murmur2(key)) & 0x7FFFFFFF


def _append(batch: _Batch, record: Outbound) -> bool:
    added = batch.builder.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return added is not None


def _size(record: Outbound) -> int:
    size = len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += len(name) + len(value) + 8
    return size
