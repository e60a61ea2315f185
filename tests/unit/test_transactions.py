"""What a transactional producer's start may end in, without a broker."""

from __future__ import annotations

import pytest
from aiokafka.client import AIOKafkaClient

from processor.cluster.client import KafkaClient
from processor.errors import Retryable
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.transactions import KafkaTransactions


async def test_a_cluster_that_lists_no_broker_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has just started may do so, and the library asserts that none does."""

    async def bootstrap(_: AIOKafkaClient) -> None:
        raise AssertionError("Did we not perform bootstrap?")

    transactions = KafkaTransactions(KafkaSinkConfig(KafkaClient("127.0.0.1:9")))
    monkeypatch.setattr(AIOKafkaClient, "bootstrap", bootstrap)
    with pytest.raises(Retryable, match="can't be taken over"):
        await transactions.open("g-topic-0")
    await transactions.stop()
