"""TLS, SASL and ACLs against Apache Kafka: what works, and what is said where it does not."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiokafka import AIOKafkaProducer

from processor.cluster.client import KafkaClient
from processor.cluster.topics import Wanted, describe
from processor.contract import Outbound, Record, TopicPartition
from processor.errors import ConfigError, FaultstreamError, Retryable
from processor.settings.kafka import KafkaSettings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import LARGE_BYTES, KafkaSink
from processor.sources.history import KafkaHistory
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from tests.servers.secure_kafka import CERTIFIED, USERS, Operation, Resource, SecureKafka

pytestmark = pytest.mark.kafka

OPERATIONS = (Operation.READ, Operation.WRITE, Operation.DESCRIBE)
WRONG = secrets.token_urlsafe()


@pytest.fixture
def cluster(secure_kafka: SecureKafka) -> SecureKafka:
    """The broker, under a shorter name."""
    return secure_kafka


@pytest.fixture
async def endpoint(cluster: SecureKafka) -> AsyncIterator[str]:
    """The token endpoint's address."""
    app = web.Application()
    app.router.add_post("/token", cluster.issuer.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    await runner.cleanup()


Ways = Callable[..., KafkaSettings]


@pytest.fixture
def way(cluster: SecureKafka, tmp_path: Path, endpoint: str) -> Ways:
    """Settings by the name of a way to authenticate; more settings replace its own."""
    password = tmp_path / "password"
    password.write_text(cluster.passwords[USERS[0]] + "\n")
    certificate = tmp_path / "client.pem"
    cluster.client.private_key_and_cert_chain_pem.write_to_path(certificate)
    secret = tmp_path / "secret"
    secret.write_text(cluster.issuer.client_secret)
    oauth = {"token_url": endpoint, "client_id": cluster.issuer.client_id, "client_secret_file": secret}
    user = {"sasl_username": USERS[0], "sasl_password_file": password}
    over_tls = {"bootstrap": cluster.sasl, "security_protocol": "SASL_SSL", "ssl_cafile": cluster.cafile}
    mutual = {"bootstrap": cluster.mtls, "security_protocol": "SSL", "ssl_cafile": cluster.cafile}
    tokens = {"sasl_mechanism": "OAUTHBEARER", "oauth": {**oauth, "scope": "kafka"}}
    known: dict[str, dict[str, Any]] = {
        "mutual TLS": {**mutual, "ssl_certfile": certificate},
        "OAUTHBEARER": {**over_tls, **tokens},
        "nothing": {"bootstrap": cluster.sasl},
        "clear": {"bootstrap": cluster.clear, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", **user},
    }
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        known[mechanism] = {**over_tls, "sasl_mechanism": mechanism, **user}

    def made(name: str, **more: Any) -> KafkaSettings:
        # With librdkafka, which fetches: the group is aiokafka's in any case, so that both have to get in.
        values = {**known[name], "request_timeout_s": 10, "client": "librdkafka", **more}
        return KafkaSettings(**{key: value for key, value in values.items() if value is not None})

    return made


@dataclass
class Listening:
    """Takes what is assigned."""

    held: int = 0

    async def assigned(self, partitions: Any) -> None:
        self.held += len(partitions)

    async def revoked(self, partitions: Any) -> None: ...


def sink(client: KafkaClient) -> KafkaSink:
    """A sink of this client."""
    return KafkaSink(KafkaSinkConfig(client))


async def round_trip(client: KafkaClient, topic: str, group: str) -> bytes | None:
    """Writes a record of each size that another client library carries, reads the first in a group and commits it."""
    writing = sink(client)
    await writing.start()
    assert writing.idempotent
    try:
        await writing.publish([Outbound(topic, b"k", b"value")])
        await writing.publish([Outbound(topic, b"k", bytes(LARGE_BYTES))])
    finally:
        await writing.stop()
    source = KafkaSource(client, KafkaSourceConfig(group, {topic: "earliest"}))
    await source.start(Listening())
    try:
        async with asyncio.timeout(30):
            while not (records := await source.poll(0.2, 1)):
                pass
        at = TopicPartition(topic, 0)
        await source.commit({at: 1})
        assert await source.committed(at) == 1
        return records[0].value
    finally:
        await source.stop()


WAYS = {
    "PLAIN": USERS[0],
    "SCRAM-SHA-256": USERS[0],
    "SCRAM-SHA-512": USERS[0],
    "mutual TLS": CERTIFIED,
    "OAUTHBEARER": "faultstream-client",
    "clear": USERS[0],
}


@pytest.mark.parametrize("name", WAYS)
async def test_each_way_to_authenticate_works(name: str, way: Ways, cluster: SecureKafka) -> None:
    """Idempotent writes, a group, its commit and a look at all that lies there."""
    topic = f"t-{uuid.uuid4().hex[:10]}"
    await cluster.topics(topic)
    await cluster.grant(WAYS[name], Resource.TOPIC, topic, *OPERATIONS)
    await cluster.grant(WAYS[name], Resource.GROUP, f"g-{topic}", Operation.READ)
    client = KafkaClient.of(way(name))
    assert await round_trip(client, topic, f"g-{topic}") == b"value"
    assert [record.value async for record in KafkaHistory(client).all(topic)] == [b"value", bytes(LARGE_BYTES)]


async def test_a_token_is_used_until_it_ages(way: Ways, cluster: SecureKafka) -> None:
    """Clients of a daemon share it; one that is about to end is replaced."""
    topic = f"t-{uuid.uuid4().hex[:10]}"
    await cluster.topics(topic)
    await cluster.grant(cluster.issuer.client_id, Resource.TOPIC, topic, *OPERATIONS)
    before, client = cluster.issuer.asked, KafkaClient.of(way("OAUTHBEARER"))
    for _ in range(2):
        assert [record async for record in KafkaHistory(client).all(topic)] == []
    assert cluster.issuer.asked == before + 1
    cluster.issuer.life_s, short = -1.0, KafkaClient.of(way("OAUTHBEARER"))
    try:
        provider = short.arguments()["sasl_oauth_token_provider"]
        first, second = await provider.token(), await provider.token()
    finally:
        cluster.issuer.life_s = 600
    assert cluster.issuer.asked == before + 3
    assert "" not in {first, second}


async def reconnected(producer: AIOKafkaProducer) -> bool:
    """Whether a client gets a new connection after its old ones are closed."""
    client = producer.client
    for connection in client._conns.values():
        connection.close()
    (node,) = [broker.nodeId for broker in client.cluster.brokers()]
    return bool(await client.ready(node))


async def test_a_living_client_uses_the_password_that_is_there_now(way: Ways, cluster: SecureKafka) -> None:
    """For its next connections, without being made anew."""
    settings = way("SCRAM-SHA-512")
    assert settings.sasl_password_file is not None
    good = settings.sasl_password_file.read_text()
    producer = AIOKafkaProducer(**KafkaClient.of(settings).arguments())
    await producer.start()
    try:
        assert await reconnected(producer)
        settings.sasl_password_file.write_text(WRONG)
        assert not await reconnected(producer)
        settings.sasl_password_file.write_text(good)
        assert await reconnected(producer)
    finally:
        await producer.stop()


async def found(source: KafkaSource, *, patient: bool) -> Sequence[Record]:
    """The next record, as soon as there is one; `patient`: though polls fail."""
    while True:
        try:
            if records := await source.poll(0.2, 1):
                return records
        except Retryable:
            if not patient:
                raise


async def test_a_living_source_uses_the_password_that_is_there_now(
    way: Ways, cluster: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is refused says so, and names the setting; the right one is taken up without a restart."""
    monkeypatch.setattr("processor.sources.librdkafka.RENEW_S", 0.1)
    settings = way("SCRAM-SHA-512")
    assert settings.sasl_password_file is not None
    good, topic = settings.sasl_password_file.read_text(), f"t-{uuid.uuid4().hex[:10]}"
    await cluster.topics(topic)
    await cluster.grant(WAYS["SCRAM-SHA-512"], Resource.TOPIC, topic, *OPERATIONS)
    await cluster.grant(WAYS["SCRAM-SHA-512"], Resource.GROUP, f"g-{topic}", Operation.READ)
    client = KafkaClient.of(settings)
    writing = sink(client)
    await writing.start()
    source = KafkaSource(client, KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}))
    await source.start(Listening())
    try:
        async with asyncio.timeout(60):
            await writing.publish([Outbound(topic, None, b"0")])
            assert [record.value for record in await found(source, patient=False)] == [b"0"]
            settings.sasl_password_file.write_text(WRONG)
            with pytest.raises(Retryable, match=r"refuses user .*kafka\.sasl_username") as refused:
                await found(source, patient=False)
            assert WRONG not in str(refused.value)
            settings.sasl_password_file.write_text(good)
            await writing.publish([Outbound(topic, None, b"1")])
            assert [record.value for record in await found(source, patient=True)] == [b"1"]
    finally:
        await source.stop()
        await writing.stop()


async def test_a_new_certificate_is_shown_when_it_is_there(way: Ways, cluster: SecureKafka) -> None:
    """By clients that live already; one that is half written is left until it is whole."""
    settings = way("mutual TLS")
    assert settings.ssl_certfile is not None
    good = settings.ssl_certfile.read_bytes()
    producer = AIOKafkaProducer(**KafkaClient.of(settings).arguments())
    await producer.start()
    try:
        stranger = trustme.CA().issue_cert("a@example.com", common_name=CERTIFIED)
        stranger.private_key_and_cert_chain_pem.write_to_path(settings.ssl_certfile)
        assert not await reconnected(producer)
        settings.ssl_certfile.write_bytes(good[: len(good) // 2])
        assert not await reconnected(producer)
        settings.ssl_certfile.write_bytes(good)
        assert await reconnected(producer)
    finally:
        await producer.stop()


async def failure(client: KafkaClient) -> FaultstreamError:
    """What a start with these settings says."""
    with pytest.raises(FaultstreamError) as caught:
        await describe(client.arguments(), [Wanted("any")])
    return caught.value


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "wrong password": (
        "PLAIN",
        {"sasl_password_file": None, "sasl_password": WRONG},
        "{sasl} refuses user user0 (kafka.sasl_username): check kafka.sasl_username and kafka.sasl_password",
    ),
    "wrong password, SCRAM": (
        "SCRAM-SHA-512",
        {"sasl_password_file": None, "sasl_password": WRONG},
        "{sasl} refuses user user0 (kafka.sasl_username): check kafka.sasl_username and kafka.sasl_password",
    ),
    "user without SCRAM": ("SCRAM-SHA-256", {"sasl_username": USERS[1]}, "whether the user exists for SCRAM-SHA-256"),
    "unknown authority": ("PLAIN", {"ssl_cafile": "OTHER"}, "is not trusted (unable to get local issuer certificate)"),
    "system's authorities": ("PLAIN", {"ssl_cafile": None}, "name its authority in kafka.ssl_cafile"),
    "other host": ("PLAIN", {"bootstrap": "NUMBER"}, "the broker's certificate is not for 127.0.0.1"),
    "plain text on TLS": ("nothing", {}, "{sasl} speaks TLS; set kafka.security_protocol to SSL"),
    "SASL without TLS on TLS": (
        "clear",
        {"bootstrap": "SASL"},
        "{sasl} speaks TLS; set kafka.security_protocol to SASL_SSL",
    ),
    "TLS on plain text": (
        "PLAIN",
        {"bootstrap": "CLEAR"},
        "{clear} speaks no TLS; set kafka.security_protocol to SASL_PLAINTEXT",
    ),
    "no SASL where it is asked for": (
        "nothing",
        {"bootstrap": "CLEAR"},
        "{clear} asks for SASL; set kafka.security_protocol to SASL_PLAINTEXT, and kafka.sasl_mechanism",
    ),
    "SASL where there is none": (
        "clear",
        {"bootstrap": "PLAIN"},
        "{address} asks for no SASL; set kafka.security_protocol to PLAINTEXT",
    ),
    "unknown mechanism": (
        "clear",
        {"sasl_mechanism": "SCRAM-SHA-256"},
        "{clear} has no SCRAM-SHA-256; set kafka.sasl_mechanism",
    ),
    "no client's certificate": (
        "mutual TLS",
        {"ssl_certfile": None},
        "{mtls} asks for a client's certificate; set kafka.ssl_certfile",
    ),
    "a stranger's certificate": (
        "mutual TLS",
        {"ssl_certfile": "STRANGER"},
        "{mtls} refuses the owner of the certificate",
    ),
    "wrong client secret": ("OAUTHBEARER", {"secret": WRONG}, "refuses client faultstream-client with 401"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_names_who_and_the_setting(name: str, way: Ways, cluster: SecureKafka, tmp_path: Path) -> None:
    """A start ends with it, since waiting would not help; the secret is nowhere in it."""
    base, more, told = FAULTS[name]
    stranger = trustme.CA()
    stranger.cert_pem.write_to_path(tmp_path / "other.pem")
    stranger.issue_cert("a@example.com", common_name=CERTIFIED).private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "stranger.pem"
    )
    addresses = {
        "NUMBER": cluster.sasl_by_number,
        "SASL": cluster.sasl,
        "CLEAR": cluster.clear,
        "PLAIN": cluster.address,
    }
    files = {"OTHER": tmp_path / "other.pem", "STRANGER": tmp_path / "stranger.pem"}
    given = {key: (addresses | files).get(value, value) for key, value in more.items()}
    if secret := given.pop("secret", None):
        (tmp_path / "secret").write_text(secret)
    error = await failure(KafkaClient.of(way(base, **given)))
    assert isinstance(error, ConfigError)
    assert told.format(**vars(cluster)) in str(error)
    assert "kafka.bootstrap" in str(error)
    for hidden in (WRONG, cluster.passwords[USERS[0]], cluster.issuer.client_secret):
        assert hidden not in str(error)


async def test_a_broker_that_is_away_is_waited_for(way: Ways) -> None:
    """No configuration error: it may come up."""
    for bootstrap, told in (
        ("127.0.0.1:1", "nobody listens at 127.0.0.1:1"),
        ("no.invalid:9", "no.invalid is not known"),
    ):
        error = await failure(KafkaClient.of(way("PLAIN", bootstrap=bootstrap)))
        assert isinstance(error, Retryable)
        assert told in str(error)


async def test_a_token_endpoint_that_is_away_is_waited_for(way: Ways, cluster: SecureKafka) -> None:
    """And named."""
    settings = way("OAUTHBEARER")
    assert settings.oauth is not None
    away = settings.oauth.model_copy(update={"token_url": "http://127.0.0.1:1/token"})
    error = await failure(KafkaClient.of(settings.model_copy(update={"oauth": away})))
    assert isinstance(error, Retryable)
    assert "no token from http://127.0.0.1:1/token (kafka.oauth.token_url)" in str(error)


_users = count(2)


@pytest.fixture
def somebody(cluster: SecureKafka, way: Ways) -> tuple[str, KafkaClient]:
    """A user whom nothing is allowed yet, and its client."""
    user = USERS[next(_users)]
    settings = way("PLAIN", sasl_username=user, sasl_password_file=None, sasl_password=cluster.passwords[user])
    return user, KafkaClient.of(settings)


async def test_a_topic_that_may_not_be_read_is_named(cluster: SecureKafka, somebody: tuple[str, KafkaClient]) -> None:
    """With who may not, and the right that is missing."""
    user, client = somebody
    topic = f"t-{uuid.uuid4().hex[:10]}"
    await cluster.topics(topic)
    await cluster.grant(user, Resource.GROUP, topic, Operation.READ)
    source = KafkaSource(client, KafkaSourceConfig(topic, {topic: "earliest"}))
    with pytest.raises(FaultstreamError) as caught:
        await source.start(Listening())
    assert f"topic {topic} " in str(caught.value)
    assert f"user {user} (kafka.sasl_username) may not use it" in str(caught.value)
    assert "source.kafka.topics" in str(caught.value)


async def test_a_group_that_may_not_be_joined_is_named(cluster: SecureKafka, somebody: tuple[str, KafkaClient]) -> None:
    """With the settings that name it."""
    user, client = somebody
    topic = f"t-{uuid.uuid4().hex[:10]}"
    await cluster.topics(topic)
    await cluster.grant(user, Resource.TOPIC, topic, *OPERATIONS)
    source = KafkaSource(client, KafkaSourceConfig(f"g-{topic}", {topic: "earliest"}))
    with pytest.raises(FaultstreamError) as caught:
        await source.start(Listening())
    assert f"group g-{topic} (kafka.group, or topics.prefix)" in str(caught.value)
    assert f"user {user} (kafka.sasl_username)" in str(caught.value)


async def test_a_topic_that_may_not_be_written_is_named(
    cluster: SecureKafka, somebody: tuple[str, KafkaClient]
) -> None:
    """The engine waits with it until the right is granted; nothing is lost."""
    user, client = somebody
    topic = f"t-{uuid.uuid4().hex[:10]}"
    await cluster.topics(topic)
    await cluster.grant(user, Resource.TOPIC, topic, Operation.DESCRIBE)
    writing = sink(client)
    await writing.start()
    try:
        with pytest.raises(Retryable) as caught:
            await writing.publish([Outbound(topic, b"k", b"v")])
        assert f"topic {topic} " in str(caught.value)
        assert f"user {user} (kafka.sasl_username) may not use it; grant it" in str(caught.value)
        await cluster.grant(user, Resource.TOPIC, topic, Operation.WRITE)
        async with asyncio.timeout(30):
            written = False
            while not written:  # the broker's authorizer learns of the right a moment later
                with contextlib.suppress(Retryable):
                    await writing.publish([Outbound(topic, b"k", b"v")])
                    written = True
        assert written
    finally:
        await writing.stop()
