"""Topics of a deployment of its own for each measurement, and the signals on them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import orjson
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processor.cluster.client import KafkaClient
from processor.contract import Outbound
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.tickets.messages import Topics
from processor.tickets.policy import Fault

PARTITIONS: Final = 4
CHUNK: Final = 2000
KEPT: Final = ("-changelog", "-state")
"""How the names of topics end that keep the last value of each key."""
SOURCE: Final = "ci.builds.failed"
"""The pipeline's own topic, which the role wants to see."""


def fingerprint(number: int) -> str:
    """The fingerprint of a fault."""
    return f"{number:032x}"


def signal(topics: Topics, fault: int, sight: int) -> Outbound:
    """The `sight`-th signal of a fault, as slim as the line writes them."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    repo = f"acme/service-{fault % 500}"
    finding = {
        "v": 1,
        "id": f"{fault:08x}-{sight:08x}",
        "pipeline": "ci_failure",
        "fingerprint": fingerprint(fault),
        "time": time,
        "build": {"repo": repo, "branch": f"b{sight % 7}", "run_id": str(sight), "job": "build", "commit": "c0ffee"},
        "result": {
            "category": "dependency",
            "summary": "No matching version found for left-pad@^9.9.9, wanted by the build image",
            "severity": "major",
            "dependency": {"name": "left-pad", "version": "9.9.9"},
        },
        "confidence": {"value": 0.93, "calibrated": True},
        "review": False,
        "evidence": [
            {"line": 41, "text": "npm ERR! code ETARGET"},
            {"line": 42, "text": "npm ERR! notarget No matching version found for left-pad@^9.9.9."},
        ],
    }
    value = orjson.dumps({"kind": "finding", "finding": finding, "outcome": None, "v": 1})
    return Outbound(topics.signals, repo.encode(), value)


def signals(topics: Topics, count: int, faults: int) -> list[Outbound]:
    """So many signals of so many faults, in turn."""
    return [signal(topics, number % faults, number // faults) for number in range(count)]


def changes(topics: Topics, count: int) -> list[Outbound]:
    """What a changelog says of so many faults, each seen a few times."""
    seen = "2026-11-22T04:21:00.000Z"
    made = []
    for number in range(count):
        ids = tuple(f"{number:08x}-{sight:08x}" for sight in range(3))
        # The signals topic is empty: its offsets would not fit, were they of the same partition.
        fault = Fault(3, seen, seen, ids, partition=-1, offset=number, filed=True)
        where = number % PARTITIONS
        made.append(Outbound(topics.changelog, fingerprint(number).encode(), fault.dumps(), partition=where))
    return made


async def deployment() -> Topics:
    """A prefix that nobody has."""
    return Topics(f"bench-{uuid.uuid4().hex[:8]}")


async def create(address: str, names: Iterable[str], partitions: int = PARTITIONS) -> None:
    """Creates topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        compact = {"cleanup.policy": "compact"}
        wanted = [NewTopic(name, partitions, 1, topic_configs=compact if name.endswith(KEPT) else {}) for name in names]
        await admin.create_topics(wanted)
    finally:
        await admin.close()


async def fill(address: str, made: Sequence[Outbound]) -> None:
    """Writes records."""
    sink = KafkaSink(KafkaSinkConfig(KafkaClient(address)))
    await sink.start()
    try:
        for at in range(0, len(made), CHUNK):
            await sink.publish(made[at : at + CHUNK])
    finally:
        await sink.stop()


def of(topics: Topics) -> list[str]:
    """The topics that the ticket role uses."""
    letters = f"{topics.prefix}.dead-letters"
    kept = [topics.changelog, topics.jobs_changelog, topics.state]
    return [topics.signals, topics.commands, topics.events, letters, *kept]


def prepared(address: str, *, count: int, faults: int) -> Topics:
    """A deployment's topics, with signals."""

    async def prepare() -> Topics:
        topics = await deployment()
        await create(address, [SOURCE, *of(topics)])
        await fill(address, signals(topics, count, faults))
        return topics

    return asyncio.run(prepare())
