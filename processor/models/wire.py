"""The OpenAI-compatible chat format: requests to bytes, answers and errors from bytes. No network here.

Fields as in https://platform.openai.com/docs/api-reference/chat and in vLLM's and llama.cpp's servers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import PurePath
from typing import Any, Final

import msgspec
import orjson

from processor.contract import Usage
from processor.errors import ConfigError, FaultstreamError, Rejected, Retryable
from processor.models.capabilities import Capabilities
from processor.models.chat import ChatRequest, Completion, Message
from processor.models.form import Form
from processor.models.instructions import instructions
from processor.models.lenient import loads

_TOO_LONG: Final = re.compile(
    r"context (?:length|size|window)|exceed_context|too long|max_model_len|maximum input", re.IGNORECASE
)
_SHOWN: Final = 300
_SCHEMA: Final = re.compile(r"grammar|json.?schema|structured.?output|guided.?decoding", re.IGNORECASE)
_IMPOSSIBLE: Final = -9999.0
_LONGEST_REST_S: Final = 600.0
_LOOSE: Final = 96
"""Tokens more than a form needs, for the blanks and the fence that a model writes where nothing keeps it from them."""


class BadAnswerError(ValueError):
    """The server's answer is not what the protocol says."""


class FailedError(Retryable):
    """The server took the request and failed on it, which may be the request's own doing."""


class OverdueError(FailedError):
    """The request's time was over before it could be sent."""


class MissingAdapterError(Retryable):
    """The server does not have the adapter."""


class NotServedError(Retryable):
    """The server is another than it was: it does not know the model, or the path."""


class BusyError(Retryable):
    """The server has enough to do (429, 503)."""


def encode(request: ChatRequest, model: str, server: Capabilities) -> bytes:
    """The request's body for `server`: with the form as what it enforces, or told to the model where it enforces none.

    What is told stands at the end of the last message, behind all that is the same for other events.
    """
    body: dict[str, Any] = {
        "model": request.model or model,
        "messages": request.messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    if request.alternatives and server.alternatives:
        body |= {"logprobs": True, "top_logprobs": min(request.alternatives, server.alternatives)}
    if request.form is not None:
        if not server.schema and (told := instructions(request.form.slots)):
            *before, last = request.messages
            body["messages"] = [*before, Message(last.role, f"{last.content}\n\n{told}")]
            body["max_tokens"] += _LOOSE
        body |= _guidance(request.form, server)
    if server.adapters == "files":
        # One that is not named keeps the scale that the server was started with.
        chosen = server.files.get(request.model) if request.model is not None else None
        body["model"] = model
        body["lora"] = [{"id": each, "scale": 1.0 if each == chosen else 0.0} for each in server.files.values()]
    return orjson.dumps(body)


def _guidance(form: Form, server: Capabilities) -> dict[str, Any]:
    """The fields by which the server keeps an answer to the form, as far as it can."""
    if server.guidance == "grammar":
        return {"grammar": form.grammar}
    if server.guidance == "json_schema":
        schema = {"name": form.name, "schema": form.schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"response_format": {"type": "json_object"}} if server.guidance == "json_object" else {}


class _Likely(msgspec.Struct, gc=False):
    token: str
    logprob: float | None


class _Token(msgspec.Struct, gc=False):
    """A token as it is read. What was likely at its place is put together when it is asked for: of few tokens it is."""

    text: str = msgspec.field(name="token")
    given: float | None = msgspec.field(name="logprob")
    likely: list[_Likely] | None = msgspec.field(name="top_logprobs", default=None)

    @property
    def logprob(self) -> float:
        return _logprob(self.given)

    @property
    def top(self) -> tuple[tuple[str, float], ...]:
        return tuple([(each.token, _logprob(each.logprob)) for each in self.likely or ()])


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Message(msgspec.Struct):
    content: str | None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None
    logprobs: _Logprobs | None = None


class _Answer(msgspec.Struct):
    """What is read of an answer; hundreds of its objects are tokens, of which much is never looked at."""

    choices: list[_Choice]
    model: Any = None
    usage: Any = None
    metrics: Any = None
    timings: Any = None


_ANSWERS: Final = msgspec.json.Decoder(_Answer)


def decode(data: bytes, server: Capabilities) -> Completion:
    """The completion in an answer's body. Raises BadAnswerError where it is none."""
    try:
        answer = _read(data)
        choice = answer.choices[0]
        model = str(answer.model or "")
        return Completion(
            text=choice.message.content or "",
            finish_reason=choice.finish_reason or "",
            tokens=tuple((choice.logprobs and choice.logprobs.content) or ()),
            usage=_usage(answer.usage or {}, counts=server.cached_tokens),
            model=PurePath(model).name if model.startswith("/") else model,
            masked=server.masked,
            engine=server.engine,
            first_token_ms=_first_token_ms(answer),
        )
    except (msgspec.MsgspecError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise BadAnswerError(f"no chat completion: {shown(data)}") from error


def _read(data: bytes) -> _Answer:
    try:
        return _ANSWERS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.convert(loads(data), _Answer)


def _first_token_ms(answer: _Answer) -> float | None:
    """When the server had the first token, as it says itself: no answer need be streamed to know.

    vLLM (--enable-per-request-metrics) tells apart its queue and what came then, llama.cpp has no queue in `timings`.
    https://docs.vllm.ai/en/latest/features/per_request_metrics
    """
    told = answer.metrics
    if isinstance(told, dict):
        parts = (told.get("queue_time_ms") or 0.0, told.get("time_to_first_token_ms"))
    else:
        told = answer.timings
        parts = (0.0, told.get("prompt_ms") if isinstance(told, dict) else None)
    known = [each for each in parts if isinstance(each, int | float) and 0 <= each < math.inf]
    return float(sum(known)) if len(known) == len(parts) else None


def _logprob(value: float | None) -> float:
    """llama.cpp writes an impossible token's (minus infinity) as null, which JSON has no number for."""
    return _IMPOSSIBLE if value is None else value


def _usage(usage: Mapping[str, Any], *, counts: bool) -> Usage:
    """The tokens of an answer. A server that `counts` cached ones leaves them out where there are none (vLLM)."""
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens")
    return Usage(
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        cached_tokens=int(cached) if cached is not None else 0 if counts else None,
        completion_tokens=int(usage.get("completion_tokens") or 0),
    )


def error_of(
    status: int, data: bytes, headers: Mapping[str, str], where: str, adapter: str | None, form: str = ""
) -> FaultstreamError:
    """What an answer with an error status means for the event.

    `where` names the tier's settings ("models.lite"), `adapter` the adapter that was asked for, if one was, and
    `form` the form of the answer (its pipeline's name).
    """
    said = f"{status}: {shown(data)}"
    if status in (401, 403):
        return ConfigError(f"{where}.api_key: the model server refuses the key ({said})")
    if status in (429, 503):
        return BusyError(f"the model server is busy ({said})", wait=retry_after(headers))
    if status in (400, 422, 500) and _SCHEMA.search(data.decode("utf-8", "replace")):
        # Some servers call it their own fault; asking again would fail again, for this event and all after it.
        named = f"schema of {form}" if form else "answer's schema"
        return Rejected("schema_refused", f"{where}: the model server can't enforce the {named} ({said})")
    if status >= 500 or status < 400 or status == 408:
        return FailedError(f"the model server failed ({said})")
    if status == 404:
        if adapter and _is_model_error(data):
            return MissingAdapterError(f"the model server has no adapter {adapter} ({said})", shared=False)
        setting = "model" if _is_model_error(data) else "urls"
        return NotServedError(f"{where}.{setting}: not found on the model server ({said})")
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(data.decode("utf-8", "replace"))):
        return Rejected("prompt_too_long", f"the prompt is too long for the model ({said})")
    return Rejected("request_refused", f"the model server refused the request ({said})")


def _is_model_error(data: bytes) -> bool:
    return b"model" in data.lower() and data.lstrip().startswith(b"{")


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, ten minutes at most: a number or a date (RFC 9110, 10.2.3).

    None without one. A date is as good as the two clocks that it is read by: hence the bound.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        return min(_LONGEST_REST_S, max(0.0, float(value)))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return min(_LONGEST_REST_S, max(0.0, (then - (now or datetime.now(UTC))).total_seconds()))


def shown(data: bytes) -> str:
    """The start of an answer as one line, its error message alone where it has one."""
    try:
        error = orjson.loads(data).get("error")
        text = str(error.get("message") if isinstance(error, dict) else error or data.decode("utf-8", "replace"))
    except (ValueError, AttributeError):
        text = data.decode("utf-8", "replace")
    return " ".join(text.split())[:_SHOWN] or "an empty answer"
