"""Faust, reading committed records only.

Stock Faust reads what open and aborted transactions wrote, unless it runs its own exactly-once mode, which repeats
records after a crash. Its consumer is made three layers down: thread, consumer, transport; each is subclassed for
this one setting. tests/integration/test_tickets_decide.py guards it with an open and an aborted transaction.
"""

from __future__ import annotations

from typing import Any

import aiokafka
from faust.transport.drivers import aiokafka as driver


class CommittedThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the Kafka consumer."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read by the fetcher when the consumer starts, which is after this.
        consumer._isolation_level = "read_committed"  # noqa: SLF001  Faust passes no option through
        return consumer


class CommittedConsumer(driver.Consumer):
    """Faust's consumer over that thread."""

    def _new_consumer_thread(self) -> CommittedThread:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)


class CommittedTransport(driver.Transport):
    """The transport to set as `app.transport`."""

    Consumer = CommittedConsumer
