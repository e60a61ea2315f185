"""fetch: only from allowed places, within bounds, and never to our own network by a trick."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from processor.errors import Rejected, Retryable
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch

LOG = b"boom\n" * 1000


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """A server on loopback with a log, a redirect, errors."""
    app = web.Application()

    async def log(_: web.Request) -> web.Response:
        return web.Response(body=LOG)

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data")

    async def status(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["code"]))

    app.add_routes([web.get("/log", log), web.get("/away", away), web.get("/status/{code}", status)])
    server = TestServer(app)
    async with server:
        yield server


def local(**more: Any) -> FetchSettings:
    """Allows plain HTTP to this machine."""
    return FetchSettings(allow=["127.0.0.1", "localhost"], schemes=["http"], private=True, **more)


async def reason(config: FetchSettings, reference: str) -> str:
    """The reason why a reference is refused."""
    async with Fetch(config) as fetch:
        with pytest.raises(Rejected) as caught:
            await fetch(reference)
    assert "hunter2" not in str(caught.value)
    return caught.value.reason


async def test_allowed_log_is_fetched(server: TestServer) -> None:
    """Host, scheme and size are allowed."""
    async with Fetch(local()) as fetch:
        assert await fetch(str(server.make_url("/log"))) == LOG


async def test_nothing_is_allowed_by_default(server: TestServer) -> None:
    """The scheme and the host have to be named; the error names the setting and no secret."""
    assert await reason(FetchSettings(), str(server.make_url("/log"))) == "reference_not_allowed"
    assert (
        await reason(FetchSettings(), "https://me:hunter2@ci.example.com/log?token=hunter2") == "reference_not_allowed"
    )
    assert await reason(local(), "http://other.example.com/log") == "reference_not_allowed"
    assert await reason(local(), "gopher://127.0.0.1/") == "reference_not_allowed"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.8"])
async def test_private_addresses_are_refused_even_if_the_name_is_allowed(host: str) -> None:
    """An allowed name that leads into our own network."""
    config = FetchSettings(allow=[host], schemes=["http"])
    assert await reason(config, f"http://{host}:9/log") == "reference_not_allowed"


async def test_redirects_are_not_followed(server: TestServer) -> None:
    """An allowed host can't send us elsewhere."""
    assert await reason(local(), str(server.make_url("/away"))) == "reference_not_allowed"


@pytest.mark.parametrize(("status", "expected"), [(404, "reference_failed"), (403, "reference_failed")])
async def test_gone_for_good(server: TestServer, status: int, expected: str) -> None:
    """Not found and forbidden won't change by waiting."""
    assert await reason(local(), str(server.make_url(f"/status/{status}"))) == expected


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_server_trouble_is_waited_out(server: TestServer, status: int) -> None:
    """Nothing goes to the dead letters because a server is down."""
    async with Fetch(local()) as fetch:
        with pytest.raises(Retryable, match=str(status)):
            await fetch(str(server.make_url(f"/status/{status}")))


async def test_no_server_at_all() -> None:
    """Connection refused is waited out."""
    async with Fetch(local(timeout_s=2)) as fetch:
        with pytest.raises(Retryable):
            await fetch("http://127.0.0.1:9/log")


async def test_too_large(server: TestServer, tmp_path: Path) -> None:
    """The limit holds while reading, and for files."""
    assert await reason(local(max_bytes=100), str(server.make_url("/log"))) == "too_large"
    file = tmp_path / "log"
    file.write_bytes(LOG)
    config = FetchSettings(schemes=["file"], roots=[tmp_path], max_bytes=100)
    assert await reason(config, file.as_uri()) == "too_large"


async def test_files_within_roots_alone(tmp_path: Path) -> None:
    """Neither dots nor links lead out of the root."""
    root = tmp_path / "logs"
    root.mkdir()
    (root / "a.log").write_bytes(LOG)
    outside = tmp_path / "outside.log"
    outside.write_bytes(LOG)
    (root / "link.log").symlink_to(outside)
    config = FetchSettings(schemes=["file"], roots=[root])
    async with Fetch(config) as fetch:
        assert await fetch((root / "a.log").as_uri()) == LOG
    assert await reason(config, f"file://{root}/../outside.log") == "reference_not_allowed"
    assert await reason(config, (root / "link.log").as_uri()) == "reference_not_allowed"
    assert await reason(config, (root / "none.log").as_uri()) == "reference_failed"


@pytest.mark.parametrize("scheme", ["http", "file"])
async def test_large_logs_come_as_files(
    server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """What is too large to be held in memory is a file, read from its beginning; small logs are bytes."""
    (tmp_path / "log").write_bytes(LOG)
    config = local() if scheme == "http" else FetchSettings(schemes=["file"], roots=[tmp_path])
    reference = str(server.make_url("/log")) if scheme == "http" else (tmp_path / "log").as_uri()
    async with Fetch(config) as fetch:
        assert await fetch.open(reference) == LOG
        monkeypatch.setattr("processor.stages.fetch.opener.IN_MEMORY", 100)
        found = await fetch.open(reference)
        assert not isinstance(found, bytes)
        with found:
            assert found.read() == LOG
        assert await fetch(reference) == LOG
