"""What a model server can do, found out by asking it: three small requests when a replica is first used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from processor.errors import ConfigError, Rejected, Retryable
from processor.models.chat import Capabilities, ChatRequest, Completion, Engine, Message
from processor.models.form import Slot, compile_form
from processor.models.wire import BadAnswerError, decode, encode, error_of

Reply = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of an HTTP answer."""

Send = Callable[[str, str, bytes | None], Awaitable[Reply]]
"""Sends method, path and body to the replica; raises Retryable where there is no whole answer."""

CHAT: Final = "/chat/completions"
_NO_SUCH: Final = "faultstream-no-such-adapter"
_QUESTION: Final = (Message("user", 'Answer {"ok":"y"}'),)
_FORM: Final = compile_form("probe", (Slot("ok", "choice", ("y", "n")),))


async def probe(send: Send, model: str, where: str) -> Capabilities:
    """Asks one replica what it can do. `model` is the base model's name, `where` the tier's settings.

    vLLM answers 404 to a model name that it does not know, llama.cpp answers from the base: that tells whether
    adapters can be chosen by name. Raises ConfigError where the key or the model's name is wrong, Retryable
    where the server does not answer.
    """
    found = await _listed(send, where)
    status, headers, data = await send(
        "POST", CHAT, encode(ChatRequest(_QUESTION, model=_NO_SUCH, max_tokens=1), model, found)
    )
    if status >= 500 or status in (401, 403, 429):
        raise error_of(status, data, headers, where, None)
    if status == 200:
        _decoded(data, found)
    found = replace(found, adapters=status in (400, 404))
    full = await _ask(send, replace(found, json_schema=True, logprobs=True), model, where)
    if full is not None:
        return full
    parts = [
        await _ask(send, replace(found, json_schema=schema, logprobs=logprobs), model, where)
        for schema, logprobs in ((True, False), (False, True))
    ]
    # What fails on the plainest question says nothing about the others: a server in trouble is asked again later.
    if parts == [None, None] and await _ask(send, found, model, where) is None:
        raise Retryable("the model server answers no question")
    return replace(found, json_schema=parts[0] is not None, logprobs=parts[1] is not None)


async def _listed(send: Send, where: str) -> Capabilities:
    status, headers, data = await send("GET", "/models", None)
    if status >= 500 or status in (401, 403, 429):
        raise error_of(status, data, headers, where, None)
    try:
        models: list[dict[str, Any]] = orjson.loads(data)["data"] if status == 200 else []
        owner = str(models[0].get("owned_by")) if models else ""
        context = models[0].get("max_model_len") or (models[0].get("meta") or {}).get("n_ctx") if models else None
        names = tuple(str(each.get("id")) for each in models)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return Capabilities()
    engines: dict[str, Engine] = {"vllm": "vllm", "llamacpp": "llama.cpp"}
    return Capabilities(
        engines.get(owner, "other"), names, context_tokens=context if isinstance(context, int) else None
    )


async def _ask(send: Send, assumed: Capabilities, model: str, where: str) -> Capabilities | None:
    """`assumed` with what the answer shows, or None where the server refuses or ignores what is asked for."""
    request = ChatRequest(_QUESTION, _FORM if assumed.json_schema else None, max_tokens=24, alternatives=2)
    status, headers, data = await send("POST", CHAT, encode(request, model, assumed))
    if status == 404:
        served = ", ".join(assumed.models) or "nothing that it lists"
        raise ConfigError(f"{where}.model: the model server has no `{model}`; it serves {served}")
    if status != 200:
        error = error_of(status, data, headers, where, None)
        if isinstance(error, Rejected):
            return None
        raise error
    try:
        answer = decode(data, assumed)
    except BadAnswerError:
        return None
    if (assumed.json_schema and not _followed(answer)) or (assumed.logprobs and not answer.tokens):
        return None
    details = (orjson.loads(data).get("usage") or {}).get("prompt_tokens_details")
    return replace(assumed, cached_tokens=isinstance(details, dict) and "cached_tokens" in details)


def _decoded(data: bytes, assumed: Capabilities) -> Completion:
    try:
        return decode(data, assumed)
    except BadAnswerError as error:
        raise Retryable(str(error)) from error


def _followed(answer: Completion) -> bool:
    try:
        return orjson.loads(answer.text) in ({"ok": "y"}, {"ok": "n"})
    except ValueError:
        return False
