"""What commands and the daemon say where a right is missing: who lacks which on what, exit code 2, and no secret."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import uuid
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from processor.contract import Origin, Record
from processor.home import Homes
from processor.pipeline import Pipeline
from processor.sinks.dead_letters import dead_letter
from processor.topology import topics
from tests.servers.secure_kafka import USERS, Operation, Resource, SecureKafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

_users = count(7)
SINCE = "2020-01-01T00:00:00Z"
RIGHTS = {
    "topics": (Resource.TOPIC, (Operation.READ, Operation.WRITE)),
    "groups": (Resource.GROUP, (Operation.READ,)),
    "transactions": (Resource.TRANSACTIONAL_ID, (Operation.WRITE, Operation.DESCRIBE)),
}


@dataclass
class Place:
    """A deployment with a pipeline of its own topic, and a user of that cluster whom nothing is allowed yet."""

    cluster: SecureKafka
    folder: Path
    user: str
    prefix: str = field(default_factory=lambda: f"r{uuid.uuid4().hex[:10]}")

    @property
    def source(self) -> str:
        """The pipeline's topic."""
        return f"{self.prefix}-source"

    def prepare(self) -> None:
        """A pipeline that reads that topic."""
        folder = self.folder / "pipelines" / "deploys"
        folder.mkdir(parents=True)
        document = {
            "version": 1,
            "pipeline": "deploys",
            "source": {"kafka": {"topics": [self.source], "format": "log"}},
            "prompt": {"system": "system.j2", "user": "user.j2"},
            "schema": "result.yaml",
        }
        (folder / "pipeline.yaml").write_text(yaml.safe_dump(document))
        (folder / "result.yaml").write_text(
            yaml.safe_dump({"version": 1, "fields": {"cause": {"type": "string", "max_length": 80}}})
        )
        (folder / "system.j2").write_text("Name the cause.\n")
        (folder / "user.j2").write_text("{{ excerpt }}\n{{ choices }}\n")

    def settings(self, **more: Any) -> Path:
        """The user's settings."""
        password = self.folder / "password"
        password.write_text(self.cluster.passwords[self.user])
        kafka = {
            "bootstrap": self.cluster.sasl,
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.cluster.cafile),
            "sasl_mechanism": "PLAIN",
            "sasl_username": self.user,
            "sasl_password_file": str(password),
            "request_timeout_s": 10,
        }
        values = {"kafka": kafka, "topics": {"prefix": self.prefix}, "pipelines": ["deploys"], "http": {"port": 0}}
        file = self.folder / "faultstream.yaml"
        file.write_text(yaml.safe_dump({**values, **more}))
        return file

    async def fill(self) -> None:
        """All topics, an event and a dead letter."""
        pipeline = Pipeline.load(self.folder / "pipelines" / "deploys", Homes((self.folder,)))
        for topic in topics(self.prefix, [pipeline]):
            config = {"cleanup.policy": "compact"} if topic.wanted.compact else {}
            await self.cluster.topics(topic.wanted.name, config=config)
        record = Record(self.source, 0, 0, b"k", b"error: out of tune\n")
        letter = dead_letter(
            self.prefix, record, "internal", "no", "deploys", Origin("g", self.source, 0, 0), "2026-11-22T00:00:00Z"
        )
        producer = AIOKafkaProducer(bootstrap_servers=self.cluster.address)
        await producer.start()
        try:
            await producer.send_and_wait(self.source, record.value)
            await producer.send_and_wait(letter.topic, letter.value, letter.key, headers=list(letter.headers))
        finally:
            await producer.stop()

    async def grant(self, *rights: str) -> None:
        """Allows the user what RIGHTS name, by the prefix."""
        for right in rights:
            resource, operations = RIGHTS[right]
            await self.cluster.grant(self.user, resource, self.prefix, *operations, prefixed=True)

    async def run(self, file: Path, *words: str) -> tuple[int, str]:
        """A command's exit code, and the last line of what it said; never a traceback or a secret."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "processor", *words, "--config", str(file)),
            env={**os.environ, "FAULTSTREAM_HOME": str(self.folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(90):
                out, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        said = out.decode()
        assert "Traceback" not in said
        assert self.cluster.passwords[self.user] not in said
        assert process.returncode is not None
        return process.returncode, said.splitlines()[-1]


@pytest.fixture
def place(secure_kafka: SecureKafka, tmp_path: Path) -> Place:
    """A deployment, with nothing there yet."""
    made = Place(secure_kafka, tmp_path, USERS[next(_users)])
    made.prepare()
    return made


def lacks(place: Place, what: str, right: str, told: tuple[int, str]) -> None:
    """That a command ended because this right is missing, and says so."""
    code, said = told
    assert code == 2, said
    assert what in said
    assert f"user {place.user} (kafka.sasl_username) may not use it; grant it {right}" in said


async def test_commands_name_what_may_not_be_used(place: Place) -> None:
    """Topic, transactional id and the daemon's group, one after the other; commands need no group."""
    await place.fill()
    file = place.settings()
    backfill = ("backfill", "deploys", "--since", SINCE)
    replay = ("replay", "--reason", "internal", "--yes")
    lacks(place, f"topic {place.source} ", "Describe, and Read or Write", await place.run(file, *backfill))
    await place.grant("topics")
    lacks(place, f"transactional id {place.prefix}.replay ", "Write and Describe", await place.run(file, *replay))
    told = await place.run(file, *backfill)
    lacks(place, f"transactional id {place.prefix}.backfill.deploys.", "Write and Describe", told)
    await place.grant("transactions")
    lacks(place, f"group {place.prefix}.line ", "Read on the group", await place.run(file, "run", "--role", "line"))
    assert (await place.run(file, *backfill))[0] == 0
    assert (await place.run(file, *replay))[0] == 0


@pytest.mark.parametrize("delivery", ["auto", "exactly_once"])
async def test_a_daemon_does_not_promise_less_for_want_of_a_right(place: Place, delivery: str) -> None:
    """Brokers that have transactions which it may not use end its start, whatever it was told to promise."""
    await place.fill()
    await place.grant("topics", "groups")
    code, said = await place.run(place.settings(delivery=delivery), "run", "--role", "line")
    lacks(place, f"transactional id {place.prefix}.line-probe (topics.prefix)", "Write and Describe", (code, said))
    assert "or set delivery to at_least_once" in said


async def test_topics_that_may_not_be_created_are_named(place: Place) -> None:
    """With the right and the way without it."""
    await place.grant("topics")
    code, said = await place.run(place.settings(), "topics", "--create")
    assert code == 2
    assert f"user {place.user} (kafka.sasl_username) may not create it; grant it Create, or create it yourself" in said
    assert f"topic {place.prefix}" in said
