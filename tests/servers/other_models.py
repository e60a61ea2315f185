"""Doubles of model servers that are not vLLM: Ollama, mlx_lm.server and plain OpenAI-compatible ones.

Ollama's is written from its API's documentation and the issues about it, MLX's from what mlx-lm 0.32.2 answered on a
CPU. All take any field and act on those that the real one knows. The model within obeys a schema that is enforced,
reads a form that it is told, and else answers as to a trivial question.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import orjson
from aiohttp import web

from processor.testing.model import sample

Kind = Literal["ollama", "ollama_old", "mlx", "plain", "bare"]
KINDS: tuple[Kind, ...] = ("ollama", "ollama_old", "mlx", "plain", "bare")

_TOLD = re.compile(r'^("(?:[^"\\]|\\.)*"): (.*)$', re.MULTILINE)


def follow(told: str) -> dict[str, Any]:
    """An answer to a form in words: the first option of each choice, and the least of what else is asked."""
    answer: dict[str, Any] = {}
    for name, said in _TOLD.findall(told):
        if said.startswith("one of "):
            value: Any = json.loads(said.removeprefix("one of ").partition(", ")[0])
        elif said.startswith("a list of"):
            value = []
        elif said.startswith("a text"):
            value = "broken"
        else:
            value = None if said.endswith("or null") else False if said == "true or false" else 0
        answer[json.loads(name)] = value
    return answer


@dataclass
class OtherServer:
    """One of KINDS on a loopback port. `url` is the base address, `asked` are the bodies of questions.

    models: the names that it serves. context: tokens, where a word is one; Ollama cuts what is over it, the others
    refuse it. mistakes: so many answers to forms lack their last key.
    """

    kind: Kind
    models: tuple[str, ...] = ("base",)
    context: int = 8192
    mistakes: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64_000_000)
        app.add_routes([web.get("/v1/models", self._listed), web.post("/v1/chat/completions", self._chat)])
        if self._ollama:
            app.add_routes([web.get("/api/version", self._version), web.get("/api/ps", self._loaded)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def _ollama(self) -> bool:
        return self.kind.startswith("ollama")

    async def _listed(self, _: web.Request) -> web.Response:
        if self.kind == "mlx":  # without a cache of downloads it ends in the middle of its answer
            return web.Response(body=b"", content_type="application/json")
        owner = "library" if self._ollama else "acme"
        names = [f"{each}:latest" if self._ollama else each for each in self.models]
        data = [{"id": name, "object": "model", "created": 1763800000, "owned_by": owner} for name in names]
        return web.json_response({"object": "list", "data": data})

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.12.11" if self.kind == "ollama" else "0.4.7"})

    async def _loaded(self, _: web.Request) -> web.Response:
        """What has been asked lately is in memory."""
        names = {each["model"] for each in self.asked} & {*self.models}
        listed = [{"name": f"{each}:latest", "model": f"{each}:latest", "size": 1} for each in sorted(names)]
        if self.kind == "ollama":
            listed = [each | {"context_length": self.context} for each in listed]
        return web.json_response({"models": listed})

    async def _chat(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if (refusal := self._refused(body)) is not None:
            return refusal
        self.asked.append(body)
        text = self._text(body)
        message = {"role": "assistant", "content": text}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
        if body.get("logprobs") and self.kind in ("ollama", "mlx"):
            choice["logprobs"] = {"content": self._tokens(text, body.get("top_logprobs", 0))}
        words = min(self._words(body), self.context)
        usage: dict[str, Any] = {"prompt_tokens": words, "completion_tokens": 9, "total_tokens": words + 9}
        if self.kind == "mlx":
            usage["prompt_tokens_details"] = {"cached_tokens": words - 1}
        marks = {"ollama": "fp_ollama", "ollama_old": "fp_ollama", "mlx": "0.32.2-0.32.4-macOS-15.5-arm64-applegpu_g16"}
        answer = {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}
        return web.json_response(answer | {"system_fingerprint": marks.get(self.kind, "fp_1")})

    @staticmethod
    def _words(body: dict[str, Any]) -> int:
        return sum(len(each["content"].split()) for each in body["messages"])

    def _refused(self, body: dict[str, Any]) -> web.Response | None:
        name = body["model"]
        if self.kind == "mlx":
            if name not in self.models and name != "default_model":
                return web.json_response({"error": "Cannot find an appropriate cached snapshot folder"}, status=404)
            return None
        if name not in self.models:
            if self._ollama:
                error = {"message": f"model '{name}' not found", "type": "not_found_error", "param": None, "code": None}
                return web.json_response({"error": error}, status=404)
            if self.kind == "plain":
                error = {
                    "message": f"The model `{name}` does not exist",
                    "type": "invalid_request_error",
                    "param": None,
                }
                return web.json_response({"error": error}, status=404)
        if self.kind == "plain":
            kind = (body.get("response_format") or {}).get("type")
            if kind not in (None, "text", "json_object") or "grammar" in body or body.get("logprobs"):
                error = {"message": "This field is not supported", "type": "invalid_request_error"}
                return web.json_response({"error": error}, status=400)
        if not self._ollama and self._words(body) > self.context:
            error = {"message": f"maximum context length is {self.context} tokens", "type": "invalid_request_error"}
            return web.json_response({"error": error}, status=400)
        return None

    def _text(self, body: dict[str, Any]) -> str:
        form = body.get("response_format") or {}
        if form.get("type") == "json_schema" and self.kind == "ollama":
            properties = form["json_schema"]["schema"].get("properties", {})
            return orjson.dumps({name: sample(each) for name, each in properties.items()}).decode()
        answer = follow(body["messages"][-1]["content"])
        if answer:
            if self.mistakes:
                self.mistakes -= 1
                answer.popitem()
            return f"```json\n{json.dumps(answer, indent=2)}\n```"
        enforced = form.get("type") == "json_object" and self.kind in ("ollama", "ollama_old", "plain")
        return '{\n  "capital": "Paris"\n}' if enforced else "Paris"

    def _tokens(self, text: str, most: int) -> list[dict[str, Any]]:
        """Ollama's before the mask; MLX's from its vocabulary, the likeliest in no order and the first as what came."""
        tokens = []
        for start in range(0, len(text), 2):
            piece = text[start : start + 2]
            likely = [{"token": piece, "logprob": -0.5}] + [{"token": f"w{at}", "logprob": -2.0} for at in range(most)]
            if self.kind == "mlx":
                likely = [{"id": 1, **each} for each in reversed(likely)]
            tokens.append({**likely[0], "top_logprobs": likely[:most]})
        return tokens
