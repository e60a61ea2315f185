"""Transactional producers of Kafka (aiokafka 0.14): records and offsets become visible as one, or not at all.

What the client leaves to its user, and is done here:

- Sends, offsets, commits and starts wait without a bound while brokers are away: each is bounded, and a producer
  that met the bound or an error is of no more use, for what it had begun may end either way.
- A commit does not look at what became of its records: their acknowledgements are awaited before.
- A fenced producer answers later calls with AssertionError.
- The committed offset that a take-over begins at may have been told by a broker that is the group's coordinator no more
  (see `processor.cluster.committed`). A producer's first transaction that commits offsets shows that it was not: once
  its own offsets are taken, the same broker is asked again, and only if it says the same is the transaction committed.
  So it is where a group begins: that it has committed nothing yet is believed of nobody else.
- Kafka may say that a transaction has ended and leave it open (see `processor.cluster.hanging`): a write has ended when
  what it has committed can be read, and a take-over ends what was left open. In a partition that has no leader, and so
  can't be looked at then, the first write does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.structs import OffsetAndMetadata

from processor.cluster.committed import committed_at, has_members
from processor.cluster.diagnose import explain, waiting
from processor.cluster.hanging import Last, finish, last_of, left_open, pending
from processor.cluster.looks import Leftovers, Looks
from processor.contract import NO_NOTES, Notes, Outbound, TopicPartition
from processor.errors import ConfigError, Fenced, Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.ending import ended
from processor.sinks.packing import AFTER_A_GAP, FOR_GOOD, Packer, oversized, unwritable

log = structlog.get_logger(__name__)

TRANSACTION_S = 10.0
"""Bound on a transaction, here and at the broker: an open one blocks everybody who reads committed records only."""

BACKOFF_MS = 20
"""Between a producer's tries: right after a commit the coordinator is busy for a few milliseconds."""

MARKED_S, MARKED_TRIES = 3.0, 600
"""How long what is committed may take to be seen; Kafka does it behind the answer, within some milliseconds."""

UNUSUAL_S = 1.0
"""A commit that takes longer may have met brokers that failed."""


_Confirm = Callable[[str, Mapping[ClientPartition, OffsetAndMetadata]], Awaitable[None]]


class KafkaTransactions:
    """See processor.engine.ports.Transactions."""

    def __init__(self, config: KafkaSinkConfig, *, start_s: float = 30.0) -> None:
        self._config = config
        self._start_s = start_s
        self._ending: set[asyncio.Task[None]] = set()
        self._unsettled: dict[str, Last] = {}  # the brokers forget it as soon as an id is taken over
        self._looks = Looks(config.prefix) if config.prefix else None

    async def open(self, name: str) -> KafkaTransactor:
        """A transactor of the transactional id `name`, its predecessor's transaction ended. Raises Retryable."""
        producer, last = await self.producer(name)
        return KafkaTransactor(self, name, producer, self._config, last)

    async def producer(self, name: str) -> tuple[AIOKafkaProducer, Last | None]:
        """A producer of that id, which fences off the one before, and that one's last transaction if that is known.

        Raises Retryable.
        """
        producer = AIOKafkaProducer(
            **{
                **self._config.arguments,
                "transactional_id": name,
                "transaction_timeout_ms": int(TRANSACTION_S * 1000),
                "max_batch_size": self._config.batch_bytes,
                "compression_type": self._config.compression,
                "retry_backoff_ms": BACKOFF_MS,
            }
        )
        try:
            async with asyncio.timeout(self._start_s):
                # As `start` does it, with a question in between.
                await producer.client.bootstrap()
                if (last := await last_of(producer, name)) is not None:
                    self._unsettled[name] = last
                await producer._sender.start()  # noqa: SLF001
        except BaseException as error:
            self.end(producer)
            if isinstance(error, KafkaConnectionError):
                raise await waiting(self._config.arguments, error) from error
            if isinstance(error, (KafkaError, TimeoutError, AssertionError)):  # it asserts that a broker is listed
                told = explain(error, self._config.arguments)
                raise Retryable(f"transactional id {name} can't be taken over: {told}") from error
            raise
        return producer, self._unsettled.get(name)

    async def left_open(self, producer: AIOKafkaProducer, last: Last | None) -> Leftovers:
        """Where something is open of one that has just been opened. Raises KafkaError."""
        told = await self._looks.left_open(producer) if self._looks else Leftovers([])
        if told.found:
            return told
        return Leftovers(await left_open(producer, last.partitions if last else ()), told.unseen)

    def settled(self, name: str) -> None:
        """What was begun last under that id has ended."""
        self._unsettled.pop(name, None)

    async def begin(self, group: str, offsets: Mapping[TopicPartition, int]) -> bool | None:
        """Commits where a group begins on a topic's partitions, unless it has committed anything there or has members.

        Whether it did; None where the brokers have no transactions, or refuse us some. Raises Retryable.
        """
        topic = next(iter(offsets)).topic
        try:
            transactor = await self.open(f"{group}-{topic}-start")
        except Retryable as error:
            if _for_good(error):
                return None
            raise
        try:
            await transactor.settle(group, next(iter(offsets)))
            return await transactor.begin(group, offsets)
        finally:
            transactor.close()
            await self.stop()

    async def available(self, name: str) -> bool:
        """Whether the brokers have transactions, tried with the transactional id `name`.

        Raises Retryable, and ConfigError where they have some that we may not use: nobody has asked for the lesser
        promise of doing without.
        """
        try:
            probe = await self.open(name)
        except Retryable as error:
            cause = error.__cause__
            if isinstance(cause, TransactionalIdAuthorizationFailed):
                raise ConfigError(explain(TransactionalIdAuthorizationFailed(name), self._config.arguments)) from error
            if _for_good(error):
                log.info("the brokers refuse transactions", action="start", error=str(error))
                return False
            raise
        probe.close()
        return True

    def end(self, producer: AIOKafkaProducer) -> None:
        """Stops a producer, and lets nobody wait for it."""
        ending = asyncio.create_task(ended(producer), name="kafka-transactions-end")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        """Waits for the producers that are being stopped."""
        if self._ending:
            await asyncio.wait(self._ending)


class KafkaTransactor:
    """See processor.engine.ports.Transactor."""

    def __init__(
        self,
        owner: KafkaTransactions,
        name: str,
        producer: AIOKafkaProducer,
        config: KafkaSinkConfig,
        before: Last | None,
    ) -> None:
        self._owner = owner
        self._name = name
        self._producer = producer
        self._before = before
        self._max_bytes = config.max_bytes
        self._packer = Packer(config.arguments)
        self._readings = config.client.readings
        self._since = self._readings.now()  # what was asked before may rightly be older
        self._last: dict[ClientPartition, OffsetAndMetadata] = {}  # what we have committed
        self._sure: set[ClientPartition] = set()  # nobody else has, since the producer was made
        self._unseen: set[ClientPartition] = set()  # where the one before may have left something open

    async def settle(self, group: str, partition: TopicPartition) -> None:
        """Ends what the one before has begun and Kafka has left open. Raises Retryable."""
        tp, before = ClientPartition(*partition), self._before
        try:
            async with asyncio.timeout(TRANSACTION_S):
                hangs = await pending(self._producer, group, tp)
                left = await self._owner.left_open(self._producer, before)
                if hangs or left.found:
                    # If nobody knows any more how it was to end: its events are worked on again, if that is still
                    # open as well, and are not otherwise. Then nothing may be lost; it may come twice.
                    await self._finish(group, tp, commit=before.committed if before else not hangs)
                self._unseen = set(left.unseen)
                if not self._unseen:
                    self._owner.settled(self._name)
        except TimeoutError as error:
            raise Retryable(f"{self._name} could not be settled within {TRANSACTION_S:g} s") from error
        except (KafkaError, AssertionError) as error:
            raise Retryable(f"{self._name} can't be settled: {self._packer.told(error)}") from error

    async def _see(self, records: Sequence[Outbound], group: str) -> None:
        """Ends what the one before has left open where these go, if that could not be seen before. Raises KafkaError.

        Their transaction would decide for it.
        """
        if going := self._unseen & await self._packer.targets(self._producer, records):
            if await left_open(self._producer, going):
                await self._finish(group, None, commit=self._before.committed if self._before else True, within=going)
            self._unseen -= going

    async def _finish(
        self,
        group: str,
        tp: ClientPartition | None,
        *,
        commit: bool,
        within: Collection[ClientPartition] | None = None,
    ) -> None:
        found = await finish(self._producer, group, commit=commit, within=within)
        told, how = sorted(f"{each.topic}/{each.partition}" for each in found), "committed" if commit else "aborted"
        log.warning("a transaction was left open", action="settle", name=self._name, now=how, on=told)
        if tp is not None:
            await self._marked(group, tp)
        if await self._halved(found):
            raise Retryable(f"{told} could not be {how}")

    async def write(
        self, records: Sequence[Outbound], group: str, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES
    ) -> None:
        """Writes records and commits the group's offsets, if any, some with a note, in one transaction.

        Raises Unwritable with nothing written; Retryable (or Fenced) where it is not known what came of it, and then
        this producer is of no more use.
        """
        if refused := oversized(records, self._max_bytes):
            raise unwritable(records, refused)
        committing = {ClientPartition(*tp): OffsetAndMetadata(at, notes.get(tp, "")) for tp, at in offsets.items()}
        one_by_one = False
        while refused := await self._transaction(records, group, committing, one_by_one=one_by_one):
            # The gap that a refused batch leaves can't be closed; a successor ends the transaction, too.
            self._owner.end(self._producer)
            self._producer, _ = await self._owner.producer(self._name)
            self._sure.clear()
            if one_by_one:
                raise unwritable(records, refused)
            one_by_one = True  # one of a batch is to blame for all of it: which one shows when each travels alone

    async def begin(self, group: str, offsets: Mapping[TopicPartition, int]) -> bool:
        """Commits where a group begins; False where it has begun already. Raises Retryable, as `write` does."""
        committing = {ClientPartition(*tp): OffsetAndMetadata(at, "") for tp, at in offsets.items()}
        try:
            await self._transaction([], group, committing, confirm=self._untouched)
        except _Begun:
            with suppress(KafkaError, TimeoutError, AssertionError):  # else its offsets are pending for that long
                async with asyncio.timeout(TRANSACTION_S):
                    await self._producer.abort_transaction()
            return False
        return True

    async def _untouched(self, group: str, offsets: Mapping[ClientPartition, OffsetAndMetadata]) -> None:
        """Shows that the group has not begun: of members nothing may be committed yet. Raises _Begun."""
        client, node = self._producer.client, self._coordinator
        if await committed_at(client, node, group, offsets) or await has_members(client, node, group):
            raise _Begun

    async def _transaction(
        self,
        records: Sequence[Outbound],
        group: str,
        offsets: dict[ClientPartition, OffsetAndMetadata],
        *,
        one_by_one: bool = False,
        confirm: _Confirm | None = None,
    ) -> dict[int, str]:
        """One transaction; returns what the brokers refuse for good, in which case it is left open."""
        try:
            async with asyncio.timeout(TRANSACTION_S):
                if self._unseen:
                    await self._see(records, group)
                await self._producer.begin_transaction()
                sent = await self._packer.submit(self._producer, records, range(len(records)), one_by_one=one_by_one)
                # The client empties the dictionary that it is given.
                committed = [self._producer.send_offsets_to_transaction(dict(offsets), group)] if offsets else []
                told = await asyncio.gather(*(future for _, future in sent), *committed, return_exceptions=True)
                refused = _refused(sent, told[: len(sent)])
                # What follows a refused batch is refused as well, for the gap that it leaves.
                expected = (*FOR_GOOD, AFTER_A_GAP) if refused else ()
                for error in told:
                    if isinstance(error, BaseException) and not isinstance(error, expected):
                        raise error
                if not refused:
                    await (confirm or self._confirm)(group, offsets)
                    await self._commit(group, offsets)
                return refused
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced(f"{self._name} has another owner, or its transaction took too long") from error
        except TimeoutError as error:
            raise Retryable(f"transaction of {self._name} did not end within {TRANSACTION_S:g} s") from error
        except (KafkaError, AssertionError) as error:
            raise Retryable(f"transaction of {self._name}: {self._packer.told(error)}") from error

    async def _commit(self, group: str, offsets: Mapping[ClientPartition, OffsetAndMetadata]) -> None:
        """Commits, and waits until that is seen; nothing could begin before. Raises Retryable if it never is."""
        partitions = list(self._producer._txn_manager.txn_partitions)  # noqa: SLF001
        began = time.monotonic()
        await self._producer.commit_transaction()
        self._last |= offsets
        for tp in list(offsets)[:1]:  # all of one transaction, or none
            await self._marked(group, tp)
            if time.monotonic() - began > UNUSUAL_S and await self._halved(partitions):
                await self._finish(group, tp, commit=True)

    async def _marked(self, group: str, tp: ClientPartition) -> None:
        if await self._stays(lambda: pending(self._producer, group, tp)):
            raise Retryable(f"a transaction of {self._name} was ended and left open")

    async def _halved(self, partitions: Collection[ClientPartition]) -> bool:
        """Whether the offsets of what was committed are there and some records are not; not asked each time."""
        return await self._stays(lambda: left_open(self._producer, partitions))

    async def _stays(self, unended: Callable[[], Awaitable[object]]) -> bool:
        """Whether it is still so when the markers should be there."""
        for _ in range(MARKED_TRIES):
            if not await unended():
                return False
            await asyncio.sleep(MARKED_S / MARKED_TRIES)
        return True

    async def _confirm(self, group: str, offsets: Mapping[ClientPartition, OffsetAndMetadata]) -> None:
        """Shows that what was told to be committed is, where that is not known yet. Raises Retryable if it is not."""
        told = {tp: self._believed(group, tp) for tp in offsets if tp not in self._sure}
        if not any(told.values()):
            return
        found = await committed_at(self._producer.client, self._coordinator, group, told)
        for tp, answers in told.items():
            if any(answer != found.get(tp) for answer in answers):
                log.warning("an old offset was told as committed", action="deliver", at=tp, now=found.get(tp))
                self._readings.doubt(group)
                raise Retryable(f"what was told to be committed of {tp.topic}/{tp.partition} was not true any more")
            self._readings.forget(group, TopicPartition(*tp))
            self._sure.add(tp)

    def _believed(self, group: str, tp: ClientPartition) -> Collection[OffsetAndMetadata | None]:
        """What has to be committed unless somebody has told an old offset, or somebody else has gone on."""
        if tp in self._last:
            return [self._last[tp]]
        return self._readings.since(group, TopicPartition(*tp), self._since)

    @property
    def _coordinator(self) -> int:
        """The broker that has taken the offsets. Raises KafkaConnectionError where it was lost since."""
        node: int | None = self._producer._sender._coordinators.get(CoordinationType.GROUP)  # noqa: SLF001
        if node is None:
            raise KafkaConnectionError("the group's coordinator was lost in a transaction")
        return node

    def close(self) -> None:
        """Lets go; what it has begun and not ended is aborted by its successor."""
        self._owner.end(self._producer)


class _Begun(Exception):
    """The group has committed something, or has members."""


def _for_good(error: Retryable) -> bool:
    """Whether the brokers have refused, and will again."""
    return isinstance(error.__cause__, KafkaError) and not error.__cause__.retriable


def _refused(sent: Sequence[tuple[list[int], asyncio.Future[Any]]], told: Sequence[object]) -> dict[int, str]:
    return {
        at: explain(error)
        for (positions, _), error in zip(sent, told, strict=True)
        if isinstance(error, FOR_GOOD)
        for at in positions
    }
