"""The manager of adapters against the server's double: versions, moves, faults and their mending."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from processor.errors import Retryable
from processor.home import Homes
from processor.models.adapters import Expected
from processor.models.adapters.manager import Adapters, fraction
from processor.models.adapters.metrics import AdapterMetrics
from processor.models.adapters.publish import checked
from processor.models.adapters.store import Store
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.settings import ModelSettings
from processor.settings.models import AdapterSettings
from processor.testing.lora import make_adapter
from processor.testing.model import FakeModelServer


class World:
    """A home with the adapters `ci` and `hooks`, a store, servers, and one daemon's manager and client."""

    def __init__(self, folder: Path, servers: list[FakeModelServer]) -> None:
        self.home = folder / "home"
        self.servers = servers
        self.store = Store(folder / "store")
        self.registry = CollectorRegistry()
        self.metrics = AdapterMetrics(self.registry)
        for seed, name in enumerate(("ci", "hooks")):
            make_adapter(self.home / "adapters" / name, seed)
        self.settings = ModelSettings(
            urls=[server.url for server in servers],
            base_model="acme/base-3b",
            timeout_s=5,
            adapters=AdapterSettings(store=self.store.root, watch_s=0.05, grace_s=0.0),
        )
        self.stop = asyncio.Event()

    def manager(self, *names: str, **changes: object) -> Adapters:
        """A manager, as a daemon has one."""
        assert self.settings.adapters is not None
        adapters = self.settings.adapters.model_copy(update=changes)
        return Adapters(self.settings, adapters, "lite", Homes((self.home,)), names or ("ci",), self.metrics)

    @asynccontextmanager
    async def running(self, manager: Adapters) -> AsyncIterator[ModelClient]:
        """The manager at work, and a client that asks it."""
        await manager.start()
        task = asyncio.create_task(manager.run(self.stop))
        try:
            async with ModelClient(self.settings, residency=manager) as client:
                yield client
        finally:
            self.stop.set()
            await task
            await manager.stop()

    def publish(self, seed: int, share: float | None = None, **changes: object) -> str:
        """What `faultstream adapters publish ci --from FOLDER` does; returns the served name."""
        folder = make_adapter(self.home.parent / f"trained{seed}", seed, **changes)  # type: ignore[arg-type]
        version = self.store.add(checked(Homes((self.home,)), "ci", Expected.of(self.settings, "lite"), folder))
        self.store.publish("ci", version, share)
        return f"ci@{version}"

    def metric(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.registry.get_sample_value(f"faultstream_adapter_{name}", labels)


async def ask(client: ModelClient, model: str) -> str:
    """The name under which the server answered."""
    return (await client.complete(ChatRequest((Message("user", "x"),), model=model, max_tokens=4))).model


async def ask_all(client: ModelClient, model: str) -> set[str]:
    """The names under which servers answered so many requests at once that each of them has some."""
    return set(await asyncio.gather(*[ask(client, model) for _ in range(20)]))


async def until(condition: Callable[[], object]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (servers and files tell nobody)
            await asyncio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Two servers that have nothing."""
    async with FakeModelServer() as one, FakeModelServer() as two:
        yield World(tmp_path, [one, two])


async def test_an_adapter_is_loaded_where_it_is_needed_and_once(world: World) -> None:
    """Each server gets it before its first request, however many come at once; what no pipeline names stays away."""
    manager = world.manager("ci")
    async with world.running(manager) as client:
        name = manager.served("ci", "e1")
        assert set(await asyncio.gather(*[ask(client, name) for _ in range(20)])) == {name}
    for server in world.servers:
        assert server.lora.calls == [f"load {name}"]
        assert server.adapters == {name}
        assert world.metric("resident", replica=server.url, adapter=name) == 1


async def test_ten_thousand_may_be_there(world: World) -> None:
    """Of many adapters in the home only those that pipelines name are looked at, kept, loaded and counted.

    The same goes for what servers list.
    """
    for server in world.servers:
        server.adapters.update(f"other{number}@1" for number in range(10_000))
    for number in range(10_000):
        (world.home / "adapters" / f"other{number}").mkdir()
    for number in range(50):
        make_adapter(world.home / "adapters" / f"used{number}", number)
    manager = world.manager(*[f"used{number}" for number in range(50)])
    async with world.running(manager) as client:
        names = [manager.served(f"used{number}", "e") for number in range(50)]
        assert [await ask(client, name) for name in names] == names
        assert world.store.names() == sorted(f"used{number}" for number in range(50))
        held = set().union(*[server.adapters for server in world.servers])
        assert {each for each in held if not each.startswith("other")} == set(names)
    counted = {each.labels.get("adapter", "") for family in world.registry.collect() for each in family.samples}
    assert {each for each in counted if "@" in each} == set(names)


async def test_a_new_version_takes_over_when_it_is_ready_everywhere(world: World) -> None:
    """Traffic stays on the old one until each server that has it has the new one; the old one goes after its grace."""
    manager = world.manager()
    async with world.running(manager) as client:
        old = manager.served("ci", "e")
        await ask_all(client, old)
        world.servers[1].lora.seconds = 0.3
        new = world.publish(7)
        await until(lambda: new in world.servers[0].adapters)
        assert manager.served("ci", "e") == old, "one server has not loaded it yet"
        await until(lambda: manager.served("ci", "e") == new)
        assert all(new in server.adapters for server in world.servers)
        await until(lambda: all(server.adapters == {new} for server in world.servers))
        assert await ask(client, new) == new
    assert world.metric("share", adapter=new) == 1
    assert world.metric("share", adapter=old) is None
    assert world.metric("loads_total", adapter=new, outcome="loaded")
    assert world.metric("loads_total", adapter=old, outcome="loaded") is None, "its series end"


async def test_a_changed_folder_is_published_by_itself(world: World) -> None:
    """Nobody has to say anything; the version before stays in the store for a roll-back."""
    manager = world.manager()
    async with world.running(manager):
        old = manager.served("ci", "e")
        make_adapter(world.home / "adapters" / "ci", 7)
        await until(lambda: manager.served("ci", "e") != old)
        world.store.rollback("ci")
        await until(lambda: manager.served("ci", "e") == old)
        await asyncio.sleep(0.2)  # several looks at the folder, which still has the newer files
        assert manager.served("ci", "e") == old


async def test_a_candidate_gets_its_share_by_event(world: World) -> None:
    """The share holds over many events, a repeat of an event asks the same version, and promotion moves the rest."""
    manager = world.manager()
    async with world.running(manager) as client:
        old = manager.served("ci", "e")
        new = world.publish(7, share=0.2)
        await until(lambda: world.metric("share", adapter=new) == 0.2)
        events = [f"event-{number}" for number in range(4000)]
        first = {event: manager.served("ci", event) for event in events}
        assert abs(Counter(first.values())[new] / 4000 - 0.2) < 0.03
        assert {event: manager.served("ci", event) for event in events} == first
        assert await ask(client, new) == new
        world.store.promote("ci")
        await until(lambda: manager.served("ci", "event-1") == manager.served("ci", "event-2") == new)
        assert world.metric("share", adapter=old) is None


def test_shares_of_adapters_are_apart() -> None:
    """An event that is a candidate's for one adapter isn't for all of them."""
    both = sum(fraction("a", f"{n}") < 0.5 and fraction("b", f"{n}") < 0.5 for n in range(4000))
    assert 800 < both < 1200


async def test_a_restarted_server_gets_its_adapters_again(world: World) -> None:
    """Whatever it had is loaded before it is asked, and an eviction is seen by the 404."""
    manager = world.manager()
    async with world.running(manager) as client:
        name = manager.served("ci", "e")
        await ask_all(client, name)
        for server in world.servers:
            server.adapters.clear()
        assert await ask_all(client, name) == {name}
        assert world.metric("lost_total", adapter=name) == 2


async def test_what_servers_have_already_is_not_loaded_again(world: World) -> None:
    """A daemon that starts finds its adapters there; versions without traffic that it knows are taken away."""
    manager = world.manager(grace_s=300)
    async with world.running(manager) as client:
        old = manager.served("ci", "e")
        new = world.publish(7)
        await until(lambda: manager.served("ci", "e") == new)
        for server in world.servers:
            server.adapters.update({old, new, "ci@strange", "other@123"})
        again = world.manager()
        await again.start()
        task = asyncio.create_task(again.run(world.stop))
        async with ModelClient(world.settings, residency=again) as other:
            assert await ask_all(other, again.served("ci", "e")) == {new}
            await until(lambda: all(old not in server.adapters for server in world.servers))
        world.stop.set()
        await task
        await again.stop()
        del client
    for server in world.servers:
        assert server.adapters == {new, "ci@strange", "other@123"}, "what is not ours stays"
        assert f"load {new}" not in server.lora.calls


async def test_a_bad_version_never_gets_traffic(world: World) -> None:
    """What a server refuses, and what lint would refuse, stays without traffic while the old version serves on."""
    manager = world.manager()
    async with world.running(manager) as client:
        old = manager.served("ci", "e")
        await ask_all(client, old)
        world.publish(7, rank=64)
        await until(manager.problem)
        assert "adapter_config.json: the rank is over the server's --max-lora-rank" in (manager.problem() or "")
        assert manager.served("ci", "e") == old
        assert await ask(client, old) == old
        make_adapter(world.home / "adapters" / "ci", 9, base_model="acme/base-7b")
        await until(
            lambda: "made for acme/base-7b, models.lite.base_model is acme/base-3b" in (manager.problem() or "")
        )
        assert world.metric("trouble", adapter="ci") == 1
        make_adapter(world.home / "adapters" / "ci", 11)
        await until(lambda: manager.problem() is None and manager.served("ci", "e") != old)
        assert world.metric("trouble", adapter="ci") == 0


async def test_an_adapter_that_is_wrong_from_the_start_is_its_pipelines_own_trouble(world: World) -> None:
    """Its events are told why, with the file, and not as anybody else's trouble; mended, it goes on by itself."""
    weights = world.home / "adapters" / "ci" / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    manager = world.manager("ci", "hooks")
    async with world.running(manager) as client:
        with pytest.raises(Retryable, match=r"adapters/ci/adapter_model\.safetensors:1:1: cut off") as caught:
            manager.served("ci", "e")
        assert not caught.value.shared
        hooks = manager.served("hooks", "e")
        assert await ask(client, hooks) == hooks
        weights.write_bytes(whole)
        await until(lambda: "ci" in manager._routes)
        assert manager.problem() is None
        ci = manager.served("ci", "e")
        assert await ask(client, ci) == ci


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("disabled", r"start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
        ("unmounted", r"the server sees nothing at /nowhere/versions/ci/.* models\.lite\.adapters\.server_path"),
        (
            "rank",
            r"adapter_config\.json: the rank is over .*--max-lora-rank; .*models\.lite\.adapters\.max_rank",
        ),
        ("gone", r"the server can't load it; is it made for models\.lite\.base_model\?"),
    ],
)
async def test_what_a_server_refuses_names_the_file_and_the_setting(fault: str, said: str, tmp_path: Path) -> None:
    """Each refusal is the adapter's own trouble, and over once its cause is."""
    server = FakeModelServer()
    server.lora.enabled = fault != "disabled"
    server.lora.max_rank = 2 if fault == "rank" else 16
    async with server:
        world = World(tmp_path, [server])
        manager = world.manager(**({"server_path": "/nowhere"} if fault == "unmounted" else {}))
        async with world.running(manager) as client:
            name = manager.served("ci", "e")
            file = world.store.folder("ci", name.rpartition("@")[2]) / "adapter_model.safetensors"
            whole = file.read_bytes()
            if fault == "gone":
                file.chmod(0o644)
                file.write_bytes(b"")
            with pytest.raises(Retryable, match=said) as caught:
                await ask(client, name)
            assert not caught.value.shared
            for _ in range(2):
                manager._refusals[server.url, name] = replace(manager._refusals[server.url, name], at=manager._clock())
                before = len(server.lora.calls)
                with pytest.raises(Retryable, match=said):
                    await manager._ready(server.url, name)
                assert len(server.lora.calls) == before, "the refusal is remembered for a moment"
            # Mended.
            server.lora.max_rank = 16
            server.lora.mounts["/nowhere"] = str(world.store.root)
            file.chmod(0o644)
            file.write_bytes(whole)
            if fault == "disabled":
                port = int(server.url.rpartition(":")[2].partition("/")[0])
                await server.stop()
                server.lora.enabled = True
                await server.start(port)
            manager._refusals.clear()
            assert await ask(client, name) == name


async def test_a_server_that_is_away_is_everybodys_trouble(world: World) -> None:
    """A load that finds nobody, or a busy server, is no fault of the adapter."""
    manager = world.manager()
    async with world.running(manager) as client:
        name = manager.served("ci", "e")
        for server in world.servers:
            server.lora.away = True
        with pytest.raises(Retryable) as caught:
            await ask(client, name)
        assert caught.value.shared
        for server in world.servers:
            server.lora.away = False
        await until(lambda: client.healthy)
        assert await ask(client, name) == name


async def test_a_server_that_is_away_holds_no_version_back(world: World) -> None:
    """The others move on; it gets the new version when it is back, before its first request."""
    manager = world.manager()
    async with world.running(manager) as client:
        old = manager.served("ci", "e")
        await ask_all(client, old)
        port = int(world.servers[1].url.rpartition(":")[2].partition("/")[0])
        await world.servers[1].stop()
        new = world.publish(7)
        await until(lambda: manager.served("ci", "e") == new)
        assert await ask(client, new) == new
        world.servers[1].adapters.clear()
        await world.servers[1].start(port)
        await until(lambda: new in world.servers[1].adapters or asyncio.ensure_future(ask(client, new)))
        assert await ask(client, new) == new


async def test_two_daemons_move_together(world: World) -> None:
    """One store, two managers: each follows the pointer, and a version is unloaded by either without harm."""
    one, two = world.manager(), world.manager()
    two.store = Store(world.store.root)
    await one.start()
    await two.start()
    tasks = [asyncio.create_task(each.run(world.stop)) for each in (one, two)]
    async with (
        ModelClient(world.settings, residency=one) as first,
        ModelClient(world.settings, residency=two) as second,
    ):
        old = one.served("ci", "e")
        assert old == two.served("ci", "e")
        for client in (first, second) * 2:
            await ask(client, old)
        new = world.publish(7)
        await until(lambda: {one.served("ci", "e"), two.served("ci", "e")} == {new})
        assert {await ask(client, new) for client in (first, second)} == {new}
        await until(lambda: all(server.adapters <= {new} for server in world.servers))
        # One that lags asks for the old version once more: it comes back, and its answer is right.
        assert await ask(second, old) == old
    world.stop.set()
    await asyncio.gather(*tasks)
    await one.stop()
    await two.stop()
