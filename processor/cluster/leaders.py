"""Where logs begin and end, told by brokers that lead them now.

A broker that led a partition and stood still, while another took over from it, goes on to answer with what it knew for
some hundred milliseconds after it wakes up: an old end, and that an offset behind it is out of range. So all brokers
are asked who leads, before and after: a leadership has a number (the leader's epoch), which its leader and all replicas
that keep up with it know before anything is acknowledged in it. Where a broker is silent, the others are enough: with
`min.insync.replicas` of 2, another one knows as well.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import TopicPartition as ClientPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import BrokerResponseError, IncompatibleBrokerVersion, KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Int64, Schema, String

log = structlog.get_logger(__name__)

EARLIEST: Final = -2
"""Asks for the first offset that is still there."""

LATEST: Final = -1
"""Asks for the offset that the next record gets."""

SILENT_S: Final = 2.0
"""Bound on one broker's answer."""

AGAIN_S: Final = 0.1
"""Seconds before brokers that are of two minds are asked again."""

_TEXT: Final = String("utf-8")

_PASSING: Final = {3, 5, 6, 7, 56, 74, 75, 78}
"""Not known (yet), no leader, not the leader, too late, no disk, an old epoch, one not known yet, no end known yet."""


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster", _TEXT),
        ("controller", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline", Array(Int32)),
                    ),
                ),
            ),
        ),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 7
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(("topics", Array(_TEXT)), ("create", Boolean))


class _Metadata(Request[_MetadataStruct]):  # type: ignore[misc]
    """Who leads the partitions of topics, and since which epoch."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = sorted(topics)

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class(self._topics, False)


class _OffsetsResponse(Response):  # type: ignore[misc]
    API_KEY = 2
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", _TEXT),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("timestamp", Int64),
                        ("offset", Int64),
                        ("epoch", Int32),
                    ),
                ),
            ),
        ),
    )


class _OffsetsStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 2
    API_VERSION = 5
    RESPONSE_TYPE = _OffsetsResponse
    SCHEMA = Schema(
        ("replica", Int32),
        ("isolation", Int8),
        (
            "topics",
            Array(
                ("topic", _TEXT),
                ("partitions", Array(("partition", Int32), ("epoch", Int32), ("timestamp", Int64))),
            ),
        ),
    )


class _Offsets(Request[_OffsetsStruct]):  # type: ignore[misc]
    """Offsets by time, of the leader of that epoch."""

    API_KEY = 2

    def __init__(self, wanted: Mapping[ClientPartition, tuple[int, int]], *, committed: bool) -> None:
        topics: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for tp, (epoch, time) in wanted.items():
            topics[tp.topic].append((tp.partition, epoch, time))
        self._fields: tuple[Any, ...] = (-1, int(committed), list(topics.items()))

    def build(self, request_struct_class: type[_OffsetsStruct]) -> _OffsetsStruct:
        return request_struct_class(*self._fields)


class Leader(NamedTuple):
    """Who leads a partition; of two, the one of the later epoch."""

    epoch: int
    node: int


async def offsets(
    client: AIOKafkaClient, wanted: Mapping[ClientPartition, int], *, committed: bool = True
) -> dict[ClientPartition, int] | None:
    """The first offset of each partition from a time (Unix milliseconds) on, or EARLIEST or LATEST; -1 for none.

    By default of what may be read by who reads committed records. Takes as long as the brokers do to be of one mind.
    None where they are too old to tell. Raises errors of aiokafka for good.
    """
    topics = {tp.topic for tp in wanted}
    try:
        while True:
            leaders = await _leaders(client, topics)
            if leaders is not None and leaders.keys() >= wanted.keys():
                found = await _asked(client, leaders, wanted, committed=committed)
                if found is not None and await _still(client, topics, {tp: leaders[tp] for tp in wanted}):
                    return found
            client.force_metadata_update()
            await asyncio.sleep(AGAIN_S)
    except IncompatibleBrokerVersion:
        return None


async def _still(client: AIOKafkaClient, topics: Collection[str], before: Mapping[ClientPartition, Leader]) -> bool:
    """Whether nobody else leads meanwhile."""
    now = await _leaders(client, topics)
    return now is not None and all(now.get(tp) == leader for tp, leader in before.items())


async def _leaders(client: AIOKafkaClient, topics: Collection[str]) -> dict[ClientPartition, Leader] | None:
    """Who leads, as far as any broker knows; None where too few of them answer to be sure.

    One after the other: the client connects to one at a time, so that one that is silent would silence the others.
    """
    found: dict[ClientPartition, Leader] = {}
    nodes = {broker.nodeId for broker in client.cluster.brokers()}
    answered: set[int] = set()
    for node in sorted(nodes, key=lambda each: not _connected(client, each)):
        answer = await _answer(client, node, _Metadata(topics))
        if answer is None:
            continue
        answered.add(node)
        nodes = nodes | {each[0] for each in answer.brokers}
        for code, topic, _, partitions in answer.topics:
            if code and code not in _PASSING:
                raise for_code(code)(topic)
            for _, number, leader, epoch, *_ in partitions:
                tp = ClientPartition(topic, number)
                found[tp] = max(found.get(tp, Leader(-1, -1)), Leader(epoch, leader))
    return found if answered and len(nodes - answered) <= 1 else None


def _connected(client: AIOKafkaClient, node: int) -> bool:
    return any(each == node for each, _ in client._conns)  # noqa: SLF001


async def _asked(
    client: AIOKafkaClient,
    leaders: Mapping[ClientPartition, Leader],
    wanted: Mapping[ClientPartition, int],
    *,
    committed: bool,
) -> dict[ClientPartition, int] | None:
    """What their leaders say; None where one can't tell now."""
    by_node: defaultdict[int, dict[ClientPartition, tuple[int, int]]] = defaultdict(dict)
    for tp, time in wanted.items():
        by_node[leaders[tp].node][tp] = (leaders[tp].epoch, time)
    found = {}
    for node, asked in by_node.items():
        answer = await _answer(client, node, _Offsets(asked, committed=committed)) if node >= 0 else None
        if answer is None:
            return None
        for topic, told in answer.topics:
            for number, code, _, offset, _ in told:
                if code in _PASSING:
                    return None
                if code:
                    raise for_code(code)(f"offsets of {topic}/{number}")
                found[ClientPartition(topic, number)] = offset
    return found


async def _answer(client: AIOKafkaClient, node: int, request: Request[Any]) -> Any:
    """A broker's answer, None if there is none in time. Raises IncompatibleBrokerVersion."""
    try:
        async with asyncio.timeout(SILENT_S):
            return await client.send(node, request)
    except (IncompatibleBrokerVersion, NotImplementedError) as error:
        raise IncompatibleBrokerVersion(str(error)) from error
    except BrokerResponseError:
        raise
    except (KafkaError, TimeoutError):
        return None


async def placed(client: AIOKafkaClient, lost: Mapping[ClientPartition, int]) -> dict[ClientPartition, int] | None:
    """Where to read on whose offsets were told to be out of range: there, if they aren't, else from the beginning.

    None where brokers are too old to tell. Raises errors of aiokafka for good.
    """
    first = await offsets(client, dict.fromkeys(lost, EARLIEST), committed=False)
    last = await offsets(client, dict.fromkeys(lost, LATEST), committed=False)
    if first is None or last is None:
        return None
    return {tp: put(tp, at, first[tp], last[tp]) for tp, at in lost.items()}


def put(tp: ClientPartition, lost: int, first: int, last: int) -> int:
    """Where to read on, of a log that lies between these offsets."""
    if first <= lost <= last:
        log.info("a broker told an old end", action="fetch", at=tp, offset=lost)
        return lost
    log.warning("an offset is not there any more", action="fetch", at=tp, offset=lost, now=first)
    return first
