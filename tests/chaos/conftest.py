"""Clusters for the chaos tests: one broker for all of them, and three for the loss of a leader."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chaos.cluster import Cluster
from tests.servers.plugin import required
from tools.servers import kafka


@pytest.fixture(autouse=True, scope="session")
def quiet() -> Iterator[None]:
    """That brokers are away is no news here."""
    library = logging.getLogger("aiokafka")
    level = library.level
    library.setLevel(logging.CRITICAL)
    yield
    library.setLevel(level)


@asynccontextmanager
async def running(folder: Path, brokers: int) -> AsyncIterator[Cluster]:
    """A cluster of our own, in a cluster's own folder; left out where none can run, unless it is required."""
    obstacle = kafka.own_obstacle()
    if obstacle and "kafka" not in required():
        pytest.skip(f"left out: {obstacle}")
    cluster = Cluster(folder, brokers)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Shared; a run has topics and a group of its own."""
    async with running(tmp_path_factory.mktemp("chaos"), 1) as cluster:
        yield cluster


@pytest_asyncio.fixture(loop_scope="session")
async def three_brokers(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two of three replicas must have what is acknowledged."""
    async with running(tmp_path, 3) as cluster:
        yield cluster
