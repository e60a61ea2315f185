"""No event pays for a beginning that all share: new versions are warm before they get traffic, on every server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from processor.models.adapters import Adapters
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.telemetry import LineMetrics
from processor.testing.model import FakeModelServer, StubModel
from processor.tiers.ask import Ask
from processor.tiers.metrics import TierMetrics
from processor.tiers.warm import keep_warm
from tests.unit.models.test_adapter_manager import World, ask_all, until
from tests.unit.test_line import CI_FAILURE

TUNED = replace(CI_FAILURE, name="tuned", model=CI_FAILURE.model.model_copy(update={"adapter": "ci"}))


@asynccontextmanager
async def daemon(world: World) -> AsyncIterator[tuple[Adapters, ModelClient]]:
    """A manager and a client at work for one pipeline, as the daemon has them."""
    manager, registry = world.manager(), CollectorRegistry()
    async with world.running(manager) as client:
        asks = [Ask.of(TUNED, "lite", client, LineMetrics(registry), TierMetrics(registry), served=manager.served)]
        keep_warm(asks, {"lite": client}, {"lite": manager})
        await until(lambda: client.replicas.healthy == len(world.servers))
        yield manager, client


def first_asked(server: FakeModelServer, served: str) -> dict[str, Any] | None:
    """The first question to a version that a server got."""
    return next((each.body for each in server.asked if each.body["model"] == served), None)


def is_prefix(body: dict[str, Any] | None) -> bool:
    """Whether that is the pipeline's own beginning, and asks for no answer."""
    asks = Ask.of(TUNED, "lite", StubModel(), LineMetrics(CollectorRegistry()), TierMetrics(CollectorRegistry()))
    begins = [{"role": each.role, "content": each.content} for each in asks.prompt.prefix]
    return body is not None and body["max_tokens"] == 1 and body["messages"] == begins


async def test_no_event_is_the_first_with_a_new_versions_prefix(tmp_path: Path) -> None:
    """While events keep coming a version is published, tried and taken back: each server computes its prefix first."""
    async with FakeModelServer() as one, FakeModelServer() as two, FakeModelServer() as three:
        world = World(tmp_path, [one, two, three])
        async with daemon(world) as (manager, client):
            versions = [manager.served("ci", "e")]
            await ask_all(client, versions[0])
            for seed, share in ((7, None), (8, 0.5)):
                versions.append(world.publish(seed, share))
                while not world.metric("share", adapter=versions[-1]):
                    await ask_all(client, manager.served("ci", "e"))
                await ask_all(client, versions[-1])
            for server in world.servers:
                assert all(is_prefix(first_asked(server, version)) for version in versions)
            asked = len(one.asked)
            world.store.rollback("ci")
            await until(lambda: world.metric("share", adapter=versions[1]) == 1)
            world.store.rollback("ci")
            await until(lambda: world.metric("share", adapter=versions[0]))
            after = one.asked[asked:]
            assert [each.body["model"] for each in after if each.body["max_tokens"] == 1] == [versions[0]], "once more"


async def test_a_server_that_restarts_is_warmed_for_the_candidate_too(tmp_path: Path) -> None:
    """What is tried gets events as well; a server that comes back while a version moves is warm for that one."""
    async with FakeModelServer() as one:
        world = World(tmp_path, [one])
        async with daemon(world) as (manager, client):
            versions = {manager.served("ci", "e"), world.publish(7, 0.1)}
            await until(lambda: set(manager.routed("ci")) == versions)
            [replica] = client.replicas
            one.asked.clear()
            one.adapters.clear()
            client._restarted(replica)
            await client.warmth.warm(replica)
            assert {each.body["model"] for each in one.asked if is_prefix(each.body)} == versions


async def test_a_server_that_hangs_holds_no_version_back(tmp_path: Path) -> None:
    """What can't be warmed is told, and traffic moves all the same."""
    async with FakeModelServer() as one:
        world = World(tmp_path, [one])
        async with daemon(world) as (manager, client):
            one.poison = lambda body: "500" if body["max_tokens"] == 1 else None
            new = world.publish(7)
            await until(lambda: manager.served("ci", "e") == new)
            answer = await client.complete(ChatRequest((Message("user", "x"),), model=new, max_tokens=4))
            assert answer.model == new


async def test_a_prefix_that_comes_to_be_needed_while_a_server_is_warmed_is_sent_too(tmp_path: Path) -> None:
    """Else a version that is published at that moment would meet a server that is cold for it."""
    async with FakeModelServer() as one:
        world = World(tmp_path, [one])
        async with ModelClient(world.settings) as client:
            await client.capabilities()
            await until(lambda: client.replicas.healthy)
            known = [ChatRequest((Message("user", name),), max_tokens=1, pipeline=name) for name in "ab"]
            client.warmth.prefixes = lambda: known[: 1 + len(one.asked)]
            [replica] = client.replicas
            await asyncio.wait_for(client.warmth.warm(replica), 20)
            assert [each.user for each in one.asked] == ["a", "b"]
