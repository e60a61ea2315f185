"""Transactions that Kafka has ended, and has left open all the same.

A transaction is ended by a marker in each of its partitions. Kafka 4 leaves out those of partitions that have no leader
at that moment: it takes them for deleted (seen in 4.3.1: `KRaftMetadataCache.getPartitionLeaderEndpoint` is empty,
`TransactionMarkerChannelManager` skips), and says that all is done. What such a transaction has written is neither
committed nor aborted then, and the next one of that producer decides for it: what was committed is lost or comes twice.
A single broker that is stopped, or stands still for longer than its session with the controller, is enough for that.

It can be seen: a producer that has just been opened has nothing open, so offsets still pending are such a rest,
and every broker tells which partitions have something open of which producer. Whoever has opened the producer ends it
the way it was to end: a transaction that only says of each of those partitions that it takes part in it.

Where some partitions of a transaction had a leader and others none, its offsets may be committed and an output left
open. All partitions can't be asked each time; whoever takes over asks those of all topics that owners write to (see
`processor.cluster.looks`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    GroupLoadInProgressError,
    IncompatibleBrokerVersion,
    LeaderNotAvailableError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

PENDING: Final = 88
"""UNSTABLE_OFFSET_COMMIT: a transaction that has not ended has committed another offset."""

_ELSEWHERE: Final = {14, 15, 16}
"""The coordinator is still loading, is not there, or is another broker."""

_INTERNAL: Final = {"__consumer_offsets", "__transaction_state"}
_TEXT: Final = CompactString("utf-8")
_TAGS: Final = ("tags", TaggedFields)
_PARTITIONS: Final = CompactArray(Int32)


class _OffsetFetchResponse(Response):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _TEXT),
                        ("error_code", Int16),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        ("error_code", Int16),
        _TAGS,
    )


class _OffsetFetchStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = _OffsetFetchResponse
    SCHEMA = Schema(
        ("group", _TEXT),
        ("topics", CompactArray(("name", _TEXT), ("partitions", _PARTITIONS), _TAGS)),
        ("require_stable", Boolean),
        _TAGS,
    )


class _StableOffset(Request[_OffsetFetchStruct]):  # type: ignore[misc]
    """A committed offset, or PENDING."""

    API_KEY = 9

    def __init__(self, group: str, tp: ClientPartition) -> None:
        self._fields: tuple[Any, ...] = (group, [(tp.topic, [tp.partition], {})], True, {})

    def build(self, request_struct_class: type[_OffsetFetchStruct]) -> _OffsetFetchStruct:
        return request_struct_class(*self._fields)


class _ProducersResponse(Response):  # type: ignore[misc]
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", _TEXT),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("transaction_start_offset", Int64),
                                _TAGS,
                            ),
                        ),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _ProducersStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = _ProducersResponse
    SCHEMA = Schema(("topics", CompactArray(("name", _TEXT), ("partitions", _PARTITIONS), _TAGS)), _TAGS)


class _Producers(Request[_ProducersStruct]):  # type: ignore[misc]
    """Who has written to partitions, and has something open there."""

    API_KEY = 61

    def __init__(self, partitions: Collection[ClientPartition]) -> None:
        topics: defaultdict[str, list[int]] = defaultdict(list)
        for tp in partitions:
            topics[tp.topic].append(tp.partition)
        self._topics: list[Any] = [(topic, numbers, {}) for topic, numbers in topics.items()]

    def build(self, request_struct_class: type[_ProducersStruct]) -> _ProducersStruct:
        return request_struct_class(self._topics, {})


class _TransactionsResponse(Response):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transactions",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("state", _TEXT),
                ("timeout_ms", Int32),
                ("start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("topics", CompactArray(("name", _TEXT), ("partitions", _PARTITIONS), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _TransactionsStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = _TransactionsResponse
    SCHEMA = Schema(("names", CompactArray(_TEXT)), _TAGS)


class _Transactions(Request[_TransactionsStruct]):  # type: ignore[misc]
    """What a transactional id's last transaction has come to."""

    API_KEY = 65

    def __init__(self, name: str) -> None:
        self._name = name

    def build(self, request_struct_class: type[_TransactionsStruct]) -> _TransactionsStruct:
        return request_struct_class([self._name], {})


@dataclass(frozen=True)
class Last:
    """A transactional id's last transaction: what it was to come to, and while it is under way the partitions."""

    committed: bool = False
    partitions: Sequence[ClientPartition] = ()


async def last_of(producer: AIOKafkaProducer, name: str) -> Last | None:
    """The last transaction of that id, told before `producer` has taken it over, as long as that takes.

    None where nothing was begun since somebody has taken the id over, or ever. Raises KafkaError.
    """
    while True:
        node = await _coordinator(producer, CoordinationType.TRANSACTION, name)
        answer = await _answer(producer.client, node, _Transactions(name))
        if answer is None:
            return None
        code, _, state, *_, topics, _ = answer.transactions[0]
        if code not in _ELSEWHERE:
            break
        producer._sender._coordinator_dead(CoordinationType.TRANSACTION)  # noqa: SLF001
        await asyncio.sleep(producer._sender._retry_backoff)  # noqa: SLF001
    if code or state == "Empty":
        return None
    ours = [(topic, numbers) for topic, numbers, _ in topics if topic not in _INTERNAL]
    partitions = tuple(ClientPartition(topic, number) for topic, numbers in ours for number in numbers)
    return Last(state in {"PrepareCommit", "CompleteCommit"}, partitions)


async def pending(producer: AIOKafkaProducer, group: str, tp: ClientPartition) -> bool:
    """Whether a transaction that has not ended has committed an offset of the partition. Raises KafkaError."""
    node = await _coordinator(producer, CoordinationType.GROUP, group)
    try:
        answer = await _answer(producer.client, node, _StableOffset(group, tp))
        if answer is None:
            return False
        told = [each[4] for _, partitions, _ in answer.topics for each in partitions]
        for code in (answer.error_code, *told):
            if code not in {0, PENDING}:
                raise for_code(code)(f"pending offset of {tp.topic}/{tp.partition}")
    except (NotCoordinatorForGroupError, GroupLoadInProgressError):
        producer._sender._coordinator_dead(CoordinationType.GROUP)  # noqa: SLF001
        raise
    return PENDING in told


async def left_open(
    producer: AIOKafkaProducer, partitions: Collection[ClientPartition] | None = None
) -> list[ClientPartition]:
    """Those of the partitions, by default of all that we may read, in which the producer has something open.

    Raises KafkaError.
    """
    if partitions is not None and not partitions:
        return []
    found, without = await open_in(producer.client, lambda tp: partitions is None or tp in partitions)
    if without:
        raise LeaderNotAvailableError(f"{named(without)} has no leader")
    return found.get(producer._txn_manager.producer_id, [])  # noqa: SLF001


def named(partitions: Collection[ClientPartition]) -> str:
    """Partitions as errors name them."""
    return ", ".join(sorted(f"{tp.topic}/{tp.partition}" for tp in partitions))


async def open_in(
    client: AIOKafkaClient, wanted: Callable[[ClientPartition], bool]
) -> tuple[dict[int, list[ClientPartition]], list[ClientPartition]]:
    """The partitions in which producers have something open, by producer, and those without a leader.

    Raises KafkaError.
    """
    cluster = await client.fetch_all_metadata()
    by_leader: defaultdict[int, list[ClientPartition]] = defaultdict(list)
    for tp in filter(wanted, _all(cluster)):
        leader = cluster.leader_for_partition(tp)
        if leader is not None:  # else it was deleted
            by_leader[leader].append(tp)
    without = by_leader.pop(-1, [])
    answers = await asyncio.gather(*(_answer(client, node, _Producers(tps)) for node, tps in by_leader.items()))
    found: defaultdict[int, list[ClientPartition]] = defaultdict(list)
    for topic, told, _ in (topic for answer in answers if answer is not None for topic in answer.topics):
        for partition, code, _, producers, _ in told:
            if for_code(code) in {TopicAuthorizationFailedError, UnknownTopicOrPartitionError}:
                continue  # not one of ours, or deleted
            if code:
                raise for_code(code)(f"producers of {topic}/{partition}")
            for each in producers:
                if each[5] >= 0:
                    found[each[0]].append(ClientPartition(topic, partition))
    return found, without


async def finish(
    producer: AIOKafkaProducer, group: str, *, commit: bool, within: Collection[ClientPartition] | None = None
) -> Collection[ClientPartition]:
    """Ends what is open of the producer, which has nothing under way, in all topics or `within` these partitions.

    Returns where. Raises KafkaError.
    """
    manager, sender = producer._txn_manager, producer._sender  # noqa: SLF001
    found = await left_open(producer, within)
    await producer.begin_transaction()
    for tp in found:
        manager.maybe_add_partition_to_txn(tp)
    # The offsets come last: should this fail half-way, they are what shows the next one that it has to be done.
    while manager.partitions_to_add():  # noqa: ASYNC110 (the client tells nobody)
        await asyncio.sleep(0.005)
    while not await sender._do_add_offsets_to_txn(group):  # noqa: SLF001 (it waits before it gives up)
        pass
    await (producer.commit_transaction() if commit else producer.abort_transaction())
    return found


def _all(cluster: ClusterMetadata) -> Iterator[ClientPartition]:
    for topic in cluster.topics(exclude_internal_topics=True):
        for partition in cluster.partitions_for_topic(topic) or ():
            yield ClientPartition(topic, partition)


async def _coordinator(producer: AIOKafkaProducer, kind: CoordinationType, name: str) -> int:
    """The client keeps it, and looks for it as long as it takes."""
    node: int = await producer._sender._find_coordinator(kind, name)  # noqa: SLF001
    return node


async def _answer(client: AIOKafkaClient, node: int, request: Request[Any]) -> Any:
    """None of a broker that does not know the request: those are so old that they leave no markers out."""
    try:
        return await client.send(node, request, group=ConnectionGroup.COORDINATION)
    except (IncompatibleBrokerVersion, NotImplementedError):
        return None
