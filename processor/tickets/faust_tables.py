"""Faust's tables, made to remember what they say and to recover in bounded time.

Stock Faust does not await what it writes to a changelog, and commits offsets although it may be lost; reads a
changelog record by record, forgets some of it when a rebalance comes in between, and waits for ever for a last
offset that is the marker of a transaction. Here a write is awaited before it is believed, and a changelog is read in
one go up to its end; Faust keeps who owns which partition. tests/integration/test_tickets_tables.py guards that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.tables.recovery import Recovery
from faust.types import TP

from processor.contract import TopicPartition
from processor.sources.history import History, Span
from processor.tickets.changelog import Changelog
from processor.tickets.decider import Lost, Newer, Place
from processor.tickets.ends import Ends
from processor.tickets.stores import DiskStore, Entry, MemoryStore

log = structlog.get_logger(__name__)

AGAIN_S: Final = 1.0
"""Seconds before what the brokers did not allow is tried again."""


class Table(faust.Table):  # type: ignore[type-arg]
    """A table in a store of ours; written by FaustTables alone, not as a dictionary."""

    folder: Path | None = None
    """Where its files are; without one it is in memory."""

    def _new_store_by_url(self, url: Any) -> Any:
        options: dict[str, Any] = {"table_name": self.name, "key_type": bytes, "value_type": bytes}
        if self.folder is None:
            return MemoryStore(url, self.app, self, **options)
        return DiskStore(url, self.app, self, folder=self.folder, **options)


class BoundedRecovery(Recovery):
    """Reads changelogs itself, up to the end that they have when a partition is assigned."""

    def __init__(self, app: Any, tables: Any, changelog: Changelog, ends: Ends, newer: Mapping[str, Newer]) -> None:
        super().__init__(app, tables, beacon=tables.beacon)
        self._changelog = changelog
        self._ends = ends
        self._newer = newer

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109  Faust's signature
        """Without the time-out, after which Faust takes itself for stopped and recovers nothing more."""
        await super()._wait(coro)

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        """Faust asks one broker, which may have led a partition before."""
        if title != "active":
            await super()._build_highwaters(consumer, tps, destination, title)
            return
        self._ends.forget()
        spans = await self._ends.spans({tp.topic for tp in tps})
        destination.clear()
        destination.update({tp: spans[TopicPartition(*tp)].end - 1 for tp in tps})

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        """Faust then finds nothing left to be read."""
        if title != "active":
            await super()._build_offsets(consumer, tps, destination, title)
            return
        for tp in tps:
            destination[tp] = None
        await super()._build_offsets(consumer, tps, destination, title)
        for tp in tps:
            end = self.active_highwaters[tp] + 1
            table: Any = self.tp_to_table[tp]
            span = Span(destination[tp] + 1, end)
            await self._changelog.load(table.data, TopicPartition(*tp), span, self._newer[table.name])
            destination[tp] = max(destination[tp], end - 1)


class FaustTables:
    """The tables of all deciders, as Batches want them."""

    def __init__(
        self,
        app: Any,
        partitions: int,
        newer: Mapping[str, Newer],
        history: History,
        *,
        folder: Path | None,
        moved: Callable[[], None],
    ) -> None:
        """`folder` is for stores on disk; `moved` is called as a recovery gets on."""
        self._app = app
        kind: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "partitions": partitions}
        self._tables = {name: app.Table(name, **kind) for name in newer}
        for table in self._tables.values():
            table.folder = folder
        self._ends = Ends(history)
        recovery = BoundedRecovery(app, app.tables, Changelog(history, moved), self._ends, newer)
        app.tables._recovery = recovery  # noqa: SLF001

    def known(self) -> int:
        """How many keys there are."""
        return sum(table.data.known() for table in self._tables.values())

    def get(self, place: Place) -> bytes | None:
        """See Backing."""
        store: MemoryStore = self._tables[place.table].data
        return store.read(place.partition, place.key)

    async def end(self, topic: str, partition: int) -> int:
        """See Backing."""
        told = int(self._app.consumer.highwater(TP(topic, partition)) or 0)
        return await self._ends.at_least(TopicPartition(topic, partition), told)

    async def put(self, changes: Mapping[Place, bytes], ours: Callable[[], bool]) -> None:
        """See Backing: the changelog first; only what it has acknowledged is believed."""
        left = dict(changes)
        written: dict[tuple[str, int], list[Entry]] = {}
        while left:
            if not ours():
                raise Lost("partitions have changed hands before the tables were written")
            sent = await asyncio.gather(*(self._send(place, value) for place, value in left.items()))
            for place, offset in zip(list(left), sent, strict=True):
                if offset is not None:
                    entry = Entry(place.key, left.pop(place), offset)
                    written.setdefault((place.table, place.partition), []).append(entry)
            if left:
                await asyncio.sleep(AGAIN_S)
        for (table, partition), entries in written.items():
            await asyncio.to_thread(self._tables[table].data.write, partition, entries)

    async def _send(self, place: Place, value: bytes) -> int | None:
        """The offset at which the changelog has the value; None if it was not taken."""
        topic = self._tables[place.table].changelog_topic_name
        try:
            sending = await self._app.producer.send(topic, place.key, value, place.partition, None, None)
            return int((await sending).offset)
        except (KafkaError, ProducerSendError) as error:
            log.warning("a changelog can't be written to", action="decide_waits", topic=topic, error=repr(error))
            return None
