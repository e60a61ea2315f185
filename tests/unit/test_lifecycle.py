"""Start, stop and clean up."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial

import pytest

from processor.lifecycle import Lifecycle, stop_on_signals


async def test_the_end_of_a_task_is_the_end_of_all() -> None:
    """Its error comes out; the others are told and awaited."""
    ended: list[str] = []
    life = Lifecycle()

    async def polite() -> None:
        await life.stop.wait()
        ended.append("polite")

    async def failing() -> None:
        raise ValueError("broken")

    async def main() -> None:
        async with life:
            life.task("polite", polite())
            life.task("failing", failing())
            await life.stop.wait()

    with pytest.raises(ValueError, match="broken"):
        await main()
    assert ended == ["polite"]


async def test_clean_ups_run_in_reverse_order_whatever_happens() -> None:
    """One that fails and one that hangs do not keep the others."""
    order: list[str] = []

    async def close(name: str) -> None:
        order.append(name)
        if name == "fails":
            raise OSError("gone")
        if name == "hangs":
            await asyncio.Event().wait()

    async with Lifecycle() as life:
        for name in ("first", "fails", "hangs", "last"):
            life.cleanup(name, partial(close, name), 0.01)
    assert order == ["last", "hangs", "fails", "first"]


async def test_a_task_that_does_not_stop_is_cancelled_after_its_grace() -> None:
    """The bound of a drain."""
    cancelled = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with Lifecycle(grace_s=0.01) as life:
        life.task("stubborn", stubborn())
        await asyncio.sleep(0)
    assert cancelled.is_set()


async def test_the_first_signal_stops_the_second_aborts() -> None:
    """And what handled the signal before handles it again."""
    before = signal.getsignal(signal.SIGTERM)
    stop = asyncio.Event()

    async def main() -> None:
        with stop_on_signals(stop, [signal.SIGTERM]):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(stop.wait(), 5)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.create_task(main()), 5)
    assert stop.is_set()
    assert signal.getsignal(signal.SIGTERM) is before
