"""A Kafka broker in memory: topics, partitions, groups and rebalances, for tests without a server.

Its sources and sinks keep the contract of the Kafka ones (one test suite runs on both), and can be made to fail.
"""

# ruff: noqa: SLF001 (broker, source and sink are one thing in three classes)

from __future__ import annotations

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import count

from processor.contract import NO_NOTES, Notes, Outbound, Record, TopicPartition
from processor.engine.ports import Listener
from processor.errors import Fatal, Fenced, Retryable, Unwritable


class MemoryBroker:
    """Topics are made on first use, with `partitions` partitions unless `create` said otherwise."""

    def __init__(self, partitions: int = 1, *, max_bytes: int = 1_000_000) -> None:
        self.max_bytes = max_bytes
        self.committed: dict[str, dict[TopicPartition, int]] = defaultdict(dict)
        self.metadata: dict[str, dict[TopicPartition, str]] = defaultdict(dict)
        self.faults: dict[str, list[Exception]] = defaultdict(list)
        self._partitions = partitions
        self._topics: dict[str, list[list[Record]]] = {}
        self._groups: dict[str, list[MemorySource]] = defaultdict(list)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._arrived = asyncio.Event()
        self._clock = count(1_700_000_000_000)
        self._round_robin = count()
        self._transactors: dict[str, MemoryTransactor] = {}
        self._unsettled: dict[str, list[tuple[str, Mapping[TopicPartition, int], Notes]]] = defaultdict(list)
        self._left_open: dict[str, tuple[Sequence[Outbound], str, Mapping[TopicPartition, int], Notes]] = {}

    def create(self, topic: str, partitions: int) -> None:
        """Makes a topic, or adds partitions to it (members see those at their next rebalance)."""
        logs = self._topics.setdefault(topic, [])
        logs.extend([] for _ in range(partitions - len(logs)))

    def produce(self, record: Outbound) -> Record:
        """Appends a record and returns it as it will be read."""
        logs = self._logs(record.topic)
        partition = record.partition
        if partition is None:
            chosen = next(self._round_robin) if record.key is None else zlib.crc32(record.key)
            partition = chosen % len(logs)
        log = logs[partition]
        stored = Record(record.topic, partition, len(log), record.key, record.value, record.headers, next(self._clock))
        log.append(stored)
        self._arrived.set()
        self._arrived = asyncio.Event()
        return stored

    def records(self, topic: str) -> list[Record]:
        """All records of a topic, partition after partition."""
        return [record for log in self._logs(topic) for record in log]

    def end(self, partition: TopicPartition) -> int:
        """The offset that the next record of a partition gets."""
        return len(self._logs(partition.topic)[partition.partition])

    def fail(self, step: str, error: Exception, times: int = 1) -> None:
        """Has the next `times` calls of `step` ("start", "poll", "publish", "commit", "ends") raise `error`.

        "ack" raises after the records are written: the acknowledgement is lost. Of a transaction, "open" fails the
        take-over, "begin" the transaction before anything is written, "end" the acknowledgement of what is
        committed, "settle" leaves its offsets unseen until the next transactor of that name is opened, and "markers"
        leaves it open (see `processor.cluster.hanging`), which fails to be settled with "settling".
        """
        self.faults[step] += [error] * times

    def source(self, group: str, topics: Sequence[str], *, start: str = "earliest") -> MemorySource:
        """A new member of a group. `start` is "earliest" or "latest"."""
        return MemorySource(self, group, tuple(topics), start)

    def sink(self) -> MemorySink:
        """A producer."""
        return MemorySink(self)

    def transactions(self) -> MemoryTransactions:
        """Where transactional producers come from."""
        return MemoryTransactions(self)

    def _logs(self, topic: str) -> list[list[Record]]:
        if topic not in self._topics:
            self.create(topic, self._partitions)
        return self._topics[topic]

    def _commit(self, group: str, offsets: Mapping[TopicPartition, int], notes: Notes) -> None:
        self.committed[group].update(offsets)
        self.metadata[group].update({tp: notes.get(tp, "") for tp in offsets})

    def _check(self, step: str) -> None:
        if self.faults[step]:
            raise self.faults[step].pop(0)

    async def _join(self, member: MemorySource) -> None:
        async with self._turns[member.group]:
            self._resolve_start(member)
            await self._revoke_all(member.group)
            self._groups[member.group].append(member)
            await self._assign_all(member.group)

    async def _leave(self, member: MemorySource) -> None:
        async with self._turns[member.group]:
            if member in self._groups[member.group]:
                self._groups[member.group].remove(member)
                await self._revoke_all(member.group)
                await self._assign_all(member.group)

    async def rebalance(self, group: str) -> None:
        """Revokes and assigns all partitions of a group, as Kafka does when a member comes or goes."""
        async with self._turns[group]:
            await self._revoke_all(group)
            await self._assign_all(group)

    def _resolve_start(self, member: MemorySource) -> None:
        committed = self.committed[member.group]
        for topic in member.topics:
            if not any(tp.topic == topic for tp in committed):
                for partition, log in enumerate(self._logs(topic)):
                    committed[TopicPartition(topic, partition)] = len(log) if member.begin == "latest" else 0

    async def _revoke_all(self, group: str) -> None:
        await asyncio.gather(*(member._revoked() for member in self._groups[group]))

    async def _assign_all(self, group: str) -> None:
        members = self._groups[group]
        shares: dict[int, list[TopicPartition]] = defaultdict(list)
        for topic in dict.fromkeys(topic for member in members for topic in member.topics):
            wanting = [at for at, member in enumerate(members) if topic in member.topics]
            for partition in range(len(self._logs(topic))):
                shares[wanting[partition % len(wanting)]].append(TopicPartition(topic, partition))
        for at, member in enumerate(members):
            await member._assigned(shares[at])


class MemorySource:
    """A member of a group; see processor.engine.ports.Source."""

    def __init__(self, broker: MemoryBroker, group: str, topics: tuple[str, ...], begin: str) -> None:
        self.group = group
        self.topics = topics
        self.begin = begin
        self.polls = 0
        self.paused: set[TopicPartition] = set()
        self.positions: dict[TopicPartition, int] = {}
        self._broker = broker
        self._listener: Listener | None = None
        self._failure: Exception | None = None
        self._crashed = False
        self._terms = 0  # that are over

    async def start(self, listener: Listener) -> None:
        """Joins the group."""
        if self._crashed:
            await asyncio.Event().wait()
        self._broker._check("start")
        self._listener = listener
        await self._broker._join(self)

    async def poll(self, timeout_s: float, limit: int, partitions: Collection[TopicPartition] = ()) -> Sequence[Record]:
        """At most `limit` records, of `partitions` if any are named; empty after `timeout_s`."""
        self.polls += 1
        self._broker._check("poll")
        if self._failure is not None:
            if isinstance(self._failure, Fatal):
                raise self._failure
            raise Fatal(f"a change of partitions failed: {self._failure}") from self._failure
        records = self._take(limit, partitions)
        if not records and timeout_s > 0:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._broker._arrived.wait()
            except TimeoutError:
                return []
            records = self._take(limit, partitions)
        return records

    def _take(self, limit: int, partitions: Collection[TopicPartition]) -> list[Record]:
        taken: list[Record] = []
        for tp in self.positions:
            if tp not in self.paused and (not partitions or tp in partitions):
                begin = self.positions[tp]
                found = self._broker._logs(tp.topic)[tp.partition][begin : begin + limit - len(taken)]
                self.positions[tp] += len(found)
                taken += found
        return taken

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Takes nothing more from these."""
        self.paused |= set(partitions) & self.positions.keys()

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Takes from these again."""
        self.paused -= set(partitions)
        # A poll that waits looks again, as a Kafka client does.
        self._broker._arrived.set()
        self._broker._arrived = asyncio.Event()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Reads the partition from `offset` on."""
        if partition in self.positions:
            self.positions[partition] = offset

    async def commit(self, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES) -> None:
        """Commits; partitions that are not held any more are left alone, also where they have come back meanwhile."""
        term = self._terms
        await asyncio.sleep(0)
        self._broker._check("commit")
        if not self._crashed and term == self._terms:
            held = {tp: offset for tp, offset in offsets.items() if tp in self.positions}
            self._broker._commit(self.group, held, notes)

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed offset."""
        return self._broker.committed[self.group].get(partition)

    async def metadata(self, partition: TopicPartition) -> str:
        """The note that was committed with it."""
        return self._broker.metadata[self.group].get(partition, "")

    async def noted(self, partition: TopicPartition) -> tuple[int | None, str]:
        """Both."""
        return await self.committed(partition), await self.metadata(partition)

    async def ends(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset that the next record of each gets."""
        self._broker._check("ends")
        return {tp: self._broker.end(tp) for tp in partitions}

    async def position(self, partition: TopicPartition) -> int:
        """The offset to be read next."""
        return self.positions[partition]

    async def behind(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Records that lie on each partition and have not been read."""
        self._broker._check("ends")
        held = [tp for tp in partitions if tp in self.positions]
        return {tp: self._broker.end(tp) - self.positions[tp] for tp in held}

    async def stop(self) -> None:
        """Leaves the group."""
        self._listener = None
        if not self._crashed:
            await self._broker._leave(self)

    async def crash(self) -> None:
        """Vanishes as after kill -9: nothing of it is committed any more, others take its partitions."""
        self._crashed = True
        self._listener = None
        await self._broker._leave(self)

    async def _revoked(self) -> None:
        if self._listener is not None:
            await self._tell(self._listener.revoked(list(self.positions)))
        self._terms += 1
        self.positions.clear()
        self.paused.clear()

    async def _assigned(self, partitions: list[TopicPartition]) -> None:
        committed = self._broker.committed[self.group]
        self.positions = {tp: committed.get(tp, 0) for tp in partitions}
        if self._listener is not None:
            await self._tell(self._listener.assigned(partitions))

    async def _tell(self, call: object) -> None:
        try:
            await call  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 (like the real one: kept, and raised by the next poll)
            self._failure = error


class MemorySink:
    """A producer; see processor.engine.ports.Sink."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._crashed = False

    @property
    def max_bytes(self) -> int:
        """Largest record."""
        return self._broker.max_bytes

    async def start(self) -> None:
        """Connects."""
        self._broker._check("start")

    async def publish(self, records: Sequence[Outbound]) -> None:
        """Writes all; records over the broker's limit are refused."""
        await asyncio.sleep(0)
        if self._crashed:
            await asyncio.Event().wait()
        self._broker._check("publish")
        refused = []
        for at, record in enumerate(records):
            if len(record.value or b"") + len(record.key or b"") > self._broker.max_bytes:
                refused.append(at)
            else:
                self._broker.produce(record)
        self._broker._check("ack")
        if refused:
            raise Unwritable(f"{len(refused)} records are over {self._broker.max_bytes} bytes", tuple(refused))

    async def stop(self) -> None:
        """Disconnects."""

    def crash(self) -> None:
        """Vanishes: nothing is written any more, and no call returns."""
        self._crashed = True


class MemoryTransactions:
    """See processor.engine.ports.Transactions."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._crashed = False

    async def open(self, name: str) -> MemoryTransactor:
        """Fences off the predecessor, and settles what it left."""
        await asyncio.sleep(0)
        if self._crashed:
            await asyncio.Event().wait()
        self._broker._check("open")
        for group, offsets, notes in self._broker._unsettled.pop(name, ()):
            self._broker._commit(group, offsets, notes)
        made = self._broker._transactors[name] = MemoryTransactor(self._broker, name, self)
        return made

    async def stop(self) -> None:
        """Nothing is left."""

    def crash(self) -> None:
        """Vanishes: nothing is written any more, and no call returns."""
        self._crashed = True


class MemoryTransactor:
    """See processor.engine.ports.Transactor."""

    def __init__(self, broker: MemoryBroker, name: str, owner: MemoryTransactions) -> None:
        self._broker = broker
        self._name = name
        self._owner = owner
        self._broken = False

    async def settle(self, group: str, partition: TopicPartition) -> None:  # noqa: ARG002 (names are of one partition)
        """Ends what was left open."""
        await asyncio.sleep(0)
        if self._owner._crashed:
            await asyncio.Event().wait()
        self._broker._check("settling")
        if left := self._broker._left_open.pop(self._name, None):
            records, committing, offsets, notes = left
            for record in records:
                self._broker.produce(record)
            self._broker._commit(committing, offsets, notes)

    async def write(
        self, records: Sequence[Outbound], group: str, offsets: Mapping[TopicPartition, int], notes: Notes = NO_NOTES
    ) -> None:
        """Writes records and offsets as one."""
        await asyncio.sleep(0)
        broker = self._broker
        if self._owner._crashed:
            await asyncio.Event().wait()
        if broker._transactors.get(self._name) is not self or self._broken:
            raise Fenced(f"{self._name} has another owner")
        refused = [at for at, r in enumerate(records) if len(r.value or b"") + len(r.key or b"") > broker.max_bytes]
        if refused:
            raise Unwritable(f"{len(refused)} records are over {broker.max_bytes} bytes", tuple(refused))
        self._broken = True  # until it is known to have gone well
        broker._check("begin")
        if broker.faults["markers"]:
            broker._left_open[self._name] = records, group, dict(offsets), notes
            broker._check("markers")
        left, *_ = broker._left_open.pop(self._name, ((),))  # what is committed now decides for it
        for record in (*left, *records):
            broker.produce(record)
        if broker.faults["settle"]:
            broker._unsettled[self._name].append((group, dict(offsets), notes))
            broker._check("settle")
        broker._commit(group, offsets, notes)
        broker._check("end")
        self._broken = False

    def close(self) -> None:
        """Lets go."""
        self._broken = True


BROKER_AWAY = Retryable("the broker is away", wait=0.0)
"""A fault for `MemoryBroker.fail` that passes at once."""
