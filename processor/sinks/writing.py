"""How records get to the brokers: one Protocol, and aiokafka's producer, which batches are packed for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from processor.cluster.client import stopped
from processor.cluster.diagnose import waiting
from processor.contract import Outbound
from processor.errors import Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.packing import Packer

log = structlog.get_logger(__name__)

Failed = list[tuple[list[int], KafkaError]]
"""What was not taken: positions in the call, and why."""


class Writer(Protocol):
    """A producer, whose acknowledgements are those of all replicas."""

    async def start(self, *, idempotent: bool) -> None:
        """Connects. Raises Retryable."""

    async def write(self, records: Sequence[Outbound], positions: Sequence[int], *, one_by_one: bool) -> Failed:
        """Writes what is at `positions`, and waits until it is known of each what became of it.

        `one_by_one`: each travels alone. Raises Retryable where something outside must change first.
        """

    async def stop(self) -> None:
        """Sends what is left and disconnects; bounded, for the brokers may be away."""


class ClientWriter:
    """aiokafka's producer."""

    def __init__(self, config: KafkaSinkConfig) -> None:
        self._config = config
        self._packer = Packer(config.arguments)
        self._producer: AIOKafkaProducer | None = None
        self._idempotent = False

    async def start(self, *, idempotent: bool) -> None:
        """See Writer."""
        self._idempotent = idempotent
        self._producer = await connected(self._config, enable_idempotence=idempotent)

    async def write(self, records: Sequence[Outbound], positions: Sequence[int], *, one_by_one: bool) -> Failed:
        """See Writer."""
        sent = await self._packer.submit(self._live, records, positions, one_by_one=one_by_one)
        await acknowledged([future for _, future in sent], self._config.notice_s)
        failed: Failed = []
        for at, future in sent:
            error = future.exception()
            if isinstance(error, KafkaError):
                failed.append((at, error))
            elif error is not None:
                raise error
        if any(not error.retriable for _, error in failed):
            await self._renew()
        return failed

    async def _renew(self) -> None:
        """A producer that met an error which it can't retry is of no more use."""
        old = self._live
        self._producer = await connected(self._config, enable_idempotence=self._idempotent)
        await stopped(old)

    async def stop(self) -> None:
        """See Writer."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await stopped(producer)

    @property
    def _live(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise Retryable("the sink is not connected")
        return self._producer


async def connected(config: KafkaSinkConfig, **options: Any) -> AIOKafkaProducer:
    """A producer of aiokafka's that waits for all replicas. Raises Retryable."""
    producer = AIOKafkaProducer(
        acks="all",
        max_batch_size=config.batch_bytes,
        compression_type=config.compression,
        **config.arguments,
        **options,
    )
    try:
        await producer.start()
    except BaseException as error:
        await stopped(producer)
        if isinstance(error, KafkaError):
            raise await waiting(config.arguments, error) from error
        raise
    return producer


async def acknowledged(futures: Sequence[asyncio.Future[Any]], notice_s: float) -> None:
    """Waits for all. Idempotent batches have no time-out in the client, by right: sent again, they might double."""
    pending = set(futures)
    while pending:
        _, pending = await asyncio.wait(pending, timeout=notice_s)
        if pending:
            log.warning("brokers do not acknowledge", action="publish", batches=len(pending))
