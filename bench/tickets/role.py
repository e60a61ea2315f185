"""The ticket role as a process of its own, and what it has got done."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.tickets.topics import PARTITIONS
from processor.tickets.messages import Topics
from tools.servers import jira, process

HERE: Final = Path(__file__).resolve().parents[2]
READY_S: Final = 90.0
LOOK_S: Final = 0.1


@contextmanager
def role(address: str, topics: Topics, url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`faultstream run --role tickets`, from when it is ready. Its log is in `folder`."""
    port = process.free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "kafka": {"bootstrap": address, "create_topics": True},
        "topics": {"prefix": topics.prefix},
        "pipelines": ["ci_failure"],
        # A budget of our own beyond what any server here allows, so that the server's limit is what is met.
        "jira": {"url": url, "token": "bench", "requests_per_second": 200, "requests_per_minute": 6000},
        "http": {"port": port},
        "log": {"level": "warning"},
    }
    (folder / "faultstream.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    words = [
        sys.executable,
        "-m",
        "processor",
        "run",
        "--role",
        "tickets",
        "--config",
        str(folder / "faultstream.yaml"),
    ]
    with (folder / "role.log").open("wb") as log:
        running = subprocess.Popen(words, cwd=HERE, stdout=log, stderr=subprocess.STDOUT)
    try:
        _ready(running, port, folder / "role.log")
        yield running
    finally:
        running.kill()
        running.wait()


def _ready(running: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + READY_S
    while not jira.answers(port, "/readyz"):
        if time.monotonic() > until or running.poll() is not None:
            raise SystemExit(f"the ticket role is not ready:\n{log.read_text(encoding='utf-8')[-3000:]}")
        time.sleep(LOOK_S)


async def settled(address: str, topics: Topics, signals: int, patience_s: float) -> None:
    """Returns once the role has dealt with so many signals and with every command that came of them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    consumer = AIOKafkaConsumer(bootstrap_servers=address, isolation_level="read_committed")
    places = [TopicPartition(topics.commands, number) for number in range(PARTITIONS)]

    async def decided() -> bool:
        return await _done(admin, topics.decide, topics.signals) >= signals

    async def written() -> bool:
        wanted = sum((await consumer.end_offsets(places)).values())
        return bool(await _done(admin, topics.writer, topics.commands) >= wanted)

    await admin.start()
    await consumer.start()
    try:
        async with asyncio.timeout(patience_s):
            await until(decided)
            await until(written)
    finally:
        await consumer.stop()
        await admin.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it holds."""
    while True:
        if await holds():
            return
        await asyncio.sleep(LOOK_S)


async def _done(admin: AIOKafkaAdminClient, group: str, topic: str) -> int:
    """How many records of a topic a group has committed."""
    offsets = await admin.list_consumer_group_offsets(group)
    return sum(max(0, at.offset) for tp, at in offsets.items() if tp.topic == topic)
