"""*decide* on real brokers: Faust in this event loop, committed records only, each finding counted once."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from processor.cluster.client import KafkaClient
from processor.contract import Outbound
from processor.errors import Fatal
from processor.sources.history import KafkaHistory
from processor.tickets.book import Loaded
from processor.tickets.caps import Caps
from processor.tickets.decide import Decide, FaustConfig
from processor.tickets.decider import Decider
from processor.tickets.faust_consumer import CarefulConsumer
from processor.tickets.load import StateLoader
from processor.tickets.messages import TicketState, Topics
from processor.tickets.policy import Policy
from processor.tickets.signals import Signals

PARTITIONS = 2
PATIENCE_S = 100.0
SESSION_S = 10.0


class Cluster:
    """A deployment's topics on a broker, and what the tests read and write there."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.topics = Topics(f"t{uuid.uuid4().hex[:8]}")
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        """Creates the topics."""
        await self.create(dict.fromkeys(self._names(), PARTITIONS))
        self._producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await self._producer.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnects."""
        if self._producer is not None:
            await self._producer.stop()

    def _names(self) -> list[str]:
        topics = self.topics
        letters = f"{topics.prefix}.dead-letters"
        return [
            topics.signals,
            topics.changelog,
            topics.jobs_changelog,
            topics.rooms_changelog,
            topics.groups,
            topics.commands,
            topics.state,
            topics.events,
            letters,
        ]

    async def create(self, partitions: dict[str, int]) -> None:
        """Creates topics and waits until their partitions can be written to."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, count, 1) for name, count in partitions.items()])
        finally:
            await admin.close()

    async def publish(self, records: Sequence[Outbound]) -> None:
        """What decide publishes through."""
        assert self._producer is not None
        sent = [await self._producer.send(r.topic, r.value, key=r.key, partition=r.partition) for r in records]
        await asyncio.gather(*sent)

    async def send(self, fingerprint: str, number: int = 1, *, producer: AIOKafkaProducer | None = None) -> None:
        """Writes the signal of a finding."""
        writing = producer or self._producer
        assert writing is not None
        await writing.send_and_wait(self.topics.signals, signal(fingerprint, number), key=b"repo")

    @contextlib.asynccontextmanager
    async def deciding(self, policy: Policy = Policy(), **config: Any) -> AsyncIterator[Decide]:  # noqa: B008
        """Runs decide; leaving is a clean stop."""
        faust = FaustConfig(KafkaClient(self.bootstrap), PARTITIONS, **{"session_timeout_s": SESSION_S, **config})
        policies = {"ci": policy}
        deciders: list[Decider] = [Signals(self.topics, policies)]
        deciders += [Caps(self.topics, policies)] if policy.cap else []
        decide = Decide(faust, self.topics, deciders, self.publish)
        stop = asyncio.Event()
        task = asyncio.create_task(decide.run(stop))
        try:
            yield decide
        finally:
            stop.set()
            await task

    async def read(self, topic: str, least: int) -> list[bytes]:
        """The values of a topic, once there are `least`, by partition and offset."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed")
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            read: list[Any] = []
            async with asyncio.timeout(PATIENCE_S):
                while len(read) < least:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        read += records
            return [record.value for record in sorted(read, key=lambda r: (r.partition, r.offset))]
        finally:
            await consumer.stop()

    async def commands(self, least: int) -> list[tuple[str, str, int]]:
        """The commands so far: action, fingerprint, count."""
        read = [orjson.loads(value) for value in await self.read(self.topics.commands, least)]
        return [(each["action"], each["fingerprint"], each["count"]) for each in read]


def signal(fingerprint: str, number: int) -> bytes:
    """The `number`-th signal of a fault."""
    finding = {
        "id": f"{fingerprint}-{number}",
        "pipeline": "ci",
        "fingerprint": fingerprint,
        "time": datetime.now(UTC).isoformat(),
        "result": {"category": "test"},
        "confidence": {"value": None, "calibrated": False},
    }
    return orjson.dumps({"kind": "finding", "finding": finding, "outcome": None, "v": 1})


def outcome() -> bytes:
    """The signal of the job's next build, which passed."""
    later = datetime.now(UTC) + timedelta(minutes=1)
    passed = {"id": "p1", "state": "passed", "time": later.isoformat()}
    return orjson.dumps({"kind": "outcome", "finding": None, "outcome": passed, "v": 1})


async def eventually(holds: Callable[[], bool]) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if holds():
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def kafka(apache_kafka: str) -> AsyncIterator[Cluster]:
    """A deployment on Apache Kafka."""
    async with Cluster(apache_kafka) as made:
        yield made


@pytest.fixture
async def embedded(embedded_broker: str) -> AsyncIterator[Cluster]:
    """A deployment on the embedded broker."""
    async with Cluster(embedded_broker) as made:
        yield made


@pytest.fixture(
    params=[pytest.param("kafka", marks=pytest.mark.kafka), pytest.param("embedded", marks=pytest.mark.broker)]
)
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """A deployment on either broker."""
    name = {"kafka": "apache_kafka", "embedded": "embedded_broker"}[request.param]
    async with Cluster(request.getfixturevalue(name)) as made:
        yield made


@pytest.mark.timeout(240)
async def test_first_sight_is_a_create_and_the_table_survives_a_restart(cluster: Cluster) -> None:
    """Three faults, one seen again, a finding written twice; after a restart the counts go on."""
    for number in (1, 2, 2):
        await cluster.send("f1", number)
    await cluster.send("f2")
    async with cluster.deciding() as decide:
        await eventually(lambda: decide.decided >= 4)
    assert sorted(await cluster.commands(3)) == [("comment", "f1", 2), ("create", "f1", 1), ("create", "f2", 1)]
    await cluster.send("f1", 3)
    async with cluster.deciding():
        commands = await cluster.commands(4)
    assert ("comment", "f1", 3) in commands
    assert len(commands) == 4


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_builds_that_pass_and_a_cap_over_all_repositories(kafka: Cluster) -> None:
    """Two deciders with a table each: what is over the cap is told by one ticket, what has passed by its job."""
    for number in range(4):
        await kafka.send(f"f{number}")
    await kafka.publish([Outbound(kafka.topics.signals, b"repo", outcome())])
    async with kafka.deciding(Policy(follows=True, project="BUILD", cap=2)):
        commands = await kafka.commands(6)
    (summary,) = {name for _, name, _ in commands} - {"f0", "f1", "f2", "f3"}
    assert sorted(commands) == sorted(
        [
            ("create", "f0", 1),
            ("create", "f1", 1),
            ("green", "f0", 1),
            ("green", "f1", 1),
            ("create", summary, 1),
            ("comment", summary, 2),
        ]
    )


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_only_committed_signals_are_seen(kafka: Cluster) -> None:
    """What an aborted transaction wrote is never decided on, what an open one wrote only once it is committed."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{kafka.topics.prefix}-line")
    await producer.start()
    try:
        await kafka.send("before")
        async with producer.transaction():
            await kafka.send("committed", producer=producer)
        await producer.begin_transaction()
        await kafka.send("aborted", producer=producer)
        await producer.abort_transaction()
        async with kafka.deciding() as decide:
            await eventually(lambda: decide.decided == 2)
            await producer.begin_transaction()
            await kafka.send("open", producer=producer)
            # Stands behind the open one on the partition, so it shows that reading stops there.
            await kafka.send("behind")
            assert {command[1] for command in await kafka.commands(2)} == {"before", "committed"}
            assert decide.decided == 2
            await producer.commit_transaction()
            await eventually(lambda: decide.decided == 4)
            # Behind the last record stands the transaction's marker, which is no signal that waits.
            assert await decide.failed() is None
    finally:
        await producer.stop()
    assert {command[1] for command in await kafka.commands(4)} == {"before", "committed", "open", "behind"}


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_command_that_can_not_be_written_is_not_lost(kafka: Cluster) -> None:
    """The daemon goes before a command is acknowledged: the next one decides on that signal again.

    Faust by itself would acknowledge the signal of a handler that was cancelled or failed.
    """
    await kafka.send("f1")
    asked = asyncio.Event()

    async def hang(_records: Sequence[Outbound]) -> None:
        asked.set()
        await asyncio.Event().wait()

    decide = Decide(
        FaustConfig(KafkaClient(kafka.bootstrap), PARTITIONS, session_timeout_s=SESSION_S),
        kafka.topics,
        [Signals(kafka.topics, {"ci": Policy()})],
        hang,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(decide.run(stop))
    async with asyncio.timeout(PATIENCE_S):
        await asked.wait()
    stop.set()
    await task
    async with kafka.deciding():
        assert await kafka.commands(1) == [("create", "f1", 1)]


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_defect_in_a_decision_ends_the_role(kafka: Cluster) -> None:
    """An unexpected error is fatal for the role; Faust alone would restart the agent behind the signal."""

    async def break_down(_records: Sequence[Outbound]) -> None:
        raise ZeroDivisionError("a defect")

    await kafka.send("f1")
    config = FaustConfig(KafkaClient(kafka.bootstrap), PARTITIONS, session_timeout_s=SESSION_S)
    decide = Decide(config, kafka.topics, [Signals(kafka.topics, {"ci": Policy()})], break_down)
    with pytest.raises(Fatal, match="ZeroDivisionError: a defect"):
        async with asyncio.timeout(PATIENCE_S):
            await decide.run(asyncio.Event())
    async with kafka.deciding():
        assert await kafka.commands(1) == [("create", "f1", 1)]


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_stall_ends_the_role(kafka: Cluster) -> None:
    """Signals wait and nothing moves: fatal, so that a supervisor starts the role anew."""
    await kafka.send("f1")

    async def hang(_records: Sequence[Outbound]) -> None:
        await asyncio.Event().wait()

    config = FaustConfig(KafkaClient(kafka.bootstrap), PARTITIONS, stall_s=8.0, session_timeout_s=SESSION_S)
    decide = Decide(config, kafka.topics, [Signals(kafka.topics, {"ci": Policy()})], hang)
    with pytest.raises(Fatal, match="stalled"):
        async with asyncio.timeout(PATIENCE_S):
            await decide.run(asyncio.Event())
    assert decide.decided == 0


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_what_faust_drops_is_decided_all_the_same(kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that Faust fetches and drops, as when a rebalance ends meanwhile, is not committed past but read again.

    One signal is dropped with others handled behind it, the last with none.
    """
    dropped: list[str] = []
    stock = CarefulConsumer.getmany

    async def forgetful(self: CarefulConsumer, *args: Any, **options: Any) -> AsyncIterator[Any]:
        async for tp, message in stock(self, *args, **options):
            if tp.topic == kafka.topics.signals:
                fingerprint = orjson.loads(message.value or b"")["finding"]["fingerprint"]
                if fingerprint in {"f2", "f4"} - set(dropped):
                    dropped.append(fingerprint)
                    continue
            yield tp, message

    monkeypatch.setattr(CarefulConsumer, "getmany", forgetful)
    async with kafka.deciding(dropped_s=2.0) as decide:
        for name in ("f1", "f2", "f3"):
            await kafka.send(name)
        await eventually(lambda: decide.decided >= 2)
        assert {command[1] for command in await kafka.commands(3)} == {"f1", "f2", "f3"}
        await kafka.send("f4")
        assert {command[1] for command in await kafka.commands(4)} == {"f1", "f2", "f3", "f4"}
    assert dropped == ["f2", "f4"]


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_foreign_record_is_a_dead_letter(kafka: Cluster) -> None:
    """What is no signal does not stop the rest."""
    await kafka.publish([Outbound(kafka.topics.signals, b"repo", b"no signal")])
    await kafka.send("f1")
    async with kafka.deciding():
        assert await kafka.commands(1) == [("create", "f1", 1)]
    assert await kafka.read(f"{kafka.topics.prefix}.dead-letters", 1) == [b"no signal"]


@pytest.mark.timeout(240)
async def test_writer_state_is_read_back(cluster: Cluster) -> None:
    """The last state of each fingerprint of the partition, and of that partition alone."""
    states = [
        TicketState("f1", "ci", "BUILD", "creating"),
        TicketState("f1", "ci", "BUILD", "open", key="BUILD-1", count=2, seen=("a", "b")),
        TicketState("f2", "ci", "BUILD", "creating", attempt=3, since=12.5),
    ]
    for state in states:
        await cluster.publish([state.record(cluster.topics, 0)])
    await cluster.publish([TicketState("f3", "ci", "BUILD", "idle").record(cluster.topics, 1)])

    async def ahead(_: object, records: Sequence[Outbound]) -> None:
        await cluster.publish(records)

    load = StateLoader(KafkaHistory(KafkaClient(cluster.bootstrap)), cluster.topics, ahead)
    assert await load(0) == Loaded({"f1": states[1], "f2": states[2]})
    assert set((await load(1)).states) == {"f3"}
