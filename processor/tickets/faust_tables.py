"""Faust's tables, made to remember what they say and to recover in bounded time.

Stock Faust does not await what it writes to a changelog, and commits offsets although it may be lost; reads a
changelog record by record, forgets some of it when a rebalance comes in between, and waits for ever for a last
offset that is the marker of a transaction. Here a write is awaited before it is believed, and a changelog is read in
one go up to its end; Faust keeps who owns which partition. tests/integration/test_tickets_tables.py guards that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.stores import memory
from faust.tables.recovery import Recovery
from faust.types import TP

from processor.contract import TopicPartition
from processor.errors import Retryable
from processor.sources.history import KafkaHistory, Span
from processor.tickets.batches import Lost
from processor.tickets.decider import Newer, Place

log = structlog.get_logger(__name__)

AGAIN_S: Final = 1.0
"""Seconds before what the brokers did not allow is tried again."""

CHUNK: Final = 2000
"""Records of a changelog that are applied at once, before others have a turn."""

Item = tuple[bytes, bytes | None]
"""A key with its value; None takes it away."""


class Store(Protocol):
    """What a table is kept in, by partition and key."""

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value of a key."""

    def write(self, partition: int, items: Iterable[Item], offset: int) -> None:
        """Takes over what the changelog says up to `offset`."""

    def empty(self, partition: int) -> None:
        """Forgets a partition."""


class MemoryStore(memory.Store):  # type: ignore[type-arg]
    """A table in memory."""

    def read(self, partition: int, key: bytes) -> bytes | None:
        """See Store."""
        found: bytes | None = self.data.get((partition, key))
        return found

    def write(self, partition: int, items: Iterable[Item], offset: int) -> None:  # noqa: ARG002
        """See Store; the offset is not kept."""
        for key, value in items:
            if value is None:
                self.data.pop((partition, key), None)
            else:
                self.data[partition, key] = value

    def empty(self, partition: int) -> None:
        """See Store."""
        self._keep(lambda each: each != partition)

    def _keep(self, wanted: Callable[[int], bool]) -> None:
        for place in [place for place in self.data if not wanted(place[0])]:
            del self.data[place]

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:  # noqa: ARG002
        """Forgets partitions that others own now."""
        mine = {tp.partition for tp in active_tps}
        self._keep(mine.__contains__)


class Table(faust.Table):  # type: ignore[type-arg]
    """A table in a store of ours; written by FaustTables alone, not as a dictionary."""

    def _new_store_by_url(self, url: Any) -> Any:
        return MemoryStore(url, self.app, self, table_name=self.name, key_type=bytes, value_type=bytes)


class BoundedRecovery(Recovery):
    """Reads changelogs itself, up to the end that they have when a partition is assigned."""

    def __init__(
        self, app: Any, tables: Any, history: KafkaHistory, newer: Mapping[str, Newer], moved: Callable[[], None]
    ) -> None:
        super().__init__(app, tables, beacon=tables.beacon)
        self._history = history
        self._newer = newer
        self._moved = moved

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109  Faust's signature
        """Without the time-out, after which Faust takes itself for stopped and recovers nothing more."""
        await super()._wait(coro)

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        """Faust then finds nothing left to be read."""
        if title != "active":
            await super()._build_offsets(consumer, tps, destination, title)
            return
        for tp in tps:
            end = self.active_highwaters[tp] + 1
            if (destination[tp] if destination[tp] is not None else -1) >= end:
                log.warning(
                    "a store is ahead of its changelog: it is built anew", action="recover", partition=tp.partition
                )
                destination[tp] = None
            if destination[tp] is None:
                self._store(tp).empty(tp.partition)
        await super()._build_offsets(consumer, tps, destination, title)
        for tp in tps:
            await self._load(tp, Span(destination[tp] + 1, self.active_highwaters[tp] + 1))
            destination[tp] = max(destination[tp], self.active_highwaters[tp])

    def _store(self, tp: TP) -> Store:
        table: Any = self.tp_to_table[tp]
        found: Store = table.data
        return found

    async def _load(self, tp: TP, span: Span) -> None:
        """Applies these records to the table. Waits as long as the brokers are away."""
        items: list[Item] = []
        at = span.start
        while at < span.end:
            try:
                async with aclosing(self._history.between({TopicPartition(*tp): Span(at, span.end)})) as records:
                    async for record in records:
                        items.append((record.key or b"", record.value))
                        at = record.offset + 1
                        if len(items) == CHUNK:
                            await self._apply(tp, items, record.offset)
                            items.clear()
                at = span.end
            except Retryable as error:
                log.warning("a changelog waits", action="recover", partition=tp.partition, error=str(error))
                await asyncio.sleep(AGAIN_S)
        await self._apply(tp, items, span.end - 1)

    async def _apply(self, tp: TP, items: Sequence[Item], offset: int) -> None:
        store, newer = self._store(tp), self._newer[self.tp_to_table[tp].name]
        last: dict[bytes, bytes | None] = {}
        for key, value in items:
            old = last[key] if key in last else store.read(tp.partition, key)
            if not (old and value) or newer(old, value):
                last[key] = value
        store.write(tp.partition, last.items(), offset)
        self._moved()
        await asyncio.sleep(0)


class FaustTables:
    """The tables of all deciders, as Batches want them."""

    def __init__(
        self, app: Any, partitions: int, newer: Mapping[str, Newer], history: KafkaHistory, moved: Callable[[], None]
    ) -> None:
        """`moved` is called as a recovery gets on."""
        self._app = app
        self._tables = {
            name: app.Table(name, key_type=bytes, value_type=bytes, partitions=partitions) for name in newer
        }
        app.tables._recovery = BoundedRecovery(app, app.tables, history, newer, moved)  # noqa: SLF001

    def __len__(self) -> int:
        """How many keys there are."""
        return sum(len(table.data) for table in self._tables.values())

    def get(self, place: Place) -> bytes | None:
        """See Backing."""
        store: Store = self._tables[place.table].data
        return store.read(place.partition, place.key)

    def end(self, topic: str, partition: int) -> int:
        """See Backing."""
        return int(self._app.consumer.highwater(TP(topic, partition)) or 0)

    async def put(self, changes: Mapping[Place, bytes], ours: Callable[[], bool]) -> None:
        """See Backing: the changelog first; only what it has acknowledged is believed."""
        left, written = dict(changes), dict[tuple[str, int], tuple[int, list[Item]]]()
        while left:
            if not ours():
                raise Lost("partitions have changed hands before the tables were written")
            sent = await asyncio.gather(*(self._send(place, value) for place, value in left.items()))
            for place, offset in zip(list(left), sent, strict=True):
                if offset is not None:
                    last, items = written.setdefault(place[:2], (offset, []))
                    items.append((place.key, left.pop(place)))
                    written[place[:2]] = (max(last, offset), items)
            if left:
                await asyncio.sleep(AGAIN_S)
        for (table, partition), (offset, items) in written.items():
            self._tables[table].data.write(partition, items, offset)

    async def _send(self, place: Place, value: bytes) -> int | None:
        """The offset at which the changelog has the value; None if it was not taken."""
        topic = self._tables[place.table].changelog_topic_name
        try:
            sending = await self._app.producer.send(topic, place.key, value, place.partition, None, None)
            return int((await sending).offset)
        except (KafkaError, ProducerSendError) as error:
            log.warning("a changelog can't be written to", action="decide_waits", topic=topic, error=repr(error))
            return None
