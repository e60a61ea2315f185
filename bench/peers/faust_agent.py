"""What bare Faust agents have in common: the app, a clock that starts with the first record, and their end."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import faust

from bench.peers.bare import report


class Bare:
    """An app as Faust's documentation makes one, for `count` records; `options` are Faust's."""

    def __init__(self, bootstrap: str, group: str, count: int, folder: str, **options: Any) -> None:
        self.app = faust.App(
            group,
            broker=f"kafka://{bootstrap}",
            store="memory://",
            datadir=folder,
            web_enabled=False,
            topic_disable_leader=True,
            **options,
        )
        self._count = count
        self._finished = asyncio.Event()

    def topic(self, name: str) -> Any:
        """A topic of bytes."""
        return self.app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def clocked(self, records: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The records; told is what the handling of all of them took."""
        done, started, cpu = 0, 0.0, 0.0
        async for record in records:
            if not started:
                started, cpu = time.perf_counter(), time.process_time()
            yield record
            done += 1
            if done == self._count:
                report(done, started, cpu)
                self._finished.set()

    async def run(self) -> None:
        """Runs the agents until all records are handled."""
        await self.app.start()
        await self._finished.wait()


def run(main: Callable[[str], Awaitable[None]]) -> None:
    """Runs it with a folder for Faust, and ends the process: what was to be measured is told; a stop takes seconds."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.new_event_loop().run_until_complete(main(folder))
    sys.stdout.flush()
    os._exit(0)
