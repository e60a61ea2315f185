"""librdkafka's producer (confluent-kafka 2), which packs and sends records in threads of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import errors
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.cluster.client import STOP_S
from processor.cluster.diagnose import explain
from processor.cluster.librdkafka import Troubles, options, translated, version
from processor.contract import Outbound
from processor.errors import Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.packing import FOR_GOOD
from processor.sinks.writing import Failed, acknowledged

log = structlog.get_logger(__name__)

QUEUE_BYTES: Final = 67_108_864
"""What librdkafka holds a copy of; beyond it, or beyond twice the largest record, writers wait."""

LEAST_S, MOST_S = 0.0005, 0.05
"""Between two looks at what was acknowledged: librdkafka has nothing that an event loop could wait for."""

RENEW_S: Final = 5.0
"""How often it is looked whether the credentials have changed."""

_LOST: Final = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL})  # noqa: SLF001


class _Call:
    """Records that are written together, and what became of them."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.failed: list[tuple[int, KafkaError]] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def told(self, at: int, error: KafkaError | None, _message: Message | None = None) -> None:
        """Of the record at a position; librdkafka's callback."""
        if error is not None:
            self.failed.append((at, error))
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)


class _Live:
    """A producer, and the task that looks after it while something is under way."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self._serving: asyncio.Task[None] | None = None

    def serve(self) -> None:
        """Sees to it that callbacks are called."""
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve(), name="kafka-acknowledgements")

    async def _serve(self) -> None:
        wait_s = LEAST_S
        while len(self.producer):
            wait_s = LEAST_S if self.producer.poll(0) else min(MOST_S, 1.2 * wait_s)
            await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """Sends what is left, within a bound; what is not sent by then is given up, and its writers learn of it."""
        until = time.monotonic() + STOP_S
        while len(self.producer) and time.monotonic() < until:
            self.serve()
            await asyncio.sleep(MOST_S)
        self.producer.purge()
        self.producer.poll(0)
        await asyncio.to_thread(self.producer.close)


class LibrdkafkaWriter:
    """See processor.sinks.writing.Writer."""

    def __init__(self, config: KafkaSinkConfig) -> None:
        self._config = config
        self._troubles = Troubles("publish")
        self._live: _Live | None = None
        self._idempotent = False
        self._version: object = None
        self._renewed = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self, *, idempotent: bool) -> None:
        """See Writer."""
        self._idempotent = idempotent
        try:
            self._open()
        except (KafkaException, OSError) as error:
            raise Retryable(f"no producer: {translated(error)}") from error

    def _open(self) -> None:
        client = self._config.client
        now = version(client.security)
        most = self._config.max_bytes
        made = Producer(
            {
                **options(client, self._troubles),
                "enable.idempotence": self._idempotent,
                "acks": "all",
                "partitioner": "murmur2_random",
                "compression.type": self._config.compression or "none",
                "batch.size": self._config.batch_bytes,
                "message.max.bytes": most + 65_536,
                "queue.buffering.max.kbytes": max(QUEUE_BYTES, 2 * most) // 1024,
                "message.timeout.ms": 0,
                "linger.ms": 1,
                "allow.auto.create.topics": False,
                "topic.metadata.propagation.max.ms": int(client.request_timeout_s * 1000),
            }
        )
        self._retire()
        self._live, self._version, self._renewed = _Live(made), now, time.monotonic()

    def _retire(self) -> None:
        """Lets go of the producer there is, and waits for nothing."""
        if self._live is not None:
            closing = asyncio.create_task(self._live.close(), name="kafka-producer-end")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._live = None

    def _renew(self, *, broken: bool = False) -> None:
        """Makes another producer where this one is of no more use, or its credentials are of yesterday."""
        if not broken and time.monotonic() - self._renewed < RENEW_S:
            return
        self._renewed = time.monotonic()
        try:
            if broken or version(self._config.client.security) != self._version:
                self._open()
        except (KafkaException, OSError) as error:
            log.warning("no new producer", action="publish", error=str(translated(error)))

    async def write(self, records: Sequence[Outbound], positions: Sequence[int], *, one_by_one: bool) -> Failed:
        """See Writer."""
        if not one_by_one:
            return await self._write(records, positions)
        return [failure for at in positions for failure in await self._write(records, [at])]

    async def _write(self, records: Sequence[Outbound], positions: Sequence[int]) -> Failed:
        self._renew()
        if self._live is None:
            raise Retryable("the sink is not connected")
        live, call = self._live, _Call(len(positions))
        for at in positions:
            await self._produce(live, call, at, records[at])
        live.serve()
        await acknowledged([call.done], self._config.notice_s)
        if any(error.code() in _LOST or error.fatal() for _, error in call.failed) and live is self._live:
            self._renew(broken=True)
        return _grouped(records, call.failed, self._config.arguments)

    async def _produce(self, live: _Live, call: _Call, at: int, record: Outbound) -> None:
        """Hands a record over, as soon as there is room."""
        told = partial(call.told, at)
        more: dict[str, Any] = {"headers": list(record.headers)} if record.headers else {}
        partition = -1 if record.partition is None else record.partition
        while True:
            try:
                live.producer.produce(record.topic, record.value, record.key, partition, told, **more)
            except BufferError:
                live.serve()
                await asyncio.sleep(MOST_S / 10)
            except KafkaException as error:
                told(error.args[0])
                return
            else:
                return

    async def stop(self) -> None:
        """See Writer."""
        self._retire()
        if self._closing:
            await asyncio.wait(self._closing)


def _grouped(records: Sequence[Outbound], failed: list[tuple[int, KafkaError]], arguments: dict[str, Any]) -> Failed:
    """What failed, and how. What is refused for good may have been so for one record of its batch: it stays together."""
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
