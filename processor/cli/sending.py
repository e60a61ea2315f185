"""What commands that send share: a bar on a terminal, an end in order on Ctrl-C, and patience with the brokers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from processor.errors import FaultstreamError, Fenced, Retryable
from processor.lifecycle import stop_on_signals

PATIENCE_S: Final = 60.0
"""How long brokers may be away in the middle; at the beginning nobody waits for them."""

WAIT_S: Final = 2.0


def times(since: datetime | None, until: datetime | None) -> str:
    """The options that name these times, however they were given: a span given again means other ones."""
    given = (("--since", since), ("--until", until))
    return " ".join(f"{option} {moment(time)}" for option, time in given if time is not None)


def moment(time: datetime) -> str:
    """A time as people write it, in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def goes_on(since: datetime | None, until: datetime | None) -> str:
    """How to go on with what was stopped."""
    said = times(since, until)
    return f"the same command with {said} goes on with the rest" if said else "the same command goes on with the rest"


async def to_the_end(send: Callable[[asyncio.Event], Awaitable[None]], sent: Callable[[], int], rest: str) -> bool:
    """Runs `send`, and again while brokers are away in the middle; False if it was stopped by a signal.

    `sent` tells how much was sent. Raises FaultstreamError, which tells how to go on (`rest`).
    """
    stop = asyncio.Event()
    came, away_s = 0, 0.0
    with stop_on_signals(stop):
        while not stop.is_set():
            try:
                await send(stop)
                break
            except Fenced as error:
                raise FaultstreamError(f"another one has taken over: {error}; {sent()} sent here") from error
            except Retryable as error:
                came, away_s = sent(), away_s if sent() == came else 0.0
                if not came or away_s >= PATIENCE_S:
                    raise FaultstreamError(f"{error}; {came} sent, {rest}") from error
                away_s += WAIT_S
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), WAIT_S)
    return not stop.is_set()


def bar() -> Progress:
    """A bar on the terminal, also while the results are piped; none without one."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
