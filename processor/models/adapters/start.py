"""Managers of adapters for a daemon, and for a command that only asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from processor.home import Homes
from processor.lifecycle import Lifecycle
from processor.models.adapters.manager import Adapters
from processor.models.adapters.metrics import AdapterMetrics
from processor.settings import ModelSettings, Settings


async def start_all(
    settings: Settings,
    homes: Homes,
    names: Mapping[str, Collection[str]],
    registry: CollectorRegistry,
    life: Lifecycle,
) -> dict[str, Adapters]:
    """The managers at work, by tier: of those whose adapters the daemon is to load. `names` are adapters by tier."""
    metrics = AdapterMetrics(registry)
    found: dict[str, Adapters] = {}
    for tier, model in settings.models.items():
        if model.adapters is not None and names.get(tier):
            found[tier] = each = Adapters(model, model.adapters, tier, homes, names[tier], metrics)
            life.cleanup(f"adapters.{tier}", each.stop)
            await each.start()
            life.task(f"adapters.{tier}", each.run(life.stop))
    return found


@asynccontextmanager
async def following(
    settings: ModelSettings, tier: str, homes: Homes, names: Collection[str]
) -> AsyncIterator[Adapters | None]:
    """A manager that asks what is served of adapters and publishes nothing; None where the daemon loads none."""
    if settings.adapters is None or not names:
        yield None
        return
    manager = Adapters(settings, settings.adapters, tier, homes, names, AdapterMetrics(CollectorRegistry()))
    await manager.start(publish=False)
    try:
        yield manager
    finally:
        await manager.stop()
