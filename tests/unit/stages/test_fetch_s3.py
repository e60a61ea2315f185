"""s3: what a service answers, and who we say that we are. The protocol itself: tests/contract/test_s3.py."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from processor.errors import ConfigError, Rejected, Retryable
from processor.settings import load
from processor.settings.fetch import FetchSettings, S3Settings
from processor.stages.fetch import Fetch
from processor.stages.fetch.s3 import S3

LOG = b"boom\n" * 1000


def error(code: str, message: str = "") -> bytes:
    """The body of an answer as S3's reference shows it."""
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()


class Service:
    """Answers every request alike, and keeps what was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, LOG, {"Location": "http://127.0.0.1:9/elsewhere"}
        self.asked: list[web.Request] = []
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    @property
    def url(self) -> str:
        """Its base address."""
        return str(self.server.make_url("")).rstrip("/")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service on loopback."""
    made = Service()
    async with made.server:
        yield made


def settings(endpoint: str, *, limits: dict[str, Any] | None = None, **s3: Any) -> FetchSettings:
    """Allows one bucket there, with credentials unless others are given."""
    keys = {} if s3.keys() & {"anonymous", "access_key_id_file"} else {"access_key_id": "AK", "secret_access_key": "SK"}
    return FetchSettings(schemes=["s3"], s3={"buckets": ["logs"], "endpoint": endpoint, **keys, **s3}, **limits or {})


async def hung_up() -> None:
    """Until no connection is open: a server that stops leaves those alone whose handshake is under way."""
    open_ones: Mapping[int, asyncio.Transport] = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        while not all(transport.is_closing() for transport in list(open_ones.values())):  # noqa: ASYNC110 (a transport tells nobody)
            await asyncio.sleep(0.005)


async def fetched(allowed: FetchSettings, reference: str = "s3://logs/a/b.log") -> bytes:
    """What is behind the reference."""
    async with Fetch(allowed) as fetch:
        return await fetch(reference)


async def test_the_object_of_an_allowed_bucket(service: Service) -> None:
    """Bucket and key stand in the path, the signature in the query, and the answer is the log."""
    assert await fetched(settings(service.url, region="eu-west-1")) == LOG
    [asked] = service.asked
    assert asked.path == "/logs/a/b.log"
    assert asked.query["X-Amz-Credential"].startswith("AK/")
    assert asked.query["X-Amz-Credential"].endswith("/eu-west-1/s3/aws4_request")


async def test_other_buckets_are_refused(service: Service) -> None:
    """By the name of the setting, and nothing is asked for; hosts that are allowed are no buckets."""
    allowed = settings(service.url, limits={"allow": ["other"]})
    for reference in ("s3://other/a.log", "s3://logs.evil/a.log", "s3:///a.log", "S3://other/a"):
        with pytest.raises(Rejected, match=r"fetch\.s3\.buckets lists logs") as caught:
            await fetched(allowed, reference)
        assert caught.value.reason == "reference_not_allowed"
    assert not service.asked


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "./a", "a\nb"])
async def test_keys_that_could_stand_for_another_object(key: str, service: Service) -> None:
    """They are refused, not changed."""
    with pytest.raises(Rejected) as caught:
        await fetched(settings(service.url), f"s3://logs/{key}")
    assert caught.value.reason == "reference_failed"
    assert not service.asked


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, error("NoSuchKey"), "s3://logs/a/b.log answers 404 NoSuchKey"),
        (404, error("NoSuchBucket"), "bucket logs is not there: see fetch.s3.region and fetch.s3.endpoint"),
        (403, error("AccessDenied"), "the bucket logs has to let the principal of fetch.s3.access_key_id read it"),
        (403, error("InvalidObjectState", "archived"), "answers 403 InvalidObjectState"),
        (301, error("PermanentRedirect"), "fetch.s3.region"),
        (400, error("AuthorizationQueryParametersError"), "fetch.s3.region"),
        (404, b"<html>" + b"x" * 100_000, "answers 404"),
        (204, b"", "answers 204"),
    ],
)
async def test_gone_for_good(status: int, body: bytes, said: str, service: Service) -> None:
    """What waiting won't change is rejected; the error says what to change, and repeats nothing of the answer."""
    service.status, service.body = status, body
    with pytest.raises(Rejected) as caught:
        await fetched(settings(service.url))
    assert caught.value.reason == "reference_failed"
    assert said in str(caught.value)
    assert "archived" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, error("SlowDown"), "answers 503"),
        (500, error("InternalError"), "answers 500"),
        (429, b"", "answers 429"),
        (403, error("InvalidAccessKeyId"), "see fetch.s3.access_key_id"),
        (403, error("SignatureDoesNotMatch", "AKHIDDEN"), "see fetch.s3.access_key_id"),
        (400, error("ExpiredToken"), "see fetch.s3.access_key_id"),
        (403, error("RequestTimeTooSkewed"), "this machine's clock"),
        (403, error("AccessDenied", "Request has expired"), "this machine's clock"),
        (401, b"", "see fetch.s3.access_key_id"),
    ],
)
async def test_trouble_is_waited_out(status: int, body: bytes, said: str, service: Service) -> None:
    """A busy service, and credentials of ours that no event can help: nothing becomes a dead letter for that."""
    service.status, service.body = status, body
    with pytest.raises(Retryable) as caught:
        await fetched(settings(service.url))
    assert said in str(caught.value)
    assert not caught.value.shared
    assert "HIDDEN" not in str(caught.value)


async def test_no_service_at_all() -> None:
    """Connection refused is waited out; neither credentials nor the signature are told."""
    with pytest.raises(Retryable) as caught:
        await fetched(settings("http://127.0.0.1:9"))
    assert str(caught.value) == "s3://logs/a/b.log could not be fetched: ClientConnectorError"


async def test_limits(service: Service) -> None:
    """Size, also where the service doesn't tell it; time, by the setting's name."""
    with pytest.raises(Rejected, match=r"fetch\.max_bytes") as caught:
        await fetched(settings(service.url, limits={"max_bytes": 4_999}))
    assert caught.value.reason == "too_large"
    silent = TestServer(web.Application())
    silent.app.router.add_get("/{path:.*}", _never)
    async with silent:
        endpoint = str(silent.make_url("")).rstrip("/")
        with pytest.raises(Retryable, match=r"within fetch\.timeout_s \(0\.2\)"):
            await fetched(settings(endpoint, limits={"timeout_s": 0.2}))


async def _never(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"x")
        await asyncio.sleep(0.01)


async def test_public_buckets(service: Service) -> None:
    """Anonymous requests carry neither a signature nor what the environment has."""
    await fetched(settings(service.url, anonymous=True))
    [asked] = service.asked
    assert not asked.query
    assert "Authorization" not in asked.headers


async def test_bucket_in_the_host() -> None:
    """Virtual-hosted style: the endpoint's host gets the bucket before it."""
    chosen = settings("http://storage.test:9000", path_style=False)
    assert chosen.s3 is not None
    address = await S3(chosen, chosen.s3)._address("logs", "a b/ü+#?.log")
    assert address.startswith("http://logs.storage.test:9000/a%20b/%C3%BC%2B%23%3F.log?X-Amz-Algorithm=")


async def test_the_environment_does_not_move_the_endpoint(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the settings say wins over AWS_… variables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "OTHER")
    assert await fetched(settings(service.url)) == LOG
    assert service.asked[0].query["X-Amz-Credential"].startswith("AK/")


async def test_the_environments_credentials(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key in the settings those of the environment count, with their session token."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "tok")
    allowed = FetchSettings(schemes=["s3"], s3=S3Settings(buckets=["logs"], endpoint=service.url))
    assert await fetched(allowed) == LOG
    assert service.asked[0].query["X-Amz-Credential"].startswith("FROMENV/")
    assert service.asked[0].query["X-Amz-Security-Token"] == "tok"


async def test_no_credentials_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no role: waited out, naming the bucket and the setting; no other attempt is made within the library."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    allowed = FetchSettings(schemes=["s3"], s3=S3Settings(buckets=["logs"], endpoint="http://127.0.0.1:9"))
    with pytest.raises(Retryable, match=r"no credentials for the bucket logs .*fetch\.s3\.access_key_id is not set"):
        await fetched(allowed)


STS = """<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>LENT</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>tok</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


async def test_a_web_identity(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role of a Kubernetes service account: its token is traded for credentials once, over TLS."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    (tmp_path / "token").write_text(uuid4().hex)
    asked: list[web.Request] = []

    async def lend(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(text=STS, content_type="text/xml")

    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    app = web.Application()
    app.router.add_post("/", lend)
    sts = TestServer(app)
    await sts.start_server(ssl=tls)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/faultstream")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", str(sts.make_url("")).rstrip("/"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    allowed = FetchSettings(schemes=["s3"], s3=S3Settings(buckets=["logs"], endpoint=service.url, region="eu-west-1"))
    try:
        async with Fetch(allowed) as fetch:
            assert [await fetch("s3://logs/a"), await fetch("s3://logs/b")] == [LOG, LOG]
    finally:
        await sts.close()
    [lent] = asked
    assert lent.query["RoleArn"] == "arn:aws:iam::123456789012:role/faultstream"
    assert lent.query["WebIdentityToken"] == (tmp_path / "token").read_text()
    assert {each.query["X-Amz-Credential"].split("/")[0] for each in service.asked} == {"LENT"}
    assert {each.query["X-Amz-Security-Token"] for each in service.asked} == {"tok"}


async def test_credentials_from_files_may_change(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read again when the library asks; a file that is away is waited out, and no secret is told."""
    monkeypatch.setattr("processor.stages.fetch.s3._FRESH", timedelta())
    secret = uuid4().hex
    names = ("access_key_id", "secret_access_key", "session_token")
    files: dict[str, Any] = {f"{name}_file": tmp_path / name for name in names}
    for file, text in zip(files.values(), ("FIRST", secret, "token"), strict=True):
        file.write_text(text + "\n")
    async with Fetch(settings(service.url, **files)) as fetch:
        await fetch("s3://logs/a")
        files["access_key_id_file"].write_text("SECOND")
        await fetch("s3://logs/a")
        assert [each.query["X-Amz-Credential"].split("/")[0] for each in service.asked] == ["FIRST", "SECOND"]
        assert service.asked[1].query["X-Amz-Security-Token"] == "token"
        files["secret_access_key_file"].unlink()
        with pytest.raises(Retryable, match=r"see fetch\.s3\.access_key_id_file") as caught:
            await fetch("s3://logs/a")
    assert secret not in str(caught.value)


async def test_an_authority_of_ones_own(tmp_path: Path) -> None:
    """A certificate that it signed is trusted where the setting names it, and nowhere else."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    cafile = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cafile))
    service = Service()
    await service.server.start_server(ssl=context)
    try:
        assert service.url.startswith("https://")
        assert await fetched(settings(service.url, cafile=cafile)) == LOG
        with pytest.raises(Retryable, match="CertificateError"):
            await fetched(settings(service.url))
        await hung_up()
    finally:
        await service.server.close()
    with pytest.raises(ConfigError, match=r"fetch\.s3\.cafile: can't read"):
        Fetch(settings("https://127.0.0.1:9", cafile=tmp_path / "none.pem"))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a start-up error that names the extra; whoever doesn't list s3 needs no library."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigError, match=r"pip install 'faultstream\[s3\]'"):
        Fetch(settings("http://127.0.0.1:9"))
    assert Fetch(FetchSettings(schemes=["https", "http", "file"])) is not None


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"schemes": ["s3"]}, "schemes lists s3, but no bucket is named; set s3.buckets"),
        ({"s3": {"buckets": ["logs"]}}, "s3 is set, but schemes does not list it"),
        ({"schemes": ["s3"], "s3": {"buckets": []}}, "s3.buckets"),
        ({"schemes": ["s3"], "s3": {"bucket": ["logs"]}}, "did you mean buckets?"),
        ({"schemes": ["s3"], "s3": {"buckets": ["l"], "endpoint": "minio:9000"}}, "begins with http:// or https://"),
        ({"schemes": ["s3"], "s3": {"buckets": ["l"], "access_key_id": "a"}}, "set secret_access_key_file too"),
        ({"schemes": ["s3"], "s3": {"buckets": ["l"], "secret_access_key": "hunter2"}}, "set access_key_id_file too"),
        ({"schemes": ["s3"], "s3": {"buckets": ["l"], "session_token": "hunter2"}}, "session_token is set without"),
        (
            {
                "schemes": ["s3"],
                "s3": {"buckets": ["l"], "secret_access_key": "hunter2", "secret_access_key_file": "f"},
            },
            "keep secret_access_key_file alone",
        ),
        (
            {
                "schemes": ["s3"],
                "s3": {"buckets": ["l"], "anonymous": True, "access_key_id": "a", "secret_access_key": "hunter2"},
            },
            "keep one of them",
        ),
    ],
)
def test_settings_that_contradict_each_other(section: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Each is an error at start that names the key, and no secret."""
    file = tmp_path / "faultstream.yaml"
    file.write_text(yaml.safe_dump({"fetch": section}))
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert said in str(caught.value)
    assert "fetch" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    """Neither in the text of the settings nor in an error of another field."""
    secret = uuid4().hex
    shown = S3Settings(buckets=["l"], access_key_id=secret, secret_access_key=secret, session_token=secret)
    assert secret not in repr(shown)
    assert secret not in shown.model_dump_json()
    with pytest.raises(ValidationError):
        S3Settings(buckets=[], access_key_id=secret, secret_access_key=secret)
