"""Adapters on real vLLM: six in turn over four slots beside one, and how soon a new version is live."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from bench.serving import lora
from bench.serving.figures import in_turn, ratio, rounds
from bench.serving.loads import Salted, closed_loop, daemon, settings_of
from bench.serving.servers import Choice, Target
from processor.home import Homes
from processor.models.adapters import Adapters, Expected, Store
from processor.models.adapters.metrics import AdapterMetrics
from processor.models.adapters.publish import checked
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.settings.models import AdapterSettings

Found = dict[str, Any]

BASE_MODEL: Final = "bench/base"
NAMES: Final = tuple(f"adapter-{number}" for number in range(6))
WRITTEN: Final = 8
"""Tokens of each answer."""

SYSTEM: Final = Message("system", "You read the log of a build and say what broke it. " * 40)


@dataclass(frozen=True)
class Managed:
    """A client whose adapters are loaded by the manager, as the daemon does. `home` has their folders."""

    client: ModelClient
    wire: Salted
    manager: Adapters
    store: Store
    home: Path
    expected: Expected


@asynccontextmanager
async def managed(
    target: Target, choice: Choice, names: Sequence[str], in_flight: int, watch_s: float = 0.0
) -> AsyncIterator[Managed]:
    """With an adapter for each name, published; the manager runs until the end. `watch_s` as in the settings."""
    with tempfile.TemporaryDirectory(dir=choice.store) as scratch:
        home, store = Path(scratch, "home"), Path(scratch, "store")
        for seed, name in enumerate(names):
            lora.write(home / "adapters" / name, target.shape, BASE_MODEL, seed)
        given = AdapterSettings(store=store, watch_s=watch_s, grace_s=1)
        settings = settings_of(target.url, in_flight, base_model=BASE_MODEL, adapters=given)
        metrics = AdapterMetrics(CollectorRegistry())
        manager = Adapters(settings, given, "lite", Homes((home,)), names, metrics)
        await manager.start()
        stop = asyncio.Event()
        running = asyncio.create_task(manager.run(stop), name="adapters")
        try:
            async with daemon(settings, manager) as (client, wire):
                wire.extra["ignore_eos"] = True  # all answers are of one length
                yield Managed(client, wire, manager, Store(store), home, Expected.of(settings, "lite"))
        finally:
            stop.set()
            await running
            await manager.stop()


def question(number: int, model: str) -> ChatRequest:
    """One of the questions, all of the same length, to an adapter by its served name."""
    text = f"Run {number:05d}. " + "".join(f"| step {number + line:05d} failed\n" for line in range(20))
    return ChatRequest((SYSTEM, Message("user", text)), model=model, max_tokens=WRITTEN, pipeline="bench")


async def mixed_vs_one(target: Target, choice: Choice, in_flight: int, most: int, seconds: float) -> Found:
    """Time of questions to six adapters in turn over that of as many to one; one after another, and many at once.

    System prompts are in the cache before, of each adapter, as the daemon has them.
    """
    took: dict[str, dict[str, list[float]]] = {}
    async with managed(target, choice, NAMES, in_flight) as own:

        async def timed(names: Sequence[str], count: int, at_once: int) -> float:
            own.wire.salt()
            served = [own.manager.served(name, "") for name in names]
            for model in served:
                await own.client.complete(replace(question(0, model), max_tokens=1))

            async def ask(number: int) -> None:
                await own.client.complete(question(number, served[number % len(served)]))

            return await closed_loop([partial(ask, number) for number in range(1, count + 1)], at_once)

        await timed(NAMES, len(NAMES), 1)  # not counted: all of them have been loaded once
        for way, count, at_once in (("in_turn", 2 * len(NAMES), 1), ("at_once", 4 * len(NAMES), in_flight)):
            took[way] = {"mixed": [], "one": []}
            for number in rounds(most, seconds / 2):
                for side in in_turn(number, ("mixed", "one")):
                    names = NAMES if side == "mixed" else NAMES[:1]
                    took[way][side].append(await timed(names, count, at_once))
    return {
        "adapters_mixed_vs_one": ratio(took["in_turn"]["mixed"], took["in_turn"]["one"]),
        "adapters_mixed_vs_one_at_once": ratio(took["at_once"]["mixed"], took["at_once"]["one"]),
        "detail": {"rounds": len(took["in_turn"]["one"]), "in_flight": in_flight, "seconds": took},
    }


async def live(target: Target, choice: Choice, most: int, seconds: float) -> Found:
    """Milliseconds until events go to a new version on a server that serves the one before, loaded there.

    Counted from when its files lie in the store and the pointer names it, as `faultstream adapters publish` leaves
    them; and from when they lie in the adapter's own folder, which the daemon looks at every second.
    """
    published: list[float] = []
    dropped: list[float] = []
    answered: list[float] = []
    name = NAMES[0]
    for watch_s, found in ((0.0, published), (1.0, dropped)):
        async with managed(target, choice, [name], 1, watch_s) as own:
            await own.client.complete(_first(own.manager.served(name, "")))
            for _ in rounds(most, seconds / 2):
                before, new = own.manager.served(name, ""), uuid.uuid4().int  # no server has seen it before
                folder = own.home / "adapters" / name
                if watch_s:
                    lora.write(folder, target.shape, BASE_MODEL, new)
                    began = time.perf_counter()
                else:
                    await asyncio.to_thread(lora.write, folder, target.shape, BASE_MODEL, new)
                    adapter = checked(Homes((own.home,)), name, own.expected)
                    version = await asyncio.to_thread(own.store.add, adapter)
                    own.store.publish(name, version)
                    began = time.perf_counter()
                await _moved(own.manager, name, before)
                found.append((time.perf_counter() - began) * 1000)
                await own.client.complete(_first(own.manager.served(name, "")))
                answered.append((time.perf_counter() - began) * 1000)
    return {
        "new_adapter_live_ms": statistics.median(published),
        "new_adapter_from_folder_ms": statistics.median(dropped),
        "detail": {
            "rounds": len(published),
            "published_ms": published,
            "from_folder_ms": dropped,
            "to_first_answer_ms": answered,
        },
    }


def _first(model: str) -> ChatRequest:
    """A question that says that a version answers, and costs little."""
    return ChatRequest((Message("user", "What broke?"),), model=model, max_tokens=1, alternatives=0, pipeline="bench")


async def _moved(manager: Adapters, name: str, before: str) -> None:
    """Returns when events go to another version; the manager tells nobody, so it is asked each millisecond."""
    async with asyncio.timeout(60):
        while manager.served(name, "") == before:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
