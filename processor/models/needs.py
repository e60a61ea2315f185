"""What pipelines need of the model servers that they ask, looked at before the daemon begins."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from processor.errors import ConfigError, Rejected, Retryable
from processor.models.chat import FEATURES, Capabilities, ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.form import Form, Slot, compile_form

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 10.0
"""How long a start waits for a server's answer: one that is away or loading is waited for later, as ever."""

_ANYTHING: Final = (Message("user", "x"),)

Needs = Mapping[str, Collection[str]]
"""Features of FEATURES by who needs them."""


class Asking(NamedTuple):
    """A pipeline's question to a tier: the largest form of its answer, and the file that says what that may hold."""

    tier: str
    pipeline: str
    file: str
    form: Form


async def check_forms(clients: Mapping[str, ModelClient], asking: Sequence[Asking]) -> None:
    """Has each tier's server compile the grammar of each question. Raises ConfigError for those that it refuses."""
    refused = [line for tier, client in clients.items() for line in await refusals(client, tier, asking)]
    if refused:
        raise ConfigError("\n".join(refused))


async def refusals(client: ModelClient, tier: str, asking: Sequence[Asking]) -> list[str]:
    """What a tier's server refuses of what is asked of it: pipeline, file, fields and keywords, a line each.

    A server that does not answer within PATIENCE_S is not judged: what it refuses then parks its pipeline.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            told = await asyncio.gather(*(_refusal(client, each) for each in asking if each.tier == tier))
    except (Retryable, TimeoutError):
        return []  # `check` has said so
    return [each for each in told if each is not None]


async def _refusal(client: ModelClient, asking: Asking) -> str | None:
    said = await _refused(client, asking.form)
    if said is None:
        return None
    slots = asking.form.slots
    alone = [await _refused(client, compile_form(asking.form.name, (slot,))) for slot in slots]
    culprits = [_named(slot, asking.form) for slot, each in zip(slots, alone, strict=True) if each is not None]
    where = "; ".join(culprits) or f"all {len(slots)} fields together, though each one alone is taken"
    return f"pipeline {asking.pipeline}: {asking.file}: {where}: {said}"


async def _refused(client: ModelClient, form: Form) -> str | None:
    """What the server says of a form that it refuses; None where it takes it."""
    try:
        await client.attempt(ChatRequest(_ANYTHING, form, max_tokens=1, alternatives=0))
    except Rejected as error:
        return str(error) if error.reason == "schema_refused" else None
    return None


def _named(slot: Slot, form: Form) -> str:
    """A field with the keywords that are asked for it."""
    limits = form.json_schema["properties"][slot.name]
    return f"{slot.name} ({', '.join(limits)})"


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
