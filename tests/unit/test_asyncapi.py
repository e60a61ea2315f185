"""The AsyncAPI document: valid, complete, and true of the records that are really written."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from processor import app, topology
from processor.asyncapi import document
from processor.cli import app as commands
from processor.contract import Outbound, Record
from processor.home import Homes
from processor.lane import Shared
from processor.logs.redact import redactor
from processor.pipeline import load_all
from processor.resend.backfill import Backfill, Plan
from processor.resend.letters import Choice, Replay
from processor.resend.sender import Pace
from processor.settings import Settings
from processor.settings.fetch import FetchSettings
from processor.sinks.dead_letters import replayable
from processor.sources.decode import Decoder
from processor.sources.providers import Providers
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.broker import MemoryBroker
from processor.testing.history import MemoryHistory
from processor.testing.model import StubModel
from processor.tickets.messages import Topics
from processor.tickets.policy import Fault, Policy, decide
from tests.unit.memory_sender import memory_sender
from tests.unit.tickets.world import World
from tests.unit.tickets.world import command as ticket_command
from tests.unit.tickets.world import record as command_record
from tools import asyncapi_schema
from tools.bootstrap import SetupError

ROOT = Path(__file__).parents[2]
HOMES = Homes.of([ROOT], {})
PIPELINES = load_all(HOMES, {}, None)
SETTINGS = Settings(topics={"prefix": "fs"})
DOCUMENT = document(SETTINGS, PIPELINES)
SAMPLES = ROOT / "pipelines" / "ci_failure" / "samples"


def test_the_document_is_valid() -> None:
    """By AsyncAPI's own schema; which does find faults."""
    if why := asyncapi_schema.obstacle():
        pytest.skip(f"left out: {why}")
    try:
        schema = json.loads(asyncapi_schema.fetch().read_bytes())
    except SetupError as error:
        pytest.skip(f"left out: {error}")
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []
    assert not validator.is_valid({**DOCUMENT, "operations": {"x": {"action": "write"}}})


def references(value: Any) -> Iterator[str]:
    """All references in a document."""
    if isinstance(value, dict):
        yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere() -> None:
    """Within the document."""
    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        at: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
        assert at


def test_every_topic_is_there_and_used() -> None:
    """As a channel, and in an operation."""
    names = {topic.name for topic in topology.topics("fs", PIPELINES)}
    assert DOCUMENT["channels"].keys() == names
    used = {each["channel"]["$ref"].removeprefix("#/channels/") for each in DOCUMENT["operations"].values()}
    assert used == names
    assert DOCUMENT["channels"]["fs.ticket-state"]["bindings"]["kafka"]["topicConfiguration"] == {
        "cleanup.policy": ["compact"]
    }


def message(topic: str) -> dict[str, Any]:
    """The message that a topic carries."""
    (reference,) = DOCUMENT["channels"][topic]["messages"].values()
    return dict(DOCUMENT["components"]["messages"][reference["$ref"].rpartition("/")[2]])


def faults(out: Outbound) -> list[str]:
    """What is wrong with a record by the document; its headers are looked at as text."""
    said = message(out.topic)
    found: list[str] = []
    if "headers" in said:
        headers = {name: value.decode("utf-8", "replace") for name, value in out.headers}
        found += [error.message for error in jsonschema.Draft7Validator(said["headers"]).iter_errors(headers)]
    if said["payload"]:
        value = json.loads(out.value or b"")
        found += [error.message for error in jsonschema.Draft7Validator(said["payload"]).iter_errors(value)]
    return found


def record(value: bytes, offset: int, kind: str = "build.failed") -> Record:
    """A record as it comes from Kafka."""
    headers = (("ce_type", kind.encode()), ("repo", b"acme/web"), ("job", b"test"))
    return Record("ci.builds.failed", 1, offset, b"k", value, headers, 1_700_000_000_000)


async def of_the_line() -> list[Outbound]:
    """What the line writes: of a rule, of the model, of what is no log, of what nobody wants, and of a replay."""
    shared = Shared("fs", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(CollectorRegistry()))
    line = app.build_line(PIPELINES, SETTINGS, HOMES, {"lite": StubModel()}, shared)
    records = [
        record((SAMPLES / "npm-eresolve-a1.log").read_bytes(), 1),
        record((SAMPLES / "cargo-test-panic-a1.log").read_bytes(), 2),
        record(b"\x00\x01\x02\x03", 3),
        record(b"all is well", 4, "build.passed"),
    ]
    made = [out for each in records for out in await line.handle(each)]
    letters = [out for out in made if out.topic == "fs.dead-letters"]
    return made + [replayable("fs", Record(o.topic, 0, 0, o.key, o.value, o.headers)) for o in letters]


async def of_the_ticket_role(signals: list[Outbound]) -> list[Outbound]:
    """What decide and write make of signals, and of a fault that is seen twice."""
    made: list[Outbound] = []
    for offset, signal in enumerate(signals):
        finding = json.loads(signal.value or b"")["finding"]
        now = datetime.fromisoformat(finding["time"])
        decision = decide(finding, Fault(), {"ci_failure": Policy()}, partition=0, offset=offset, at=now)
        made += [part.record(Topics("fs")) for part in (decision.command, decision.event) if part]
        assert decision.fault is not None
        made.append(Outbound(Topics("fs").changelog, b"f", decision.fault.dumps()))
    world = World()
    await world.until_done(command_record(ticket_command(1)))
    await world.until_done(command_record(ticket_command(2), 1))
    return made + world.records


async def of_replays(letters: list[Outbound]) -> list[Outbound]:
    """What is kept of letters that were sent back, of a repeat that is under way, and of a backfill."""
    broker, names = MemoryBroker(), frozenset(each.name for each in PIPELINES)
    opening = memory_sender(broker, "fs.replay")
    for out in letters:
        broker.produce(out)
    stop = asyncio.Event()
    for again in (False, True):
        replay = Replay(MemoryHistory(broker), "fs", Choice(), names, again=again)
        await replay.send(opening, (await replay.count()).spans, Pace(1e6), stop)
        stop.set()
    decoder = Decoder(PIPELINES[0].decode, Providers(), "fs.line")
    backfill = Backfill(MemoryHistory(broker), "fs", PIPELINES[0], decoder, Plan(datetime.fromtimestamp(0, UTC)))
    broker.produce(Outbound(PIPELINES[0].topics[0], None, b"error: x"))
    await backfill.run(opening, Pace(1e6), asyncio.Event())
    return [Outbound(each.topic, each.key, each.value) for each in broker.records("fs.replays") if each.value]


async def test_real_records_are_as_documented() -> None:
    """Of every kind of topic that the daemon writes."""
    line = await of_the_line()
    made = line + await of_the_ticket_role([out for out in line if out.topic == "fs.signals"])
    kept = await of_replays([out for out in line if out.topic == "fs.dead-letters"])
    assert {key for out in kept for key in json.loads(out.value or b"")} >= {
        "sent",
        "last",
        "replay",
        "reached",
        "ends",
    }
    made += kept
    assert {out.topic: faults(out) for out in made if faults(out)} == {}
    written = {topic.kind for topic in topology.topics("fs", PIPELINES) if topic.name in {out.topic for out in made}}
    assert written >= {"findings", "retry", "dead-letters", "replays", "unrouted", "signals", "changelog"}
    assert written >= {"ticket-commands", "ticket-state", "ticket-events"}


@pytest.mark.parametrize("field", ["fingerprint", "v"])
async def test_a_record_that_lacks_a_field_is_not(field: str) -> None:
    """The schemas do say what must be there."""
    world = World()
    await world.until_done(command_record(ticket_command(1)))
    state = next(each for each in world.records if each.topic == "fs.ticket-state")
    less = {name: value for name, value in json.loads(state.value or b"").items() if name != field}
    assert faults(Outbound(state.topic, state.key, orjson.dumps(less)))


def test_the_command_prints_it(tmp_path: Path) -> None:
    """With the cluster's address and mechanism, and without its password."""
    password = secrets.token_urlsafe()
    file = tmp_path / "faultstream.yaml"
    kafka = {"bootstrap": "k:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512"}
    file.write_text(json.dumps({"kafka": {**kafka, "sasl_username": "app", "sasl_password": password}}))
    told = CliRunner().invoke(commands, ["schema", "--asyncapi", "--home", str(ROOT), "--config", str(file)])
    server = json.loads(told.stdout)["servers"]["kafka"]
    assert server == {"host": "k:9093", "protocol": "kafka-secure", "security": [{"type": "scramSha512"}]}
    assert password not in told.stdout
