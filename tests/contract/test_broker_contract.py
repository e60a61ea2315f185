"""What the engine relies on in a broker: one suite on the in-memory double, the embedded broker and Apache Kafka."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaConnectionError

from processor.assemble.source import LineSource
from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record, TopicPartition
from processor.engine import Engine, ExactlyOnce, Limits, Sink, Source, Transactions
from processor.errors import Fatal, Fenced, Rejected, Unwritable
from processor.settings.kafka import Assignor, Carrier
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.beginning import parse_start
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.testing.broker import MemoryBroker

LIMITS = Limits(poll_s=0.2, linger_s=0.001, drain_s=10, revoke_s=5)


class Rig(Protocol):
    """A broker, whichever."""

    name: str

    async def create(self, topic: str, partitions: int) -> None: ...

    async def extend(self, topic: str, partitions: int) -> None: ...

    def source(self, group: str, topics: Sequence[str], start: str = "earliest") -> LineSource: ...

    def sink(self) -> Sink: ...

    def transactions(self) -> Transactions: ...


class MemoryRig:
    """The double."""

    name = "memory"

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    async def create(self, topic: str, partitions: int) -> None:
        self.broker.create(topic, partitions)

    async def extend(self, topic: str, partitions: int) -> None:
        self.broker.create(topic, partitions)

    def source(self, group: str, topics: Sequence[str], start: str = "earliest") -> LineSource:
        return self.broker.source(group, topics, start=start)

    def sink(self) -> Sink:
        return self.broker.sink()

    def transactions(self) -> Transactions:
        return self.broker.transactions()


@dataclass
class KafkaRig:
    """A real broker."""

    bootstrap: str
    name: str
    records: Carrier = "aiokafka"

    @property
    def client(self) -> KafkaClient:
        """How to reach it."""
        return KafkaClient(self.bootstrap, request_timeout_s=10, records=self.records)

    async def create(self, topic: str, partitions: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            await admin.close()

    async def extend(self, topic: str, partitions: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({topic: NewPartitions(partitions)})
        finally:
            await admin.close()

    def source(self, group: str, topics: Sequence[str], start: str = "earliest") -> LineSource:
        begin = dict.fromkeys(topics, parse_start(start))
        config = KafkaSourceConfig(group, begin, session_timeout_s=10, rebalance_s=20)
        return KafkaSource(self.client, config, KafkaTransactions(KafkaSinkConfig(self.client)))

    def sink(self) -> Sink:
        return KafkaSink(KafkaSinkConfig(self.client))

    def transactions(self) -> Transactions:
        return KafkaTransactions(KafkaSinkConfig(self.client))


@pytest.fixture(
    params=[
        "memory",
        pytest.param("embedded", marks=pytest.mark.broker),
        pytest.param("embedded-librdkafka", marks=pytest.mark.broker),
        pytest.param("kafka", marks=pytest.mark.kafka),
        pytest.param("kafka-librdkafka", marks=pytest.mark.kafka),
    ]
)
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each broker in turn."""
    if request.param == "memory":
        return MemoryRig()
    name, _, client = request.param.partition("-")
    address = request.getfixturevalue("embedded_broker" if name == "embedded" else "apache_kafka")
    return KafkaRig(address, name, client or "aiokafka")


@pytest.fixture(
    params=[
        "memory",
        pytest.param("kafka", marks=pytest.mark.kafka),
        pytest.param("kafka-librdkafka", marks=pytest.mark.kafka),
    ]
)
def transactional(request: pytest.FixtureRequest) -> Rig:
    """Each broker that has transactions."""
    if request.param == "memory":
        return MemoryRig()
    name, _, client = request.param.partition("-")
    return KafkaRig(request.getfixturevalue("apache_kafka"), name, client or "aiokafka")


@dataclass
class Member:
    """Listens to a source, and keeps what it is told."""

    source: Source
    held: set[TopicPartition] = field(default_factory=set)
    times: int = 0
    on_revoked: Callable[[], object] = lambda: None

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        self.held |= set(partitions)
        self.times += 1

    async def revoked(self, partitions: Collection[TopicPartition]) -> None:
        self.held -= set(partitions)

    async def take(
        self, count: int, partitions: Collection[TopicPartition] = (), timeout_s: float = 30
    ) -> list[Record]:
        """Polls until `count` records have come, of `partitions` if any are named."""
        taken: list[Record] = []
        async with asyncio.timeout(timeout_s):
            while len(taken) < count:
                records = await self.source.poll(0.2, count - len(taken), partitions)
                assert all(TopicPartition(r.topic, r.partition) in self.held for r in records)
                taken += records
        return taken


@asynccontextmanager
async def joined(source: Source) -> AsyncIterator[Member]:
    """A member that holds partitions."""
    member = Member(source)
    await source.start(member)
    try:
        async with asyncio.timeout(60):
            while not member.times:
                await source.poll(0.2, 1)
        yield member
    finally:
        await source.stop()


@asynccontextmanager
async def connected(sink: Sink) -> AsyncIterator[Sink]:
    """A sink that can be written to."""
    await sink.start()
    try:
        yield sink
    finally:
        await sink.stop()


async def prepared(rig: Rig, count: int, partitions: int = 1) -> str:
    """A new topic with the records 0, 1 and so on."""
    topic = f"contract-{uuid.uuid4().hex[:12]}"
    await rig.create(topic, partitions)
    async with connected(rig.sink()) as sink:
        await sink.publish([Outbound(topic, b"k", b"%d" % n, partition=n % partitions) for n in range(count)])
    return topic


def numbers(records: Sequence[Record]) -> list[int]:
    """The values as numbers."""
    return [int(record.value or b"-1") for record in records]


async def test_what_is_published_is_read(rig: Rig) -> None:
    """Key, value, headers, absent ones too; records of a key lie in one partition, in order."""
    topic = f"contract-{uuid.uuid4().hex[:12]}"
    await rig.create(topic, 3)
    sent = [Outbound(topic, b"key-%d" % (n % 5), b"%d" % n, (("h", b"%d" % n),)) for n in range(50)]
    sent.append(Outbound(topic, None, b"50"))
    sent.append(Outbound(topic, b"key-0", None, (("h", b""),)))
    async with connected(rig.sink()) as sink:
        await sink.publish(sent)
        await sink.publish([])
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        found = await member.take(len(sent))
    assert sorted((r.key or b"", r.value or b"", r.headers) for r in found) == sorted(
        (o.key or b"", o.value or b"", o.headers) for o in sent
    )
    for key in {o.key for o in sent if o.key}:
        of_key = [r for r in found if r.key == key]
        assert len({r.partition for r in of_key}) == 1
        assert [r.value for r in of_key] == [o.value for o in sent if o.key == key]
    assert all(r.timestamp_ms > 0 for r in found)


async def test_a_group_goes_on_at_its_commit(rig: Rig) -> None:
    """Not at what was read."""
    topic = await prepared(rig, 6)
    tp = TopicPartition(topic, 0)
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        assert numbers(await member.take(6)) == list(range(6))
        await member.source.commit({tp: 4})
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        assert await member.source.committed(tp) == 4
        assert numbers(await member.take(2)) == [4, 5]


async def test_ends_are_those_of_the_brokers(rig: Rig) -> None:
    """Also of a partition that is paused, which nothing is fetched from, and of an empty one."""
    topic = f"ends-{uuid.uuid4().hex[:8]}"
    await rig.create(topic, 2)
    tps = [TopicPartition(topic, number) for number in range(2)]
    async with connected(rig.sink()) as sink, joined(rig.source(f"g-{topic}", [topic])) as member:
        member.source.pause(tps)
        for number in range(3):  # one by one: of a batch, the embedded broker's end offset counts the first alone
            await sink.publish([Outbound(topic, None, b"%d" % number, partition=0)])
        assert await member.source.ends(tps) == {tps[0]: 3, tps[1]: 0}


async def test_what_has_not_been_read_lies_behind(rig: Rig) -> None:
    """Nothing of an empty partition, nor of one that was read to its end."""
    topic = f"behind-{uuid.uuid4().hex[:8]}"
    await rig.create(topic, 2)
    tps = [TopicPartition(topic, number) for number in range(2)]
    lines = rig.source(f"g-{topic}", [topic])
    async with connected(rig.sink()) as sink, joined(lines) as member:
        for number in range(3):
            await sink.publish([Outbound(topic, None, b"%d" % number, partition=0)])
        await member.take(1)
        assert await lines.behind(tps) == {tps[0]: 2, tps[1]: 0}
        await member.take(2)
        assert await lines.behind(tps) == {tps[0]: 0, tps[1]: 0}


async def test_a_paused_partition_gives_nothing(rig: Rig) -> None:
    """While polling goes on; what was left comes after it is resumed, nothing is skipped."""
    topic = await prepared(rig, 10)
    tp = TopicPartition(topic, 0)
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        assert numbers(await member.take(3)) == [0, 1, 2]
        member.source.pause([tp])
        assert [await member.source.poll(0.1, 5) for _ in range(3)] == [[], [], []]
        member.source.resume([tp])
        assert numbers(await member.take(7)) == list(range(3, 10))


async def test_a_poll_may_name_partitions(rig: Rig) -> None:
    """Then it gives theirs alone; what was fetched of the others comes with the next."""
    topic = await prepared(rig, 8, partitions=2)
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        first = await member.take(1)
        rest = [TopicPartition(topic, 1 - first[0].partition)]
        assert {r.partition for r in await member.take(4, rest)} == {rest[0].partition}
        assert await member.source.poll(0.1, 10, rest) == []
        assert {r.partition for r in await member.take(3)} == {first[0].partition}


async def test_seek_reads_again(rig: Rig) -> None:
    """From the offset given."""
    topic = await prepared(rig, 5)
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        await member.take(5)
        member.source.seek(TopicPartition(topic, 0), 2)
        assert numbers(await member.take(3)) == [2, 3, 4]


async def test_seeks_at_any_time_skip_nothing(rig: Rig) -> None:
    """After each seek the records come from there on without a gap, whatever had been fetched ahead before."""
    topic = await prepared(rig, 400, partitions=2)
    draw = random.Random(7)  # noqa: S311 (nothing secret)
    async with joined(rig.source(f"g-{topic}", [topic])) as member, asyncio.timeout(60):
        expected = dict.fromkeys(member.held, 0)
        for _ in range(60):
            tp = draw.choice(sorted(member.held))
            match draw.randrange(4):
                case 0:
                    expected[tp] = draw.randrange(150)
                    member.source.seek(tp, expected[tp])
                case 1:
                    member.source.pause([tp])
                case 2:
                    member.source.resume([tp])
                case _:
                    for record in await member.source.poll(draw.choice([0, 0.02]), draw.choice([1, 7, 50])):
                        at = TopicPartition(record.topic, record.partition)
                        assert record.offset == expected[at]
                        expected[at] += 1
        member.source.resume(list(member.held))
        while any(offset < 200 for offset in expected.values()):
            for record in await member.source.poll(0.2, 100):
                at = TopicPartition(record.topic, record.partition)
                assert record.offset == expected[at]
                expected[at] += 1


async def test_an_offset_that_is_gone_begins_anew(rig: Rig) -> None:
    """Beyond the end, as after an unclean election, or before the beginning: the partition is read from its start."""
    if rig.name != "kafka":
        pytest.skip("left out: the double and the embedded broker know of no such offset")
    topic = await prepared(rig, 5)
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        await member.take(2)
        member.source.seek(TopicPartition(topic, 0), 1_000_000)
        assert numbers(await member.take(5)) == list(range(5))


async def test_what_waits_of_a_paused_partition_is_bounded(rig: Rig) -> None:
    """A partition that pauses keeps the others from nothing, and all of it comes in order when it is resumed."""
    topic = f"contract-{uuid.uuid4().hex[:12]}"
    await rig.create(topic, 2)
    large = bytes(200_000)
    async with connected(rig.sink()) as sink:
        await sink.publish([Outbound(topic, b"%d" % n, large, partition=0) for n in range(60)])
        await sink.publish([Outbound(topic, b"%d" % n, b"", partition=1) for n in range(5)])
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        member.source.pause([TopicPartition(topic, 0)])
        assert {r.partition for r in await member.take(5)} == {1}
        for _ in range(5):
            assert await member.source.poll(0.1, 50) == []
        member.source.resume([TopicPartition(topic, 0)])
        assert [r.key for r in await member.take(60)] == [b"%d" % n for n in range(60)]


async def test_start_latest_is_resolved_once(rig: Rig) -> None:
    """What lay there before the first start is skipped; what came while the group was away is not."""
    topic = await prepared(rig, 0)
    async with connected(rig.sink()) as sink:
        for number in range(3):  # one by one: of a batch, the embedded broker's end offset counts the first alone
            await sink.publish([Outbound(topic, None, b"%d" % number)])
    async with joined(rig.source(f"g-{topic}", [topic], "latest")) as member:
        assert await member.source.committed(TopicPartition(topic, 0)) == 3
    async with connected(rig.sink()) as sink:
        await sink.publish([Outbound(topic, None, b"3")])
    async with joined(rig.source(f"g-{topic}", [topic], "latest")) as member:
        assert numbers(await member.take(1)) == [3]


async def test_a_partition_that_appears_later_starts_at_its_beginning(rig: Rig) -> None:
    """Though `start` is latest."""
    if rig.name == "embedded":
        pytest.skip("left out: the embedded broker can't add partitions")
    topic = await prepared(rig, 3)
    async with joined(rig.source(f"g-{topic}", [topic], "latest")):
        pass
    await rig.extend(topic, 2)
    async with connected(rig.sink()) as sink:
        await sink.publish([Outbound(topic, None, b"9", partition=1)])
    async with joined(rig.source(f"g-{topic}", [topic], "latest")) as member:
        assert numbers(await member.take(1)) == [9]


async def test_members_share_partitions(rig: Rig) -> None:
    """The second takes some over from the first; records come from what one holds."""
    if rig.name == "embedded":
        pytest.skip("left out: a rejoin takes the embedded broker 18 s")
    topic = await prepared(rig, 0, partitions=4)
    async with joined(rig.source(f"g-{topic}", [topic])) as one:
        assert len(one.held) == 4
        polling = asyncio.create_task(one.take(2, timeout_s=60))
        async with joined(rig.source(f"g-{topic}", [topic])) as two, asyncio.timeout(30):
            while len(one.held) != 2:
                await two.source.poll(0.1, 1)
            assert len(two.held) == 2
            assert not one.held & two.held
            async with connected(rig.sink()) as sink:
                await sink.publish([Outbound(topic, None, b"%d" % p, partition=p) for p in range(4)])
            await asyncio.gather(polling, two.take(2))


@pytest.mark.kafka
async def test_a_commit_that_is_late_sets_back_no_other_owners_offset(
    apache_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection broke, and while it was to be sent again another member took the partition over."""
    rig = KafkaRig(apache_kafka, "kafka")
    topic = await prepared(rig, 12, partitions=2)
    gate = asyncio.Event()
    async with joined(rig.source(f"g-{topic}", [topic])) as one:
        coordinator = one.source._joined._coordinator  # type: ignore[attr-defined]
        commits = coordinator._do_commit_offsets

        async def broken(*_: object) -> None:
            monkeypatch.setattr(coordinator, "_do_commit_offsets", commits)
            await gate.wait()
            raise KafkaConnectionError("reset")

        monkeypatch.setattr(coordinator, "_do_commit_offsets", broken)
        late = asyncio.create_task(one.source.commit({TopicPartition(topic, p): 2 for p in range(2)}))
        polling = asyncio.create_task(one.take(100, timeout_s=60))
        try:
            async with joined(rig.source(f"g-{topic}", [topic])) as two, asyncio.timeout(30):
                while len(one.held) != 1 or len(two.held) != 1:
                    await two.source.poll(0.1, 1)
                (moved,) = two.held
                await two.source.commit({moved: 4})
                gate.set()
                await late
                assert await two.source.committed(moved) == 4
        finally:
            polling.cancel()
            await asyncio.wait([polling])


@pytest.mark.kafka
@pytest.mark.parametrize("assignor", ["range", "roundrobin", "sticky"])
async def test_a_static_member_that_restarts_moves_nothing(apache_kafka: str, assignor: Assignor) -> None:
    """It has the partitions that it had, and the other member learns of nothing; each assignor shares all out."""
    rig = KafkaRig(apache_kafka, "kafka")
    topic = await prepared(rig, 0, partitions=4)

    def source(instance: str) -> KafkaSource:
        config = KafkaSourceConfig(
            f"g-{topic}", {topic: "earliest"}, session_timeout_s=20, assignor=assignor, instance=instance
        )
        return KafkaSource(KafkaClient(apache_kafka), config)

    async with joined(source("b")) as other:
        async with joined(source("a")) as member, asyncio.timeout(60):
            while len(other.held) != 2 or len(member.held) != 2:
                await other.source.poll(0.1, 1)
                await member.source.poll(0.1, 1)
            held, times = set(member.held), other.times
        async with joined(source("a")) as again:
            assert again.held == held
            await other.source.poll(0.5, 1)
            assert (other.times, other.held & held) == (times, set())


async def test_a_failed_change_of_partitions_is_fatal(rig: Rig) -> None:
    """Client libraries swallow it; the source does not."""
    topic = await prepared(rig, 1)
    source = rig.source(f"g-{topic}", [topic])

    class Broken(Member):
        async def assigned(self, partitions: Collection[TopicPartition]) -> None:
            raise ValueError("state can't be read")

    try:
        await source.start(Broken(source))
        with pytest.raises(Fatal, match="state can't be read") as caught:
            await Member(source).take(2)
    finally:
        await source.stop()
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_record_over_the_limit_is_refused_alone(rig: Rig) -> None:
    """By position; all others of the call are written."""
    topic = await prepared(rig, 0)
    async with connected(rig.sink()) as sink:
        large = bytes(sink.max_bytes + 1)
        with pytest.raises(Unwritable) as caught:
            await sink.publish([Outbound(topic, None, b"0"), Outbound(topic, None, large), Outbound(topic, None, b"2")])
    async with joined(rig.source(f"g-{topic}", [topic])) as member:
        assert numbers(await member.take(2)) == [0, 2]
    assert caught.value.positions == (1,)


class Doubling:
    """A worker that doubles numbers, after a while, and refuses every tenth."""

    def __init__(self, out: str) -> None:
        self.out = out
        self.handled = 0

    async def handle(self, record: Record) -> Sequence[Outbound]:
        self.handled += 1
        number = int(record.value or b"")
        if number % 3 == 0:
            await asyncio.sleep(0.001 * (number % 5))
        if number % 10 == 9:
            raise Rejected("binary")
        return [Outbound(self.out, record.key, b"%d" % (2 * number))]

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        return [Outbound(self.out, record.key, b"%d" % -int(record.value or b""))]

    async def assigned(self, partition: TopicPartition) -> None: ...

    async def revoked(self, partition: TopicPartition) -> None: ...


async def run_engine(
    rig: Rig, topic: str, worker: Doubling, until: Mapping[TopicPartition, int], *, exactly_once: bool = False
) -> None:
    """Runs an engine until these offsets are committed."""
    source = rig.source(f"g-{topic}", [topic])
    # Fewer transactors than partitions: they take turns.
    delivery = ExactlyOnce(source, rig.transactions(), f"g-{topic}", most=2) if exactly_once else None
    engine = Engine(source, rig.sink(), worker, LIMITS, delivery=delivery)
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    try:
        async with asyncio.timeout(60):
            while engine.problem() is not None:  # noqa: ASYNC110 (nothing sets an event for it)
                await asyncio.sleep(0.05)
            for tp, offset in until.items():
                while await source.committed(tp) != offset:
                    assert not task.done()
                    await asyncio.sleep(0.05)
    finally:
        stop.set()
        await task


async def test_the_engine_works_on_it(rig: Rig) -> None:
    """Each record has its one output, a second life goes on after the first."""
    topic = await prepared(rig, 600, partitions=3)
    out = f"{topic}-out"
    await rig.create(out, 2)
    until = {TopicPartition(topic, p): 200 for p in range(3)}
    first, second = Doubling(out), Doubling(out)
    await run_engine(rig, topic, first, until)
    await run_engine(rig, topic, second, until)
    async with joined(rig.source(f"check-{topic}", [out])) as member:
        found = numbers(await member.take(600))
    assert sorted(found) == sorted(-n if n % 10 == 9 else 2 * n for n in range(600))
    assert (first.handled, second.handled) == (600, 0)


async def test_the_engine_works_on_it_exactly_once(transactional: Rig) -> None:
    """The same by transactions."""
    topic = await prepared(transactional, 600, partitions=3)
    out = f"{topic}-out"
    await transactional.create(out, 2)
    until = {TopicPartition(topic, p): 200 for p in range(3)}
    first, second = Doubling(out), Doubling(out)
    await run_engine(transactional, topic, first, until, exactly_once=True)
    await run_engine(transactional, topic, second, until, exactly_once=True)
    async with joined(transactional.source(f"check-{topic}", [out])) as member:
        found = numbers(await member.take(600))
    assert sorted(found) == sorted(-n if n % 10 == 9 else 2 * n for n in range(600))
    assert (first.handled, second.handled) == (600, 0)


async def test_outputs_and_offsets_are_one(transactional: Rig) -> None:
    """What the older of two transactors of a name writes is neither seen nor committed."""
    topic = await prepared(transactional, 4)
    out, group, tp = f"{topic}-out", f"g-{topic}", TopicPartition(topic, 0)
    await transactional.create(out, 1)
    transactions = transactional.transactions()
    async with joined(transactional.source(group, [topic])) as member:
        old = await transactions.open(f"{group}-0")
        await old.write([Outbound(out, b"k", b"%d" % n) for n in range(2)], group, {tp: 2})
        new = await transactions.open(f"{group}-0")
        assert await member.source.committed(tp) == 2
        with pytest.raises(Fenced):
            await old.write([Outbound(out, b"k", b"7")], group, {tp: 3})
        await new.write([], group, {tp: 3})
        await new.write([Outbound(out, b"k", b"3")], group, {tp: 4})
        old.close()
        new.close()
        last = await transactions.open(f"{group}-0")  # settles what the commit has begun
        assert await member.source.committed(tp) == 4
        last.close()
    async with joined(transactional.source(f"check-{topic}", [out])) as member:
        assert numbers(await member.take(3)) == [0, 1, 3]
    await transactions.stop()


async def test_a_refused_record_takes_its_transaction_with_it(transactional: Rig) -> None:
    """The caller learns which one it was; nothing is written, and the transactor goes on."""
    topic = await prepared(transactional, 3)
    out, group, tp = f"{topic}-out", f"g-{topic}", TopicPartition(topic, 0)
    await transactional.create(out, 1)
    transactions = transactional.transactions()
    async with joined(transactional.source(group, [topic])) as member:
        transactor = await transactions.open(f"{group}-0")
        with pytest.raises(Unwritable) as refused:
            await transactor.write([Outbound(out, b"k", b"0"), Outbound(out, b"k", b"x" * 1_100_000)], group, {tp: 2})
        assert refused.value.positions == (1,)
        assert await member.source.committed(tp) == 0
        await transactor.write([Outbound(out, b"k", b"5")], group, {tp: 2})
        transactor.close()
    async with joined(transactional.source(f"check-{topic}", [out])) as member:
        assert numbers(await member.take(1)) == [5]
    await transactions.stop()
