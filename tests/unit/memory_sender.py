"""What sends to the broker in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from processor.resend.sender import Atomic, CopiesFirst, Opening, Sender
from processor.testing.broker import MemoryBroker


def memory_sender(broker: MemoryBroker, name: str, *, transactions: bool = True) -> Opening:
    """Senders as `kafka_sender` makes them."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Sender]:
        if transactions:
            yield Atomic(await broker.transactions().open(name), name)
        else:
            yield CopiesFirst(broker.sink())

    return opened
