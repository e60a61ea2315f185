"""Entries that wait to be tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processor.engine.inflight import Entry


class Waiting:
    """Has each entry tried `again` after its time, or sooner, once another that waited for the same has got through.

    So what waits for a server that comes back does not wait out the pauses that have grown meanwhile.
    """

    def __init__(self, again: Callable[[Entry], None]) -> None:
        self._again = again
        self._shared: dict[str, dict[Entry, tuple[float, asyncio.TimerHandle]]] = {}  # by cause

    def wait(self, entry: Entry, seconds: float, least: float) -> None:
        """Waits so many seconds; at `least` so many, though what `entry.cause` says is over for others."""
        loop = asyncio.get_running_loop()
        if entry.cause is None:
            loop.call_later(seconds, self._again, entry)
        else:
            timer = loop.call_later(seconds, self._due, entry, entry.cause)
            self._shared.setdefault(entry.cause, {})[entry] = loop.time() + least, timer

    def through(self, cause: str) -> None:
        """What these wait for is there again."""
        loop = asyncio.get_running_loop()
        for entry, (earliest, timer) in self._shared.pop(cause, {}).items():
            timer.cancel()
            if earliest <= loop.time():
                self._again(entry)
            else:
                loop.call_at(earliest, self._again, entry)

    def _due(self, entry: Entry, cause: str) -> None:
        waiting = self._shared[cause]
        del waiting[entry]
        if not waiting:
            del self._shared[cause]
        self._again(entry)
