"""What commands that send share: a bar on a terminal, an end in order on Ctrl-C, and patience with the brokers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from processor.errors import FaultstreamError, Fenced, Retryable
from processor.lifecycle import stop_on_signals

PATIENCE_S: Final = 60.0
"""How long brokers may be away in the middle; at the beginning nobody waits for them."""

WAIT_S: Final = 2.0

GOES_ON: Final = "the same command goes on with the rest"


async def to_the_end(send: Callable[[asyncio.Event], Awaitable[None]], sent: Callable[[], int]) -> bool:
    """Runs `send`, and again while brokers are away in the middle; False if it was stopped by a signal.

    `sent` tells how much was sent. Raises FaultstreamError, which tells how to go on.
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
                    raise FaultstreamError(f"{error}; {came} sent, {GOES_ON}") from error
                away_s += WAIT_S
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), WAIT_S)
    return not stop.is_set()


def bar() -> Progress:
    """A bar on the terminal, also while the results are piped; none without one."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
