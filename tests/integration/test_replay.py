"""`faultstream replay` on Apache Kafka: each letter once for who reads committed records, however the command dies."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from processor import topology
from processor.cluster.client import KafkaClient
from processor.cluster.topics import Rules, Wanted, ensure, make
from processor.contract import ORIGIN_HEADER, Origin, Record
from processor.errors import ConfigError, Retryable
from processor.resend.letters import Choice, Replay
from processor.resend.sender import CopiesFirst, Opening, Pace, Sender, kafka_sender
from processor.settings.kafka import KafkaSettings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.dead_letters import dead_letter, decode_origin
from processor.sinks.kafka import KafkaSink
from processor.sources.history import KafkaHistory
from tests.servers.secure_kafka import USERS, Operation, Resource, SecureKafka

pytestmark = pytest.mark.kafka

COUNT = 300
PIPELINES = frozenset({"ci_failure", "log_router"})
USER = USERS[10]


@dataclass
class Deployment:
    """Dead letters of a deployment of its own: two of three of `ci_failure`, the others of `log_router`."""

    bootstrap: str
    prefix: str
    file: Path
    client: KafkaClient

    async def create(self) -> None:
        """Makes its topics."""
        wanted = [each.wanted for each in topology.topics(self.prefix, [])]
        wanted += [Wanted(f"{self.prefix}.retry.{name}") for name in ("ci_failure", "log_router")]
        await ensure(KafkaClient(self.bootstrap).arguments(), wanted, Rules(partitions=3), create=True)

    async def reject(self, numbers: range) -> None:
        """Writes letters."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await producer.start()
        written = []
        for n in numbers:
            record = Record("builds", 0, n, b"%d" % n, b"error: build %d" % n)
            pipeline, time = ("log_router" if n % 3 == 0 else "ci_failure"), datetime.now(UTC).isoformat()
            origin = Origin(f"{self.prefix}.line", "builds", 0, n)
            out = dead_letter(self.prefix, record, "invalid_output", "cut", pipeline, origin, time)
            written.append(await producer.send(out.topic, out.value, key=out.key, headers=list(out.headers)))
        await asyncio.gather(*written)
        await producer.stop()

    async def start(self, *options: str) -> Process:
        """The command, as a process."""
        words = [sys.executable, "-m", "processor", "replay", "--config", str(self.file), *options]
        return await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=PIPE)

    async def replay(self, opening: Opening | None = None, *, again: bool = False, **choice: Any) -> dict[str, int]:
        """A whole replay, and what it says."""
        client = self.client
        replay = Replay(KafkaHistory(client), self.prefix, Choice(**choice), PIPELINES, again=again)
        count = await replay.count()
        opening = opening or kafka_sender(KafkaSinkConfig(client), f"{self.prefix}.replay")
        await replay.send(opening, count.spans, Pace(1e6), asyncio.Event())
        rows = list(count.rows.values())
        told = {"letters": sum(row.letters for row in rows), "before": sum(row.before for row in rows)}
        return {**told, "sent": replay.progress.sent}

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


async def deployed(bootstrap: str, folder: Path) -> Deployment:
    """With its letters."""
    prefix, file = f"t{uuid.uuid4().hex[:8]}", folder / "faultstream.yaml"
    file.write_text(yaml.safe_dump({"kafka": {"bootstrap": bootstrap}, "topics": {"prefix": prefix}}))
    made = Deployment(bootstrap, prefix, file, KafkaClient(bootstrap))
    await made.create()
    await made.reject(range(COUNT))
    return made


@pytest.fixture
async def deployment(apache_kafka: str, tmp_path: Path) -> Deployment:
    """On Apache Kafka."""
    return await deployed(apache_kafka, tmp_path)


async def test_a_replay_that_was_killed_goes_on(deployment: Deployment) -> None:
    """With -9 in the middle, then another choice is run to its end: each once; afterwards what is new is sent alone."""
    process = await deployment.start("--pipeline", "ci_failure", "--rate", "20")
    await deployment.until_sent(30)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    told = await deployment.replay(reasons=frozenset({"invalid_output"}))
    assert told["letters"] == COUNT
    assert 30 <= told["before"] < COUNT * 2 // 3
    assert told["sent"] == COUNT - told["before"]
    assert await deployment.events(COUNT) == Counter(range(COUNT))
    await deployment.reject(range(COUNT, COUNT + 5))
    assert await deployment.replay() == {"letters": COUNT + 5, "before": COUNT, "sent": 5}


async def test_two_at_once_do_not_double(deployment: Deployment) -> None:
    """The later one takes over, the earlier one ends and says so."""
    earlier = await deployment.start("--all", "--rate", "4")
    await deployment.until_sent(1)
    later = await deployment.replay()
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
    assert (await deployment.replay())["sent"] == COUNT - sent


async def test_a_deliberate_repeat_on_kafka(deployment: Deployment) -> None:
    """Under an id of its own; killed in the middle it goes on under the same one."""
    await deployment.replay(keys=frozenset({b"1", b"2", b"4", b"5"}))
    assert sorted(record.key or b"" for record in await deployment.back()) == [b"1", b"2", b"4", b"5"]
    process = await deployment.start("--pipeline", "ci_failure", "--again", "--rate", "10")
    await deployment.until_sent(5)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    await deployment.replay(pipelines=frozenset({"ci_failure"}), again=True)
    origins = [decode_origin(dict(record.headers)[ORIGIN_HEADER]) for record in await deployment.back()]
    assert Counter(origin.offset for origin in origins) == Counter([n for n in range(COUNT) if n % 3] + [1, 2, 4, 5])
    assert sorted(origin.offset for origin in origins if origin.replay) == [1, 2, 4, 5]
    assert len({origin.replay for origin in origins}) == 2


async def test_letters_of_a_topic_that_was_made_anew(deployment: Deployment) -> None:
    """They are not taken for those that lay at the same offsets before."""
    assert (await deployment.replay())["sent"] == COUNT
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
    assert await deployment.replay() == {"letters": COUNT, "before": 0, "sent": COUNT}
    assert await deployment.events(2 * COUNT) == Counter(range(2 * COUNT))


async def test_without_transactions(deployment: Deployment) -> None:
    """Each once, too, unless it is killed between the copies and what is kept of them."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Sender]:
        sink = KafkaSink(KafkaSinkConfig(deployment.client))
        await sink.start()
        yield CopiesFirst(sink)
        await sink.stop()

    assert await deployment.replay(opening) == {"letters": COUNT, "before": 0, "sent": COUNT}
    assert await deployment.replay(opening) == {"letters": COUNT, "before": COUNT, "sent": 0}
    assert await deployment.events(COUNT) == Counter(range(COUNT))


async def test_who_may_not_read_the_letters_is_told(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    """The topic, the user and the right; with the rights that the documentation lists it works."""
    deployment = await deployed(secure_kafka.address, tmp_path)
    password = tmp_path / "password"
    password.write_text(secure_kafka.passwords[USER])
    ways = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": USER}
    kafka = {"bootstrap": secure_kafka.clear, **ways, "sasl_password_file": str(password)}
    deployment.file.write_text(yaml.safe_dump({"kafka": kafka, "topics": {"prefix": deployment.prefix}}))
    process = await deployment.start("--all")
    _, errors = await process.communicate()
    letters, ledger = f"{deployment.prefix}.dead-letters", f"{deployment.prefix}.replays"
    assert process.returncode == 2
    told = errors.decode()
    assert f"user {USER} (kafka.sasl_username) may not see these topics" in told
    assert f"- {letters}, {ledger} (topics.prefix)" in told
    deployment.client = KafkaClient.of(KafkaSettings(**kafka))
    await secure_kafka.grant(USER, Resource.TOPIC, letters, Operation.READ)
    await secure_kafka.grant(USER, Resource.TOPIC, ledger, Operation.READ)
    with pytest.raises(
        ConfigError, match=f"transactional id .*{deployment.prefix}.replay.*{USER}.*Write and Describe on it"
    ):
        await deployment.replay()
    await secure_kafka.grant(
        USER, Resource.TRANSACTIONAL_ID, f"{deployment.prefix}.replay", Operation.WRITE, Operation.DESCRIBE
    )
    await secure_kafka.grant(USER, Resource.TOPIC, ledger, Operation.WRITE)
    with pytest.raises(Retryable, match=rf"topic {deployment.prefix}\.retry\.\w+ .*{USER}.* may not use it"):
        await deployment.replay()
    await secure_kafka.grant(USER, Resource.TOPIC, f"{deployment.prefix}.retry.", Operation.WRITE, prefixed=True)
    assert await deployment.replay() == {"letters": COUNT, "before": 0, "sent": COUNT}
