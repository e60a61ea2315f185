"""librdkafka's producer (confluent-kafka 2), which packs and sends records in threads of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import errors
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.cluster.client import STOP_S
from processor.cluster.diagnose import explain, waiting
from processor.cluster.librdkafka import RENEW_S, Troubles, options, translated, version
from processor.contract import Outbound
from processor.errors import Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.packing import FOR_GOOD
from processor.sinks.writing import Failed

log = structlog.get_logger(__name__)

QUEUE_BYTES: Final = 67_108_864
"""What librdkafka holds a copy of; beyond it, or beyond twice the largest record, writers wait."""

BATCH_BYTES: Final = 1_000_000
"""Of one request for a partition: large records are written here, of which a smaller one would hold only a few."""

LEAST_S, MOST_S = 0.0005, 0.05
"""Between two looks at what was acknowledged: librdkafka has nothing that an event loop could wait for."""

_LOST: Final = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL})  # noqa: SLF001


class LibrdkafkaWriter:
    """See processor.sinks.writing.Writer."""

    def __init__(self, config: KafkaSinkConfig) -> None:
        self._config = config
        self._troubles = Troubles("publish")
        self._producer: Producer | None = None
        self._turn = asyncio.Lock()
        self._idempotent = False
        self._version: object = None
        self._renewed = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self, *, idempotent: bool) -> None:
        """See Writer."""
        self._idempotent = idempotent
        try:
            await self._open()
        except (KafkaException, OSError) as error:
            raise await waiting(self._config.arguments, translated(error)) from error

    async def _open(self) -> None:
        client = self._config.client
        now = version(client.security)
        most = self._config.max_bytes
        made = await asyncio.to_thread(  # it waits for the first token, where there are some
            Producer,
            {
                **options(client, self._troubles),
                "enable.idempotence": self._idempotent,
                # More would change places when one is sent again; with idempotence the brokers see to that.
                "max.in.flight.requests.per.connection": 5 if self._idempotent else 1,
                "acks": "all",
                "partitioner": "murmur2_random",
                "compression.type": self._config.compression or "none",
                "batch.size": max(self._config.batch_bytes, min(BATCH_BYTES, most)),
                "message.max.bytes": most + 65_536,
                "queue.buffering.max.kbytes": max(QUEUE_BYTES, 2 * most) // 1024,
                "message.timeout.ms": 0,
                "linger.ms": 1,
                "delivery.report.only.error": True,
                "allow.auto.create.topics": False,
                "topic.metadata.propagation.max.ms": int(client.request_timeout_s * 1000),
            },
        )
        self._retire()
        self._producer, self._version, self._renewed = made, now, time.monotonic()

    def _retire(self) -> None:
        """Lets go of the producer there is, and waits for nothing."""
        if self._producer is not None:
            closing = asyncio.create_task(asyncio.to_thread(_closed, self._producer), name="kafka-producer-end")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._producer = None

    async def _renew(self, *, broken: bool = False) -> None:
        """Makes another producer where this one is of no more use, or its credentials are of yesterday."""
        if not broken and time.monotonic() - self._renewed < RENEW_S:
            return
        self._renewed = time.monotonic()
        try:
            if broken or version(self._config.client.security) != self._version:
                await self._open()
        except (KafkaException, OSError) as error:
            log.warning("no new producer", action="publish", error=str(translated(error)))

    async def write(self, records: Sequence[Outbound], positions: Sequence[int], *, one_by_one: bool) -> Failed:
        """See Writer."""
        async with self._turn:  # what is acknowledged is told of all that a producer has, not of each record
            groups = [[at] for at in positions] if one_by_one else [positions]
            return [failure for group in groups for failure in await self._write(records, group)]

    async def _write(self, records: Sequence[Outbound], positions: Sequence[int]) -> Failed:
        await self._renew()
        producer = self._producer
        if producer is None:
            raise Retryable("the sink is not connected")
        failed: list[tuple[int, KafkaError]] = []
        for at in positions:
            await self._produce(producer, records[at], partial(_told, failed, at))
        await self._acknowledged(producer)
        if producer is self._producer and any(error.code() in _LOST or error.fatal() for _, error in failed):
            await self._renew(broken=True)
        return _grouped(records, failed, self._config.arguments)

    async def _produce(self, producer: Producer, record: Outbound, told: Callable[..., None]) -> None:
        """Hands a record over, as soon as there is room; `told` learns of it if it can't be written."""
        partition = -1 if record.partition is None else record.partition
        more: dict[str, Any] = {"headers": list(record.headers)} if record.headers else {}
        while True:
            try:
                producer.produce(record.topic, record.value, record.key, partition, told, **more)
            except BufferError:
                producer.poll(0)
                await asyncio.sleep(LEAST_S)
            except KafkaException as error:
                told(error.args[0])
                return
            else:
                return

    async def _acknowledged(self, producer: Producer) -> None:
        """Waits until it is known of all what became of them, however long the brokers are away.

        Should the credentials change meanwhile, what is not written by then is given up, for it may never be.
        """
        wait_s, began = LEAST_S, time.monotonic()
        notice = began + self._config.notice_s
        while left := len(producer):
            await asyncio.sleep(wait_s)
            wait_s = LEAST_S if producer.poll(0) else min(MOST_S, 1.2 * wait_s)
            now = time.monotonic()
            if now >= notice:
                notice = now + self._config.notice_s
                log.warning("brokers do not acknowledge", action="publish", records=left)
                await self._renew()
                if producer is not self._producer:
                    producer.purge()

    async def stop(self) -> None:
        """See Writer."""
        self._retire()
        if self._closing:
            await asyncio.wait(self._closing)


def _told(failed: list[tuple[int, KafkaError]], at: int, error: KafkaError, _message: Message | None = None) -> None:
    """Librdkafka's callback, of a record that it could not write."""
    failed.append((at, error))


def _closed(producer: Producer) -> None:
    """Sends what is left, within a bound; whoever waits for the rest learns that it is given up."""
    producer.flush(STOP_S)
    producer.purge()


def _grouped(records: Sequence[Outbound], failed: list[tuple[int, KafkaError]], arguments: dict[str, Any]) -> Failed:
    """What failed, and how. What is refused for good stays together: one record of a batch may be to blame."""
    for_good: dict[tuple[str, int], tuple[list[int], errors.KafkaError]] = {}
    rest: Failed = []
    for at, met in failed:
        topic = records[at].topic
        error = translated(met, topic)
        if isinstance(error, errors.UnknownTopicOrPartitionError):
            why = f"{explain(error, arguments)}; `faultstream topics` says what is missing"
            raise Retryable(f"topic {topic} can't be written: {why}") from error
        if isinstance(error, FOR_GOOD):
            for_good.setdefault((topic, met.code()), ([], error))[0].append(at)
        else:
            rest.append(([at], error))
    return [*for_good.values(), *rest]
