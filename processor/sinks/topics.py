"""The topics of a deployment: which there must be, which are there, and creating those that are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from processor.cluster.diagnose import explain, unreachable
from processor.errors import ConfigError, Retryable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic that must be there. `compact`: the last record of each key is kept for good."""

    name: str
    compact: bool = False


async def partitions(arguments: Mapping[str, Any]) -> dict[str, int]:
    """Number of partitions by topic, of all topics of the cluster. Raises Retryable."""
    admin = await _connected(arguments)
    try:
        described = await admin.describe_topics()
    except KafkaError as error:
        raise await unreachable(arguments, error) from error
    finally:
        await admin.close()
    return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}


async def ensure(
    arguments: Mapping[str, Any], wanted: Sequence[Wanted], *, create: bool, partitions_each: int, replication: int
) -> dict[str, int]:
    """Number of partitions of each wanted topic; missing ones are created if `create`, else a ConfigError.

    `arguments` are those of every client of the cluster. Raises Retryable while the brokers are away.
    """
    there = await partitions(arguments)
    missing = [topic for topic in wanted if topic.name not in there]
    if missing and not create:
        names = ", ".join(topic.name for topic in missing)
        raise ConfigError(f"topics are missing: {names}; create them, or set kafka.create_topics to true")
    if missing:
        await _create(arguments, missing, partitions_each, replication)
    return {topic.name: there.get(topic.name, partitions_each) for topic in wanted}


async def _create(arguments: Mapping[str, Any], missing: Sequence[Wanted], count: int, replication: int) -> None:
    new = [_new(topic, count, replication) for topic in missing]
    admin = await _connected(arguments)
    try:
        response = await admin.create_topics(new)
        for name, code, *_ in response.topic_errors:
            kind = for_code(code)
            if code and kind is not TopicAlreadyExistsError:
                raise ConfigError(f"topic {name} can't be created: {kind.__name__}: {kind.description}")
    except KafkaError as error:
        raise Retryable(f"topics can't be created: {explain(error, arguments)}") from error
    finally:
        await admin.close()
    log.info("topics created", action="create_topics", topics=[topic.name for topic in missing], partitions=count)


def _new(topic: Wanted, count: int, replication: int) -> NewTopic:
    made = NewTopic(topic.name, count, 1, topic_configs={"cleanup.policy": "compact"} if topic.compact else {})
    # The client refuses -1, with which a broker (from 2.4 on) takes its own default.
    made.replication_factor = replication
    return made


async def _connected(arguments: Mapping[str, Any]) -> AIOKafkaAdminClient:
    known = ("bootstrap_servers", "client_id", "request_timeout_ms", "security_protocol", "ssl_context")
    admin = AIOKafkaAdminClient(**{name: value for name, value in arguments.items() if name in known or "sasl" in name})
    try:
        await admin.start()
    except KafkaError as error:
        await admin.close()
        raise await unreachable(arguments, error) from error
    return admin
