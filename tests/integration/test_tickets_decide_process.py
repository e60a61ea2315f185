"""*decide* as a process on Apache Kafka: killed at each point of its protocol, one after the other."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import TopicPartition

from processor.contract import Outbound
from processor.tickets.policy import Fault
from tests.integration.points import PATIENCE_S, ended, started
from tests.integration.test_tickets_decide import PARTITIONS, Cluster
from tests.integration.test_tickets_decide import signal as sight
from tests.integration.tickets_decide_process import run

SESSION_S = 10

POINTS = [
    "before commands",
    "amid commands",
    "after commands",
    "amid changelog",
    "after changelog",
    "amid store",
    "after store",
    "before offsets",
    "amid offsets",
]
"""Where a batch of signals may be cut off; what is after one step is before the next."""

KEYS = (b"web", b"api", b"cli")
"""Repositories, on both partitions."""


def life(cluster: Cluster, fault: str, folder: Path | None) -> ForkServerProcess:
    """The program, running."""
    words = (cluster.bootstrap, cluster.topics.prefix, str(PARTITIONS), str(SESSION_S), fault, str(folder or ""))
    return started(run, *words)


async def buried(cluster: Cluster) -> None:
    """Takes the dead out of the group, as the end of its session would: nobody has to wait for that here."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        group = cluster.topics.decide
        (answer,) = await admin.describe_consumer_groups([group])
        ((_, _, _, _, _, members, *_),) = answer.groups
        for member, *_ in members:
            await admin._send_request(LeaveGroupRequest(group, member), await admin.find_coordinator(group))
    finally:
        await admin.close()


async def send(cluster: Cluster, life: int) -> None:
    """The signals that a life finds: of each repository a fault that is new, and one that every life sees again."""
    for repository in KEYS:
        name = repository.decode()
        seen = [sight(f"{name}-new-{life}", 1), sight(f"{name}-old", life)]
        await cluster.publish([Outbound(cluster.topics.signals, repository, each) for each in seen])


async def acknowledged(cluster: Cluster) -> None:
    """Waits until all signals are, which is the last of the steps."""
    group = cluster.topics.decide
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(cluster.topics.signals, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for each in partitions:
            while (await consumer.committed(each) or 0) < ends[each]:  # noqa: ASYNC110  nothing here sets an event
                await asyncio.sleep(0.1)
    finally:
        await consumer.stop()


async def values(cluster: Cluster, topic: str) -> list[bytes]:
    """All values of a topic that nobody writes to any more, by partition and offset."""
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
    finally:
        await consumer.stop()
    return await cluster.read(topic, sum(ends.values()))


@pytest.mark.kafka
@pytest.mark.timeout(400)
async def test_killed_between_any_two_steps_each_fault_is_asked_for_once(apache_kafka: str, tmp_path: Path) -> None:
    """Each life ends at another point, and the last one has the changelog alone.

    Commands may come again, as the same ones: of each fault one is a create, and no finding is without a command.
    """
    async with Cluster(apache_kafka) as cluster:
        for number, point in enumerate(POINTS, 1):
            await send(cluster, number)
            assert await ended(life(cluster, f"kill {point}", tmp_path)) == -signal.SIGKILL
            await buried(cluster)
        lives = len(POINTS) + 1
        await send(cluster, lives)
        process = life(cluster, "", None)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await acknowledged(cluster)
        finally:
            process.terminate()
            assert await ended(process) == 0
        said = [orjson.loads(value) for value in await values(cluster, cluster.topics.commands)]
        known = [Fault.loads(value) for value in await values(cluster, cluster.topics.changelog)]
    names = [name.decode() for name in KEYS]
    expected = {(f"{name}-new-{life}", "create", 1) for name in names for life in range(1, lives + 1)}
    expected |= {(f"{name}-old", "comment" if n > 1 else "create", n) for name in names for n in range(1, lives + 1)}
    told = Counter((each["fingerprint"], each["action"], each["count"]) for each in said)
    assert set(told) == expected
    assert told.total() > len(expected), "no kill came between commands and offsets"
    assert {each["finding"]["id"] for each in said} == {f"{name}-{max(1, n)}" for name, _, n in expected}
    counts = {fault.seen[0].rpartition("-")[0]: fault.count for fault in known}
    assert counts == {name: max(n for other, _, n in expected if other == name) for name, _, _ in expected}
