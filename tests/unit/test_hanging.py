"""How a transactional id's last transaction is asked for, on a double of a producer."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import IncompatibleBrokerVersion

from processor.cluster.hanging import Last, last_of

NOT_FOUND = 105


class Producer:
    """Answers with these in turn: an error code and a state, and the partitions of a transaction."""

    _retry_backoff = 0.0

    def __init__(self, *answers: tuple[int, str], topics: Any = ()) -> None:
        self.client = self._sender = self
        self.answers = list(answers)
        self.topics = topics
        self.looked = 0

    async def _find_coordinator(self, kind: CoordinationType, name: str) -> int:
        return 1

    def _coordinator_dead(self, kind: CoordinationType) -> None:
        self.looked += 1

    async def send(self, node: int, request: Any, group: Any) -> Any:
        """As the client does it."""
        if not self.answers:
            raise IncompatibleBrokerVersion
        code, state = self.answers.pop(0)
        return type("Answer", (), {"transactions": [(code, "g-in-0", state, 10_000, -1, 7, 3, self.topics, {})]})


@pytest.mark.parametrize(
    ("state", "committed"),
    [("CompleteCommit", True), ("PrepareCommit", True), ("CompleteAbort", False), ("Ongoing", False)],
)
async def test_how_it_was_to_end(state: str, committed: bool) -> None:
    """Whatever is not committed is aborted."""
    producer: Any = Producer((0, state))
    assert await last_of(producer, "g-in-0") == Last(committed)


async def test_a_coordinator_that_is_loading_is_asked_again() -> None:
    """It is, just after a broker has come back; taken for one that knows of nothing, it would have a commit aborted."""
    producer: Any = Producer((14, ""), (16, ""), (15, ""), (0, "CompleteCommit"))
    assert await last_of(producer, "g-in-0") == Last(committed=True)
    assert producer.looked == 3


async def test_partitions_of_a_transaction_under_way_are_told() -> None:
    """But for that of the offsets, which are asked for in their own way."""
    producer: Any = Producer((0, "PrepareCommit"), topics=[("out", [0, 2], {}), ("__consumer_offsets", [4], {})])
    last = await last_of(producer, "g-in-0")
    assert last is not None
    assert last.partitions == (TopicPartition("out", 0), TopicPartition("out", 2))


async def test_nothing_is_known_of_some_ids() -> None:
    """Of a new one, of one that was taken over since, and on an old broker."""
    producers: list[Any] = [Producer((NOT_FOUND, "")), Producer((0, "Empty")), Producer()]
    assert [await last_of(producer, "g-in-0") for producer in producers] == [None, None, None]
