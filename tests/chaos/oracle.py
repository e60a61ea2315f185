"""Knows what was acknowledged, reads what came of it, and counts what is lost and what came twice.

An event is named by its position, (partition, offset), as the broker has acknowledged it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

Position = tuple[int, int]
Outcome = tuple[str | None, Position]
"""The pipeline that something came of an event in, or None for all of them (a dead letter); and the event."""

Message = tuple[bytes | None, bytes, Sequence[tuple[str, bytes]]]


class Producer:
    """Sends `make(0)`, `make(1)`, … until it is told to stop; `acknowledged` holds what a broker has taken for sure."""

    def __init__(self, bootstrap: str, topic: str, make: Callable[[int], Message], rate: float) -> None:
        self.acknowledged: set[Position] = set()
        self._topic = topic
        self._make = make
        self._pause_s = 1 / rate
        self._between: deque[Message] = deque()
        # Partitions that are added shall soon have events.
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5, metadata_max_age_ms=3000
        )

    async def start(self) -> None:
        """Connects."""
        await self._producer.start()

    def put_between(self, message: Message) -> None:
        """Sends this one before the next that is made."""
        self._between.append(message)

    async def run(self, stop: asyncio.Event, most: int | None = None) -> None:
        """Sends `most` messages at most; waits for all answers at the end."""
        answers: set[asyncio.Future[Any]] = set()
        number = 0
        while not stop.is_set() and number != most:
            between = bool(self._between)
            key, value, headers = self._between[0] if between else self._make(number)
            try:
                answer = await self._producer.send(self._topic, value, key=key, headers=list(headers))
            except KafkaError:
                await asyncio.sleep(0.2)  # the client's buffer is full while a broker is away
                continue
            answer.add_done_callback(self._answered)
            answers.add(answer)
            answer.add_done_callback(answers.discard)
            if between:
                self._between.popleft()
            else:
                number += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._pause_s)
        if answers:
            await asyncio.wait(answers)

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            told = answer.result()
            self.acknowledged.add((told.partition, told.offset))

    async def stop(self) -> None:
        """Disconnects."""
        await self._producer.stop()


class Reader:
    """Reads committed records of topics from their beginning."""

    def __init__(self, bootstrap: str, topics: Collection[str], outcome: Callable[[Any], Outcome | None]) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._bootstrap = bootstrap
        self._topics = topics
        self._outcome = outcome
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
        )
        self._marks = 0
        self._partitions: list[TopicPartition] = []

    async def start(self) -> None:
        """Connects."""
        await self._consumer.start()
        for topic in self._topics:
            await self._consumer._client._wait_on_metadata(topic)
            self._partitions += [
                TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic) or ()
            ]
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning()

    async def run(self) -> None:
        """Reads until it is cancelled."""
        while True:
            await self._take()

    async def _take(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=300, max_records=2000)).values():
            for record in records:
                if record.value == MARK:
                    self._marks += 1
                    continue
                told = self._outcome(record)
                if told is not None:
                    self.outcomes[told] += 1

    async def to_the_end(self, timeout_s: float = 60) -> None:
        """Reads all that is committed: up to a mark in each partition, which no open transaction hides."""
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap)
        await producer.start()
        for partition in self._partitions:
            await producer.send_and_wait(partition.topic, MARK, partition=partition.partition)
        await producer.stop()
        async with asyncio.timeout(timeout_s):
            while self._marks < len(self._partitions):
                await self._take()

    async def stop(self) -> None:
        """Disconnects."""
        await self._consumer.stop()


MARK = b"the end"


def lost(acknowledged: Iterable[Position], outcomes: Counter[Outcome], pipelines: Sequence[str]) -> list[Outcome]:
    """What was acknowledged and came to nothing, per pipeline."""
    return [
        (pipeline, event)
        for event in acknowledged
        if (None, event) not in outcomes
        for pipeline in pipelines
        if (pipeline, event) not in outcomes
    ]


def repeated(outcomes: Counter[Outcome], pipelines: Sequence[str]) -> list[Outcome]:
    """What came to two things in a pipeline, or to something and a dead letter."""
    events = {event for _, event in outcomes}
    return [
        (pipeline, event)
        for event in events
        for pipeline in pipelines
        if outcomes[pipeline, event] + outcomes[None, event] > 1
    ]
