"""Versions of adapters on model servers: the double, and vLLM with adapters made by PEFT. One suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from processor.errors import Retryable
from processor.home import Homes
from processor.models.adapters import Adapters, Expected, Store
from processor.models.adapters.metrics import AdapterMetrics
from processor.models.adapters.publish import checked
from processor.models.adapters.routes import RefusedError, Routes
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.settings import ModelSettings
from processor.settings.models import AdapterSettings
from processor.testing.lora import make_adapter
from processor.testing.model import FakeModelServer
from tests.servers import peft_adapters

pytestmark = pytest.mark.timeout(900)


@dataclass
class World:
    """A server, trained folders (`one`, `two`, `large`), a store, and how each of them answers."""

    url: str
    trained: Path
    scratch: Path
    answer_of: Callable[[str, str], str]
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def settings(self, **adapters: object) -> ModelSettings:
        """The tier's settings."""
        given = AdapterSettings.model_validate(
            {"store": self.scratch / "store", "watch_s": 0, "grace_s": 0, **adapters}
        )
        return ModelSettings(
            urls=[self.url], base_model=peft_adapters.BASE_MODEL, timeout_s=250, attempts=1, adapters=given
        )

    def manager(self, **adapters: object) -> Adapters:
        """A daemon's manager of the adapter `ci`, whose versions are published by hand."""
        settings = self.settings(**adapters)
        assert settings.adapters is not None
        metrics = AdapterMetrics(CollectorRegistry())
        return Adapters(settings, settings.adapters, "lite", Homes((self.scratch,)), ["ci"], metrics)

    def publish(self, name: str, share: float | None = None) -> str:
        """Publishes a trained folder as a version of `ci`; its served name."""
        store = Store(self.scratch / "store")
        expected = Expected.of(self.settings(), "lite")
        version = store.add(checked(Homes((self.scratch,)), "ci", expected, self.trained / name))
        store.publish("ci", version, share)
        return f"ci@{version}"


async def until(condition: Callable[[], Awaitable[object] | object]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(240):
        while True:
            met = condition()
            if await met if isinstance(met, Awaitable) else met:
                return
            await asyncio.sleep(0.05)


async def ask(client: ModelClient, model: str) -> str:
    """The beginning of the answer under a served name."""
    question = (Message("user", peft_adapters.QUESTION),)
    asked = ChatRequest(question, model=model, max_tokens=peft_adapters.TOKENS, alternatives=0)
    return (await client.complete(asked)).text


@pytest.fixture(params=["fake", pytest.param("vllm", marks=pytest.mark.vllm)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """The double, whose answers are the names it is asked by; or vLLM, which has to answer as transformers does."""
    if request.param == "vllm":
        made: peft_adapters.PeftAdapters = request.getfixturevalue("peft_made")
        url: str = request.getfixturevalue("vllm_server")
        yield World(url, made.folder, tmp_path, lambda _, name: made.answers[name])
        return
    for seed, (name, rank) in enumerate({"one": 8, "two": 8, "large": 32}.items()):
        make_adapter(tmp_path / "trained" / name, seed, base_model=peft_adapters.BASE_MODEL, rank=rank)
    async with FakeModelServer(answer=lambda body: body["model"][:6]) as fake:
        yield World(fake.url, tmp_path / "trained", tmp_path, lambda served, _: served[:6])


async def test_the_right_version_answers_through_publish_canary_promotion_and_roll_back(world: World) -> None:
    """Each step's answers are those of the version that the route says; versions without traffic leave the server."""
    one = world.publish("one")
    manager = world.manager()
    await manager.start()
    running = asyncio.create_task(manager.run(world.stop))
    routes = Routes(world.settings(), "lite")
    async with ModelClient(world.settings(), residency=manager) as client:
        right = {one: world.answer_of(one, "one")}
        assert await ask(client, manager.served("ci", "e")) == right[one]
        two = world.publish("two", share=0.5)
        right[two] = world.answer_of(two, "two")
        assert right[one] != right[two]
        events = [f"event-{number}" for number in range(40)]
        await until(lambda: {manager.served("ci", event) for event in events} == {one, two})
        for served in (one, two):
            event = next(event for event in events if manager.served("ci", event) == served)
            assert await ask(client, manager.served("ci", event)) == right[served]
        manager.store.promote("ci")
        await until(lambda: {manager.served("ci", event) for event in events} == {two})
        assert await ask(client, manager.served("ci", "e")) == right[two]

        async def left() -> bool:
            return one not in await routes.listed(world.url)

        await until(left)
        manager.store.rollback("ci")
        await until(lambda: manager.served("ci", "e") == one)
        assert await ask(client, manager.served("ci", "e")) == right[one]
    world.stop.set()
    await running
    await manager.stop()
    await routes.unload(world.url, one)
    await routes.stop()


async def test_an_evicted_version_comes_back_and_answers_right(world: World) -> None:
    """A server that lost it says 404; it is loaded again and the same request gets its answer."""
    one = world.publish("one")
    manager = world.manager()
    await manager.start()
    routes = Routes(world.settings(), "lite")
    async with ModelClient(world.settings(), residency=manager) as client:
        assert await ask(client, one) == world.answer_of(one, "one")
        assert await routes.unload(world.url, one)
        assert await ask(client, one) == world.answer_of(one, "one")
        assert one in await routes.listed(world.url)
    await manager.stop()
    await routes.unload(world.url, one)
    await routes.stop()


async def test_what_the_server_refuses_is_understood(world: World) -> None:
    """Twice is fine; a rank over its limit, a path it doesn't see, broken files and a missing route say what to do."""
    one, large = world.publish("one"), world.publish("large")
    routes, store = Routes(world.settings(), "lite"), Store(world.scratch / "store")

    async def load(served: str, path: Path, url: str = world.url) -> bool:
        return await routes.load(url, served, str(path), path)

    def kept(served: str) -> Path:
        return store.folder("ci", served.partition("@")[2])

    try:
        assert await load(one, kept(one)) is True
        assert await load(one, kept(one)) is False
        assert await routes.unload(world.url, one) is True
        assert await routes.unload(world.url, one) is False
        with pytest.raises(RefusedError, match=r"adapter_config\.json: the rank is over the server's --max-lora-rank"):
            await load(large, kept(large))
        with pytest.raises(
            RefusedError, match=r"the server sees nothing at /nowhere/.*models\.lite\.adapters\.server_path"
        ):
            await load(one, Path("/nowhere/versions/ci/0123"))
        broken = world.scratch / "broken"
        broken.mkdir()
        for file in kept(one).iterdir():
            (broken / file.name).write_bytes(file.read_bytes()[: 200 if file.suffix == ".safetensors" else None])
        with pytest.raises(RefusedError, match=r"broken: the server can't load it"):
            await load("ci@broken", broken)
        with pytest.raises(RefusedError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"):
            await load(one, kept(one), f"{world.url}/no-such-route")
        assert not {one, large, "ci@broken"} & await routes.listed(world.url)
    finally:
        await routes.stop()


async def test_a_version_that_is_refused_is_its_pipelines_own_trouble(world: World) -> None:
    """The client's error is not shared, so that the pipeline is parked and no other."""
    large = world.publish("large")
    manager = world.manager()
    await manager.start()
    async with ModelClient(world.settings(), residency=manager) as client:
        with pytest.raises(Retryable, match="--max-lora-rank") as caught:
            await ask(client, large)
    assert not caught.value.shared
    await manager.stop()
