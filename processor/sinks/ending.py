"""How a transactional producer ends (aiokafka 0.14): with errors in futures that nobody awaits."""

from __future__ import annotations

import asyncio
from itertools import chain

from aiokafka import AIOKafkaProducer

from processor.cluster.client import retrieved, stopped


async def ended(producer: AIOKafkaProducer) -> None:
    """Stops it. Where a broker does not answer, it fails only later: what it had begun is shut out by then."""
    _heed(producer)
    await stopped(producer)
    _heed(producer)
    sending: asyncio.Task[None] | None = producer._sender.sender_task  # noqa: SLF001
    if sending is not None and not sending.done():
        sending.add_done_callback(lambda _: _heed(producer))


def _heed(producer: AIOKafkaProducer) -> None:
    """Retrieves errors that it keeps, or will keep, in futures which nobody awaits: the loop would log them."""
    accumulator, manager = producer._message_accumulator, producer._txn_manager  # noqa: SLF001
    batches = [*chain.from_iterable(accumulator._batches.values()), *accumulator._pending_batches]  # noqa: SLF001
    waiters = [waiter for batch in batches for waiter in (batch._drain_waiter, batch.future)]  # noqa: SLF001
    waiters += [future for *_, future in manager._pending_txn_offsets]  # noqa: SLF001
    for waiter in (*waiters, manager._transaction_waiter):  # noqa: SLF001
        if waiter is not None:
            waiter.add_done_callback(retrieved)
