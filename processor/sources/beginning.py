"""Where a group begins on a topic that it has never committed anything on.

It is committed before the group is joined, and for all partitions at once, since afterwards a replica can't tell a
partition that is new from one whose owner has not committed yet. That nothing is committed may have been told by a
broker that coordinates the group no more (see `processor.cluster.committed`). Believed, it would have what is committed
overwritten: events would be left out where the group is to begin at the end, and all of them repeated where at the
beginning. So it is committed by a transaction, which the true coordinator takes and is asked in the midst of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, Protocol

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import CommitFailedError

from processor.contract import TopicPartition
from processor.errors import ConfigError

log = structlog.get_logger(__name__)

Start = Literal["latest", "earliest"] | datetime
"""Where a group begins that has never committed anything on a topic."""


def parse_start(text: str) -> Start:
    """`latest`, `earliest`, or an RFC 3339 time (UTC unless it says otherwise). Raises ConfigError."""
    if text == "latest":
        return "latest"
    if text == "earliest":
        return "earliest"
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"source.kafka.start: {text!r} is none of latest, earliest, or a time as in RFC 3339"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class Begins(Protocol):
    """Commits where a group begins: see processor.sinks.transactions.KafkaTransactions."""

    async def begin(self, group: str, offsets: Mapping[TopicPartition, int]) -> bool | None:
        """Whether it did, unless the group has begun already; None where the brokers have no transactions.

        Raises Retryable.
        """


async def resolve(
    consumer: AIOKafkaConsumer, begins: Begins | None, group: str, topic: str, start: Start, bound_s: float
) -> None:
    """Commits where the group begins on a topic, if it has not begun. `consumer` is one of that group, not joined.

    Raises Retryable, errors of aiokafka, TimeoutError.
    """
    async with asyncio.timeout(bound_s):
        # The metadata of a topic that nobody subscribed to is fetched by this call alone.
        await consumer._client._wait_on_metadata(topic)  # noqa: SLF001
        partitions = [ClientPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        committed = [await consumer.committed(tp) for tp in partitions]
        if not partitions or any(offset is not None for offset in committed):
            return
        offsets = await _offsets(consumer, partitions, start)
    done = await begins.begin(group, {TopicPartition(*tp): at for tp, at in offsets.items()}) if begins else None
    if done is None:
        async with asyncio.timeout(bound_s):
            done = await _committed(consumer, offsets)
    if done:
        told = {str(tp.partition): offset for tp, offset in offsets.items()}
        log.info("start resolved", action="start", topic=topic, start=str(start), offsets=told)
    else:
        log.info("start was resolved by another replica", action="start", topic=topic)


async def _committed(consumer: AIOKafkaConsumer, offsets: Mapping[ClientPartition, int]) -> bool:
    """Commits without a transaction: all that brokers without any have. A group with members refuses it."""
    try:
        await consumer.commit(dict(offsets))
    except CommitFailedError:
        return False
    return True


async def _offsets(
    consumer: AIOKafkaConsumer, partitions: list[ClientPartition], start: Start
) -> dict[ClientPartition, int]:
    """An end that a former leader tells is too low: some events from before the start come as well, none is missed."""
    if start == "earliest":
        return dict(await consumer.beginning_offsets(partitions))
    ends = dict(await consumer.end_offsets(partitions))
    if not isinstance(start, datetime):
        return ends
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(start.timestamp() * 1000)))
    return {tp: at.offset if (at := found.get(tp)) is not None else ends[tp] for tp in partitions}
