"""References to S3 objects against a double of S3 that others wrote (moto), and Amazon's own signatures (botocore)."""

from __future__ import annotations

import asyncio
import io
import subprocess
import tracemalloc
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import uuid4

import aiohttp
import pytest
from yarl import URL

from processor.errors import Rejected, Retryable
from processor.settings.fetch import FetchSettings, S3Settings
from processor.stages.fetch import Fetch
from processor.stages.fetch.s3 import S3
from tests.servers.fault_proxy import DROP_BEFORE, Fault, FaultProxy
from tools import bootstrap

pytestmark = pytest.mark.s3


class Put(Protocol):
    """Puts an object into the test's bucket."""

    async def __call__(self, key: str, body: bytes, headers: Mapping[str, str] = {}) -> None: ...


SIGNED_BY_BOTOCORE = """
import datetime, sys
from unittest import mock
import botocore.auth, botocore.awsrequest, botocore.credentials
base, when, region = sys.argv[1:]
now = datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ")
request = botocore.awsrequest.AWSRequest("GET", base)
auth = botocore.auth.S3SigV4QueryAuth(botocore.credentials.Credentials("AK", "SK", "tok"), "s3", region, expires=900)
with mock.patch("botocore.auth.get_current_datetime", return_value=now):
    auth.add_auth(request)
print(request.url)
"""


@pytest.fixture
def bucket() -> str:
    """A bucket's name of the test's own."""
    return f"logs-{uuid4().hex[:12]}"


@pytest.fixture
async def put(s3_double: str, bucket: str) -> Put:
    """Puts objects into the bucket, as a shipper of logs would."""
    async with aiohttp.ClientSession() as session, session.put(f"{s3_double}/{bucket}") as answer:
        assert answer.status == 200

    async def one(key: str, body: bytes, headers: Mapping[str, str] = {}) -> None:
        allowed = settings(s3_double, bucket)
        assert allowed.s3 is not None
        address = (await S3(allowed, allowed.s3)._address(bucket, key)).partition("?")[0]
        async with (
            aiohttp.ClientSession() as session,
            session.put(URL(address, encoded=True), data=io.BytesIO(body), headers=headers) as answer,
        ):
            assert answer.status == 200

    return one


def settings(endpoint: str, bucket: str, limits: dict[str, Any] | None = None, **s3: Any) -> FetchSettings:
    """Allows the bucket."""
    keys = {} if s3 else {"access_key_id": "AK", "secret_access_key": "SK"}
    return FetchSettings(
        schemes=["s3"], s3=S3Settings(buckets=[bucket], endpoint=endpoint, **keys, **s3), **limits or {}
    )


@pytest.mark.parametrize(
    "key", ["a.log", "builds/2026-11-22T10:00:00+00:00/a b (1) ü*~'!$&=,;@#?.log", "100%.log", "%20", "a+b", "a\\b"]
)
async def test_keys_as_they_are(key: str, s3_double: str, bucket: str, put: Put) -> None:
    """What stands in a key is neither decoded nor changed on its way."""
    body = f"log of {key}".encode()
    await put(key, body)
    async with Fetch(settings(s3_double, bucket)) as fetch:
        assert await fetch(f"s3://{bucket}/{key}") == body


async def test_what_is_not_there(s3_double: str, bucket: str, put: Put) -> None:
    """An object, or a bucket, that the service doesn't know."""
    async with Fetch(settings(s3_double, bucket)) as fetch:
        with pytest.raises(Rejected, match="404 NoSuchKey"):
            await fetch(f"s3://{bucket}/none.log")
    async with Fetch(settings(s3_double, f"no-{bucket}")) as fetch:
        with pytest.raises(Rejected, match=f"404 NoSuchBucket: the bucket no-{bucket} is not there"):
            await fetch(f"s3://no-{bucket}/a.log")


async def test_large_objects_are_streamed(s3_double: str, bucket: str, put: Put) -> None:
    """40 MB come as a file, whole; this process holds a fraction of that meanwhile."""
    line = b"error: it did not work, the %07d th time\n"
    body = b"".join(line % number for number in range(1_000_000))
    await put("large.log", body)
    async with Fetch(settings(s3_double, bucket)) as fetch:
        tracemalloc.start()
        found = await fetch.open(f"s3://{bucket}/large.log")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert not isinstance(found, bytes)
    with found:
        assert found.read() == body
    assert peak < 16_000_000


async def test_the_size_is_bounded(s3_double: str, bucket: str, put: Put) -> None:
    """What is too large is told before it is fetched."""
    await put("a.log", b"x" * 1_000)
    async with Fetch(settings(s3_double, bucket, {"max_bytes": 999})) as fetch:
        with pytest.raises(Rejected, match=r"fetch\.max_bytes \(999\)"):
            await fetch(f"s3://{bucket}/a.log")


async def test_faults_on_the_way_are_waited_out(s3_double: str, bucket: str, put: Put) -> None:
    """Throttled, broken, cut off: each is to be tried again, and then it works."""
    await put("a.log", b"log")
    async with FaultProxy(s3_double) as proxy, Fetch(settings(proxy.url, bucket)) as fetch:
        for fault in (Fault(503), Fault(500), Fault(429), DROP_BEFORE):
            proxy.break_down("GET", "a.log", fault)
            with pytest.raises(Retryable):
                await fetch(f"s3://{bucket}/a.log")
            proxy.mend()
        assert await fetch(f"s3://{bucket}/a.log") == b"log"


async def test_public_objects(s3_double: str, bucket: str, put: Put) -> None:
    """Without credentials, what everybody may read; what not everybody may read is refused, naming the bucket."""
    await put("public.log", b"log", {"x-amz-acl": "public-read"})
    await put("private.log", b"log")
    async with Fetch(settings(s3_double, bucket, anonymous=True)) as fetch:
        assert await fetch(f"s3://{bucket}/public.log") == b"log"
        with pytest.raises(Rejected, match=rf"answers 403: the bucket {bucket} .* fetch\.s3\.anonymous"):
            await fetch(f"s3://{bucket}/private.log")


async def test_signatures_are_amazons(s3_double: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Amazon's own library computes the same ones: the double takes any."""
    allowed = settings(
        "https://storage.test",
        "logs",
        access_key_id="AK",
        secret_access_key="SK",
        session_token="tok",
        region="eu-west-1",
    )
    assert allowed.s3 is not None
    signed = await S3(allowed, allowed.s3)._address("logs", "builds/a b+ü#1?.log")
    base, _, _ = signed.partition("?")
    when = URL(signed, encoded=True).query["X-Amz-Date"]
    command = [str(bootstrap.S3.python), "-c", SIGNED_BY_BOTOCORE, base, when, "eu-west-1"]
    theirs = (await asyncio.to_thread(subprocess.check_output, command, text=True)).strip()
    ours, amazons = (dict(URL(each, encoded=True).query) for each in (signed, theirs))
    assert ours == amazons
