"""*decide* as a process for the tests to kill or freeze.

`python tickets_decide_process.py BOOTSTRAP PREFIX PARTITIONS SESSION_S FAULT FOLDER`; FAULT is an action and a point
(see Points) or empty; with an empty FOLDER its tables are in memory.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from processor.cluster.client import KafkaClient
from processor.contract import Outbound
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.telemetry import configure_logs
from processor.tickets.decide import Decide, FaustConfig
from processor.tickets.decider import Place
from processor.tickets.faust_consumer import CarefulConsumer
from processor.tickets.faust_tables import FaustTables
from processor.tickets.messages import Topics
from processor.tickets.policy import Policy
from processor.tickets.signals import Signals
from processor.tickets.stores import DiskStore, Entry, MemoryStore
from tests.integration.points import Points


def commands(points: Points, sink: KafkaSink) -> Callable[[Sequence[Outbound]], Any]:
    """How commands are published, with points."""

    async def publish(records: Sequence[Outbound]) -> None:
        points.reach("before commands")
        await sink.publish(records[:1])
        points.reach("amid commands")
        await sink.publish(records[1:])
        points.reach("after commands")

    return publish


def changelogs(points: Points) -> None:
    """Tables write with points: to the changelog, one value after the other, and then to the store."""
    put, send, one = FaustTables.put, FaustTables._send, asyncio.Lock()
    handling = False

    async def watched_put(self: FaustTables, changes: Mapping[Place, bytes], ours: Callable[[], bool]) -> None:
        nonlocal handling
        handling = True
        await put(self, changes, ours)
        handling = False
        points.reach("after store")

    async def watched_send(self: FaustTables, place: Place, value: bytes) -> int | None:
        async with one:
            offset = await send(self, place, value)
            points.reach("amid changelog")
            return offset

    def watched(write: Callable[..., None]) -> Callable[..., None]:
        def written(self: MemoryStore, partition: int, entries: Iterable[Entry]) -> None:
            if handling:  # not in a recovery
                points.reach("after changelog")
            write(self, partition, entries)
            if handling:
                points.reach("amid store")

        return written

    FaustTables.put = watched_put  # type: ignore[method-assign]
    FaustTables._send = watched_send  # type: ignore[method-assign]
    for store in (MemoryStore, DiskStore):
        store.write = watched(store.write)  # type: ignore[method-assign]


def offsets(points: Points) -> None:
    """Faust commits with points, and after each signal, not now and then: what is lost is lost for certain."""
    done, commit = Decide._done, CarefulConsumer._commit

    async def watched_done(self: Decide, stream: Any, event: Any) -> None:
        await done(self, stream, event)
        await self._app.consumer.commit()
        points.reach("amid offsets")

    async def watched_commit(self: CarefulConsumer, offsets: Mapping[Any, int]) -> bool:
        points.reach("before offsets")
        return await commit(self, offsets)

    Decide._done = watched_done  # type: ignore[method-assign]
    CarefulConsumer._commit = watched_commit  # type: ignore[method-assign]


async def main(bootstrap: str, prefix: str, partitions: str, session_s: str, fault: str, folder: str) -> None:
    """Runs until it is told to stop."""
    client, topics, points = KafkaClient(bootstrap), Topics(prefix), Points(fault)
    changelogs(points)
    offsets(points)
    sink = KafkaSink(KafkaSinkConfig(client))
    await sink.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = Path(folder) if folder else None
    config = FaustConfig(client, int(partitions), folder=store, session_timeout_s=float(session_s))
    await Decide(config, topics, [Signals(topics, {"ci": Policy()})], commands(points, sink)).run(stop)
    await sink.stop()


def run(*words: str) -> None:
    """A life."""
    configure_logs("warning")
    asyncio.run(main(*words))


if __name__ == "__main__":
    run(*sys.argv[1:])
