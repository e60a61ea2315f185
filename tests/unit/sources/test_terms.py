"""An offset is committed as what the member was when it held the partition, or not at all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.commit import OffsetCommitRequest_v2
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as ClientPartition
from structlog.testing import capture_logs

from processor.cluster.client import KafkaClient
from processor.contract import TopicPartition
from processor.errors import Retryable
from processor.sources.kafka import KafkaSource, KafkaSourceConfig, _Rebalance

AT = TopicPartition("in", 0)


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """The library's, with a broker whose answers a test makes: None is success."""

    def __init__(self) -> None:
        self.generation, self.member_id, self.group_id = 5, "m-5", "g"
        self.coordinator_id = 0
        self._commit_lock = asyncio.Lock()
        self._retry_backoff_ms = 1
        self._rejoin_needed_fut = asyncio.get_running_loop().create_future()
        self.answers: deque[Callable[[], None]] = deque()
        self.sent: list[tuple[int, str, int]] = []

    async def ensure_coordinator_known(self) -> None:
        """It always is."""

    async def _send_req(self, request: Any) -> Any:
        asked = request.build(OffsetCommitRequest_v2)
        ((topic, ((partition, offset, _),)),) = asked.topics
        self.sent.append((asked.consumer_group_generation_id, asked.consumer_id, offset))
        await asyncio.sleep(0)
        if self.answers:
            self.answers.popleft()()
        return SimpleNamespace(topics=[(topic, [(partition, 0)])])


class Listener:
    """Commits once more when partitions go, as an engine does."""

    def __init__(self, source: KafkaSource) -> None:
        self._source = source
        self.last: int | None = None

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Nothing."""

    async def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """The last word."""
        if self.last is not None:
            await self._source.commit({AT: self.last})


class Rig:
    """A member that holds the partition."""

    def __init__(self) -> None:
        self.coordinator = Coordinator()
        self.source = KafkaSource(KafkaClient("nowhere:1", request_timeout_s=5), KafkaSourceConfig("g", {}))
        self.listener = Listener(self.source)
        self.rebalance = _Rebalance(self.source, self.listener)
        self.source._fetch = SimpleNamespace(begin=lambda _: None, forget=lambda: None)
        self.source._consumer = SimpleNamespace(_coordinator=self.coordinator, commit=self._commit)

    async def _commit(self, offsets: dict[ClientPartition, tuple[int, str]]) -> None:
        told = {tp: OffsetAndMetadata(*each) for tp, each in offsets.items()}
        await self.coordinator.commit_offsets(None, told)

    async def assigned(self, generation: int, member: str) -> None:
        """It has joined as this."""
        self.coordinator.generation, self.coordinator.member_id = generation, member
        await self.rebalance.on_partitions_assigned([ClientPartition(*AT)])


@pytest.fixture
async def rig() -> Rig:
    """In its fifth generation."""
    made = Rig()
    await made.assigned(5, "m-5")
    return made


def lost() -> None:
    """The connection broke."""
    raise KafkaConnectionError("reset")


async def test_a_commit_is_repeated_as_long_as_the_member_is_the_same(rig: Rig) -> None:
    """As the library does."""
    rig.coordinator.answers += [lost, lost]
    await rig.source.commit({AT: 3})
    assert rig.coordinator.sent == [(5, "m-5", 3)] * 3


@pytest.mark.parametrize("become", [(6, "m-5"), (5, "m-9"), (-1, "")], ids=["generation", "member", "nobody"])
async def test_a_commit_is_not_repeated_as_another_member(rig: Rig, become: tuple[int, str]) -> None:
    """The partition has an owner of its own by then, whose offset it would set back."""

    def rejoined() -> None:
        rig.coordinator.generation, rig.coordinator.member_id = become
        lost()

    rig.coordinator.answers += [rejoined]
    with capture_logs() as told:
        await rig.source.commit({AT: 3})
    assert rig.coordinator.sent == [(5, "m-5", 3)]
    assert [each["event"] for each in told] == ["commit came too late: the group has rebalanced"]


async def test_who_is_no_member_commits_nothing(rig: Rig) -> None:
    """A broker takes it from anybody while a group has no members: others may have come and gone."""
    rig.coordinator.reset_generation()
    await rig.source.commit({AT: 3})
    assert rig.coordinator.sent == []


async def test_each_assignment_commits_as_itself(rig: Rig) -> None:
    """Also in the midst of a revocation."""
    rig.listener.last = 4
    await rig.rebalance.on_partitions_revoked([ClientPartition(*AT)])
    await rig.assigned(6, "m-5")
    await rig.source.commit({AT: 7})
    assert rig.coordinator.sent == [(5, "m-5", 4), (6, "m-5", 7)]


async def test_who_was_thrown_out_before_the_assignment_was_told_commits_nothing(rig: Rig) -> None:
    """No number of a generation is not the number of one."""
    await rig.assigned(-1, "")
    await rig.source.commit({AT: 3})
    assert rig.coordinator.sent == []


async def test_what_others_commit_is_not_held_to_it(rig: Rig) -> None:
    """Where a group begins is committed by a consumer that is no member, also after a member's commit."""
    await rig.source.commit({AT: 3})
    rig.coordinator.reset_generation()
    await rig._commit({ClientPartition(*AT): (0, "")})
    assert rig.coordinator.sent[-1] == (-1, "", 0)


async def test_a_broker_that_does_not_answer_in_time_is_told(rig: Rig) -> None:
    """And asked again later."""
    rig.source._client = KafkaClient("nowhere:1", request_timeout_s=0.01)
    rig.coordinator._commit_lock = asyncio.Lock()
    await rig.coordinator._commit_lock.acquire()
    with pytest.raises(Retryable, match="commit"):
        await rig.source.commit({AT: 3})
