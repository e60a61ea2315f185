"""The topics of a deployment: what they should be, what the cluster has, what differs, and creating what is missing.

Topics are asked for by name, without leave to create them: brokers create what a client names in passing, unless
they were told not to. Only `create` creates any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from processor.cluster.diagnose import unreachable
from processor.cluster.security import principal
from processor.errors import ConfigError

log = structlog.get_logger(__name__)

METADATA_MOST: Final = "offset.metadata.max.bytes"
"""The brokers' bound on what a group commits beside an offset."""

ROOM: Final = 65_536
"""Bytes that a dead letter may have more than its event, for its headers."""

CLEANUP, RETENTION, LARGEST = "cleanup.policy", "retention.ms", "max.message.bytes"
FOREVER: Final = -1
"""Kafka's word for a retention without an end."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic that there must be.

    `source`: it is others', and its configuration is theirs. `originals`: it holds events as they were read, so it
    follows the sources in size and retention. `like`: the topic whose number of partitions it must have. `compact`:
    the last record of each key is kept for good.
    """

    name: str
    compact: bool = False
    source: bool = False
    originals: bool = False
    like: str | None = None
    setting: str = "topics.prefix"


@dataclass(frozen=True, slots=True)
class Found:
    """A topic that is there; `config` is empty where we may not look at it."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def retention_ms(self) -> int | None:
        """How long it keeps records, FOREVER, or None where we may not look."""
        return int(self.config[RETENTION]) if RETENTION in self.config else None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a topic should be: partitions None where any number does, the rest None where it is not ours to say."""

    partitions: int | None
    cleanup: Literal["delete", "compact"] | None
    retention_ms: int | None
    max_message_bytes: int | None

    def config(self) -> dict[str, str]:
        """As the topic's configuration."""
        values = {CLEANUP: self.cleanup, RETENTION: self.retention_ms, LARGEST: self.max_message_bytes}
        return {key: str(value) for key, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it should be. `grave`: a daemon must not run on it."""

    topic: str
    text: str
    grave: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What topics of ours are created with. `record_bytes` is the largest record that the daemon writes."""

    partitions: int = 4
    replication: int = -1
    retention_ms: int = 604_800_000
    record_bytes: int = 50_000_000


def wishes(wanted: Sequence[Wanted], found: Mapping[str, Found], rules: Rules) -> dict[str, Wish]:
    """What each topic should be, given what the sources are."""
    sources = [topic.name for topic in wanted if topic.source]
    originals = _originals([found[name].config for name in sources if name in found], rules)
    unknown = not found.keys() >= set(sources)
    made: dict[str, Wish] = {}
    for topic in wanted:
        if topic.source:
            made[topic.name] = Wish(None, None, None, None)
            continue
        like = found.get(topic.like) if topic.like else None
        count = (like.partitions if like else rules.partitions) if topic.like else None
        if topic.compact:
            made[topic.name] = Wish(count, "compact", None, None)
        elif topic.originals:
            # What is there is not compared with sources that are not.
            follows = (None, None) if unknown and topic.name in found else originals
            made[topic.name] = Wish(count, "delete", *follows)
        else:
            made[topic.name] = Wish(count, "delete", rules.retention_ms, None)
    return made


def _originals(sources: Sequence[Mapping[str, str]], rules: Rules) -> tuple[int | None, int | None]:
    """Retention and size of what holds events as they were read.

    As the source that keeps its events longest, and the one that takes the largest; None where we may not look.
    """
    if not all(sources):
        return None, None
    keeps = [
        int(config[RETENTION]) for config in sources if "delete" in config.get(CLEANUP, "") and RETENTION in config
    ]
    sizes = [int(config[LARGEST]) for config in sources if LARGEST in config]
    longest = rules.retention_ms if not keeps else FOREVER if FOREVER in keeps else max(keeps)
    return longest, min(max(sizes) + ROOM, rules.record_bytes) if sizes else rules.record_bytes


def differences(wanted: Sequence[Wanted], found: Mapping[str, Found], rules: Rules) -> list[Difference]:
    """What is missing or different, each with what to do about it."""
    wish = wishes(wanted, found, rules)
    return [each for topic in wanted for each in _differences(topic, wish[topic.name], found.get(topic.name))]


def _differences(topic: Wanted, wish: Wish, found: Found | None) -> Iterator[Difference]:
    name = topic.name
    if found is None:
        remedy = f"create it, or correct {topic.setting}" if topic.source else "faultstream topics --create"
        yield Difference(name, f"missing; {remedy}", grave=True)
        return
    if wish.partitions is not None and found.partitions != wish.partitions:
        text = f"{found.partitions} partitions, {wish.partitions} are needed, as many as {topic.like} has"
        yield Difference(name, f"{text}; create it anew, or add partitions to the smaller of the two", grave=True)
    has = found.config
    if wish.cleanup and CLEANUP in has and has[CLEANUP] != wish.cleanup:
        why = "its state would be lost" if topic.compact else "records of a key would be lost"
        yield _other(name, CLEANUP, has[CLEANUP], wish.cleanup, why, grave=True)
    if wish.retention_ms is not None and RETENTION in has:
        keeps = int(has[RETENTION])
        if topic.originals and keeps != wish.retention_ms:
            yield _other(name, RETENTION, has[RETENTION], str(wish.retention_ms), "as long as the sources keep events")
        elif not topic.originals and keeps != FOREVER and keeps < wish.retention_ms:
            yield _other(name, RETENTION, has[RETENTION], str(wish.retention_ms), "topics.retention_h is longer")
    if wish.max_message_bytes is not None and int(has.get(LARGEST, wish.max_message_bytes)) < wish.max_message_bytes:
        why = "an event that the sources take would not fit"
        yield _other(name, LARGEST, has[LARGEST], str(wish.max_message_bytes), why)


def _other(topic: str, key: str, has: str, wanted: str, why: str, *, grave: bool = False) -> Difference:
    remedy = f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {key}={wanted}"
    return Difference(topic, f"{key} is {has}, not {wanted} ({why}); {remedy}", grave)


async def describe(arguments: Mapping[str, Any], wanted: Sequence[Wanted]) -> dict[str, Found]:
    """Those of the topics that are there, asked for by name.

    Raises ConfigError where we may not see one, or can't be let in at all; Retryable while the brokers are away.
    """
    admin = await _connected(arguments)
    try:
        counts = await _partitions(admin, wanted, arguments)
        configs = await _configs(admin, list(counts))
    except KafkaError as error:
        raise await unreachable(arguments, error) from error
    finally:
        await admin.close()
    return {name: Found(count, configs.get(name, {})) for name, count in counts.items()}


async def ensure(
    arguments: Mapping[str, Any], wanted: Sequence[Wanted], rules: Rules, *, create: bool
) -> dict[str, Found]:
    """The topics as they are, missing ones created if `create`.

    What differs is logged. Raises ConfigError for what a daemon must not run on, and as `describe` does.
    """
    found = await describe(arguments, wanted)
    if create and len(found) < len(wanted):
        await make(arguments, wanted, found, rules)
        # What was just created may not be known to every broker yet: it is as it was asked for.
        wish = wishes(wanted, found, rules)
        created = {
            topic.name: Found(wish[topic.name].partitions or rules.partitions, wish[topic.name].config())
            for topic in wanted
            if topic.name not in found
        }
        found = created | found
    grave = []
    for each in differences(wanted, found, rules):
        if each.grave:
            grave.append(f"topic {each.topic}: {each.text}")
        else:
            log.warning("a topic is not as it should be", action="topics", topic=each.topic, difference=each.text)
    if grave:
        raise ConfigError("\n".join(grave))
    return found


async def make(
    arguments: Mapping[str, Any], wanted: Sequence[Wanted], found: Mapping[str, Found], rules: Rules
) -> list[str]:
    """Creates the topics that are missing, the sources too; gives their names. Raises ConfigError."""
    wish = wishes(wanted, found, rules)
    missing = [topic for topic in wanted if topic.name not in found]
    new = [_new(topic, wish[topic.name], rules) for topic in missing]
    admin = await _connected(arguments)
    try:
        response = await admin.create_topics(new)
    except KafkaError as error:
        raise await unreachable(arguments, error) from error
    finally:
        await admin.close()
    for name, code, *said in response.topic_errors:
        kind = for_code(code)
        if kind is TopicAuthorizationFailedError:
            who = principal(arguments)
            raise ConfigError(f"topic {name}: {who} may not create it; grant it Create, or create it yourself")
        if code and kind is not TopicAlreadyExistsError:
            raise ConfigError(
                f"topic {name} can't be created: {kind.__name__}: {(said or [None])[0] or kind.description}"
            )
    names = [topic.name for topic in missing]
    log.info("topics created", action="create_topics", topics=names)
    return names


def _new(topic: Wanted, wish: Wish, rules: Rules) -> NewTopic:
    made = NewTopic(topic.name, wish.partitions or rules.partitions, 1, topic_configs=wish.config())
    # The client refuses -1, with which a broker (from 2.4 on) takes its own default.
    made.replication_factor = rules.replication
    return made


async def _partitions(
    admin: AIOKafkaAdminClient, wanted: Sequence[Wanted], arguments: Mapping[str, Any]
) -> dict[str, int]:
    """Number of partitions of those that are there."""
    request = MetadataRequest([topic.name for topic in wanted], allow_auto_topic_creation=False)
    answer = await admin._send_request(request)  # noqa: SLF001 (the public call may create topics)
    answers = {topic["topic"]: topic for topic in answer.to_object()["topics"]}
    kinds = {name: for_code(topic["error_code"]) for name, topic in answers.items()}
    hidden = [topic for topic in wanted if kinds.get(topic.name) is TopicAuthorizationFailedError]
    if hidden:
        raise ConfigError(_hidden(hidden, principal(arguments)))
    return {
        name: len(topic["partitions"])
        for name, topic in answers.items()
        if kinds[name] is not UnknownTopicOrPartitionError
    }


def _hidden(topics: Sequence[Wanted], who: str) -> str:
    """What to grant, shortly: who may see one of a deployment's topics may mostly see all, and who not, none."""
    by_setting: dict[str, list[str]] = {}
    for topic in topics:
        by_setting.setdefault(topic.setting, []).append(topic.name)
    lines = [f"- {', '.join(names)} ({setting})" for setting, names in by_setting.items()]
    return "\n".join([f"{who} may not see these topics; grant it the rights that docs/kafka.md lists:", *lines])


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Configuration by topic; without those that we may not look at, or a broker that has none to tell."""
    if not names:
        return {}
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    except IncompatibleBrokerVersion:
        return {}
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4] if entry[1] is not None}
        for answer in answers
        for resource in answer.resources
        if resource[0] == 0
    }


async def metadata_most(arguments: Mapping[str, Any]) -> int | None:
    """Bytes of metadata that every broker takes beside a committed offset; None where they do not tell us.

    Raises as `describe` does.
    """
    admin = await _connected(arguments)
    try:
        brokers = [str(each["node_id"]) for each in (await admin.describe_cluster())["brokers"]]
        asked = [ConfigResource(ConfigResourceType.BROKER, each, {METADATA_MOST: None}) for each in brokers]
        answers = await admin.describe_configs(asked)
    except IncompatibleBrokerVersion:
        return None
    except KafkaError as error:
        raise await unreachable(arguments, error) from error
    finally:
        await admin.close()
    told = [
        entry[1] for answer in answers for each in answer.resources for entry in each[4] if entry[0] == METADATA_MOST
    ]
    return min((int(text) for text in told if text), default=None)


async def _connected(arguments: Mapping[str, Any]) -> AIOKafkaAdminClient:
    known = ("bootstrap_servers", "client_id", "request_timeout_ms", "security_protocol", "ssl_context")
    admin = AIOKafkaAdminClient(**{name: value for name, value in arguments.items() if name in known or "sasl" in name})
    try:
        await admin.start()
    except KafkaError as error:
        await admin.close()
        raise await unreachable(arguments, error) from error
    return admin
