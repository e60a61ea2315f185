"""What a start does while the brokers are away: it waits, and says why."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from processor.cluster.diagnose import denied
from processor.errors import ConfigError, Retryable

T = TypeVar("T")

_WAIT_S: Final = 2.0

log = structlog.get_logger(__name__)


async def patiently(work: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T | None:
    """What the work comes to, tried again while the brokers are away; None once `stop` is set. Raises ConfigError."""
    while not stop.is_set():
        try:
            return await work()
        except Retryable as error:
            await start_waits(error, stop)
    return None


async def start_waits(error: Retryable, stop: asyncio.Event) -> None:
    """Waits a moment before the next try. Raises ConfigError for a right that is missing: no waiting brings it."""
    if denied(error):
        raise ConfigError(str(error)) from error
    log.warning("start waits", action="start", error=str(error))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), _WAIT_S)
