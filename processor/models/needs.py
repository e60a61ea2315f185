"""What pipelines need of the model servers that they ask, looked at before the daemon begins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from processor.errors import ConfigError, Rejected, Retryable
from processor.models.capabilities import FEATURES, Capabilities
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.form import Form, Slot, compile_form
from processor.settings import ModelSettings

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 10.0
"""How long a start waits for a server's answer: one that is away or loading is waited for later, as ever."""

_ANYTHING: Final = (Message("user", "x"),)

Adapters = Sequence[tuple[str, str]]
"""Pipelines with the adapters that they ask for; one with a chain may ask for several."""

_LONGER: Final = "start it with OLLAMA_CONTEXT_LENGTH, give the model a num_ctx, or lower the setting"


class Asking(NamedTuple):
    """A pipeline's question to a tier: the largest form of its answer, and the file that says what that may hold.

    `needed`: it can't do without this tier.
    """

    tier: str
    pipeline: str
    file: str
    form: Form
    needed: bool = True


class Refused(NamedTuple):
    """A question that a tier refuses: `told` names pipeline, file, fields and keywords."""

    pipeline: str
    told: str
    needed: bool


async def refusals(client: ModelClient, tier: str, asking: Sequence[Asking]) -> list[Refused] | None:
    """What a tier's server refuses of what is asked of it: it compiles the grammar of each question.

    None where it does not answer within PATIENCE_S: it is not judged. One that enforces no schema refuses none.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            asked = [each for each in asking if each.tier == tier]
            if not asked or not (await client.capabilities()).schema:
                return []
            told = await asyncio.gather(*[_refusal(client, each) for each in asked])
    except (Retryable, TimeoutError):
        return None  # `check` has said so
    return [
        Refused(each.pipeline, said, each.needed) for each, said in zip(asked, told, strict=True) if said is not None
    ]


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
        wanted = [(pipeline, adapter) for of, pipeline, adapter in asking if of == tier and adapter]
        await check(clients[tier], f"models.{tier}", wanted)


async def check(client: ModelClient, where: str, adapters: Adapters) -> None:
    """Asks a tier's servers, whose settings are `where`, what they can do. One that does not answer is not judged.

    Raises ConfigError for an adapter that they can't serve (unless it is optional), for a context that they cut without
    a word, for a wrong key and for a wrong model's name.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await client.capabilities()
    except (Retryable, TimeoutError) as error:
        said = str(error) or f"no answer within {PATIENCE_S:g} s"
        log.warning("the model server does not answer yet", action="start", where=where, error=said)
        return
    wrong, remarks = judge(found, client.settings, where, adapters)
    for remark in remarks:
        log.warning(remark, action="start", where=where)
    if wrong:
        raise ConfigError("\n".join(wrong))


def judge(found: Capabilities, settings: ModelSettings, where: str, adapters: Adapters) -> tuple[list[str], list[str]]:
    """What is wrong with a server for the pipelines that ask it, and what is merely worth knowing."""
    lacking = [line for pipeline, adapter in adapters if (line := _lacks(found, where, pipeline, adapter))]
    wrong = [] if settings.adapters_optional else lacking
    remarks = [f"{line}: the base model answers ({where}.adapters_optional)" for line in lacking if line not in wrong]
    wanted, there = settings.context_tokens, found.context_tokens
    setting = f"{where}.context_tokens is {wanted}"
    if there is not None and there < wanted:
        if found.cuts:
            wrong.append(f"{setting}, but the {found.engine} server cuts prompts at {there} without a word; {_LONGER}")
        else:
            remarks.append(f"{setting}, but the server takes {there}: longer prompts are asked again, shortened")
    elif there is None and found.cuts:
        remarks.append(f"{setting}; the {found.engine} server cuts what is too long without a word; {_LONGER}")
    if not found.schema:
        remarks.append("the model server enforces no schema: it is told to the model, and more answers will be invalid")
    if not found.logprobs:
        remarks.append("the model server gives no log-probabilities: findings have no confidence")
    if not found.cached_tokens:
        remarks.append(f"the model server gives no {FEATURES['cached_tokens']}: costs count them as none")
    return wrong, remarks


def _lacks(found: Capabilities, where: str, pipeline: str, adapter: str) -> str:
    """Why a server can't serve a pipeline's adapter, or nothing."""
    who = f"pipeline {pipeline} (model.adapter {adapter})"
    if not found.chooses:
        return f"{who} needs {FEATURES['chooses']}, which the {found.engine} server of {where} lacks"
    if found.adapters == "files" and not any(adapter == each.partition("@")[0] for each in found.files):
        there = ", ".join(sorted(found.files))
        return (
            f"{who} needs {adapter}.gguf, which the {found.engine} server of {where} was not started with (it has "
            f"{there}); faultstream adapters convert {adapter} makes the file"
        )
    return ""
