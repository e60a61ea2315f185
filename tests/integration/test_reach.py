"""What is told of brokers that die, freeze and come back while a daemon runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from processor.cluster.client import KafkaClient
from processor.cluster.reach import Reach
from tools.servers.kafka import Kafka, own_obstacle

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

LIMIT_S = 1.0


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Kafka]:
    """A broker that a test may kill."""
    if hindered := own_obstacle():
        pytest.skip(hindered)
    server = Kafka(tmp_path / "kafka", heap="128m")
    server.launch()
    server.wait_ready()
    yield server
    server.kill()


@contextlib.asynccontextmanager
async def watching(address: str) -> AsyncIterator[Reach]:
    """A watch over these brokers that looks often."""
    reach, stop = Reach(KafkaClient(address, request_timeout_s=5), LIMIT_S, every_s=0.2), asyncio.Event()
    task = asyncio.create_task(reach.run(stop))
    try:
        yield reach
        assert not task.done()
    finally:
        stop.set()
        await task


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (nothing signals it)
            await asyncio.sleep(0.05)


async def test_a_broker_that_dies_and_comes_back(own_broker: Kafka) -> None:
    """Unready after the limit, with the reason; ready again by itself. A short silence says nothing."""
    async with watching(own_broker.address) as reach:
        await until(lambda: reach.silent_s < 0.2)
        assert reach.problem() is None
        own_broker.kill()
        await until(lambda: reach.problem() is not None)
        assert reach.silent_s >= LIMIT_S
        await until(lambda: "nobody listens at" in str(reach.problem()))
        assert str(reach.problem()).startswith("no broker has answered for ")
        await asyncio.to_thread(own_broker.start)
        await until(lambda: reach.problem() is None)


async def test_a_broker_that_freezes(own_broker: Kafka) -> None:
    """Connections stay, and nothing comes: the same, for what counts is the last answer."""
    assert own_broker.pid is not None
    async with watching(own_broker.address) as reach:
        await until(lambda: reach.silent_s < 0.2)
        os.kill(own_broker.pid, signal.SIGSTOP)
        try:
            await until(lambda: reach.problem() is not None)
        finally:
            os.kill(own_broker.pid, signal.SIGCONT)
        await until(lambda: reach.problem() is None)
        assert reach.silent_s < LIMIT_S
