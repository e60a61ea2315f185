"""Where a member of a group gets the records of its partitions from: one Protocol, and the group's own client."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition

from processor.contract import Record, TopicPartition
from processor.sources import prefetched

FETCH_MOST_BYTES: Final = 52_428_800
"""Most of one fetch of aiokafka's, over all partitions."""


class Fetch(Protocol):
    """The records of the partitions that a member of a group holds. The group itself is the source's business.

    `begin` and `forget` are called from within a rebalance and return at once; all else only between them.
    """

    def arguments(self, fetch_bytes: int) -> dict[str, Any]:
        """Arguments of the group's consumer. `fetch_bytes` is the bound per partition."""

    async def start(self, consumer: AIOKafkaConsumer) -> None:
        """Takes the group's consumer, which is joining. Raises errors of aiokafka."""

    def begin(self, partitions: Collection[TopicPartition]) -> None:
        """All that the member holds now; each is read from where the group's consumer says."""

    def forget(self) -> None:
        """The member holds nothing any more."""

    async def take(self, timeout_s: float, limit: int, partitions: Collection[TopicPartition]) -> Sequence[Record]:
        """At most `limit` records of partitions that do not pause, of `partitions` alone if any are named.

        Empty after `timeout_s`. Raises errors of aiokafka.
        """

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Gives nothing of these."""

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Gives of these again."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Reads the partition from `offset` on."""

    async def position(self, partition: TopicPartition) -> int:
        """The offset to be read next, after markers of transactions that were read. Raises errors of aiokafka."""

    async def stop(self) -> None:
        """Lets go, within a bound."""


class ClientFetch:
    """aiokafka fetches for the group that it is a member of."""

    def __init__(self) -> None:
        self._consumer: AIOKafkaConsumer | None = None

    def arguments(self, fetch_bytes: int) -> dict[str, Any]:
        """See Fetch."""
        return {"max_partition_fetch_bytes": fetch_bytes, "fetch_max_bytes": max(fetch_bytes, FETCH_MOST_BYTES)}

    async def start(self, consumer: AIOKafkaConsumer) -> None:
        """See Fetch."""
        prefetched.install()
        self._consumer = consumer

    def begin(self, partitions: Collection[TopicPartition]) -> None:
        """The client has begun by itself."""

    def forget(self) -> None:
        """The client has forgotten them by itself."""

    async def take(self, timeout_s: float, limit: int, partitions: Collection[TopicPartition]) -> Sequence[Record]:
        """See Fetch. `getmany` must not be cancelled by `wait_for`: its own time-out is used."""
        named = [ClientPartition(*tp) for tp in partitions]
        found = await self._live.getmany(*named, timeout_ms=int(timeout_s * 1000), max_records=limit)
        return [
            Record(m.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)
            for messages in found.values()
            for m in messages
        ]

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See Fetch; what was fetched ahead of them is thrown away by the client."""
        self._live.pause(*(ClientPartition(*tp) for tp in partitions))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See Fetch."""
        self._live.resume(*(ClientPartition(*tp) for tp in partitions))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See Fetch."""
        self._live.seek(ClientPartition(*partition), offset)

    async def position(self, partition: TopicPartition) -> int:
        """See Fetch."""
        return int(await self._live.position(ClientPartition(*partition)))

    async def stop(self) -> None:
        """The client stops with its group."""
        self._consumer = None

    @property
    def _live(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("not started")
        return self._consumer
