"""Reads a table's changelog into its store, up to the end that it has, in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final

import structlog

from processor.contract import TopicPartition
from processor.errors import Retryable
from processor.sources.history import History, Span
from processor.tickets.decider import Newer
from processor.tickets.stores import Entry, MemoryStore, Progress

log = structlog.get_logger(__name__)

AGAIN_S: Final = 1.0
"""Seconds before what the brokers did not allow is tried again."""

CHUNK: Final = 2000
"""Records that are taken over at once, in a thread, so that the event loop goes on."""


class Changelog:
    """Brings stores up to date; `moved` is called as it gets on."""

    def __init__(self, history: History, moved: Callable[[], None]) -> None:
        self._history = history
        self._moved = moved

    async def load(self, store: MemoryStore, at: TopicPartition, lies: Span, newer: Newer) -> None:
        """Takes over what the changelog `lies` has and the store has not. Waits as long as the brokers are away."""
        while True:
            try:
                return await self._loaded(store, at, lies, newer)
            except Retryable as error:
                log.warning("a changelog waits", action="recover", partition=at.partition, error=str(error))
                await asyncio.sleep(AGAIN_S)

    async def _loaded(self, store: MemoryStore, at: TopicPartition, lies: Span, newer: Newer) -> None:
        done = store.progress(at.partition)
        start = lies.start
        if done is None:
            store.empty(at.partition)
        elif reason := await self._foreign(at, lies, done):
            said = "a store is not its changelog's: it is built anew"
            log.warning(said, action="recover", partition=at.partition, reason=reason)
            store.empty(at.partition)
        else:
            start = max(start, done.offset + 1)
        entries: list[Entry] = []
        async with aclosing(self._history.between({at: Span(start, lies.end)})) as records:
            async for record in records:
                entries.append(Entry(record.key or b"", record.value, record.offset))
                if len(entries) == CHUNK:
                    await self._apply(store, at.partition, entries, newer)
                    entries.clear()
        await self._apply(store, at.partition, entries, newer)

    async def _foreign(self, at: TopicPartition, lies: Span, done: Progress) -> str:
        """Why the store can't have been made from this changelog; empty if it can.

        Its last record is still there, or was compacted or deleted away.
        """
        if done.offset >= lies.end:
            return f"it has offset {done.offset}, the changelog ends at {lies.end}"
        async with aclosing(
            self._history.between({at: Span(max(done.offset, lies.start), done.offset + 1)})
        ) as records:
            async for record in records:
                if Entry(record.key or b"", record.value, record.offset).mark != done.mark:
                    return f"another record is at offset {done.offset}"
        return ""

    async def _apply(self, store: MemoryStore, partition: int, entries: Sequence[Entry], newer: Newer) -> None:
        await asyncio.to_thread(_take, store, partition, entries, newer)
        self._moved()


def _take(store: MemoryStore, partition: int, entries: Sequence[Entry], newer: Newer) -> None:
    last: dict[bytes, Entry] = {}
    for entry in entries:
        old = last[entry.key].value if entry.key in last else store.read(partition, entry.key)
        if not (old and entry.value) or newer(old, entry.value):
            last[entry.key] = entry
    store.write(partition, last.values())
