"""librdkafka fetches the records of the partitions that aiokafka's consumer holds as a member of the group.

aiokafka knows which partitions, and from where; it fetches nothing of them itself, for they all pause there. Of
librdkafka, whose own group management stays out of it, next to nothing is asked:

- Partitions are assigned to it by hand with the offset to begin at. A seek takes one away and assigns it anew: what
  librdkafka had fetched of it before is dropped by its own barrier, and what a call had taken out already is dropped
  here, since changes are only made while no call is under way.
- All partitions come out of one queue. What is not wanted now waits here, up to a bound per partition; beyond that the
  partition pauses in librdkafka.
- It never decides where to go on if an offset is not there any more: the brokers are asked, through aiokafka.

A call that waits has a thread of its own; all others are made on the event loop, where they do not wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, errors
from aiokafka import TopicPartition as ClientPartition
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Assigned

from processor.cluster.client import STOP_S, KafkaClient
from processor.cluster.librdkafka import GRAVE, RENEW_S, Troubles, options, translated, unused, version
from processor.contract import Record, TopicPartition
from processor.sources.history import placed
from processor.sources.part import Part

log = structlog.get_logger(__name__)

QUEUE_BYTES: Final = 16_777_216
"""What librdkafka may have fetched ahead, over all partitions; one fetch of each may go beyond."""

FETCH_BYTES: Final = 1_048_576
"""Of one partition in one answer: of more at a time, each answer would lie in memory that was never touched before."""

ASIDE_BYTES: Final = 67_108_864
"""What may wait here, over all partitions; a partition's share is its bound, if that is less than its own."""

MOST: Final = 1_000
"""Records of one call: what follows it on the event loop waits for as long as it takes."""

TURN_BYTES: Final = 4_194_304
"""What one call is to bring, by the size of what came before: what was read is to be worked on while more comes."""

WAIT_S: Final = 0.1
"""Longest call that waits: changes are made after it."""

RETRY_S: Final = 0.5
"""Between two tries to learn where a partition begins."""

_LOST: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION})  # noqa: SLF001


class LibrdkafkaFetch:
    """See processor.sources.fetching.Fetch. `group` is the name of the group, which nothing is done with."""

    def __init__(self, client: KafkaClient, group: str, *, fetch_bytes: int, isolation: str) -> None:
        self._client = client
        self._fetch_bytes = fetch_bytes
        self._options = {
            "group.id": group,  # it has to have one; the rights to this one are there
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": isolation,
            "check.crcs": True,
            "fetch.message.max.bytes": min(fetch_bytes, FETCH_BYTES),
            "fetch.max.bytes": QUEUE_BYTES,
            "receive.message.max.bytes": 1_000_000_000,
            "queued.max.messages.kbytes": QUEUE_BYTES // 1024,
            "queued.min.messages": 1_000_000,
            "fetch.queue.backoff.ms": 10,
            "fetch.error.backoff.ms": 100,
        }
        self._troubles = Troubles("fetch")
        self._thread = ThreadPoolExecutor(1, "kafka-fetch")
        self._group: AIOKafkaConsumer | None = None
        self._consumer: Consumer | None = None
        self._version: object = None
        self._renewed = 0.0
        self._renewal: asyncio.Future[tuple[Consumer, object]] | None = None
        self._parts: dict[TopicPartition, Part] = {}
        self._gone: list[Part] = []
        self._waiting: asyncio.Future[Sequence[Any]] | None = None
        self._woken: asyncio.Future[None] | None = None
        self._failure: errors.KafkaError | None = None
        self._size = TURN_BYTES // 100

    def arguments(self, fetch_bytes: int) -> dict[str, Any]:
        """See Fetch: as little as can be, for what is fetched before `begin` pauses all."""
        return {"max_partition_fetch_bytes": min(fetch_bytes, 4096)}

    async def start(self, consumer: AIOKafkaConsumer) -> None:
        """See Fetch."""
        self._group = consumer
        await asyncio.to_thread(self._open)  # it waits for the first token, where there are some

    def _open(self) -> None:
        """Makes the client. Raises errors of aiokafka."""
        try:
            self._consumer, self._version = self._made()
        except (KafkaException, OSError) as error:
            raise translated(error) from error
        self._renewed = time.monotonic()

    def _made(self) -> tuple[Consumer, object]:
        """A client, and the version of the credentials that it was made with."""
        now = version(self._client.security)
        return Consumer({**options(self._client, self._troubles), **self._options}), now

    def _renew(self) -> None:
        """A new client takes over where the credentials have changed. It is made in a thread: a token may be slow."""
        try:
            if self._renewal is None:
                if time.monotonic() - self._renewed < RENEW_S:
                    return
                self._renewed = time.monotonic()
                if version(self._client.security) != self._version:
                    self._renewal = asyncio.get_running_loop().run_in_executor(None, self._made)
                return
            if not self._renewal.done():
                return
            renewal, self._renewal = self._renewal, None
            made, now = renewal.result()
        except (KafkaException, OSError) as error:
            log.warning("the new credentials for Kafka are of no use", action="secret", error=str(error))
            return
        old, self._consumer, self._version = self._consumer, made, now
        self._gone.clear()
        self._troubles.refused = None
        for part in self._parts.values():  # they begin where they are
            part.assigned = part.known = part.stopped = False
        log.info("records are fetched with the new credentials", action="secret")
        if old is not None:
            self._thread.submit(old.close)

    # What the group says

    def begin(self, partitions: Collection[TopicPartition]) -> None:
        """See Fetch."""
        self.forget()
        if self._group is None:
            return  # it is stopping
        self._group.pause(*(ClientPartition(*tp) for tp in partitions))
        for tp in partitions:
            part = self._parts[tp] = Part(tp)
            part.locating = asyncio.create_task(self._locate(part), name=f"kafka-locate-{tp.topic}-{tp.partition}")
        self._wake()

    def forget(self) -> None:
        """See Fetch."""
        for part in self._parts.values():
            if part.locating is not None:
                part.locating.cancel()
        self._gone += [part for part in self._parts.values() if part.known]
        self._parts.clear()

    async def _locate(self, part: Part, lost: int | None = None) -> None:
        """Finds out where a partition is to be read from: where the group is; if that is `lost`, at its beginning."""
        tp = ClientPartition(*part.tp)
        if lost is not None:
            await asyncio.sleep(RETRY_S)  # were the brokers of two minds, this would go round and round
        while True:
            try:
                if lost is None:
                    at = int(await self._live.position(tp))
                else:
                    at = await placed(self._live, tp, lost)
                    if part.aside and at <= part.aside[-1].offset:  # it is another topic of that name
                        part.aside.clear()
                        part.bytes = 0
                break
            except errors.IllegalStateError:
                return  # revoked: another assignment follows
            except errors.KafkaError as error:
                log.warning("it is not known where to read", action="fetch", at=part.tp, error=str(error))
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # noqa: BLE001 (or the partition would stand still without a word)
                self._failure = errors.KafkaError(f"it is not known where to read {part.tp}: {error!r}")
                return
        part.next, part.locating = at, None
        self._wake()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See Fetch."""
        if part := self._parts.get(partition):
            part.move(offset)
            self._wake()

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """See Fetch; what was fetched ahead is kept."""
        for tp in partitions:
            if part := self._parts.get(tp):
                part.paused = True

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """See Fetch."""
        for tp in partitions:
            if part := self._parts.get(tp):
                part.paused = False
        self._wake()

    async def position(self, partition: TopicPartition) -> int:
        """See Fetch."""
        part = self._parts.get(partition)
        if part is None:
            raise errors.IllegalStateError(f"{partition} is not assigned")
        if part.next is None:
            return int(await self._live.position(ClientPartition(*partition)))
        return part.aside[0].offset if part.aside else max(part.next, part.end)

    # Records

    async def take(self, timeout_s: float, limit: int, partitions: Collection[TopicPartition]) -> Sequence[Record]:
        """See Fetch."""
        until = time.monotonic() + timeout_s
        # Keeps the membership alive, and tells what has become of it.
        await self._live.getmany(timeout_ms=0, max_records=1)
        while True:
            self._raise_failure()  # of before: what is found now would be lost by it
            try:
                found = self._found(limit, partitions)
            except KafkaException as error:
                raise translated(error) from error
            if found:
                return found
            self._raise_failure()
            left_s = until - time.monotonic()
            if left_s <= 0:
                return found
            await self._wait(left_s)

    def _found(self, limit: int, partitions: Collection[TopicPartition]) -> list[Record]:
        """What there is at once."""
        idle = self._apply()
        found = self._given(limit, partitions)
        while idle and len(found) < limit:
            most = min(limit - len(found), MOST, max(1, TURN_BYTES // self._size))
            messages = self._reader.consume(most, 0)
            before = len(found)
            self._sort(messages, partitions, found)
            if found:
                self._size = 1 + sum(record.size for record in found) // len(found)
            if not messages or len(found) > before:
                break
        return found

    def _given(self, limit: int, partitions: Collection[TopicPartition]) -> list[Record]:
        """What waits here and is wanted, by partitions in turn: who was first is last the next time."""
        found: list[Record] = []
        for part in [each for each in self._parts.values() if each.aside and not each.paused]:
            if partitions and part.tp not in partitions:
                continue
            while part.aside and len(found) < limit:
                record = part.aside.popleft()
                part.bytes -= record.size
                found.append(record)
            self._parts[part.tp] = self._parts.pop(part.tp)
            if len(found) >= limit:
                break
        return found

    def _apply(self) -> bool:
        """Tells librdkafka what to read, which has to wait until no call is under way; False if one still is."""
        if self._waiting is not None:
            if not self._waiting.done():
                return False
            waiting, self._waiting = self._waiting, None
            self._sort(waiting.result(), (), None)
        self._renew()
        moved = [part for part in self._parts.values() if part.next is not None and not part.assigned]
        leaving = [*self._gone, *(part for part in moved if part.known)]
        # What pauses in librdkafka goes on pausing through an assignment: nobody would ever resume it.
        resumed = [part for part in leaving if part.stopped]
        parts = [part for part in self._parts.values() if part.stopped and part.assigned]
        resumed += [part for part in parts if 2 * part.bytes <= self._share]
        if resumed:
            self._reader.resume([Assigned(*part.tp) for part in resumed])
            for part in resumed:
                part.stopped = False
        if leaving:
            self._reader.incremental_unassign([Assigned(*part.tp) for part in leaving])
            self._gone.clear()
        if moved:
            self._reader.incremental_assign([Assigned(*part.tp, part.next) for part in moved if part.next is not None])
            for part in moved:
                part.assigned = part.known = True
        return True

    def _sort(
        self, messages: Sequence[Any], partitions: Collection[TopicPartition], found: list[Record] | None
    ) -> None:
        """Adds what is wanted to `found`, if that is given, and lays the rest aside."""
        parts: Mapping[Any, Part] = self._parts  # a plain tuple is as good a key, and made in no time
        for message in messages:
            part = parts.get((message.topic(), message.partition()))
            error = message.error()
            if error is not None:
                self._met(part, error, message)
                continue
            offset = message.offset()
            if part is None or not part.assigned or part.next is None or offset < part.next:
                continue  # taken out before it was revoked, or moved
            part.next = offset + 1
            headers = tuple(message.headers() or ())
            record = Record(*part.tp, offset, message.key(), message.value(), headers, message.timestamp()[1])
            if found is None or part.paused or part.aside or (partitions and part.tp not in partitions):
                self._lay_aside(part, record)
            else:
                found.append(record)

    def _lay_aside(self, part: Part, record: Record) -> None:
        part.aside.append(record)
        part.bytes += record.size
        if part.bytes > self._share and not part.stopped:
            part.stopped = True
            self._reader.pause([Assigned(*part.tp)])

    def _met(self, part: Part | None, error: KafkaError, message: Any) -> None:
        """Librdkafka tells of a partition that its end is reached, or that something is wrong with it."""
        code = error.code()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001
            if part is not None and part.assigned:
                part.end = message.offset()
        elif code in _LOST:
            if part is not None and part.assigned and part.next is not None:
                lost, part.next, part.assigned, part.end = part.next, None, False, 0
                part.locating = asyncio.create_task(self._locate(part, lost), name="kafka-locate")
        else:
            # Of anything else librdkafka goes on by itself, as aiokafka does.
            self._troubles.met(error)
            if code in GRAVE:
                self._failure = translated(error, message.topic() or "")
                if part is not None:
                    part.assigned = False  # or it would go on behind the batch that can't be read

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        refused, self._troubles.refused = self._troubles.refused, None
        if refused is not None:
            raise errors.KafkaConnectionError(refused)

    async def _wait(self, left_s: float) -> None:
        """Until something has come, or something has changed here, at most so long."""
        loop = asyncio.get_running_loop()
        if self._waiting is None:
            self._waiting = loop.run_in_executor(self._thread, self._reader.consume, 1, min(left_s, WAIT_S))
        self._woken = loop.create_future()
        ends: list[asyncio.Future[Any]] = [self._waiting, self._woken]
        await asyncio.wait(ends, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def stop(self) -> None:
        """See Fetch."""
        self.forget()
        self._group = None
        consumer, self._consumer = self._consumer, None
        renewal, self._renewal = self._renewal, None
        closing: list[asyncio.Future[None]] = []
        if consumer is not None:
            closing.append(asyncio.get_running_loop().run_in_executor(self._thread, consumer.close))
        if renewal is not None:
            closing.append(asyncio.create_task(unused(renewal), name="kafka-fetch-unused"))
        if closing:
            await asyncio.wait(closing, timeout=STOP_S)
        self._thread.shutdown(wait=False)

    @property
    def _share(self) -> int:
        """What may wait here of each partition."""
        return min(self._fetch_bytes, ASIDE_BYTES // max(1, len(self._parts)))

    @property
    def _live(self) -> AIOKafkaConsumer:
        if self._group is None:
            raise errors.ConsumerStoppedError
        return self._group

    @property
    def _reader(self) -> Consumer:
        if self._consumer is None:
            raise errors.ConsumerStoppedError
        return self._consumer
