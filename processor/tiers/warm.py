"""Has servers compute what prompts begin with before an event needs it: when they come, and for each new version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from processor.models.adapters import Adapters
from processor.models.chat import ChatRequest
from processor.models.client import ModelClient
from processor.models.warmth import prefix_of
from processor.tiers.ask import Ask


def keep_warm(asks: Sequence[Ask], models: Mapping[str, ModelClient], adapters: Mapping[str, Adapters]) -> None:
    """Starts the clients, by tier: from now on a replica is warm for `asks` before it gets events.

    So is a version of an adapter that the daemon loads (`adapters`, by tier) before it gets any.
    """
    for tier, client in models.items():
        own, manager = [ask for ask in asks if ask.infer.tier == tier], adapters.get(tier)
        client.start(partial(_prefixes, own, manager.routed if manager is not None else _as_named))
        if manager is not None:
            manager.warm = partial(_warm, own, client)


def _as_named(adapter: str) -> Sequence[str]:
    return (adapter,)


def _prefixes(asks: Sequence[Ask], routed: Callable[[str], Sequence[str]]) -> list[ChatRequest]:
    """How the questions of each pipeline begin, in each version of its adapter that events ask."""
    found: list[ChatRequest] = []
    for ask in asks:
        versions = (None,) if ask.infer.adapter is None else routed(ask.infer.adapter)
        found += [_prefix(ask, version) for version in versions]
    return found


async def _warm(asks: Sequence[Ask], client: ModelClient, adapter: str, served: str) -> None:
    own = [ask for ask in asks if ask.infer.adapter == adapter]
    await client.warmth.publish([_prefix(ask, served) for ask in own])


def _prefix(ask: Ask, served: str | None) -> ChatRequest:
    return prefix_of(ask.name, ask.prompt.prefix, served, ask.infer.step, ask.infer.home)
