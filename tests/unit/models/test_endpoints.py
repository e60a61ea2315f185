"""Where replicas are: fixed addresses, the addresses of a name, a Kubernetes service."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from processor.errors import ConfigError, Retryable
from processor.models import endpoints, kubernetes
from processor.models.endpoints import Dns, Endpoint, Static, endpoints_of
from processor.models.kubernetes import KubernetesEndpoints
from processor.settings.models import KubernetesService, ModelSettings


async def test_a_fixed_list_never_changes() -> None:
    """There is nothing to look at again."""
    static = Static(["http://a/v1", "http://b/v1"])
    assert await static.list() == {Endpoint("http://a/v1"), Endpoint("http://b/v1")}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(static.changed(), 0.05)


async def test_each_address_of_a_name_is_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scheme, port and path stay; the name goes with it, for TLS and for servers that look at Host."""
    answers: list[list[tuple[Any, ...]]] = [[("10.0.0.1", 8443), ("10.0.0.2", 8443)], [("fd00::3", 8443, 0, 0)]]

    async def resolve(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in answers.pop(0)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    dns = Dns("https://vllm.models:8443/v1", 0.01)
    assert {each.url for each in await dns.list()} == {"https://10.0.0.1:8443/v1", "https://10.0.0.2:8443/v1"}
    await asyncio.wait_for(dns.changed(), 5)
    assert await dns.list() == {Endpoint("https://[fd00::3]:8443/v1", "vllm.models")}


async def test_a_name_that_is_not_there_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which name, and what the name service said."""

    async def resolve(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(Retryable, match=r"vllm\.models: Name or service not known"):
        await Dns("http://vllm.models:8000/v1", 1).list()


async def test_a_name_service_that_hangs_is_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known stays; here nothing is."""

    async def resolve(*_: object, **__: object) -> list[Any]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    monkeypatch.setattr(endpoints, "_RESOLVE_S", 0.05)
    with pytest.raises(Retryable, match=r"vllm\.models: no answer from the name service within 0\.05 s"):
        await Dns("http://vllm.models:8000/v1", 1).list()


class Api:
    """Kubernetes' API server as far as it is needed."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.slices: list[dict[str, Any]] = []
        self.version = 1
        self.watched: list[str] = []
        self.watching = asyncio.Event()
        self.event = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A list, or a watch that ends after one event."""
        assert request.query["labelSelector"] == "kubernetes.io/service-name=vllm"
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "code": 403}, status=403)
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": self.slices})
        self.watched.append(request.query["resourceVersion"])
        self.watching.set()
        await self.event.wait()
        return web.Response(text='{"type": "MODIFIED", "object": {}}\n')


def endpoint(address: str, **conditions: bool) -> dict[str, Any]:
    """One endpoint of a slice."""
    return {"addresses": [address], "conditions": conditions}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """An API server."""
    api = Api(secrets.token_hex(16))
    app = web.Application()
    app.add_routes([web.get("/apis/discovery.k8s.io/v1/namespaces/models/endpointslices", api.handle)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    api.event.set()
    await runner.cleanup()


@pytest.fixture
def account(tmp_path: Path, api: Api) -> Path:
    """A pod's service account."""
    (tmp_path / "token").write_text(api.token + "\n")
    (tmp_path / "namespace").write_text("models")
    return tmp_path


async def test_ready_endpoints_of_a_service_are_replicas(api: Api, account: Path) -> None:
    """Over all slices; one that is not ready or ends is none, and IPv6 addresses are written as such."""
    ports = [{"name": "metrics", "port": 9000}, {"name": "http", "port": 8000}]
    api.slices = [
        {"ports": ports, "endpoints": [endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=False)]},
        {"ports": ports, "endpoints": [endpoint("10.0.0.3", ready=False, serving=True, terminating=True)]},
        {"ports": ports, "endpoints": [{"addresses": ["fd00::4"]}]},
        {"ports": None, "endpoints": None},
    ]
    service = KubernetesService(service="vllm", port="http", api=api.url)
    found = KubernetesEndpoints(service, account)
    assert await found.list() == ["http://10.0.0.1:8000/v1", "http://[fd00::4]:8000/v1"]
    first = KubernetesEndpoints(KubernetesService(service="vllm", scheme="https", path="/x/v1", api=api.url), account)
    assert (await first.list())[0] == "https://10.0.0.1:9000/x/v1"
    await found.close()
    await first.close()


async def test_an_api_that_hangs_is_a_time_out(api: Api, account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that never comes is given up; it is asked for again later."""
    monkeypatch.setattr(kubernetes, "_LIST_S", 0.1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    found = KubernetesEndpoints(KubernetesService(service="vllm", api=address), account)
    with pytest.raises(Retryable, match=r"no answer within 0\.1 s"):
        await found.list()
    await found.close()
    server.close()


async def test_a_watch_tells_of_changes(api: Api, account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins where the list ended and returns at the first event."""
    monkeypatch.setattr("processor.models.kubernetes._AGAIN_S", 0.01)
    found = KubernetesEndpoints(KubernetesService(service="vllm", api=api.url), account)
    api.version = 41
    assert await found.list() == []
    task = asyncio.create_task(found.changed())
    async with asyncio.timeout(10):
        await api.watching.wait()
        assert not task.done()
        api.event.set()
        await task
    assert api.watched == ["41"]
    await found.close()


async def test_the_token_is_read_anew_and_a_refusal_says_what_to_grant(api: Api, account: Path) -> None:
    """Tokens are replaced about every hour."""
    found = KubernetesEndpoints(KubernetesService(service="vllm", api=api.url), account)
    api.token = secrets.token_hex(16)
    with pytest.raises(Retryable, match=r"endpointslices of discovery\.k8s\.io"):
        await found.list()
    (account / "token").write_text(api.token)
    assert await found.list() == []
    await found.close()


def test_outside_a_cluster_the_settings_are_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says what to do instead."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="urls or dns instead"):
        endpoints_of(ModelSettings(kubernetes=KubernetesService(service="vllm")))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(ConfigError, match="namespace"):
        KubernetesEndpoints(KubernetesService(service="vllm"), tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "none of them"),
        ({"urls": ["http://a/v1"], "dns": "http://b/v1"}, "urls and dns"),
        ({"dns": "http://b/v1", "router": True}, "one address in urls"),
    ],
)
def test_one_way_of_finding_replicas_is_given(given: dict[str, Any], told: str) -> None:
    """None, or two, is an error that says so."""
    with pytest.raises(ValueError, match=told):
        ModelSettings(**given)
