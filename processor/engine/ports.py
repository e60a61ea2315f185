"""What the engine needs of its surroundings. Structural: sources and sinks do not import this module."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from processor.contract import NO_NOTES, Notes, Outbound, Record, TopicPartition
from processor.errors import Rejected


class Listener(Protocol):
    """Whom a source tells about its partitions, from within the rebalance."""

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """New partitions, read from the committed offset on. Must return at once: the group waits."""

    async def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Partitions that another member may own once this returns. Offsets can still be committed here."""


class Source(Protocol):
    """Where records come from: a member of a consumer group."""

    async def start(self, listener: Listener) -> None:
        """Joins the group. Raises Retryable while the brokers are away."""

    async def poll(self, timeout_s: float, limit: int, partitions: Collection[TopicPartition] = ()) -> Sequence[Record]:
        """At most `limit` records, per partition in offset order; empty after `timeout_s`.

        Of these `partitions` alone, if any are named.

        No record of a partition comes before `assigned` has returned for it. Raises Fatal for good.
        """

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Takes nothing more from these partitions. Lost at a rebalance. Not assigned ones are ignored."""

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Takes from these partitions again."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Reads the partition from `offset` on."""

    async def commit(self, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        """Commits the offsets to read next, some with a note. Raises Retryable when the brokers do not answer in time.

        Membership lost is not an error: `revoked` and `assigned` follow, and the records come again.
        """

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed offset."""

    async def metadata(self, partition: TopicPartition) -> str:
        """The note that was committed with it."""

    async def ends(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset that the next record of each gets. Raises Retryable."""

    async def stop(self) -> None:
        """Leaves the group."""


class Sink(Protocol):
    """Where records go."""

    @property
    def max_bytes(self) -> int:
        """Largest record (key, value and headers) that can be written."""

    async def start(self) -> None:
        """Connects. Raises Retryable while the brokers are away."""

    async def publish(self, records: Sequence[Outbound]) -> None:
        """Writes all and awaits every acknowledgement; waits as long as the brokers are away.

        Raises Unwritable for records that are refused for good, after all others are acknowledged, and
        Retryable when it is unknown whether some were written.
        """

    async def stop(self) -> None:
        """Disconnects."""


class Transactor(Protocol):
    """A producer that writes records and offsets as one; the only one of its name."""

    async def write(
        self,
        records: Sequence[Outbound],
        group: str,
        offsets: Mapping[TopicPartition, int],
        notes: Notes = NO_NOTES,
    ) -> None:
        """Writes records and commits the group's offsets, some with a note, in one transaction, within a bound.

        Raises Unwritable with nothing written. Raises Retryable, or Fenced, where it is not known what came of it:
        then this one is of no more use, and its successor settles what it left.
        """

    async def settle(self, group: str, partition: TopicPartition) -> None:
        """Ends what the brokers have left open of its predecessor's, who committed the partition's offsets.

        To be done before the committed offset is read. Raises Retryable.
        """

    def close(self) -> None:
        """Lets go. Must return at once."""


class Transactions(Protocol):
    """Where transactors come from."""

    async def open(self, name: str) -> Transactor:
        """The transactor of that name, after its predecessor is fenced off and what that one had begun is settled.

        Raises Retryable while the brokers are away.
        """

    async def stop(self) -> None:
        """Waits until what was closed is gone."""


class Worker(Protocol):
    """What is done with a record. Raises Retryable, Rejected or Fatal."""

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """The record's outputs, maybe none."""

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        """The dead letters of a record that was rejected: one for each whose business it is."""

    async def assigned(self, partition: TopicPartition) -> None:
        """Called before the partition's first record: load state here, as long as it takes."""

    async def revoked(self, partition: TopicPartition) -> None:
        """Called when nothing of the partition is worked on any more and its offsets are committed."""
