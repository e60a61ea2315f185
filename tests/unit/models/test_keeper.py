"""Replicas that come, are prepared, fail, restart and leave: the client over simulated servers, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from processor.errors import ConfigError, Retryable
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.models.form import Slot, compile_form
from processor.models.metrics import ModelMetrics
from processor.models.probe import Reply
from processor.models.transport import AwayError, UnansweredError
from processor.settings import ModelSettings
from processor.testing.virtual import run

FORM = compile_form("ci", (Slot("category", "choice", ("k1", "k2")),))
ASK = ChatRequest((Message("system", "You judge."), Message("user", "A log.")), FORM)
PREFIX = ChatRequest((ASK.messages[0], Message("user", ".")), max_tokens=1, alternatives=0, pipeline="ci")


@dataclass
class Server:
    """A simulated server: `up`, how long it takes, what it is called, when its process began, what it answers with."""

    up: bool = True
    seconds: float = 1.0
    slow: Mapping[str, float] = field(default_factory=dict)  # seconds of certain questions
    status: int = 200
    model: str = "base"
    started: float = 1.0
    queue: int = 0
    metrics: str = ""
    ended: int = 0  # requests that were given up
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str] | None] = field(default_factory=list)


class World:
    """Servers by address, as a transport and as a list of endpoints."""

    def __init__(self, count: int) -> None:
        self.servers = {f"http://{number}/v1": Server() for number in range(count)}
        self.gone: dict[str, Server] = {}
        self._event = asyncio.Event()

    async def list(self) -> frozenset[Endpoint]:
        """Those that are there."""
        return frozenset(Endpoint(url) for url in self.servers)

    async def changed(self) -> None:
        """When `tell` is called."""
        await self._event.wait()
        self._event.clear()

    def tell(self) -> None:
        """The list has changed."""
        self._event.set()

    def leave(self, url: str) -> None:
        """A server is taken off the list, and finishes what it has."""
        self.gone[url] = self.servers.pop(url)
        self.tell()

    async def close(self) -> None:
        """Nothing is open."""

    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One exchange."""
        server = self.servers.get(endpoint.url) or self.gone[endpoint.url]
        if not server.up:
            raise AwayError(f"{endpoint.url}: Connection refused")
        if path == "//metrics":
            text = (
                f'process_start_time_seconds {server.started}\nvllm:num_requests_waiting{{engine="0"}} {server.queue}\n'
            )
            return 200, {}, (text + server.metrics).encode()
        if path == "/models":
            return 200, {}, orjson.dumps({"data": [{"id": server.model, "owned_by": "vllm"}]})
        asked: dict[str, Any] = orjson.loads(body or b"{}")
        if asked["model"] != server.model:
            return 404, {}, b'{"error": {"message": "The model does not exist."}}'
        user = asked["messages"][-1]["content"]
        if not user.startswith("Answer"):
            server.asked.append(user)
            server.headers.append(headers)
            seconds = server.slow.get(user, server.seconds)
            if timeout_s is not None and timeout_s < seconds:
                await asyncio.sleep(timeout_s)
                raise UnansweredError(f"{endpoint.url} did not answer within {timeout_s:g} s")
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                server.ended += 1
                raise
            if not server.up:
                raise UnansweredError(f"{endpoint.url}: Server disconnected")
            if server.status != 200:
                return server.status, {}, b"{}"
        text = '{"ok":"y"}' if user.startswith("Answer") else '{"category":"k1"}'
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        choice["logprobs"] = {"content": [{"token": text, "logprob": 0}]}
        timings = {"time_to_first_token_ms": 200.0, "queue_time_ms": 50.0}
        usage = {"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 80}}
        return 200, {}, orjson.dumps({"choices": [choice], "usage": usage, "metrics": timings})


Play = Callable[[World, ModelClient], Coroutine[Any, Any, None]]


def play(count: int, script: Play, registry: CollectorRegistry | None = None, **settings: Any) -> World:
    """Runs a script on a client of so many servers that is started with one pipeline."""

    async def whole() -> World:
        world = World(count)
        metrics = ModelMetrics(registry or CollectorRegistry())
        urls = list(world.servers)
        client = ModelClient(ModelSettings(urls=urls, **settings), transport=world, endpoints=world, metrics=metrics)
        async with client:
            client.start(lambda: [PREFIX])
            await script(world, client)
        return world

    return run(whole())


async def asks(count: int, client: ModelClient) -> list[Any]:
    """So many questions at once; answers and errors."""
    return await asyncio.gather(*(client.complete(ASK) for _ in range(count)), return_exceptions=True)


def test_a_replica_is_warm_before_it_is_asked() -> None:
    """The system prompt is the first that each of the first choices gets; it is measured, and expected, by metrics."""
    registry = CollectorRegistry()

    async def script(world: World, client: ModelClient) -> None:
        assert not [each for each in await asks(30, client) if isinstance(each, Exception)]

    world = play(5, script, registry, warm_replicas=2)
    warmed = [server for server in world.servers.values() if "." in server.asked]
    assert len(warmed) == 2
    assert all(server.asked[0] == "." for server in warmed)
    labels = {"tier": "lite", "pipeline": "ci", "adapter": ""}
    assert registry.get_sample_value("faultstream_model_cached_share_expected", labels) == 1.0
    assert registry.get_sample_value("faultstream_model_requests_total", {**labels, "outcome": "answered"}) == 30
    assert registry.get_sample_value("faultstream_model_first_token_seconds_sum", labels) == 30 * 0.25


def test_a_server_killed_in_mid_answer_costs_a_try() -> None:
    """What it had is asked elsewhere, at once; when it is back it is warmed again, and gets its share."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        first = client.replicas.first_choices(ASK.key, 1)[0]
        server = world.servers[first.url]
        server.seconds = 5
        task = asyncio.create_task(asks(6, client))
        await asyncio.sleep(2)
        server.up = False
        answers = await task
        assert {answer.replica for answer in answers} - {first.url}
        assert not [each for each in answers if isinstance(each, Exception)]
        server.up, server.started, server.asked[:] = True, 2.0, []
        await asyncio.sleep(60)
        await client.complete(ASK)
        assert server.asked[0] == "."
        assert server.asked[-1] == "A log."

    play(3, script)


def test_one_that_leaves_finishes_and_one_that_comes_is_prepared() -> None:
    """A request in flight has its answer from a server that is off the list; the new one is warmed first."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        first = client.replicas.first_choices(ASK.key, 1)[0]
        task = asyncio.create_task(client.complete(ASK))
        await asyncio.sleep(0.5)
        new = world.servers["http://new/v1"] = Server()
        world.leave(first.url)
        assert (await task).replica == first.url
        assert (await client.complete(ASK)).replica != first.url
        await asyncio.sleep(10)
        assert new.asked[:1] == ["."]

    play(1, script)


def test_all_down_is_back_pressure_and_ends() -> None:
    """Each request comes back with a wait that everybody shares; when the servers are back, so are answers."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        for server in world.servers.values():
            server.up = False
        failed = await asks(20, client)
        assert all(isinstance(each, Retryable) and each.shared for each in failed)
        assert not client.healthy
        await asyncio.sleep(3600)
        for server in world.servers.values():
            server.up = True
        await asyncio.sleep(30)
        assert client.healthy
        await client.complete(ASK)

    play(3, script)


def test_a_restart_that_nobody_saw_is_noticed() -> None:
    """The process began anew between two requests: its cache is empty, so it is warmed."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        server = world.servers["http://0/v1"]
        server.asked.clear()
        server.started = 7.0
        await asyncio.sleep(20)
        assert server.asked == ["."]

    play(1, script)


def test_a_server_with_another_model_gets_nothing() -> None:
    """At the start that is an error; among others it is left out, and later too."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        first = client.replicas.first_choices(ASK.key, 1)[0]
        world.servers[first.url].model = "another"
        assert (await client.complete(ASK)).replica != first.url
        await asyncio.sleep(60)
        assert not first.usable

    play(2, script)

    async def wrong(world: World, client: ModelClient) -> None:
        world.servers["http://0/v1"].model = "another"
        with pytest.raises(ConfigError, match="no `base`"):
            await client.complete(ASK)

    play(1, wrong)


def test_one_slow_server_of_three_does_not_slow_the_others() -> None:
    """It holds what it can and no more; the rest goes elsewhere."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        first = client.replicas.first_choices(ASK.key, 1)[0]
        world.servers[first.url].seconds = 60
        began = asyncio.get_running_loop().time()
        answers = await asks(90, client)
        assert not [each for each in answers if isinstance(each, Exception)]
        slow = sum(answer.replica == first.url for answer in answers)
        assert slow <= 45
        assert asyncio.get_running_loop().time() - began <= 180

    play(3, script, concurrency=16)


def test_a_later_try_gets_the_time_that_is_left() -> None:
    """The request's deadline bounds all of its tries together, wherever they go."""

    async def script(world: World, client: ModelClient) -> None:
        await client.complete(ASK)
        for server in world.servers.values():
            server.seconds = 1000
        began = asyncio.get_running_loop().time()
        with pytest.raises(Retryable):
            await client.complete(ASK)
        assert asyncio.get_running_loop().time() - began < 60

    play(2, script, timeout_s=20, give_up_after=1000)


def test_behind_a_router_requests_carry_who_belongs_together() -> None:
    """production-stack is recognised by its metrics; anything else by the settings."""

    async def script(world: World, client: ModelClient) -> None:
        server = world.servers["http://0/v1"]
        server.metrics = 'vllm:healthy_pods_total{server="http://a"} 2\n'
        await client.complete(ASK)
        assert client.router
        named = server.headers[-1]
        assert named is not None
        assert named["X-Session-ID"] == named["X-User-ID"]
        await client.complete(ASK)
        assert server.headers[-1] == named

    play(1, script)


def test_adapters_are_not_loaded_through_a_router(tmp_path: Path) -> None:
    """It is recognised when it is probed, and the start ends with what to leave out."""

    async def script(world: World, client: ModelClient) -> None:
        world.servers["http://0/v1"].metrics = 'vllm:healthy_pods_total{server="http://a"} 2\n'
        with pytest.raises(ConfigError, match=r"leave models\.lite\.adapters out"):
            await client.capabilities()

    play(1, script, adapters={"store": tmp_path})
