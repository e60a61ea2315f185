"""Entries that wait to be tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from processor.engine.delivery import Backoff
from processor.engine.inflight import Entry
from processor.errors import Retryable

log = structlog.get_logger(__name__)


class Waiting:
    """Has each entry tried `again` after its time, or sooner, once another that waited for the same has got through.

    So what waits for a server that comes back does not wait out the pauses that have grown meanwhile.
    """

    def __init__(self, again: Callable[[Entry], None], backoff: Backoff) -> None:
        self._again = again
        self._backoff = backoff
        self._shared: dict[str, dict[Entry, tuple[float, asyncio.TimerHandle]]] = {}  # by cause

    def wait(self, entry: Entry, error: Retryable) -> None:
        """Waits at least as long as the error asks for; its partition pauses where the cause is shared."""
        loop = asyncio.get_running_loop()
        entry.attempt += 1
        entry.cause = str(error) if error.shared else None
        if error.shared and not entry.waits:
            entry.waits = True
            entry.partition.held += 1
        seconds = self._backoff.seconds(entry.attempt, error.wait)
        _tell(entry, error, seconds)
        if entry.cause is None:
            loop.call_later(seconds, self._again, entry)
        else:
            timer = loop.call_later(seconds, self._due, entry, entry.cause)
            self._shared.setdefault(entry.cause, {})[entry] = loop.time() + (error.wait or 0.0), timer

    def over(self, entry: Entry) -> None:
        """The entry is finished: what it waited for, if it did, is there again for the others as well."""
        if not entry.waits:
            return
        entry.waits = False
        entry.partition.held -= 1
        loop = asyncio.get_running_loop()
        for other, (earliest, timer) in self._shared.pop(entry.cause or "", {}).items():
            timer.cancel()
            if earliest <= loop.time():
                self._again(other)
            else:
                loop.call_at(earliest, self._again, other)

    def _due(self, entry: Entry, cause: str) -> None:
        waiting = self._shared[cause]
        del waiting[entry]
        if not waiting:
            del self._shared[cause]
        self._again(entry)


def _tell(entry: Entry, error: Retryable, seconds: float) -> None:
    """A cause that is shared is told of once for all that wait for it: the oldest of a partition speaks for them."""
    entries = entry.partition.entries  # none, if the partition went meanwhile
    if not error.shared or (entries and entries[0] is entry):
        told = {"attempt": entry.attempt, "wait_s": round(seconds, 3), "waiting": entry.partition.held}
        log.warning("record waits", action="retry", **told, error=str(error))
