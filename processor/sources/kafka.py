"""A member of a Kafka consumer group (aiokafka 0.14), with what that client needs around it to be safe.

The group is one thing, fetching the records another: see `processor.sources.fetching`.

- An exception in a rebalance callback is logged and swallowed by the client: here it is kept, and the next poll
  raises it.
- The client fetches a new assignment before the callback has ended: `poll` holds such records back until then.
- `commit` waits without a bound while the brokers are away, and is repeated whatever the member has become meanwhile:
  here it is bounded, and ends with the assignment that it was begun in (see `processor.cluster.terms`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as ClientPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from processor.cluster.client import KafkaClient, stopped
from processor.cluster.diagnose import explain, waiting
from processor.cluster.terms import Term, during
from processor.contract import NO_NOTES, Notes, Record, TopicPartition
from processor.errors import Fatal, Retryable
from processor.settings.kafka import Assignor
from processor.sources.beginning import Begins, Start, resolve
from processor.sources.fetching import ClientFetch, Fetch
from processor.sources.librdkafka import LibrdkafkaFetch

log = structlog.get_logger(__name__)


class _Listener(Protocol):
    async def assigned(self, partitions: Collection[TopicPartition]) -> None: ...

    async def revoked(self, partitions: Collection[TopicPartition]) -> None: ...


ASSIGNORS: Final[Mapping[Assignor, Any]] = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}
"""How a group shares partitions out; all its members have to agree."""


@dataclass(frozen=True, slots=True)
class KafkaSourceConfig:
    """A group and its topics, each with where to begin. `rebalance_s` bounds what `revoked` may take.

    `instance` makes a static member, whose restart within the session's time-out is no rebalance. The broker does not
    keep two live ones of that name apart: they take the membership from each other.
    """

    group: str
    topics: Mapping[str, Start]
    session_timeout_s: float = 30.0
    rebalance_s: float = 60.0
    max_poll_interval_s: float = 300.0
    fetch_bytes: int = 4_000_000  # per partition and fetch, and held in memory; a larger record comes all the same
    read_committed: bool = True
    assignor: Assignor = "roundrobin"
    instance: str | None = None

    @property
    def isolation(self) -> str:
        """Kafka's word for it."""
        return "read_committed" if self.read_committed else "read_uncommitted"


class KafkaSource:
    """See processor.engine.ports.Source. `begins` commits where a new group begins, safely where brokers can."""

    def __init__(self, client: KafkaClient, config: KafkaSourceConfig, begins: Begins | None = None) -> None:
        self._client = client
        self._config = config
        self._begins = begins
        self._consumer: AIOKafkaConsumer | None = None
        self._fetch = _fetch(client, config)
        self._failure: Exception | None = None
        self._settled = asyncio.Event()
        self._settled.set()
        self._epoch = 0
        self._term = Term()  # of the last assignment

    async def start(self, listener: _Listener) -> None:
        """Joins the group, after resolving where to begin if the group is new. Raises Retryable."""
        await self._resolve_start()
        consumer = self._new_consumer(
            auto_offset_reset="earliest",  # the first start is resolved: what has no offset now is a new partition
            session_timeout_ms=int(self._config.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self._config.session_timeout_s * 1000 / 10),
            rebalance_timeout_ms=int(self._config.rebalance_s * 1000),
            max_poll_interval_ms=int(self._config.max_poll_interval_s * 1000),
            isolation_level=self._config.isolation,
            metadata_max_age_ms=60_000,
            partition_assignment_strategy=(ASSIGNORS[self._config.assignor],),
            group_instance_id=self._config.instance,
            **self._fetch.arguments(self._config.fetch_bytes),
        )
        consumer.subscribe(list(self._config.topics), listener=_Rebalance(self, listener))
        self._consumer = consumer  # the first assignment comes while it starts
        await self._connect(consumer)

    def _new_consumer(self, **options: Any) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            group_id=self._config.group, enable_auto_commit=False, **self._client.arguments(), **options
        )

    async def _connect(self, consumer: AIOKafkaConsumer) -> None:
        try:
            if consumer is self._consumer:
                await self._fetch.start(consumer)
            await consumer.start()
        except BaseException as error:
            await stopped(consumer)
            if isinstance(error, KafkaError):
                raise await waiting(self._client.arguments(), error) from error
            raise

    async def _resolve_start(self) -> None:
        """See `processor.sources.beginning`."""
        consumer = self._new_consumer()
        await self._connect(consumer)
        try:
            for topic, start in self._config.topics.items():
                bound_s = self._client.request_timeout_s
                await resolve(consumer, self._begins, self._config.group, topic, start, bound_s)
        except (KafkaError, TimeoutError) as error:
            raise Retryable(f"can't resolve where to start: {self._text(error)}") from error
        finally:
            await stopped(consumer)

    async def poll(self, timeout_s: float, limit: int, partitions: Collection[TopicPartition] = ()) -> Sequence[Record]:
        """At most `limit` records, of `partitions` if any are named; empty after `timeout_s`.

        Raises Retryable, Fatal.
        """
        self._raise_failure()
        epoch = self._epoch
        named = self._assigned(partitions)
        if partitions and not named:
            return []
        try:
            found = await self._fetch.take(timeout_s, limit, named)
        except KafkaConnectionError as error:
            raise await waiting(self._client.arguments(), error) from error
        except KafkaError as error:
            if error.retriable:
                raise Retryable(f"poll: {self._text(error)}") from error
            raise Fatal(f"poll: {self._text(error)}") from error
        if not self._settled.is_set():
            epoch = self._epoch
            await self._settled.wait()
            if epoch != self._epoch:
                return []  # revoked again: they come to whoever is assigned now
        self._raise_failure()
        return found

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Takes nothing more from these."""
        self._fetch.pause(self._assigned(partitions))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Takes from these again."""
        self._fetch.resume(self._assigned(partitions))

    def _assigned(self, partitions: Collection[TopicPartition]) -> list[TopicPartition]:
        assignment = self._joined.assignment()
        return [tp for tp in partitions if tp in assignment]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Reads the partition from `offset` on."""
        if partition in self._joined.assignment():
            self._fetch.seek(partition, offset)

    async def commit(self, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        """Commits, within the request time-out. Raises Retryable; a lost membership is no error.

        Nothing is committed once the partitions may be somebody else's.
        """
        if not offsets:
            return
        committing = {ClientPartition(*tp): (at, notes.get(tp, "")) for tp, at in offsets.items()}
        try:
            async with asyncio.timeout(self._client.request_timeout_s):
                with during(self._term):
                    await self._joined.commit(committing)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("commit came too late: the group has rebalanced", action="commit", error=self._text(error))
        except (KafkaError, TimeoutError) as error:
            raise Retryable(f"commit: {self._text(error)}") from error

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed offset, as a broker told it (see `processor.cluster.committed`). Raises Retryable."""
        return (await self.noted(partition))[0]

    async def metadata(self, partition: TopicPartition) -> str:
        """The note that was committed with it. Raises Retryable."""
        return (await self.noted(partition))[1]

    async def noted(self, partition: TopicPartition) -> tuple[int | None, str]:
        """Both of one answer: asked for in turn, they may be of different times. Raises Retryable."""
        found = await self._found(partition)
        return (found.offset, found.metadata or "") if found is not None else (None, "")

    async def _found(self, partition: TopicPartition) -> OffsetAndMetadata | None:
        tp = ClientPartition(*partition)
        readings = self._client.readings
        if readings.doubted(self._config.group):
            # Else a broker that was cut off from the others for good would be asked, and sent heartbeats, for ever.
            self._joined._coordinator.coordinator_dead()  # noqa: SLF001
        asked = readings.now()
        try:
            async with asyncio.timeout(self._client.request_timeout_s):
                # The client's own `committed` leaves the metadata out.
                found = await self._joined._coordinator.fetch_committed_offsets([tp])  # noqa: SLF001
        except (KafkaError, TimeoutError) as error:
            raise Retryable(f"committed: {self._text(error)}") from error
        told = found.get(tp)
        readings.add(self._config.group, partition, told, asked)
        return told

    async def ends(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset that the next record of each gets, asked of the brokers. Raises Retryable."""
        try:
            async with asyncio.timeout(self._client.request_timeout_s):
                told = await self._joined.end_offsets([ClientPartition(*tp) for tp in partitions])
        except (KafkaError, TimeoutError) as error:
            raise Retryable(f"ends: {self._text(error)}") from error
        return {TopicPartition(*tp): offset for tp, offset in told.items()}

    async def position(self, partition: TopicPartition) -> int:
        """The offset to be read next, after markers of transactions that were read. Raises Retryable."""
        try:
            async with asyncio.timeout(self._client.request_timeout_s):
                return await self._fetch.position(partition)
        except (KafkaError, TimeoutError) as error:
            raise Retryable(f"position: {self._text(error)}") from error

    async def behind(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """How far the brokers' end of each is from where it is read, markers of transactions that were read aside.

        Raises Retryable.
        """
        ends = await self.ends(self._assigned(partitions))
        try:
            async with asyncio.timeout(self._client.request_timeout_s):
                held = [tp for tp in ends if tp in self._joined.assignment()]
                return {tp: max(0, ends[tp] - await self._fetch.position(tp)) for tp in held}
        except (KafkaError, TimeoutError) as error:
            raise Retryable(f"behind: {self._text(error)}") from error

    async def stop(self) -> None:
        """Leaves the group; bounded, for the brokers may be away."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            try:
                await self._fetch.stop()
            finally:
                await stopped(consumer)

    def _text(self, error: BaseException) -> str:
        return explain(error, self._client.arguments())

    @property
    def _joined(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise Fatal("the source is not started")
        return self._consumer

    def _raise_failure(self) -> None:
        if isinstance(self._failure, Fatal):
            raise self._failure
        if self._failure is not None:
            raise Fatal(f"a change of partitions failed: {explain(self._failure)}") from self._failure


def _fetch(client: KafkaClient, config: KafkaSourceConfig) -> Fetch:
    if client.records == "aiokafka":
        return ClientFetch()
    return LibrdkafkaFetch(client, config.group, fetch_bytes=config.fetch_bytes, isolation=config.isolation)


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes the client's callbacks on, and keeps what they raise."""

    def __init__(self, source: KafkaSource, listener: _Listener) -> None:
        self._source = source
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Collection[ClientPartition]) -> None:
        self._source._epoch += 1  # noqa: SLF001 (two halves of one thing)
        self._source._settled.clear()  # noqa: SLF001
        self._source._fetch.forget()  # noqa: SLF001
        if revoked:
            try:
                await self._listener.revoked([TopicPartition(*tp) for tp in revoked])
            except Exception as error:  # noqa: BLE001 (the client would swallow it)
                self._source._failure = error  # noqa: SLF001

    async def on_partitions_assigned(self, assigned: Collection[ClientPartition]) -> None:
        partitions = [TopicPartition(*tp) for tp in assigned]
        try:
            self._source._term = Term.of(self._source._joined._coordinator)  # noqa: SLF001
            self._source._fetch.begin(partitions)  # noqa: SLF001
            await self._listener.assigned(partitions)
        except Exception as error:  # noqa: BLE001 (the client would swallow it)
            self._source._failure = error  # noqa: SLF001
        finally:
            self._source._settled.set()  # noqa: SLF001
