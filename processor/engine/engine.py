"""The engine: reads records, has a worker make outputs of them, delivers both in order. Knows no stage.

The line and the ticket writer are two uses of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Hashable, Sequence
from itertools import count
from typing import Any

import structlog

from processor.contract import Outbound, Record, TopicPartition
from processor.engine.deliveries import Deliveries
from processor.engine.delivery import AtLeastOnce, Backoff, Delivery, Lost
from processor.engine.dispatch import Dispatcher
from processor.engine.flow import Flow
from processor.engine.inflight import Entry, InFlight, Partition, names
from processor.engine.journal import Journal
from processor.engine.lag import Lag
from processor.engine.limits import Limits
from processor.engine.metrics import EngineMetrics
from processor.engine.ports import Sink, Source, Worker
from processor.engine.suspects import Suspects
from processor.engine.waiting import Waiting
from processor.errors import Fatal, Rejected, Retryable, Unwritable
from processor.sinks.dead_letters import without_body
from processor.telemetry import RECORD

log = structlog.get_logger(__name__)

HEADERS_ROOM = 16_384
"""Bytes that a record's headers and framing may take beside key and value."""


class Engine:
    """Many records in flight, finished in any order, committed in contiguous order, within bounds."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        worker: Worker,
        limits: Limits | None = None,
        *,
        delivery: Delivery | None = None,
        key_of: Callable[[Record], Hashable] | None = None,
        journal: Journal | None = None,
        metrics: EngineMetrics | None = None,
        name: str = "engine",
    ) -> None:
        self._source = source
        self._sink = sink
        self._worker = worker
        self._limits = limits or Limits()
        self._backoff = Backoff(self._limits.backoff_first_s, self._limits.backoff_most_s)
        self._delivery = delivery or AtLeastOnce(source, sink, self._backoff)
        self._metrics = metrics or EngineMetrics.unregistered()
        self._name = name
        self._inflight = InFlight()
        self._flow = Flow(source, self._inflight, self._limits)
        self._dispatcher = Dispatcher(self._work, self._limits.concurrency, key_of, self._fail, name)
        self._waiting = Waiting(self._dispatcher.again, self._backoff)
        self._changed = asyncio.Event()  # something finished or was delivered
        self._failed: asyncio.Future[BaseException] | None = None
        self._jobs: set[asyncio.Task[None]] = set()  # partitions being prepared, batches being delivered
        self._started = False
        self._beat = 0.0  # loop time of the last finished poll
        self._deliveries = Deliveries(
            self._delivery,
            self._inflight,
            self._metrics,
            self,
            size=self._limits.batch,
            most_bytes=self._limits.batch_bytes,
            linger_s=self._limits.linger_s,
            substitute=self._unwritable,
            journal=journal,
            lost=self.begin_anew,
        )
        self._suspects = Suspects(
            source,
            self._delivery,
            self,
            self._backoff,
            after=self._limits.poison_starts,
            window=self._limits.concurrency,
        )
        self._lag = Lag(source, self._inflight, self._deliveries.entries)
        self._metrics.watch(self._inflight, self._flow.paused, self._lag)

    # Running

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then drains within `drain_s`.

        Raises Fatal, or whatever broke the engine itself, after draining.
        """
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        self._beat = loop.time()
        stopping = asyncio.create_task(stop.wait(), name=f"{self._name}-stop")
        tasks: list[asyncio.Task[Any]] = [stopping]
        try:
            if not await self._start(stopping):
                return
            self._started = True
            tasks += [self._spawn(self._poll_loop(), "poll"), self._spawn(self._deliveries.run(), "deliver")]
            tasks.append(self._spawn(self._lag.run(), "lag"))
            ends: list[asyncio.Future[Any]] = [stopping, self._failed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            await self._end(tasks.pop(1))
            await self._drain()
        finally:
            self._started = False
            for task in tasks:
                await self._end(task)
            while self._jobs:  # one may begin another as it ends
                await self._end(next(iter(self._jobs)))
            await self._dispatcher.stop()
            await self._source.stop()
            await self._delivery.stop()
            await self._sink.stop()
        if self._failed.done():
            raise self._failed.result()

    def problem(self) -> str | None:
        """Why it is not ready, or None."""
        if not self._started:
            return "not connected"
        if asyncio.get_running_loop().time() - self._beat > self._limits.slow_s:
            return f"no poll for {self._limits.slow_s:g} s"
        return None

    async def _start(self, stopping: asyncio.Task[Any]) -> bool:
        """Connects, which has no bound in the client; False if it is to stop before."""
        starting = asyncio.create_task(self._connect(), name=f"{self._name}-start")
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.cancelled():
                raise Fatal("the start was cancelled from within")
            return not stopping.done() and starting.result() is None
        finally:
            await self._end(starting)

    async def _connect(self) -> None:
        for start in (self._sink.start, lambda: self._source.start(self)):
            for attempt in count(1):
                try:
                    await start()
                    break
                except Retryable as error:
                    wait = self._backoff.seconds(attempt, error.wait)
                    log.warning("start waits", action="start", attempt=attempt, wait_s=wait, error=str(error))
                    await asyncio.sleep(wait)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """A task whose failure is the engine's."""
        task = asyncio.create_task(work, name=f"{self._name}-{name}")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            self._fail(task.exception())
        elif not task.cancelling():  # by nobody: a future that it awaited was
            self._fail(Fatal(f"{task.get_name()} was cancelled from within"))

    @staticmethod
    async def _end(task: asyncio.Task[Any]) -> None:
        task.cancel()
        await asyncio.wait([task])

    def _fail(self, error: BaseException | None) -> None:
        if self._failed is not None and not self._failed.done() and error is not None:
            log.error("engine fails", action="fail", error=str(error), kind=type(error).__name__)
            self._failed.set_result(error)

    async def _drain(self) -> None:
        held = list(self._inflight.partitions.values())
        log.info("draining", action="drain", working=len(self._dispatcher.working()), partitions=len(held))
        await self._let_go(held, self._limits.drain_s)

    # Reading

    async def _poll_loop(self) -> None:
        attempt = 0
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._accept(await self._flow.poll(self.until))
                attempt = 0
            except Retryable as error:
                attempt += 1
                log.warning("poll waits", action="poll", attempt=attempt, error=str(error))
                await asyncio.sleep(self._backoff.seconds(attempt, error.wait))
            self._beat = loop.time()
            await asyncio.sleep(0)  # a poll that finds records does not suspend; the handlers want a turn

    def _accept(self, records: Sequence[Record]) -> None:
        partitions = self._inflight.partitions
        now = time.monotonic()
        rewound: set[TopicPartition] = set()
        for record in records:
            tp = TopicPartition(record.topic, record.partition)
            partition = partitions.get(tp)
            if partition is None:
                continue  # revoked while the poll returned: its next owner reads it
            if not partition.taking:
                if tp not in rewound:
                    rewound.add(tp)
                    self._source.seek(tp, record.offset)
                continue
            entry = self._inflight.accept(partition, record, now)
            if entry is not None and not self._suspects.holds(entry):
                self._dispatcher.submit(entry)
        self._flow.polled(records)

    # Partitions

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """New partitions: nothing of them is taken before delivery and worker are prepared for them."""
        self._flow.pause(partitions)
        for tp in partitions:
            self._begin(tp)
        log.info("assigned", action="assigned", partitions=names(partitions))

    async def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Partitions go: what is being worked on finishes and is committed within `revoke_s`, or is dropped."""
        held = [self._inflight.partitions[tp] for tp in partitions if tp in self._inflight.partitions]
        await self._let_go(held, self._limits.revoke_s)
        self._flow.forget(partitions)
        log.info("revoked", action="revoked", partitions=names(partitions))

    def moved(self) -> None:
        """Something has finished or was delivered: whoever waits for that looks again."""
        self._changed.set()

    def _begin(self, tp: TopicPartition) -> None:
        partition = self._inflight.open(tp)
        partition.preparing = self.job(self._prepare(partition), f"prepare-{tp.topic}-{tp.partition}")

    def job(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Runs it beside the rest; its failure is the engine's, and it ends with it."""
        job = self._spawn(work, name)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    async def _prepare(self, partition: Partition) -> None:
        attempt = 0
        while not partition.closed:
            try:
                offset = await self._delivery.assigned(partition)
                await self._suspects.assigned(partition)
                await self._worker.assigned(partition.tp)
                if offset is not None and not partition.closed:
                    partition.position = offset
                    self._source.seek(partition.tp, offset)
                break
            except Retryable as error:
                attempt += 1
                wait = self._backoff.seconds(attempt, error.wait)
                log.warning("partition waits", action="prepare", partition=str(partition.tp), error=str(error))
                await partition.closing(wait)
        partition.take()
        # Resumed here and not at the next poll, which may be waiting for records already.
        if partition.taking and not self._flow.full:
            self._flow.apply()

    async def begin_anew(self, partition: Partition) -> None:
        """Somebody else has written what came of a partition: it is read again from where that one ended."""
        if partition.closed:
            return
        log.warning("partition begins anew", action="lost", partition=str(partition.tp))
        going = partition.taking  # else it is being let go, and nothing of it is begun
        self._suspects.forget(partition)
        self._inflight.close(partition.tp)
        self.moved()
        await self._dispatcher.cancel_closed()
        await self._delivery.revoked([partition])
        await self._worker.revoked(partition.tp)
        if going:
            self._flow.pause([partition.tp])
            if partition.first >= 0:  # for one on which nothing has been committed ever
                self._source.seek(partition.tp, partition.first)
            self._begin(partition.tp)

    async def _let_go(self, partitions: Sequence[Partition], bound_s: float) -> None:
        # At once, however long others take: a take-over that ends late would fence off the next owner.
        for partition in partitions:
            if partition.preparing is not None:
                await self._end(partition.preparing)
            partition.taking = False
        leaving = {id(partition) for partition in partitions}

        def settled() -> bool:
            busy = [*self._dispatcher.working(), *self._deliveries.entries()]
            return not any(id(entry.partition) in leaving for entry in busy) and not any(
                p.entries and p.entries[0].outputs is not None for p in partitions
            )

        if not await self.until(settled, bound_s):
            log.warning("dropped what did not finish in time", action="let_go", bound_s=bound_s)
        # A mark that is taken back beside a delivery could undo its offset.
        delivering = {id(entry.partition) for entry in self._deliveries.entries()}
        for partition in partitions:
            self._inflight.close(partition.tp)
        self.moved()  # there may be nothing else that wakes whoever waits for an end of these
        await self._dispatcher.cancel_closed()
        await asyncio.gather(*(self._suspects.let_go(p, keeps=id(p) in delivering) for p in partitions))
        await self._delivery.revoked(partitions)
        for partition in partitions:
            await self._worker.revoked(partition.tp)

    async def until(self, condition: Callable[[], bool], timeout_s: float | None) -> bool:
        """Whether the condition comes true in time; it is looked at whenever something has moved."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True

    # Working

    def submit(self, entry: Entry) -> None:
        """Has the worker take it."""
        self._dispatcher.submit(entry)

    async def alone(self, entry: Entry | None) -> None:
        """Lets the worker begin nothing but this one, and awaits the end of what it has begun; None ends that."""
        self._dispatcher.alone = entry
        if entry is None:
            self._dispatcher.wake()
        else:
            await self.until(lambda: not self._dispatcher.working() or entry.partition.closed, None)

    def poisoned(self, entry: Entry) -> None:
        """Rejects what kills the process."""
        died = "the process died again and again while it worked on this event"
        self._finish(entry, self._reject(entry, Rejected("poison", died)))

    async def _work(self, entry: Entry) -> None:
        record = entry.record
        RECORD.set(record)
        try:
            outputs = await self._worker.handle(record)
        except Retryable as error:
            self._retry(entry, error)
            return
        except Rejected as error:
            outputs = self._reject(entry, error)
        except Fatal as error:
            self._fail(error)
            return
        except Lost:
            self.job(self.begin_anew(entry.partition), "lost")
            await entry.partition.closing(None)  # which cancels this
            return
        except Exception as error:  # a defect costs its own record only, and is not retried for ever
            log.exception("defect", action="defect", kind=type(error).__name__)
            outputs = self._reject(entry, Rejected("internal", f"{type(error).__name__}: {error}"))
        self._finish(entry, outputs)

    def _finish(self, entry: Entry, outputs: Sequence[Outbound]) -> None:
        room = self._sink.max_bytes - HEADERS_ROOM
        sizes = [output.size for output in outputs]
        if sizes and max(sizes) > room:
            outputs = self._unwritable(entry, Unwritable("an output is over the producer's limit", ()))
            sizes = [output.size for output in outputs]
        entry.weight = sum(sizes)
        entry.outputs = outputs
        self._waiting.over(entry)
        self._dispatcher.leave(entry)
        self._deliveries.finished(entry)
        self._changed.set()

    def _retry(self, entry: Entry, error: Retryable) -> None:
        self._metrics.retried.inc()
        self._waiting.wait(entry, error)
        self._changed.set()

    def _reject(self, entry: Entry, error: Rejected) -> Sequence[Outbound]:
        self._metrics.rejected(error.reason).inc()
        log.info("rejected", action="reject", reason=error.reason, error=str(error))
        return self._worker.reject(entry.record, error)

    def _unwritable(self, entry: Entry, error: Unwritable) -> Sequence[Outbound]:
        """The dead letters, without the body where that is what is too large."""
        room = -1 if error.positions else self._sink.max_bytes - HEADERS_ROOM
        return [letter if letter.size <= room else without_body(letter) for letter in self._reject(entry, error)]
