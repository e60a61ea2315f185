"""What the daemon says of itself while its brokers are away: a process on a broker of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.deployment import Deployment, sample
from tools.servers.kafka import Kafka, own_obstacle

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(300)]

BUILD = {"ce_type": "build.failed", "repo": "acme/web", "job": "test"}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Kafka]:
    """A broker that the test may kill."""
    if hindered := own_obstacle():
        pytest.skip(hindered)
    server = Kafka(tmp_path / "kafka", heap="160m")
    await asyncio.to_thread(server.start)
    yield server
    server.kill()


@pytest.fixture
async def deployment(broker: Kafka, jira_double: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment on that broker."""
    made = Deployment(broker.address, jira_double, tmp_path)
    await made.model.start()
    try:
        yield made
    finally:
        await made.close()


async def test_brokers_that_die_make_it_unready_and_no_more(deployment: Deployment, broker: Kafka) -> None:
    """503 with the reason after the bound; alive all along; ready again by itself, and it goes on working."""
    kafka = {
        "bootstrap": broker.address,
        "create_topics": True,
        "partitions": 1,
        "session_timeout_s": 6,
        "unready_after_s": 3,
    }
    await deployment.start(kafka=kafka)
    await deployment.until(lambda: _ready(deployment), "the daemon is ready")
    broker.kill()
    await deployment.until(lambda: _told(deployment, broker.address), "the daemon is not ready, and says why")
    status, told = await deployment.health("readyz")
    assert status == 503
    assert told["problems"]["kafka"].startswith("no broker has answered for ")
    assert (await deployment.health("healthz"))[0] == 200
    await asyncio.to_thread(broker.start)
    await deployment.until(lambda: _ready(deployment), "the daemon is ready again")
    await deployment.send((sample("npm-eresolve-a1"), BUILD))
    await deployment.until(lambda: deployment.findings, "a finding")
    assert await deployment.stop() == 0


async def _ready(deployment: Deployment) -> bool:
    return (await deployment.health("readyz"))[0] == 200


async def _told(deployment: Deployment, address: str) -> bool:
    return address in (await deployment.health("readyz"))[1]["problems"].get("kafka", "")
