"""*decide*'s tables on Apache Kafka: recoveries that stock Faust does not end, and a process that freezes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from processor.tickets.policy import Fault
from tests.integration.test_tickets_decide import PARTITIONS, Cluster, eventually

PROGRAM = Path(__file__).with_name("tickets_decide_process.py")
SESSION_S = 6.0
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


async def partition_of(cluster: Cluster, key: bytes) -> int:
    """The partition that records with this key go to."""
    producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap)
    await producer.start()
    try:
        sent = await producer.send_and_wait(cluster.topics.signals, orjson.dumps({"finding": None}), key=key)
    finally:
        await producer.stop()
    return int(sent.partition)


async def emptied(cluster: Cluster, topic: str) -> None:
    """Deletes all records of a topic, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        everything = {TopicPartition(topic, number): RecordsToDelete(before_offset=-1) for number in range(PARTITIONS)}
        await admin.delete_records(everything)
    finally:
        await admin.close()


async def test_changelog_that_ends_in_a_marker_and_one_that_was_emptied(apache_kafka: str) -> None:
    """A changelog restored by transactions is recovered, though its last offset is no record.

    Without a changelog the counts begin anew, and it is the writer who knows that there is a ticket.
    """
    async with Cluster(apache_kafka) as cluster:
        where = await partition_of(cluster, b"repo")
        known = Fault(count=3, partition=where, offset=-1, filed=True)
        producer = AIOKafkaProducer(bootstrap_servers=apache_kafka, transactional_id=cluster.topics.prefix)
        await producer.start()
        async with producer.transaction():
            await producer.send(cluster.topics.changelog, known.dumps(), key=b"f1", partition=where)
        await producer.stop()
        await cluster.send("f1", 4)
        async with cluster.deciding() as decide:
            assert await cluster.commands(1) == [("comment", "f1", 4)]
            await eventually(lambda: decide.decided >= 2)  # with the one that found the partition; else it comes again
        await emptied(cluster, cluster.topics.changelog)
        await cluster.send("f1", 5)
        async with cluster.deciding():
            assert await cluster.commands(2) == [("comment", "f1", 4), ("create", "f1", 1)]


async def test_process_that_was_frozen_writes_to_no_table(apache_kafka: str) -> None:
    """Stopped between command and table, and another one takes its partitions and goes on counting.

    Woken up, it leaves the table alone, although nobody has told it yet that its partitions are gone.
    """
    async with Cluster(apache_kafka) as cluster:
        for number in (1, 2):
            await cluster.send("f1", number)
        words = [str(PROGRAM), apache_kafka, cluster.topics.prefix, str(PARTITIONS), str(SESSION_S)]
        words += ["stop after commands", ""]
        environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])}
        frozen = await asyncio.create_subprocess_exec(
            sys.executable, *words, env=environment, stderr=asyncio.subprocess.PIPE
        )
        try:
            assert len(await cluster.commands(1)) >= 1
            async with cluster.deciding(session_timeout_s=SESSION_S) as decide:
                await eventually(lambda: decide.decided >= 2)
                for number in (3, 4):
                    await cluster.send("f1", number)
                await eventually(lambda: decide.decided >= 4)
                frozen.send_signal(signal.SIGCONT)
                assert frozen.stderr is not None
                async with asyncio.timeout(60):
                    while b"signals are left to others" not in await frozen.stderr.readline():
                        pass
        finally:
            frozen.kill()
            await frozen.wait()
        counts = [Fault.loads(value).count for value in await cluster.read(cluster.topics.changelog, 1)]
        assert counts == sorted(counts)
        assert counts[-1] == 4
