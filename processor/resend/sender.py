"""Sends copies together with what is kept of them, at a bounded rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

from processor.contract import Outbound
from processor.engine.ports import Sink, Transactor
from processor.errors import Unwritable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions

BATCH: Final = 200
BATCH_BYTES: Final = 8_000_000
"""Most copies, and about the most bytes, that are sent at once."""

Note = Callable[[Sequence[int]], Sequence[Outbound]]
"""What to keep when the copies at these indexes were sent."""


class Sender(Protocol):
    """Writes copies and what is kept of them."""

    async def write(self, copies: Sequence[Outbound], note: Note) -> tuple[int, ...]:
        """Writes both; gives the indexes of the copies that the brokers refuse for good, of which nothing is kept.

        Raises Retryable where it is not known what came of it, Fenced where another one has taken over.
        """


Opening = Callable[[], AbstractAsyncContextManager[Sender]]
"""Gives the only sender of its name: one that went before is fenced off, and what it had begun is settled."""


class Atomic:
    """Both in one transaction."""

    def __init__(self, transactor: Transactor, name: str) -> None:
        self._transactor = transactor
        self._name = name

    async def write(self, copies: Sequence[Outbound], note: Note) -> tuple[int, ...]:
        """See Sender."""
        kept = list(range(len(copies)))
        while True:
            try:
                await self._transactor.write([*(copies[at] for at in kept), *note(kept)], self._name, {})
            except Unwritable as error:
                refused = {kept[at] for at in error.positions if at < len(kept)}
                if not refused:
                    raise
                kept = [at for at in kept if at not in refused]
            else:
                return tuple(sorted(set(range(len(copies))) - set(kept)))


class CopiesFirst:
    """The copies, then what is kept of them: where there are no transactions, a crash in between sends them again."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def write(self, copies: Sequence[Outbound], note: Note) -> tuple[int, ...]:
        """See Sender."""
        refused: tuple[int, ...] = ()
        try:
            await self._sink.publish(copies)
        except Unwritable as error:
            refused = error.positions
        await self._sink.publish(note([at for at in range(len(copies)) if at not in refused]))
        return refused


def kafka_sender(config: KafkaSinkConfig, name: str) -> Opening:
    """Senders by the transactional id `name` where the brokers have transactions."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Sender]:
        transactions = KafkaTransactions(config)
        try:
            if await transactions.available(name):
                transactor = await transactions.open(name)
                try:
                    yield Atomic(transactor, name)
                finally:
                    transactor.close()
            else:
                sink = KafkaSink(config)
                await sink.start()
                try:
                    yield CopiesFirst(sink)
                finally:
                    await sink.stop()
        finally:
            await transactions.stop()

    return opened


class Pace:
    """Keeps to so many a second on average, by pauses after batches of at most `batch` and a second's worth."""

    def __init__(self, rate: float, batch: int = BATCH) -> None:
        self.batch = max(1, min(batch, int(rate)))
        self._rate = rate
        self._next: float | None = None

    async def sent(self, count: int, stop: asyncio.Event) -> None:
        """Waits until the next ones may go, or until `stop`. What was missed is not made up for."""
        now = time.monotonic()
        self._next = max(now, self._next or now) + count / self._rate
        try:
            async with asyncio.timeout(self._next - now):
                await stop.wait()
        except TimeoutError:
            return
