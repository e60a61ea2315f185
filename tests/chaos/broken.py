"""Builds of the daemon that break the promise on purpose, to show that the harness finds it out."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from processor.engine import ExactlyOnce
from processor.engine.delivery import AtLeastOnce, Substitute
from processor.engine.inflight import Batch, Partition
from processor.sinks.transactions import KafkaTransactions, KafkaTransactor

PROCESS = uuid.uuid4().hex


class CommitsFirst(AtLeastOnce):
    """Offsets before outputs: what dies in between is lost."""

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        await self._commit(batch)
        await self._publish(batch.outputs)


class NamedByProcess(KafkaTransactions):
    """A transactional id of each process instead of one of each partition: nobody fences the old owner."""

    async def open(self, name: str) -> KafkaTransactor:
        return await super().open(f"{name}-{PROCESS}")


class PausingTransactions(KafkaTransactions):
    """As the product does it, with a pause after a transactor is opened, as a busy machine may make it."""

    pause: Callable[[], Awaitable[None]]

    async def open(self, name: str) -> KafkaTransactor:
        opened = await super().open(name)
        await self.pause()
        return opened


class ReadsFirst(ExactlyOnce):
    """The committed offset before the transactor: what the old owner commits in between is done again."""

    pause: Callable[[], Awaitable[None]]

    async def assigned(self, partition: Partition) -> int | None:
        offset = await self._source.committed(partition.tp)
        await self.pause()
        await super().assigned(partition)
        return offset
