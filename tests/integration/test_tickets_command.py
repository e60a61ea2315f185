"""`faultstream tickets` on Apache Kafka: what the ticket role has written down, and the orders that it gets."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

from processor.cli import app as program
from processor.cluster.client import KafkaClient
from processor.errors import ConfigError
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sources.history import KafkaHistory
from processor.tickets.messages import Command, TicketEvent, TicketState, Topics, read_command

pytestmark = pytest.mark.kafka
FAULT, OTHER = "f1aa" + "0" * 28, "f2bb" + "0" * 28


@dataclass
class Deployment:
    """A deployment's settings and topics, without a daemon."""

    client: KafkaClient
    topics: Topics
    settings: Path

    async def run(self, *arguments: str) -> Any:
        """What the command says as JSON, or its words. Raises its error."""
        given = ["tickets", *arguments, "--config", str(self.settings)]
        done = await asyncio.to_thread(CliRunner().invoke, program, given)
        if done.exception is not None:
            raise done.exception
        return json.loads(done.stdout) if done.stdout.startswith(("[", "{")) else done.stdout

    async def commands(self) -> list[Command]:
        """What was ordered."""
        return [read_command(each.value) async for each in KafkaHistory(self.client).all(self.topics.commands)]


@pytest.fixture
async def deployment(apache_kafka: str, tmp_path: Path) -> Deployment:
    """One fault with a ticket and a history, one that Jira refused."""
    topics = Topics(f"tc{uuid.uuid4().hex[:8]}")
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1) for name in (topics.commands, topics.state, topics.events)])
    await admin.close()
    file = tmp_path / "faultstream.yaml"
    file.write_text(yaml.safe_dump({"kafka": {"bootstrap": apache_kafka}, "topics": {"prefix": topics.prefix}}))
    made = Deployment(KafkaClient(apache_kafka), topics, file)
    open_ = TicketState(FAULT, "ci", "BUILD", "open", key="BUILD-7", count=3, seen=("a",), last_seen="2026-11-20")
    why = "check ticket.project (NOPE)"
    refused = TicketState(OTHER, "ci", "NOPE", "failed", count=1, reason=why, last_seen="2026-11-21")
    events = [
        TicketEvent("commented", FAULT, "ci", "b", "BUILD-7", "seen 3 times", "2026-11-21T01:00:00.000Z"),
        TicketEvent("created", FAULT, "ci", "a", "BUILD-7", "", "2026-11-20T01:00:00.000Z"),
    ]
    sink = KafkaSink(KafkaSinkConfig(made.client))
    await sink.start()
    await sink.publish([open_.record(topics, 0), refused.record(topics, 1), *(each.record(topics) for each in events)])
    await sink.stop()
    return made


async def test_faults_are_listed_and_one_is_told_with_its_history(deployment: Deployment) -> None:
    """All, those that were refused, and one by the start of its fingerprint; history in the order of time."""
    listed = await deployment.run()
    assert [(each["fingerprint"], each["key"], each["status"]) for each in listed] == [
        (FAULT, "BUILD-7", "open"),
        (OTHER, None, "failed"),
    ]
    assert "seen" not in listed[0]
    failed = await deployment.run("--status", "failed")
    assert [each["reason"] for each in failed] == ["check ticket.project (NOPE)"]
    one = await deployment.run("--fingerprint", "f1aa")
    assert (one["key"], one["count"]) == ("BUILD-7", 3)
    assert [each["action"] for each in one["history"]] == ["created", "commented"]


async def test_orders_are_commands_and_mistakes_are_named(deployment: Deployment) -> None:
    """An order goes to the ticket role; one without a fault, for no fault, or of no key changes nothing."""
    for arguments, wanted in (
        (("--forget",), "--forget: give one order, and the fault"),
        (("--fingerprint", "f", "--forget"), "2 faults begin with 'f'"),
        (("--fingerprint", "zz"), "no fault begins with 'zz'"),
        (("--fingerprint", FAULT, "--adopt", "seven"), "'seven' is no issue key"),
    ):
        with pytest.raises(ConfigError, match=wanted):
            await deployment.run(*arguments)
    assert await deployment.commands() == []
    assert "ordered: forget BUILD-7" in await deployment.run("--fingerprint", FAULT, "--forget")
    assert "ordered: take OPS-9" in await deployment.run("--fingerprint", OTHER, "--adopt", "OPS-9")
    ordered = await deployment.commands()
    assert {(each.action, each.fingerprint, each.key) for each in ordered} == {
        ("forget", FAULT, None),
        ("adopt", OTHER, "OPS-9"),
    }
    assert len({each.id for each in ordered}) == 2
