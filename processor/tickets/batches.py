"""Handles what a Faust agent reads in batches: decided in order, then published, then remembered, then acknowledged.

While one batch waits for the brokers the next one gathers, so that batches are as large as the load makes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from processor.contract import Outbound, Record
from processor.errors import Rejected, Retryable
from processor.tickets.decider import Decider, Lost, Place, Tables

log = structlog.get_logger(__name__)

MOST: Final = 500
"""Most records of a batch."""

LINGER_S: Final = 0.03
"""Seconds in which a batch gathers at the least: fewer requests in a storm, and no ticket is in such a hurry."""

WAIT_MOST_S: Final = 10.0
"""Most seconds between two tries to publish."""

Publish = Callable[[Sequence[Outbound]], Awaitable[None]]
"""Writes records and awaits their acknowledgements."""


class Backing(Protocol):
    """Where the tables are kept."""

    def get(self, place: Place) -> bytes | None:
        """What is stored. Called in a thread; raises Lost where the partition is no longer ours."""

    async def put(self, changes: Mapping[Place, bytes], ours: Callable[[], bool]) -> None:
        """Stores, and awaits that it will survive. Raises Lost once it is not `ours` to do."""

    async def end(self, topic: str, partition: int) -> int:
        """The end of a partition; not less than what others may have handled before it was ours."""


class Batches:
    """What is read by one agent. `busy` while records wait or are being handled."""

    def __init__(
        self,
        decider: Decider,
        backing: Backing,
        publish: Publish,
        *,
        letter: Callable[[Record, Rejected], Outbound],
        ours: Callable[[Sequence[Any]], bool],
        done: Callable[[Any, Any], Awaitable[None]],
        redact: Callable[[str], str] = str,
        linger_s: float = LINGER_S,
    ) -> None:
        self._decider = decider
        self._backing = backing
        self._publish = publish
        self._letter = letter
        self._ours = ours
        self._done = done
        self._redact = redact
        self._linger_s = linger_s
        self._events: list[Any] = []
        self._handling = 0
        self._moved = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether records wait or are being handled."""
        return bool(self._events or self._handling)

    async def read(self, stream: Any) -> None:
        """The body of the agent: takes in what the stream gives, and waits where too much has gathered."""
        async for event in stream.events():
            self._events.append(event)
            self._moved.set()
            while len(self._events) >= MOST:
                self._moved.clear()
                await self._moved.wait()

    async def work(self, stream: Any) -> None:
        """Handles one batch after the other, for as long as it is not cancelled."""
        while True:
            while not self._events:
                self._moved.clear()
                await self._moved.wait()
            if self._linger_s and len(self._events) < MOST:
                await asyncio.sleep(self._linger_s)
            events, self._events = self._events, []
            self._handling = len(events)
            self._moved.set()
            try:
                await self._handle(stream, events)
            except Lost as error:
                log.warning("signals are left to others", action="decide_lost", count=len(events), reason=str(error))
            finally:
                self._handling = 0

    async def _handle(self, stream: Any, events: Sequence[Any]) -> None:
        """Each step begins when the one before it is acknowledged: commands, tables, offsets."""
        if not self._ours(events):
            raise Lost("partitions have changed hands")
        ends = [await self._backing.end(event.message.topic, event.message.partition) for event in events]
        # In a thread: some hundred decisions, and the reading of files, would keep the event loop for too long.
        said, tables = await asyncio.to_thread(self._decided, events, ends)
        if not self._ours(events):
            raise Lost("partitions have changed hands while it was decided")
        try:
            await self._written(said)
        except Rejected as error:
            if len(events) > 1:
                for event in events:
                    await self._handle(stream, [event])
                return
            await self._written([self._letter(record_of(events[0].message), error)])
        else:
            await self._backing.put(tables.changes, lambda: self._ours(events))
        for event in events:
            await self._done(stream, event)

    def _decided(self, events: Sequence[Any], ends: Sequence[int]) -> tuple[list[Outbound], Tables]:
        """What to publish for a batch, and the tables as it leaves them; `ends` are those of the records' partitions.

        Raises Lost.
        """
        tables = Tables(self._backing.get)
        said: list[Outbound] = []
        for event, end in zip(events, ends, strict=True):
            record = record_of(event.message)
            tables.at(record.partition, max(record.offset + 1, end))
            try:
                said += self._decider(record, tables)
            except Rejected as error:
                said.append(self._letter(record, error))
            else:
                tables.kept()
        return said, tables

    async def _written(self, records: Sequence[Outbound]) -> None:
        """Publishes, however long the brokers are away. Raises Rejected for what they refuse for good."""
        wait = 0.1
        while records:
            try:
                return await self._publish(records)
            except Retryable as error:
                wait = max(error.wait or 0.0, min(wait * 2, WAIT_MOST_S))
                log.warning("decide waits", action="decide_waits", wait_s=wait, error=self._redact(str(error)))
                await asyncio.sleep(wait)
        return None


def record_of(message: Any) -> Record:
    """A message of Faust's as a record of ours."""
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple(pairs),
        int((message.timestamp or 0) * 1000),
    )
