"""What a group has committed: how it is asked, and what was told until it is shown to be true.

A broker that coordinated a group and was cut off or stood still, while another took over from it, goes on to answer
with what was committed before, until it has heard of it: for some hundred milliseconds, in which it also answers what
was asked of it meanwhile (Apache Kafka 4.3.1, each time that it was tried). No request asks whether an answer is still
true. But whoever has written to the group's log, with the consent of the other replicas, has spoken to its coordinator,
and what that one says afterwards can't be older than the write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, Final

from aiokafka import TopicPartition as ClientPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest, DescribeGroupsRequest_v0
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchRequest_v1
from aiokafka.structs import OffsetAndMetadata

from processor.contract import TopicPartition

MOST: Final = 16
"""Different answers that are kept of one partition; where nobody asks for them, they would grow without a bound."""


class OffsetsOrErrors(OffsetFetchRequest):  # type: ignore[misc]
    """Asks for committed offsets in version 1, whose answer has an error by each partition.

    From version 2 on a coordinator that is still loading says so once for all, where the library (0.14) does not look:
    it would take that for a group that has never committed anything, and all would be read from the beginning again.
    """

    def prepare(self, versions: dict[int, tuple[int, int]]) -> Any:
        """Version 1; every broker has it (KIP-896). Raises IncompatibleBrokerVersion otherwise."""
        least, most = versions[self.API_KEY]
        if not least <= OffsetFetchRequest_v1.API_VERSION <= most:
            raise IncompatibleBrokerVersion(f"the broker has no OffsetFetch version 1, but {least} to {most}")
        return self.build(OffsetFetchRequest_v1)


async def committed_at(
    client: AIOKafkaClient, node: int, group: str, partitions: Collection[ClientPartition]
) -> dict[ClientPartition, OffsetAndMetadata]:
    """What the broker `node` has as committed; nothing of those without. Raises errors of aiokafka."""
    topics: defaultdict[str, list[int]] = defaultdict(list)
    for tp in partitions:
        topics[tp.topic].append(tp.partition)
    request = OffsetsOrErrors(group, list(topics.items()))
    answer = await client.send(node, request, group=ConnectionGroup.COORDINATION)
    found = {}
    for topic, told in answer.topics:
        for partition, offset, metadata, code in told:
            if code:
                raise for_code(code)(f"committed offset of {topic}/{partition}")
            if offset >= 0:
                found[ClientPartition(topic, partition)] = OffsetAndMetadata(offset, metadata)
    return found


class _Members(DescribeGroupsRequest):  # type: ignore[misc]
    """Asks for a group's members in version 0, which every broker has: of version 3 the library misreads the answer."""

    def prepare(self, versions: dict[int, tuple[int, int]]) -> Any:  # noqa: ARG002
        """Version 0, whatever else the broker has."""
        return self.build(DescribeGroupsRequest_v0)


async def has_members(client: AIOKafkaClient, node: int, group: str) -> bool:
    """Whether the broker `node`, which coordinates the group, knows of members. Raises errors of aiokafka."""
    answer = await client.send(node, _Members([group]), group=ConnectionGroup.COORDINATION)
    code, *_, members = answer.groups[0]
    if code:
        raise for_code(code)(f"members of {group}")
    return bool(members)


class Readings:
    """Answers by group and partition, and when they were asked for, by a clock that only counts."""

    def __init__(self) -> None:
        self._now = 0
        self._told: dict[tuple[str, TopicPartition], dict[OffsetAndMetadata | None, int]] = {}
        self._doubted: set[str] = set()

    def now(self) -> int:
        """A time after all others that were told."""
        self._now += 1
        return self._now

    def add(self, group: str, partition: TopicPartition, told: OffsetAndMetadata | None, asked: int) -> None:
        """What was answered, None for nothing committed, to what was asked at the time `asked`."""
        answers = self._told.setdefault((group, partition), {})
        answers.pop(told, None)
        answers[told] = asked
        while len(answers) > MOST:
            del answers[next(iter(answers))]

    def since(self, group: str, partition: TopicPartition, time: int) -> Collection[OffsetAndMetadata | None]:
        """Different answers to what was asked after that."""
        answers = self._told.get((group, partition), {})
        return [told for told, asked in answers.items() if asked > time]

    def doubt(self, group: str) -> None:
        """An answer was not true: who gave it coordinates the group no more."""
        self._doubted.add(group)

    def doubted(self, group: str) -> bool:
        """Whether another broker than before is to be asked; told once."""
        found = group in self._doubted
        self._doubted.discard(group)
        return found

    def forget(self, group: str, partition: TopicPartition) -> None:
        """They are of no more interest."""
        self._told.pop((group, partition), None)
