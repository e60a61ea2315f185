"""Doubles of a model server: one in the process, and one that speaks HTTP and can fail in every known way."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Literal, Self

import orjson
from aiohttp import web

from processor.contract import Usage
from processor.models.chat import ChatRequest, Completion
from processor.models.form import Form, Slot
from processor.testing.lora import LoraRoutes

Fault = Literal[
    "500", "busy", "html", "half", "hang", "trickle", "garbage", "empty", "cut_off", "dies", "too_long", "refused",
    "unauthorised", "broken_json", "grammar", "blanks", "page", "text", "bomb", "huge", "stall", "body_too_large",
    "base_instead",
]  # fmt: skip
"""What can go wrong with one answer; see FakeModelServer."""


@lru_cache(maxsize=4096)
def first_answer(form: Form) -> str:
    """A valid answer to a form: the first option of each choice, short texts."""
    return orjson.dumps({slot.name: _first(slot) for slot in form.slots}).decode()


def _first(slot: Slot) -> Any:
    if slot.kind == "choice":
        return slot.options[0]
    if slot.kind == "choices":
        return list(slot.options[:1])
    return {"text": "the build failed"[: slot.length], "texts": [], "integer": 0, "number": 0, "flag": False}[slot.kind]


class StubModel:
    """A model in the process that answers at once, without HTTP: for benchmarks and canned completions.

    `answer` is the text to give, a function of the request that makes it, or None for `first_answer`.
    """

    def __init__(self, answer: str | Callable[[ChatRequest], str] | None = None, finish_reason: str = "stop") -> None:
        self._answer = answer
        self._finish_reason = finish_reason
        self.requests = 0
        self.last: ChatRequest | None = None

    async def complete(self, request: ChatRequest) -> Completion:
        """The answer, with the number of words as its tokens."""
        self.requests += 1
        self.last = request
        if self._answer is None:
            text = first_answer(request.form) if request.form is not None else "{}"
        else:
            text = self._answer if isinstance(self._answer, str) else self._answer(request)
        return Completion(text, self._finish_reason, usage=Usage(len(request.messages), 0, 1), model="stub")


@dataclass(slots=True)
class Asked:
    """A chat completion that the fake server was asked for."""

    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def user(self) -> str:
        """The last message's text."""
        return str(self.body["messages"][-1]["content"])


CONTEXT_TOKENS: Final = 8192
"""Context of the fake server by default, where a word is a token."""

_PAGE: Final = "<html><body><h1>502 Bad Gateway</h1></body></html>"
_LARGE: Final = "<html><body><h1>413 Request Entity Too Large</h1></body></html>"
_TOO_LONG: Final = (
    "This model's maximum context length is 2048 tokens. However, your request has 4096 input tokens. "
    "Please reduce the length of the input messages."
)


def _valid(body: dict[str, Any]) -> str:
    """An answer that the request's JSON Schema allows."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    return orjson.dumps({name: sample(each) for name, each in schema.get("properties", {}).items()}).decode()


def sample(schema: Mapping[str, Any]) -> Any:
    """A value that a field's JSON Schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    return {"array": [], "string": "the build failed"[: schema.get("maxLength", 99)], "boolean": False}.get(
        str(kind), 0
    )


@dataclass
class FakeModelServer:
    """An OpenAI-compatible server on a loopback port that behaves like vLLM, until it is told to fail.

    `adapters` are the names that it knows beside its model's; with `any_name` it answers to any, from the base.

    `answer` makes the text from the request's body, by default a valid one. `faults` are used up one per chat
    completion, `always` (if set) stays, and `poison` gives the fault of a request's body alone, if it has one. Probes
    with the name of no adapter are answered without using up any.

    500, busy (429 with Retry-After), html (502 with a page), half (the connection ends in mid-body), hang (no
    byte ever), trickle (a byte now and then, no end), garbage (200, no JSON), empty (200, no choices), cut_off
    (finish_reason length), dies (closes without a byte), too_long and refused (400), unauthorised (401),
    broken_json (an answer whose text is no JSON), grammar (400, the schema can't be enforced), blanks (250,000), page
    (200 with a login page), text (a valid answer that calls itself plain text), bomb (256 MB in a few KB of gzip), huge
    (64 MB), stall (half of a body, then silence), body_too_large (a proxy's 413), base_instead (the base answers for an
    adapter).
    `adapters` are loaded and unloaded as `lora` says; taking one out is an eviction.
    """

    model: str = "base"
    adapters: set[str] = field(default_factory=set)
    any_name: bool = False
    lora: LoraRoutes = field(default_factory=LoraRoutes)
    key: str = ""
    answer: Callable[[dict[str, Any]], str] = _valid
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    poison: Callable[[dict[str, Any]], Fault | None] = lambda _: None
    retry_after: str = "1"
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    context_tokens: int = CONTEXT_TOKENS
    _runner: web.AppRunner | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        """Listens on a free loopback port, or on `port`; `url` is the base address."""
        app = web.Application(client_max_size=64_000_000)
        app.add_routes([web.get("/v1/models", self._models), web.post("/v1/chat/completions", self._chat)])
        app.add_routes(self.lora.routes(self.adapters, self._denied))
        self._stopping.clear()
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def stop(self) -> None:
        """Stops listening: the next request is refused."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _models(self, request: web.Request) -> web.Response:
        if denied := self._denied(request):
            return denied
        names = [self.model, *sorted(self.adapters)]
        data = [
            {"id": name, "object": "model", "owned_by": "vllm", "max_model_len": self.context_tokens} for name in names
        ]
        return web.json_response({"object": "list", "data": data})

    def _denied(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        if self.key and given != f"Bearer {self.key}":
            return web.json_response({"error": f"Unauthorized: {given}"}, status=401)
        return None

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if denied := self._denied(request):
            return denied
        body = orjson.loads(await request.read())
        name = body["model"]
        if not self.any_name and name != self.model and name not in self.adapters:
            return _error(404, f"The model `{name}` does not exist.", "NotFoundError")
        if body.get("response_format", {}).get("json_schema", {}).get("name") == "probe":
            return web.json_response(_completion(name, _valid(body), "stop"))
        self.asked.append(Asked(body, dict(request.headers)))
        if sum(len(message["content"].split()) for message in body["messages"]) > self.context_tokens:
            return self._refusal("too_long")
        fault = self.always or self.poison(body) or (self.faults.popleft() if self.faults else None)
        if fault in ("half", "hang", "trickle", "dies", "stall", "huge"):
            return await self._break(request, fault)
        if fault:
            return self._refusal(fault)
        text, limit = self.answer(body), 2 * body["max_tokens"]
        return web.json_response(_completion(name, text[:limit], "stop" if len(text) <= limit else "length"))

    def _refusal(self, fault: Fault) -> web.Response:
        """The whole answer of a fault that gives one."""
        answers: dict[Fault, Callable[[], web.Response]] = {
            "500": lambda: _error(500, "EngineCore encountered an issue.", "InternalServerError"),
            "busy": lambda: web.Response(status=429, text="slow down", headers={"Retry-After": self.retry_after}),
            "html": lambda: web.Response(status=502, text=_PAGE, content_type="text/html"),
            "garbage": lambda: web.Response(text="\x00\x01 not json", content_type="application/json"),
            "empty": lambda: web.json_response({"choices": []}),
            "cut_off": lambda: web.json_response(_completion(self.model, '{"category":"k1","summ', "length")),
            "broken_json": lambda: web.json_response(_completion(self.model, '{"category":', "stop")),
            "too_long": lambda: _error(400, _TOO_LONG, "BadRequestError"),
            "refused": lambda: _error(400, "temperature must be non-negative, got -1.0.", "BadRequestError"),
            "grammar": lambda: _error(400, "Grammar error: unsupported keyword multipleOf", "BadRequestError"),
            "blanks": lambda: web.json_response(_completion(self.model, " " * 250_000, "stop")),
            "page": lambda: web.Response(text=_PAGE, content_type="text/html"),
            "text": lambda: web.json_response(_completion(self.model, "{}", "stop"), content_type="text/plain"),
            "bomb": lambda: web.Response(body=_bomb(), headers={"Content-Encoding": "gzip"}),
            "body_too_large": lambda: web.Response(status=413, text=_LARGE, content_type="text/html"),
            "base_instead": lambda: web.json_response(_completion(self.model, "{}", "stop")),
            "unauthorised": lambda: web.json_response({"error": "Unauthorized"}, status=401),
        }
        return answers[fault]()

    async def _break(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """An answer that never becomes whole."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if fault == "dies":
            if request.transport is not None:
                request.transport.abort()
            return response
        if fault == "hang":
            await self._stopping.wait()
            return response
        whole = orjson.dumps(_completion(self.model, "{}", "stop"))
        if fault == "half":
            response.content_length = len(whole)
        await response.prepare(request)
        await response.write(whole[: len(whole) // 2])
        for _ in range(64 if fault == "huge" else 0):
            await response.write(b" " * 1_000_000)
        if fault == "stall":
            await self._stopping.wait()
        while fault == "trickle" and not self._stopping.is_set():
            await response.write(b" ")
            await asyncio.sleep(0.05)
        if request.transport is not None:
            request.transport.abort()
        return response


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """256 MB of blanks in gzip."""
    packer = zlib.compressobj(wbits=31)
    # A block that begins anew may be repeated as it is: nobody has to compress all of it.
    first, second = [packer.compress(b" " * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
    return first + 255 * second + packer.flush()


def _error(status: int, message: str, kind: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": kind, "code": status}}, status=status)


def _completion(model: str, text: str, finish_reason: str) -> dict[str, Any]:
    """The body of an answer; each character pair is a token with log-probability zero."""
    pieces = [text[start : start + 2] for start in range(0, len(text), 2)]
    tokens = [{"token": piece, "logprob": 0.0, "top_logprobs": [{"token": piece, "logprob": 0.0}]} for piece in pieces]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": tokens},
        "finish_reason": finish_reason,
    }
    usage = {"prompt_tokens": 100, "completion_tokens": len(pieces), "prompt_tokens_details": {"cached_tokens": 64}}
    return {"id": "chatcmpl-fake", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
