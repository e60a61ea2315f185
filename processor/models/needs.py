"""What pipelines need of the model servers that they ask, looked at before the daemon begins."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import structlog

from processor.errors import ConfigError, Retryable
from processor.models.chat import FEATURES, Capabilities
from processor.models.client import ModelClient

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 10.0
"""How long a start waits for a server's answer: one that is away or loading is waited for later, as ever."""

Needs = Mapping[str, Collection[str]]
"""Features of FEATURES by who needs them."""


async def check_all(clients: Mapping[str, ModelClient], asking: Sequence[tuple[str, str, str | None]]) -> None:
    """Looks at the servers of each tier that is asked: tier, pipeline and its adapter. Raises as `check`."""
    for tier in {tier: None for tier, _, _ in asking}:
        needs = {
            f"pipeline {pipeline} (model.adapter {adapter})": ["adapters"]
            for of, pipeline, adapter in asking
            if of == tier and adapter
        }
        await check(clients[tier], f"models.{tier}", needs)


async def check(client: ModelClient, where: str, needs: Needs) -> None:
    """Asks a tier's servers, whose settings are `where`, what they can do. One that does not answer is not judged.

    Raises ConfigError for a feature that is needed and lacks, for a wrong key and for a wrong model's name.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await client.capabilities()
    except (Retryable, TimeoutError) as error:
        said = str(error) or f"no answer within {PATIENCE_S:g} s"
        log.warning("the model server does not answer yet", action="start", where=where, error=said)
        return
    require(found, needs, where)
    if not found.json_schema:
        log.warning("the model server enforces no schema: more answers will be invalid", action="start", where=where)


def require(found: Capabilities, needs: Needs, where: str) -> None:
    """Raises ConfigError that names who needs what the server of `where` lacks, all at once."""
    lines = []
    for who, features in needs.items():
        missing = [FEATURES[feature] for feature in features if not getattr(found, feature)]
        if missing:
            lines.append(f"{who} needs {' and '.join(missing)}, which the {found.engine} server of {where} lacks")
    if lines:
        raise ConfigError("\n".join(lines))
