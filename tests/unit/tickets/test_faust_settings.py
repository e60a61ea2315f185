"""What Faust is told of the group's session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from processor.cluster.client import KafkaClient
from processor.contract import Outbound
from processor.tickets.decide import Decide, FaustConfig
from processor.tickets.messages import Topics
from processor.tickets.signals import Signals


@pytest.mark.parametrize("session_s", [2.0, 30.0])
async def test_heartbeats_come_often_enough_for_any_session(session_s: float, tmp_path: Path) -> None:
    """Several may be lost before the group drops a member; by itself Faust sends one in three seconds."""

    async def publish(records: Sequence[Outbound]) -> None:
        raise AssertionError(records)

    topics = Topics("p")
    config = FaustConfig(KafkaClient("127.0.0.1:9"), 1, session_timeout_s=session_s)
    app = Decide(config, topics, [Signals(topics, {})], publish)._build(tmp_path)
    assert app.conf.broker_session_timeout == session_s
    assert app.conf.broker_heartbeat_interval <= session_s / 3
