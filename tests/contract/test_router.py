"""Behind a router of others: a double that hashes sessions as theirs do, over servers that it alone knows."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.warmth import prefix_of
from processor.settings import ModelSettings
from processor.testing.model import FakeModelServer

SYSTEM = Message("system", "You judge.")
PIPELINES = [f"p{number}" for number in range(12)]


@dataclass
class Router:
    """Sends a request to one of its servers, by `header`; without one in turn. `metrics` is what it tells of itself."""

    servers: list[FakeModelServer]
    header: str
    metrics: str = ""
    url: str = ""
    turn: int = 0
    http: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession)

    async def start(self) -> web.AppRunner:
        """Listens."""
        app = web.Application()
        app.add_routes([web.get("/metrics", self.told), web.route("*", "/v1/{path:.*}", self.passed)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    async def told(self, _request: web.Request) -> web.Response:
        """Its metrics."""
        return web.Response(text=self.metrics)

    async def passed(self, request: web.Request) -> web.Response:
        """One request."""
        self.turn += 1
        session = request.headers.get(self.header)
        number = self.turn if session is None else hashlib.sha256(session.encode()).digest()[0]
        server = self.servers[number % len(self.servers)]
        target = f"{server.url}/{request.match_info['path']}"
        async with self.http.request(request.method, target, data=await request.read()) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")


@pytest.fixture
async def router(request: pytest.FixtureRequest) -> AsyncIterator[Router]:
    """A router over three servers."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(FakeModelServer()) for _ in range(3)]
        made = Router(servers, *request.param)
        runner = await made.start()
        stack.push_async_callback(made.http.close)
        stack.push_async_callback(runner.cleanup)
        yield made


STACK = ("X-User-ID", 'vllm:healthy_pods_total{server="http://10.0.0.1"} 3\n')
VLLM = ("X-Session-ID", "")


@pytest.mark.parametrize("router", [STACK, VLLM], indirect=True, ids=["production-stack", "vllm-router"])
async def test_requests_of_a_pipeline_stay_together_wherever_the_router_puts_them(router: Router) -> None:
    """The first of each pipeline is its prefix, at the server that all of them go to; a router is one replica."""
    settings = ModelSettings(urls=[router.url], router=None if router.metrics else True, hedge=0.1)
    async with ModelClient(settings) as client:
        client.start(lambda: [prefix_of(name, (SYSTEM, Message("user", ".")), None) for name in PIPELINES])
        asked = [ChatRequest((SYSTEM, Message("user", f"{name} log")), pipeline=name) for name in PIPELINES * 8]
        answers = await asyncio.gather(*map(client.complete, asked))
        assert client.router
    assert {answer.replica for answer in answers} == {router.url}
    where = {name: Counter[int]() for name in PIPELINES}
    for number, server in enumerate(router.servers):
        prefixes = [each for each in server.asked if each.body["max_tokens"] == 1]
        assert server.asked[: len(prefixes)] == prefixes, "before any event"
        here = {each.user.partition(" ")[0] for each in server.asked if each.user != "."}
        assert len(prefixes) == len(here)
        for each in server.asked:
            if each.user != ".":
                where[each.user.partition(" ")[0]][number] += 1
    assert all(list(counted.values()) == [8] for counted in where.values())
    assert all(server.asked for server in router.servers), "it spreads pipelines over its servers"


@pytest.mark.parametrize("router", [("X-Session-ID", "")], indirect=True)
async def test_a_plain_server_gets_no_sessions(router: Router) -> None:
    """Where nothing says that it is a router, placement is ours and nobody is told who belongs together."""
    async with ModelClient(ModelSettings(urls=[router.url])) as client:
        await client.complete(ChatRequest((SYSTEM, Message("user", "a log")), pipeline="p"))
        assert not client.router
