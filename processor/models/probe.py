"""What a model server can do, found out by asking it: a few small requests when a replica is prepared.

A feature counts when its effect is seen. A server that takes a field and ignores it lacks what the field asks for, so
the question is one that no model would answer in the form of its own accord.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Final

import orjson

from processor.errors import ConfigError, Rejected, Retryable
from processor.models.capabilities import Capabilities, Engine, Guidance
from processor.models.chat import ChatRequest, Completion, Message, Token
from processor.models.form import Slot, compile_form
from processor.models.wire import BadAnswerError, decode, encode, error_of, shown

Reply = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of an HTTP answer."""

Send = Callable[[str, str, bytes | None], Awaitable[Reply]]
"""Sends method, path and body to the replica; raises Retryable where there is no whole answer."""

CHAT: Final = "/chat/completions"
ADAPTERS: Final = "//lora-adapters"
"""llama.cpp's list of the adapters that it was started with."""

_NO_SUCH: Final = "faultstream-no-such-adapter"
_QUESTION: Final = (Message("user", "Answer in one word, and not in JSON: what is the capital of France?"),)
_OPTIONS: Final = ("y", "n")
_FORM: Final = compile_form("probe", (Slot("ok", "choice", _OPTIONS),))
_FREE: Final = compile_form("probe", ())
"""Of any shape: a server that is asked for it is told nothing of a form."""
_ALTERNATIVES: Final = (8, 5)
"""Log-probabilities that are asked for: what the line asks for, and the most that some servers give."""

_OWNERS: Final[Mapping[str, Engine]] = {"vllm": "vllm", "llamacpp": "llama.cpp"}
_FINGERPRINTS: Final[tuple[tuple[re.Pattern[str], Engine], ...]] = (
    (re.compile(r"fp_ollama"), "ollama"),
    (re.compile(r"\d+\.\d+\.\d+\w*-\d+\.\d+\.\d+\w*-(?:macOS|Darwin|Linux)\b.*"), "mlx"),
)
_LEAST: Final = -100.0
"""A log-probability below this is that of a token that can't come."""


@dataclass(slots=True)
class _Asked:
    """What the server said to questions so far: the last refusal, whether it counts cached tokens, who it is."""

    refusal: str = ""
    cached_tokens: bool = False
    engine: Engine | None = None


async def probe(send: Send, model: str, where: str, engine: Engine | None = None) -> Capabilities:
    """Asks one replica what it can do. `model` is the base model's name, `where` the tier's settings.

    `engine` is what it is, where the settings say so; else that is found out, too.

    Raises ConfigError where the key or the model's name is wrong, Retryable where the server does not answer.
    """
    found = await _listed(send, where)
    found = replace(found, engine=engine or found.engine)
    asked = _Asked()
    found = await _answers(send, found, model, where, asked)
    found = replace(found, engine=engine or asked.engine or found.engine, cached_tokens=asked.cached_tokens)
    found = await _adapters(send, found, model, where)
    return await _beside(send, found, model)


async def adapter_files(send: Send) -> Mapping[str, int]:
    """Ids of llama.cpp's adapters by the names of their files; none where the server has no such list."""
    status, _, data = await send("GET", ADAPTERS, None)
    try:
        listed = orjson.loads(data) if status == 200 else []
        return {PurePath(str(each["path"])).name.removesuffix(".gguf"): int(each["id"]) for each in listed}
    except (ValueError, KeyError, TypeError):
        return {}


async def _listed(send: Send, where: str) -> Capabilities:
    """What the list of models says."""
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
    context = context if isinstance(context, int) else None
    return Capabilities(_OWNERS.get(owner, "other"), names, context_tokens=context)


async def _answers(send: Send, found: Capabilities, model: str, where: str, asked: _Asked) -> Capabilities:
    """What answers can be kept to, and whether there are log-probabilities, both at once where that works."""
    kinds: tuple[Guidance, ...] = ("json_schema", "grammar", "json_object")
    if found.engine == "llama.cpp":
        kinds = ("grammar", "json_schema", "json_object")

    async def ask(guidance: Guidance, alternatives: int) -> Completion | None:
        assumed = replace(found, guidance=guidance, alternatives=alternatives)
        return await _ask(send, assumed, model, where, asked)

    first = await ask(kinds[0], _ALTERNATIVES[0])
    if first is not None and _spelled(first):
        return replace(found, guidance=kinds[0], alternatives=_ALTERNATIVES[0], masked=_masked(first))
    for kind in kinds:
        if (kind == kinds[0] and first is not None) or await ask(kind, 0) is not None:
            found = replace(found, guidance=kind)
            break
    for count in _ALTERNATIVES:
        answer = await ask(found.guidance, count)
        if answer is not None and _spelled(answer):
            return replace(found, alternatives=count, masked=found.schema and _masked(answer))
    # What fails on the plainest question says nothing about the others: a server in trouble is asked again later.
    if found.guidance == "none" and await ask("none", 0) is None:
        raise Retryable(f"the model server answers no question ({asked.refusal})")
    return found


async def _ask(send: Send, assumed: Capabilities, model: str, where: str, asked: _Asked) -> Completion | None:
    """The answer, or None where the server refuses or ignores the guidance that is asked for."""
    form = {"none": None, "json_object": _FREE}.get(assumed.guidance, _FORM)
    request = ChatRequest(_QUESTION, form, max_tokens=24, alternatives=assumed.alternatives)
    status, headers, data = await send("POST", CHAT, encode(request, model, assumed))
    if status == 404:
        served = ", ".join(assumed.models) or "nothing that it lists"
        told = f"{where}.model: the model server has no `{model}`; it serves {served} ({shown(data)})"
        raise ConfigError(told)
    if status != 200:
        error = error_of(status, data, headers, where, None)
        if isinstance(error, Rejected):
            asked.refusal = str(error)
            return None
        raise error
    answer = _decoded(data, assumed)
    _noted(orjson.loads(data), asked)
    return answer if _followed(answer, assumed.guidance) else None


def _decoded(data: bytes, assumed: Capabilities) -> Completion:
    try:
        return decode(data, assumed)
    except BadAnswerError as error:
        raise Retryable(str(error)) from error


def _noted(answer: Mapping[str, Any], asked: _Asked) -> None:
    """What an answer says beside its text."""
    details = (answer.get("usage") or {}).get("prompt_tokens_details")
    asked.cached_tokens |= isinstance(details, dict) and isinstance(details.get("cached_tokens"), int)
    mark = str(answer.get("system_fingerprint") or "")
    asked.engine = next((engine for pattern, engine in _FINGERPRINTS if pattern.fullmatch(mark)), asked.engine)


def _followed(answer: Completion, guidance: Guidance) -> bool:
    """Whether the answer is what the guidance must make of it."""
    if guidance == "none":
        return True
    try:
        given = orjson.loads(answer.text)
    except ValueError:
        return False
    if guidance == "json_object":
        return isinstance(given, dict)
    return given in [{"ok": option} for option in _OPTIONS]


def _spelled(answer: Completion) -> bool:
    """Whether there are tokens, with alternatives, that spell the text; else nothing can be told from them.

    mlx_lm.server gives the tokens of its vocabulary, and of the likeliest any as the one that was taken.
    """
    spelled = "".join([token.text for token in answer.tokens])
    return bool(answer.tokens) and spelled.startswith(answer.text) and any(token.top for token in answer.tokens)


def _masked(answer: Completion) -> bool:
    """Whether all that could have come where the option begins leads to an option.

    Before the mask something of the whole vocabulary would be among the likeliest there.
    """
    start = answer.text.index('"', answer.text.index(":")) + 1
    offset = 0
    for token in answer.tokens:
        if offset <= start < offset + len(token.text):
            return all(_leads(text, token.text[: start - offset]) for text in _possible(token))
        offset += len(token.text)
    return False


def _possible(token: Token) -> list[str]:
    return [text for text, logprob in token.top if logprob > _LEAST]


def _leads(text: str, before: str) -> bool:
    """Whether a token may stand where `before` and an option follow, blanks aside."""
    wanted = [f"{before.lstrip()}{option}" for option in _OPTIONS]
    text = text.lstrip()
    return any(each.startswith(text) or text.startswith(each) for each in wanted)


async def _adapters(send: Send, found: Capabilities, model: str, where: str) -> Capabilities:
    """How adapters are chosen. A name that nothing has is not found, or is answered by the base model.

    mlx_lm.server is not asked: it takes any name for a model's, and looks for it on the model hub.
    """
    if found.engine == "llama.cpp" and (files := await adapter_files(send)):
        return replace(found, adapters="files", files=files)
    if found.engine == "mlx":
        return found
    request = ChatRequest(_QUESTION, model=_NO_SUCH, max_tokens=1, alternatives=0)
    status, headers, data = await send("POST", CHAT, encode(request, model, replace(found, adapters="named")))
    if status >= 500 or status in (401, 403, 429):
        raise error_of(status, data, headers, where, None)
    if status == 200:
        _decoded(data, found)
    return replace(found, adapters="named" if status in (400, 404, 422) else "none")


async def _beside(send: Send, found: Capabilities, model: str) -> Capabilities:
    """What routes beside the OpenAI ones tell."""
    if found.engine == "ollama":
        # The context that it has loaded the model with, which is seldom what the model could take.
        status, _, data = await send("GET", "//api/ps", None)
        return replace(found, context_tokens=_loaded(data, model) if status == 200 else None, cuts=True)
    if found.engine in ("vllm", "llama.cpp"):
        body = orjson.dumps({"model": model, "messages": _QUESTION, "content": "a"})  # vLLM's fields and llama.cpp's
        status, _, _ = await send("POST", "//tokenize", body)
        return replace(found, tokenizer=status == 200)
    return found


def _loaded(data: bytes, model: str) -> int | None:
    """The context of a model in Ollama's list of what is loaded; a name without a tag means `latest`."""
    try:
        for each in orjson.loads(data)["models"]:
            if each["name"] in (model, f"{model}:latest"):
                return int(each["context_length"])
    except (ValueError, KeyError, TypeError):
        pass
    return None
