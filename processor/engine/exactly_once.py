"""Outputs and offsets in one transaction per input partition.

The transactional id is made of group, topic and partition, so that a partition's new owner fences off the old one:
the client sends no group generation with the offsets, by which the broker could tell. The order on assignment is
what makes it true: the transactor is opened, which settles what its predecessor had begun, and only then the
committed offset is read. Asked earlier, the broker answers with the offset before that transaction.

A transaction whose end is not known is settled the same way: a new transactor, then the committed offset, which says
whether the transaction went through. Nothing is worked on a second time for that.

A transactor holds connections, so at most so many are open. Beyond that the one that was used longest ago rests: it is
closed, and opened like on assignment once its partition has something to deliver.

For a worker with a state that is dear: the partition begins anew, and its state is loaded again. So it keeps its
transactor until it has had nothing to do for a while. Were it closed as soon as another partition wants one, partitions
would take it from each other before any of them has delivered, for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress

import structlog

from processor.contract import Outbound, TopicPartition
from processor.engine.delivery import Backoff, Lost, Substitute
from processor.engine.inflight import Aside, Batch, Partition
from processor.engine.ports import Source, Transactions, Transactor
from processor.errors import Fenced, Retryable, Unwritable

log = structlog.get_logger(__name__)


class ExactlyOnce:
    """See processor.engine.delivery.Delivery.

    `yield_s` is how long a fenced owner waits for its group to take the partition from it, before it takes it back:
    longer than a heartbeat. At most `most` transactors are open at once. Of a `stateful` worker (see
    processor.engine.journal) a partition is begun anew, and its state loaded again, whenever somebody else may have
    written meanwhile: the committed offset alone does not tell. Its partitions are put to rest after `quiet_s` without
    work, or, though they have some, after `turn_s`: longer than anything that one of its records has to wait for.
    """

    def __init__(
        self,
        source: Source,
        transactions: Transactions,
        group: str,
        backoff: Backoff | None = None,
        *,
        yield_s: float = 5.0,
        most: int = 100,
        stateful: bool = False,
        quiet_s: float = 1.0,
        turn_s: float = 300.0,
    ) -> None:
        self._source = source
        self._transactions = transactions
        self._group = group
        self._backoff = backoff or Backoff()
        self._yield_s = yield_s
        self._most = most
        self._stateful = stateful
        self._quiet_s = quiet_s
        self._turn_s = turn_s
        self._used: dict[Partition, float] = {}  # when each that is open was used last
        self._open: OrderedDict[Partition, Transactor] = OrderedDict()  # the one used longest ago first
        self._opening = 0
        self._resting: set[Partition] = set()
        self._freed = asyncio.Event()  # one was closed, or ends writing
        self._writing: defaultdict[Partition, asyncio.Lock] = defaultdict(asyncio.Lock)

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
        transactor = await partition.unless_closed(self._take_over(tp))
        if transactor is None:
            return None
        self._open[partition] = transactor
        self._resting.discard(partition)
        return await self._source.committed(tp)

    async def _take_over(self, tp: TopicPartition) -> Transactor:
        while self._opening + len(self._open) >= self._most:
            spare = next((one for one in self._open if self._may_rest(one)), None)
            if spare is None:
                self._freed.clear()
                with suppress(TimeoutError):  # that one is quiet by now is told by nobody
                    async with asyncio.timeout(self._quiet_s if self._stateful else None):
                        await self._freed.wait()
            else:
                self._close(spare)
                self._resting.add(spare)
        self._opening += 1
        try:
            transactor = await self._transactions.open(f"{self._group}-{tp.topic}-{tp.partition}")
            try:
                await transactor.settle(self._group, tp)
            except BaseException:
                transactor.close()
                raise
        finally:
            self._opening -= 1
            self._freed.set()
        return transactor

    def _may_rest(self, partition: Partition) -> bool:
        """Whether its transactor may be closed for another partition's sake."""
        if self._writing[partition].locked():
            return False
        if not self._stateful:
            return True
        now, used = time.monotonic(), self._used.get(partition, 0.0)
        quiet = not partition.entries and now - max(partition.since, used) >= self._quiet_s
        return partition.taking and (quiet or now - partition.since >= self._turn_s)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Lets go; a transaction that is not ended is settled by the next owner."""
        for partition in partitions:
            self._close(partition)
            self._resting.discard(partition)
            self._writing.pop(partition, None)

    async def mark(self, partition: Partition, offset: int, note: str) -> None:
        """By a transaction as well: a plain commit is not fenced, and would undo what another owner has committed."""
        try:
            batch = Batch(offsets={partition.tp: offset}, notes={partition.tp: note})
            await self._write(partition, offset, batch)
        except Retryable as error:
            await self._back_off(partition, 1, error)
            raise Lost from error

    async def ahead(self, partition: Partition, records: Sequence[Outbound]) -> None:
        """By the partition's transactor: what stands on a topic before it was written by owners of before."""
        try:
            await self._write(partition, -1, Batch(asides=[Aside(partition, records)]))
        except Fenced as error:
            raise Retryable(str(error), wait=self._yield_s) from error
        except Lost as error:
            raise Retryable("its producer was closed meanwhile") from error

    async def stop(self) -> None:
        """Closes what is open, and waits until it is gone."""
        for partition in list(self._open):
            self._close(partition)
        await self._transactions.stop()

    def _close(self, partition: Partition) -> None:
        self._used.pop(partition, None)
        transactor = self._open.pop(partition, None)
        if transactor is not None:
            transactor.close()
            self._freed.set()

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        """One transaction, repeated until it is known to be committed. Raises Lost."""
        partition = batch.partition
        attempt = 0
        while not partition.closed:
            begin = (batch.entries or partition.entries)[0].record.offset
            try:
                return await self._write(partition, begin, batch)
            except Unwritable as error:
                for owner in {id(owner): owner for owner in map(batch.owner, error.positions)}.values():
                    owner.outputs = substitute(owner, error)
            except Retryable as error:
                attempt += 1
                await self._back_off(partition, attempt, error)
                if self._stateful:
                    raise Lost from error
                if await self._went_through(partition, batch):
                    return None
        return None

    async def _write(self, partition: Partition, begin: int, batch: Batch) -> None:
        """One transaction of what begins at an offset. Raises Retryable, Unwritable, Lost."""
        async with self._writing[partition]:
            if partition in self._resting:
                if self._stateful:
                    raise Lost
                self._resting.discard(partition)
                committed = await self.assigned(partition)
                if committed is not None and committed > begin:
                    raise Lost  # another owner has gone on meanwhile
            transactor = self._open.get(partition)
            if transactor is None:
                raise Lost  # closed, or what it had begun is being settled
            self._open.move_to_end(partition)
            try:
                await transactor.write(batch.outputs, self._group, batch.offsets, batch.notes)
            finally:
                if partition in self._open:
                    self._used[partition] = time.monotonic()
                self._freed.set()

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
            if committed is not None and committed < partition.delivered:
                # The brokers have lost what they had acknowledged as committed (docs/guarantees.md).
                log.error("a commit is gone: reads again", action="deliver", partition=str(partition.tp), at=committed)
                raise Lost
            if committed is None or committed <= batch.entries[0].record.offset:
                return False
            if committed == end:
                return True
            raise Lost
        return True
