"""Outputs and offsets in one transaction per input partition.

The transactional id is made of group, topic and partition, so that a partition's new owner fences off the old one:
the client sends no group generation with the offsets, by which the broker could tell. The order on assignment is
what makes it true: the transactor is opened, which settles what its predecessor had begun, and only then the
committed offset is read. Asked earlier, the broker answers with the offset before that transaction.

A transaction whose end is not known is settled the same way: a new transactor, then the committed offset, which says
whether the transaction went through. Nothing is worked on a second time for that.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog

from processor.engine.delivery import Backoff, Lost, Substitute
from processor.engine.inflight import Batch, Partition
from processor.engine.ports import Source, Transactions, Transactor
from processor.errors import Fenced, Retryable, Unwritable

log = structlog.get_logger(__name__)


class ExactlyOnce:
    """See processor.engine.delivery.Delivery.

    `yield_s` is how long a fenced owner waits for its group to take the partition from it, before it takes it back:
    longer than a heartbeat.
    """

    def __init__(
        self,
        source: Source,
        transactions: Transactions,
        group: str,
        backoff: Backoff | None = None,
        *,
        yield_s: float = 5.0,
    ) -> None:
        self._source = source
        self._transactions = transactions
        self._group = group
        self._backoff = backoff or Backoff()
        self._yield_s = yield_s
        self._open: dict[Partition, Transactor] = {}

    @property
    def by_partition(self) -> bool:
        """A transaction belongs to one partition."""
        return True

    async def assigned(self, partition: Partition) -> int | None:
        """Fences off the previous owner; only then the committed offset is true.

        Given up as soon as the partition is closed: going on, it would fence off the next owner.
        """
        tp = partition.tp
        self._close(partition)
        opening = self._transactions.open(f"{self._group}-{tp.topic}-{tp.partition}")
        transactor = await partition.unless_closed(opening)
        if transactor is None:
            return None
        self._open[partition] = transactor
        return await self._source.committed(tp)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Lets go; a transaction that is not ended is settled by the next owner."""
        for partition in partitions:
            self._close(partition)

    async def mark(self, partition: Partition, offset: int, note: str) -> None:
        """By a transaction as well: a plain commit is not fenced, and would undo what another owner has committed."""
        transactor = self._open.get(partition)
        if transactor is None:
            raise Lost  # what it had begun is being settled
        try:
            await transactor.write((), self._group, {partition.tp: offset}, note)
        except Retryable as error:
            await self._back_off(partition, 1, error)
            raise Lost from error

    async def stop(self) -> None:
        """Closes what is open, and waits until it is gone."""
        for partition in list(self._open):
            self._close(partition)
        await self._transactions.stop()

    def _close(self, partition: Partition) -> None:
        transactor = self._open.pop(partition, None)
        if transactor is not None:
            transactor.close()

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        """One transaction, repeated until it is known to be committed. Raises Lost."""
        partition = batch.entries[0].partition
        attempt = 0
        while not partition.closed:
            try:
                return await self._open[partition].write(batch.outputs, self._group, batch.offsets)
            except Unwritable as error:
                for owner in {id(owner): owner for owner in map(batch.owner, error.positions)}.values():
                    owner.outputs = (substitute(owner, error),)
            except Retryable as error:
                attempt += 1
                await self._back_off(partition, attempt, error)
                if await self._went_through(partition, batch):
                    return None
        return None

    async def _back_off(self, partition: Partition, attempt: int, error: Retryable) -> None:
        seconds = self._backoff.seconds(attempt, error.wait)
        if isinstance(error, Fenced):
            seconds = max(seconds, self._yield_s)
        log.warning("transaction waits", action="deliver", attempt=attempt, wait_s=seconds, error=str(error))
        await partition.closing(seconds)
        if isinstance(error, Fenced) and not partition.taking:
            raise Lost

    async def _went_through(self, partition: Partition, batch: Batch) -> bool:
        """Settles a transaction of unknown end. True if it was committed, or is nobody's business here any more."""
        end = batch.offsets[partition.tp]
        attempt = 0
        while not partition.closed:
            try:
                committed = await self.assigned(partition)
            except Retryable as error:
                attempt += 1
                log.warning("transaction can't be settled yet", action="deliver", attempt=attempt, error=str(error))
                await partition.closing(self._backoff.seconds(attempt, error.wait))
                continue
            if partition.closed:
                break
            if committed is None or committed <= batch.entries[0].record.offset:
                return False
            if committed == end:
                return True
            raise Lost
        return True
