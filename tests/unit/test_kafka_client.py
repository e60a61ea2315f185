"""How a Kafka client ends, whatever its own `stop` does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from processor.cluster import client as module
from processor.cluster.client import stopped


class Client:
    """One whose `stop` does as a test says."""

    def __init__(self, how: Any) -> None:
        self.stop = how


async def test_a_stop_that_raises_cancels_nobody() -> None:
    """The library's consumer raises CancelledError where it cuts off a fetch; other errors are told."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def broken() -> None:
        raise OSError("gone")

    with capture_logs() as told:
        await stopped(Client(cancelled))
        await stopped(Client(broken))
    assert [(each["kind"], each["error"]) for each in told] == [("OSError", "gone")]


async def test_a_stop_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The brokers may be away."""
    monkeypatch.setattr(module, "STOP_S", 0.01)
    ended = asyncio.Event()
    async with asyncio.timeout(5):
        await stopped(Client(ended.wait))
    assert not ended.is_set()
    ended.set()
