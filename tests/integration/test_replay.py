"""`faultstream replay` on Apache Kafka: each letter once for who reads committed records, however the command dies."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from processor import topology
from processor.cluster.client import KafkaClient
from processor.cluster.topics import Rules, Wanted, ensure, make
from processor.contract import ORIGIN_HEADER, Origin, Record
from processor.sinks.dead_letters import dead_letter, decode_origin
from processor.sources.history import KafkaHistory

pytestmark = pytest.mark.kafka

COUNT = 300


@dataclass
class Deployment:
    """Dead letters of a deployment of its own: two of three of `ci_failure`, the others of `log_router`."""

    bootstrap: str
    prefix: str
    file: Path

    async def create(self) -> None:
        """Makes its topics."""
        wanted = [each.wanted for each in topology.topics(self.prefix, [])]
        wanted += [Wanted(f"{self.prefix}.retry.{name}") for name in ("ci_failure", "log_router")]
        await ensure(KafkaClient(self.bootstrap).arguments(), wanted, Rules(partitions=3), create=True)

    async def reject(self, numbers: range) -> None:
        """Writes letters."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        for n in numbers:
            record = Record("builds", 0, n, b"%d" % n, b"error: build %d" % n)
            pipeline, time = ("log_router" if n % 3 == 0 else "ci_failure"), datetime.now(UTC).isoformat()
            origin = Origin(f"{self.prefix}.line", "builds", 0, n)
            out = dead_letter(self.prefix, record, "invalid_output", "cut", pipeline, origin, time)
            await producer.send(out.topic, out.value, key=out.key, headers=list(out.headers))
        await producer.stop()

    async def start(self, *options: str) -> Process:
        """The command, as a process."""
        words = [sys.executable, "-m", "processor", "replay", "--config", str(self.file), *options]
        return await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=PIPE)

    async def replay(self, *options: str) -> dict[str, int]:
        """A whole replay, and what it says."""
        process = await self.start(*options)
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        told = json.loads(out)
        rows = told["letters"]
        return {name: sum(row[name] for row in rows) for name in ("letters", "sent_before", "to_send")} | {
            "sent": told["sent"]
        }

    async def back(self, pipeline: str = "ci_failure") -> list[Record]:
        """What was sent to a pipeline, as a reader of committed records sees it."""
        history = KafkaHistory(KafkaClient(self.bootstrap))
        return [record async for record in history.all(f"{self.prefix}.retry.{pipeline}")]

    async def events(self, count: int) -> Counter[int]:
        """How often each event came to its pipeline, when there are `count`: a commit shows a moment later."""
        async with asyncio.timeout(30):
            while True:
                records = await self.back() + await self.back("log_router")
                if len(records) >= count:
                    return Counter(decode_origin(dict(each.headers)[ORIGIN_HEADER]).offset for each in records)

    async def until_sent(self, count: int) -> None:
        """Waits until something is to be seen."""
        async with asyncio.timeout(60):
            while len(await self.back()) < count:
                pass


@pytest.fixture
async def deployment(apache_kafka: str, tmp_path: Path) -> Deployment:
    """With its letters."""
    prefix, file = f"t{uuid.uuid4().hex[:8]}", tmp_path / "faultstream.yaml"
    file.write_text(yaml.safe_dump({"kafka": {"bootstrap": apache_kafka}, "topics": {"prefix": prefix}}))
    made = Deployment(apache_kafka, prefix, file)
    await made.create()
    await made.reject(range(COUNT))
    return made


async def test_a_replay_that_was_killed_goes_on(deployment: Deployment) -> None:
    """With -9 in the middle, then another choice is run to its end: each once; afterwards what is new is sent alone."""
    process = await deployment.start("--pipeline", "ci_failure", "--rate", "20")
    await deployment.until_sent(30)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    told = await deployment.replay("--reason", "invalid_output", "--rate", "1000")
    assert told["letters"] == COUNT
    assert 30 <= told["sent_before"] < COUNT * 2 // 3
    assert told["sent"] == COUNT - told["sent_before"]
    assert await deployment.events(COUNT) == Counter(range(COUNT))
    await deployment.reject(range(COUNT, COUNT + 5))
    told = await deployment.replay("--all")
    assert told == {"letters": COUNT + 5, "sent_before": COUNT, "to_send": 5, "sent": 5}


async def test_two_at_once_do_not_double(deployment: Deployment) -> None:
    """The later one takes over, the earlier one ends and says so."""
    earlier = await deployment.start("--all", "--rate", "4")
    await deployment.until_sent(1)
    later = await deployment.replay("--all", "--rate", "1000")
    _, told = await earlier.communicate()
    assert earlier.returncode == 1
    assert "another one has taken over" in told.decode()
    assert 0 < later["sent"] < COUNT
    assert await deployment.events(COUNT) == Counter(range(COUNT))


async def test_it_ends_in_order_when_it_is_asked_to(deployment: Deployment) -> None:
    """SIGTERM: the batch that is sent is finished, and what was sent is told."""
    process = await deployment.start("--all", "--rate", "4")
    await deployment.until_sent(1)
    process.send_signal(signal.SIGTERM)
    out, errors = await process.communicate()
    assert process.returncode == 1, errors.decode()
    sent = json.loads(out)["sent"]
    assert 0 < sent < COUNT
    assert (await deployment.events(sent)).total() == sent
    assert (await deployment.replay("--all", "--rate", "1000"))["sent"] == COUNT - sent


async def test_a_deliberate_repeat_on_kafka(deployment: Deployment) -> None:
    """Under an id of its own; killed in the middle it goes on under the same one."""
    await deployment.replay("--key", "1", "--key", "2", "--key", "4", "--key", "5")
    assert sorted(record.key or b"" for record in await deployment.back()) == [b"1", b"2", b"4", b"5"]
    words = ("--pipeline", "ci_failure", "--again")
    process = await deployment.start(*words, "--rate", "10")
    await deployment.until_sent(5)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    await deployment.replay(*words, "--rate", "1000")
    origins = [decode_origin(dict(record.headers)[ORIGIN_HEADER]) for record in await deployment.back()]
    assert Counter(origin.offset for origin in origins) == Counter([n for n in range(COUNT) if n % 3] + [1, 2, 4, 5])
    assert sorted(origin.offset for origin in origins if origin.replay) == [1, 2, 4, 5]
    assert len({origin.replay for origin in origins}) == 2


async def test_letters_of_a_topic_that_was_made_anew(deployment: Deployment) -> None:
    """They are not taken for those that lay at the same offsets before."""
    assert (await deployment.replay("--all", "--rate", "1000"))["sent"] == COUNT
    arguments, name = KafkaClient(deployment.bootstrap).arguments(), f"{deployment.prefix}.dead-letters"
    admin = AIOKafkaAdminClient(bootstrap_servers=deployment.bootstrap)
    await admin.start()
    await admin.delete_topics([name])
    async with asyncio.timeout(30):
        while name in await admin.list_topics():
            pass
    await admin.close()
    await make(arguments, [Wanted(name)], {}, Rules(partitions=3))
    await deployment.reject(range(COUNT, 2 * COUNT))
    told = await deployment.replay("--all", "--rate", "1000")
    assert told == {"letters": COUNT, "sent_before": 0, "to_send": COUNT, "sent": COUNT}
    assert await deployment.events(2 * COUNT) == Counter(range(2 * COUNT))


async def test_what_is_missing_is_named(deployment: Deployment) -> None:
    """Topics, before anything is sent."""
    admin = AIOKafkaAdminClient(bootstrap_servers=deployment.bootstrap)
    await admin.start()
    for name in ("retry.log_router", "replays"):
        await admin.delete_topics([f"{deployment.prefix}.{name}"])
        process = await deployment.start("--all")
        _, errors = await process.communicate()
        assert process.returncode == 2
        assert (
            f"there is no topic {deployment.prefix}.{name} (topics.prefix): faultstream topics --create"
            in errors.decode()
        )
    await admin.close()
    assert await deployment.back() == []
