"""How librdkafka's clients are made of our settings, and what their errors become."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import trustme
from aiohttp import web
from aiokafka import errors
from confluent_kafka import KafkaError, Producer
from structlog.testing import capture_logs

from processor.cluster import librdkafka
from processor.cluster.client import KafkaClient
from processor.cluster.librdkafka import Troubles, credentials, options, translated, version
from processor.contract import Outbound, TopicPartition
from processor.errors import Retryable
from processor.settings.kafka import KafkaSettings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.librdkafka import LibrdkafkaWriter
from processor.sources.librdkafka import LibrdkafkaFetch
from processor.sources.part import Part

SECRET = "a-secret-that-nobody-may-see"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """An authority, a client's certificate with its key, and a password."""
    authority = trustme.CA()
    made = {name: tmp_path / name for name in ("ca", "cert", "key", "password")}
    authority.cert_pem.write_to_path(made["ca"])
    client = authority.issue_cert("client")
    client.cert_chain_pems[0].write_to_path(made["cert"])
    client.private_key_pem.write_to_path(made["key"])
    made["password"].write_text(SECRET)
    return made


def client(**settings: Any) -> KafkaClient:
    """A client of a broker that is not there."""
    return KafkaClient.of(KafkaSettings(bootstrap="127.0.0.1:1", request_timeout_s=1, **settings))


def test_each_way_is_taken_by_librdkafka(files: dict[str, Path]) -> None:
    """TLS, mutual TLS, SASL in each form: the library accepts what is made of it, and it says what was set."""
    tls = {"ssl_cafile": files["ca"]}
    user = {"sasl_username": "us", "sasl_password_file": files["password"]}
    oauth = {"token_url": "http://127.0.0.1:1/", "client_id": "us", "client_secret": SECRET}
    mutual = {**tls, "ssl_certfile": files["cert"], "ssl_keyfile": files["key"]}
    ways: list[dict[str, Any]] = [
        {},
        {"security_protocol": "SSL", **tls, "ssl_check_hostname": False},
        {"security_protocol": "SSL"},
        {"security_protocol": "SSL", **mutual},
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", **user},
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", **tls, **user},
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", **tls, **user},
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", **tls, "oauth": oauth},
    ]
    made = []
    for way in ways:
        given = client(**way)
        made.append(credentials(given.security))
        if "oauth" not in way:  # it would wait for a token
            Producer(options(given, Troubles("test"))).close()
    assert made[0] == {}
    assert made[1]["ssl.endpoint.identification.algorithm"] == "none"
    assert made[3]["ssl.key.location"] == str(files["key"])
    assert made[5]["sasl.password"] == SECRET
    assert {each["security.protocol"] for each in made[5:]} == {"sasl_ssl"}


def test_new_credentials_call_for_a_new_client(files: dict[str, Path]) -> None:
    """A password that was replaced, a certificate that was written anew; nothing else does."""
    user = {"sasl_username": "us", "sasl_password_file": files["password"]}
    by_password = client(security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", **user).security
    shown = {"ssl_cafile": files["ca"], "ssl_certfile": files["cert"], "ssl_keyfile": files["key"]}
    by_certificate = client(security_protocol="SSL", **shown).security
    before = version(by_password), version(by_certificate)
    assert (version(by_password), version(by_certificate)) == before
    files["password"].write_text("another")
    files["key"].write_bytes(files["key"].read_bytes())
    assert version(by_password) != before[0]
    assert version(by_certificate) != before[1]


@contextmanager
def endpoint(life_s: float) -> Iterator[str]:
    """Hands out tokens, in a loop of its own."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "expires_in": life_s})

    loop, address = asyncio.new_event_loop(), []

    async def serve() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.append(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        return runner

    runner = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield address[0]
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_token_comes_with_its_life() -> None:
    """From the same endpoint as aiokafka's; the time is that at which it ends."""
    with endpoint(600) as url:
        oauth = {"token_url": url, "client_id": "us", "client_secret": SECRET}
        made = credentials(
            client(security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", oauth=oauth).security
        )
        token, until = made["oauth_cb"]("")
    assert token == "t"
    assert until - time.time() == pytest.approx(600, abs=5)


def test_errors_are_those_that_the_rest_knows() -> None:
    """A broker's by its number, with the topic; librdkafka's own by what it means."""
    denied = translated(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "t")
    assert (type(denied), denied.args) == (errors.TopicAuthorizationFailedError, ("t",))
    assert isinstance(translated(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)), errors.MessageSizeTooLargeError)
    assert isinstance(translated(KafkaError(KafkaError._BAD_MSG)), errors.CorruptRecordException)
    assert translated(KafkaError(KafkaError._TRANSPORT)).retriable
    assert not translated(KafkaError(KafkaError._INVALID_ARG)).retriable


def test_troubles_are_told_now_and_then() -> None:
    """Once a kind in half a minute; that we are refused is kept for whoever polls."""
    times = iter((0.0, 1.0, librdkafka.QUIET_S + 1, librdkafka.QUIET_S + 1))
    troubles = Troubles("fetch", lambda: next(times))
    with capture_logs() as told:
        for _ in range(3):
            troubles.met(KafkaError(KafkaError._TRANSPORT))
        troubles.met(KafkaError(KafkaError._AUTHENTICATION, "refused"))
    assert [each["code"] for each in told] == ["_TRANSPORT", "_TRANSPORT", "_AUTHENTICATION"]
    assert troubles.refused == "refused"


async def test_a_writer_that_stops_gives_up_what_it_can_not_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers that are away hold up nothing for longer than the bound, and the caller learns of it."""
    monkeypatch.setattr("processor.sinks.librdkafka.STOP_S", 0.2)
    writer = LibrdkafkaWriter(KafkaSinkConfig(client(), notice_s=0.1))
    await writer.start(idempotent=False)
    writing = asyncio.create_task(writer.write([Outbound("t", b"k", b"v")], [0], one_by_one=False))
    with capture_logs() as told:
        while not any(each["event"] == "brokers do not acknowledge" for each in told):  # noqa: ASYNC110 (a log line)
            await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        await writer.stop()
        failed = await writing
    assert [positions for positions, _ in failed] == [[0]]
    with pytest.raises(Retryable, match="not connected"):
        await writer.write([Outbound("t", b"k", b"v")], [0], one_by_one=False)


class Old:
    """A client of brokers that are too old to tell since when they lead."""

    cluster = SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=1)])

    _conns: ClassVar[dict[Any, Any]] = {}

    async def send(self, _node: int, _request: object) -> None:
        raise errors.IncompatibleBrokerVersion


class Group:
    """The group's client, as far as fetching asks it; `first` and `last` offsets are those that brokers would tell."""

    def __init__(self, first: int = 0, last: int = 0) -> None:
        self.first, self.last = first, last
        self._client = Old()

    def pause(self, *_partitions: object) -> None: ...

    async def getmany(self, **_options: object) -> dict[object, object]:
        return {}

    async def position(self, _partition: object) -> int:
        return self.first

    async def beginning_offsets(self, partitions: list[object]) -> dict[object, int]:
        return dict.fromkeys(partitions, self.first)

    async def end_offsets(self, partitions: list[object]) -> dict[object, int]:
        return dict.fromkeys(partitions, self.last)


AT = TopicPartition("t", 0)


@pytest.fixture
def mock() -> Iterator[KafkaClient]:
    """Librdkafka's own mock of a broker, with 3,000 records of 1 KB in one partition."""
    producer = Producer({"test.mock.num.brokers": 1, "linger.ms": 1})
    broker = next(iter(producer.list_topics(AT.topic, timeout=10).brokers.values()))
    for _ in range(3000):
        producer.produce(AT.topic, b"x" * 1000, partition=AT.partition)
    assert producer.flush(20) == 0
    yield KafkaClient(f"{broker.host}:{broker.port}")
    producer.close()


async def fetched(fetch: LibrdkafkaFetch, most: int) -> list[int]:
    """The offsets that come, up to so many."""
    found: list[int] = []
    async with asyncio.timeout(20):
        while len(found) < most:
            found += [record.offset for record in await fetch.take(0.2, 500, ())]
    return found


@pytest.mark.parametrize("then", ["resumed", "moved", "taken over"])
async def test_a_partition_that_has_no_room_goes_on(mock: KafkaClient, then: str) -> None:
    """From where it was, from elsewhere, or in another assignment; all of it comes once, in order."""
    fetch = LibrdkafkaFetch(mock, "g", fetch_bytes=200_000, isolation="read_committed")
    await fetch.start(Group())
    try:
        fetch.begin([AT])
        fetch.pause([AT])
        async with asyncio.timeout(20):
            while not fetch._parts[AT].stopped:
                assert not await fetch.take(0.1, 500, ())
        first = 0
        if then == "moved":
            fetch.seek(AT, first := 1000)
        elif then == "taken over":
            fetch.forget()
            fetch.begin([AT])
        fetch.resume([AT])
        assert await fetched(fetch, 3000 - first) == list(range(first, 3000))
    finally:
        await fetch.stop()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_client_that_is_being_made_when_all_stops_is_closed(
    mock: KafkaClient, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """The credentials have changed, and a token is slow to come: nobody else would close it."""
    monkeypatch.setattr("processor.sources.librdkafka.RENEW_S", 0.0)
    fetch = LibrdkafkaFetch(mock, "g", fetch_bytes=200_000, isolation="read_committed")
    await fetch.start(Group())
    asked, token, closed = threading.Event(), threading.Event(), list[bool]()

    class Made:
        """The client that nobody needs."""

        def close(self) -> None:
            closed.append(True)

    def slow() -> tuple[Made, object]:
        asked.set()
        token.wait(10)
        if fails:
            raise OSError("no token")
        return Made(), None

    monkeypatch.setattr(fetch, "_made", slow)
    fetch._version = "old"
    await fetch.take(0, 1, ())
    assert await asyncio.to_thread(asked.wait, 10)
    stopping = asyncio.create_task(fetch.stop())
    await asyncio.sleep(0)
    token.set()
    await stopping
    assert closed == [True] * (not fails)


async def test_an_offset_that_is_gone_is_followed_by_what_there_is(
    mock: KafkaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that was made anew begins at its beginning, and its end is not known from before."""
    monkeypatch.setattr("processor.sources.librdkafka.RETRY_S", 0.01)
    fetch = LibrdkafkaFetch(mock, "g", fetch_bytes=4_000_000, isolation="read_committed")
    await fetch.start(Group(0, 3000))
    try:
        fetch.begin([AT])
        fetch.seek(AT, 5000)
        with capture_logs() as told:
            assert await fetched(fetch, 3000) == list(range(3000))
        assert any(each["event"] == "an offset is not there any more" for each in told)
        assert await fetch.position(AT) == 3000
    finally:
        await fetch.stop()


async def test_nothing_behind_a_batch_that_can_not_be_read_is_taken() -> None:
    """It would be committed past: the batch is asked for again, and whoever polls learns of it."""

    class Broken:
        """A message that is an error."""

        def error(self) -> KafkaError:
            return KafkaError(KafkaError._BAD_MSG)

        def topic(self) -> str:
            return AT.topic

        def partition(self) -> int:
            return AT.partition

    class Next(Broken):
        """The message of the batch behind it."""

        def error(self) -> None:  # type: ignore[override]
            return None

        def offset(self) -> int:
            return 7

    fetch = LibrdkafkaFetch(client(), "g", fetch_bytes=200_000, isolation="read_committed")
    fetch._parts[AT] = part = Part(AT, next=3, assigned=True, known=True)
    fetch._sort([Broken(), Next()], (), None)
    assert (part.next, part.assigned, list(part.aside)) == (3, False, [])
    with pytest.raises(errors.CorruptRecordException):
        fetch._raise_failure()
