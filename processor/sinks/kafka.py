"""Writes records to Kafka, each acknowledged by all replicas. By which library: see `writing` and `librdkafka`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.transaction import InitProducerIdRequest

from processor.cluster.client import stopped
from processor.cluster.diagnose import explain
from processor.contract import Outbound
from processor.errors import Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.librdkafka import LibrdkafkaWriter
from processor.sinks.packing import AFTER_A_GAP, FOR_GOOD, oversized, unwritable
from processor.sinks.writing import ClientWriter, Failed, Writer, connected

log = structlog.get_logger(__name__)

PROBES, PROBE_S = 20, 0.25
"""How often a broker is asked whether it has idempotent producers, and how many seconds apart."""

LARGE_BYTES = 16_384
"""Mean size from which on records are librdkafka's to write: small ones cost less packed than one by one."""


class KafkaSink:
    """See processor.engine.ports.Sink."""

    def __init__(self, config: KafkaSinkConfig) -> None:
        self._config = config
        self._packed: Writer = ClientWriter(config)
        self._large: Writer = LibrdkafkaWriter(config) if config.client.records == "librdkafka" else self._packed
        self.idempotent = False

    @property
    def max_bytes(self) -> int:
        """Largest record in bytes."""
        return self._config.max_bytes

    async def start(self) -> None:
        """Connects: idempotent where the broker can, else with acks=all alone. Raises Retryable."""
        producer = await connected(self._config)
        try:
            self.idempotent = await self._probe(producer)
        finally:
            await stopped(producer)
        if not self.idempotent:
            log.warning("no idempotent producers on this broker: a retried write may double", action="start")
        for writer in {self._packed, self._large}:
            await writer.start(idempotent=self.idempotent)

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

    async def _send(self, records: Sequence[Outbound], positions: Sequence[int], one_by_one: bool) -> Failed:
        """Sends what is at `positions`; returns what failed, and how."""
        large = sum(records[at].size for at in positions) >= LARGE_BYTES * len(positions)
        writer = self._large if large else self._packed
        failed = await writer.write(records, positions, one_by_one=one_by_one)
        # What follows a refused batch of an idempotent producer is refused as well, for the gap; the next one takes it.
        gap = any(isinstance(error, FOR_GOOD) for _, error in failed)
        for at, error in failed:
            if not (error.retriable or isinstance(error, FOR_GOOD) or (gap and isinstance(error, AFTER_A_GAP))):
                raise Retryable(f"{records[at[0]].topic}: {self._text(error)}") from error
        return failed

    async def stop(self) -> None:
        """Sends what is left and disconnects; bounded, for the brokers may be away."""
        for writer in {self._packed, self._large}:
            await writer.stop()

    def _text(self, error: BaseException) -> str:
        return explain(error, self._config.arguments)
