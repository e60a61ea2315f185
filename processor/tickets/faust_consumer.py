"""Faust's consumer, made to read committed records only and to commit nothing that it has dropped.

Stock Faust reads what open and aborted transactions wrote, unless it runs its own exactly-once mode, which repeats
records after a crash. And a batch that it has fetched is dropped if a rebalance ends while it is handed out: the
client's position is behind it, Faust takes it for a gap, and commits past it. Its consumer is made three layers
down: thread, consumer, transport; each is subclassed here for these two things alone.
tests/integration/test_tickets_decide.py guards them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import aiokafka
from faust.auth import Credentials, OAuthCredentials, SASLCredentials, SSLCredentials
from faust.transport.drivers import aiokafka as driver

from processor.contract import TopicPartition


class Ledger:
    """Which records of some topics were read and have not been handled yet. Used from two threads."""

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics
        self._lock = threading.Lock()
        self._open: dict[TopicPartition, dict[int, float]] = {}  # by offset: when it was read
        self._last: dict[TopicPartition, int] = {}  # the offset that was handled last

    def keeps(self, topic: str) -> bool:
        """Whether it is one of the topics."""
        return topic in self._topics

    def read(self, topic: str, partition: int, offsets: Iterable[int]) -> None:
        """These were fetched."""
        if not self.keeps(topic):
            return
        now = time.monotonic()
        with self._lock:
            self._open.setdefault(TopicPartition(topic, partition), {}).update(dict.fromkeys(offsets, now))

    def handled(self, topic: str, partition: int, offset: int) -> None:
        """This one is dealt with."""
        tp = TopicPartition(topic, partition)
        with self._lock:
            self._open.get(tp, {}).pop(offset, None)
            self._last[tp] = offset

    def forget(self) -> None:
        """Partitions are dealt anew: all that is not committed is read again."""
        with self._lock:
            self._open.clear()
            self._last.clear()

    def bound(self, topic: str, partition: int, offset: int) -> int:
        """`offset`, or the offset of the first record before it that is not handled."""
        with self._lock:
            waiting: dict[int, float] = self._open.get(TopicPartition(topic, partition), {})
            return min([offset, *waiting])

    def dropped(self, patience_s: float, *, idle: bool) -> bool:
        """Whether a record was read more than `patience_s` ago, and now or never will be handled.

        It never will if nobody is at work (`idle`), or if a later one of its partition was handled.
        """
        read_before = time.monotonic() - patience_s
        with self._lock:
            return any(
                at < read_before and (idle or offset < self._last.get(tp, -1))
                for tp, records in self._open.items()
                for offset, at in records.items()
            )


class CarefulThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the Kafka consumer."""

    transport: Any

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read by the fetcher when the consumer starts, which is after this.
        consumer._isolation_level = "read_committed"  # noqa: SLF001  Faust passes no option through
        return consumer

    async def _fetch_records(self, *args: Any, **options: Any) -> Any:
        fetched = await super()._fetch_records(*args, **options)
        for tp, records in fetched.items():
            self.transport.ledger.read(tp.topic, tp.partition, [record.offset for record in records])
        return fetched


class CarefulConsumer(driver.Consumer):
    """Faust's consumer over that thread."""

    transport: Any

    def _new_consumer_thread(self) -> CarefulThread:
        return CarefulThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Faust then seeks to what is committed."""
        self.transport.ledger.forget()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        ledger = self.transport.ledger
        safe = {tp: ledger.bound(tp.topic, tp.partition, offset) for tp, offset in offsets.items()}
        return bool(await super()._commit(safe))


class CarefulTransport(driver.Transport):
    """The transport to set as `app.transport`."""

    Consumer = CarefulConsumer

    def __init__(self, *args: Any, ledger: Ledger, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ledger = ledger


def credentials(arguments: Mapping[str, Any]) -> Credentials | None:
    """The security arguments of an aiokafka client as Faust takes them; it chooses the protocol by what it is given."""
    context = arguments.get("ssl_context")
    if (provider := arguments.get("sasl_oauth_token_provider")) is not None:
        return OAuthCredentials(oauth_cb=provider, ssl_context=context)
    if (user := arguments.get("sasl_plain_username")) is not None:
        return SASLCredentials(
            username=user,
            password=arguments["sasl_plain_password"],
            mechanism=arguments["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None
