"""What *decide* asks for each record, and what it remembers in between: tables of bytes, one record after the other.

A decider is one topic's: it reads and writes tables by key and says what to publish. It knows no Faust and no Kafka,
so that another topic (groups, outcomes) with tables of its own is one more decider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from processor.contract import Outbound, Record


class Lost(Exception):
    """The records are no longer ours to handle: what was not acknowledged is read again, here or elsewhere."""


class Place(NamedTuple):
    """Where a value lies: a table, a partition of it, a key."""

    table: str
    partition: int
    key: bytes


class Tables:
    """The tables as one batch of records sees them: what is stored, with what the batch has changed.

    A record's changes count once they are `kept`; turning to the next record without that drops them.
    """

    def __init__(self, stored: Callable[[Place], bytes | None]) -> None:
        self._stored = stored
        self._partition = 0
        self._new: dict[Place, bytes] = {}
        self.end = 0
        """The end of the record's partition; an offset at or behind it is of a topic that was there before."""
        self.changes: dict[Place, bytes] = {}
        """What is to be stored, the last value of each place."""

    def at(self, partition: int, end: int) -> Tables:
        """Turns to a record of this partition, whose end is `end`."""
        self._partition, self.end = partition, end
        self._new = {}
        return self

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value in the record's partition, None if there is none."""
        place = Place(table, self._partition, key)
        for changed in (self._new, self.changes):
            if place in changed:
                return changed[place]
        return self._stored(place)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Changes the value in the record's partition."""
        self._new[Place(table, self._partition, key)] = value

    def kept(self) -> None:
        """The record's changes hold."""
        self.changes |= self._new
        self._new = {}


class Decider(Protocol):
    """Decides on the records of a topic, those of a partition in order.

    A record may come again after a crash, with tables that know of it or do not.
    """

    @property
    def topic(self) -> str:
        """The topic that it reads, with as many partitions as its tables have."""

    @property
    def tables(self) -> Mapping[str, Newer]:
        """The names of its tables, each its own alone, and how to tell which of two values is the later one."""

    def __call__(self, record: Record, tables: Tables) -> Sequence[Outbound]:
        """What to publish; what is put into `tables` is stored when that is acknowledged. Raises Rejected."""


Newer = Callable[[bytes, bytes], bool]
"""Whether the second of two values of one key may follow the first; a process that was frozen may write late."""
