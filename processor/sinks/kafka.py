"""Writes records to Kafka (aiokafka 0.14), each batch acknowledged by all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.transaction import InitProducerIdRequest

from processor.cluster.client import KafkaClient, stopped
from processor.cluster.diagnose import explain, waiting
from processor.contract import Outbound
from processor.errors import Retryable
from processor.settings import Settings
from processor.sinks.packing import AFTER_A_GAP, FOR_GOOD, Packer, oversized, unwritable

log = structlog.get_logger(__name__)

PROBES, PROBE_S = 20, 0.25
"""How often a broker is asked whether it has idempotent producers, and how many seconds apart."""


@dataclass(frozen=True, slots=True)
class KafkaSinkConfig:
    """`arguments` are those of every client of the cluster; see processor.cluster.client.KafkaClient."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    max_bytes: int = 1_000_000  # largest record, uncompressed; the topic's max.message.bytes must allow it
    batch_bytes: int = 262_144
    compression: str | None = None
    notice_s: float = 30.0  # how long acknowledgements may take before a line is logged
    retry_s: float = 0.5  # between tries of what the brokers did not take

    @classmethod
    def of(cls, settings: Settings, client: KafkaClient) -> Self:
        """How records are written under these settings."""
        codec = settings.kafka.compression
        return cls(client.arguments(), settings.limits.record_bytes, compression=None if codec == "none" else codec)


class KafkaSink:
    """See processor.engine.ports.Sink."""

    def __init__(self, config: KafkaSinkConfig) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None
        self._packer = Packer(config.arguments)
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
            await stopped(producer)
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
        except BaseException as error:
            await stopped(producer)
            if isinstance(error, KafkaError):
                raise await waiting(self._config.arguments, error) from error
            raise
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
        refused = oversized(records, self._config.max_bytes)
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
            raise unwritable(records, refused)

    async def _send(
        self, records: Sequence[Outbound], positions: Sequence[int], one_by_one: bool
    ) -> list[tuple[list[int], KafkaError]]:
        """Sends what is at `positions`; returns what failed, and how."""
        sent = await self._packer.submit(self._live, records, positions, one_by_one=one_by_one)
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
        await stopped(old)

    async def stop(self) -> None:
        """Sends what is left and disconnects; bounded, for the brokers may be away."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await stopped(producer)

    def _text(self, error: BaseException) -> str:
        return explain(error, self._config.arguments)

    @property
    def _live(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise Retryable("the sink is not connected")
        return self._producer
