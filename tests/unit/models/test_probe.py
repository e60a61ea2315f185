"""What a server's answers to the probe say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from processor.errors import ConfigError, Retryable
from processor.models.capabilities import Capabilities
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.models.probe import Reply, probe
from processor.models.transport import HttpTransport
from processor.settings import ModelSettings
from processor.testing.model import FakeModelServer
from tests.unit.engine.conftest import eventually


class Scripted:
    """A server that is described by what it refuses and ignores; `tops` are its alternatives where an option begins."""

    def __init__(
        self,
        owner: str = "other",
        *,
        known: tuple[str, ...] | None = None,
        refuses: tuple[str, ...] = (),
        ignores: tuple[str, ...] = (),
        most: int = 20,
        tops: tuple[str, ...] = ("y", "n"),
    ) -> None:
        self.owner, self.known, self.refuses, self.ignores = owner, known, refuses, ignores
        self.most, self.tops = most, tops
        self.paths: list[str] = []

    async def __call__(self, method: str, path: str, body: bytes | None) -> Reply:
        self.paths.append(path)
        if path == "/models":
            names = self.known or ("base",)
            return self.reply({"data": [{"id": name, "owned_by": self.owner, "max_model_len": 4096} for name in names]})
        if path != "/chat/completions" or body is None:
            return 404, {}, b"Not Found"
        asked: dict[str, Any] = orjson.loads(body)
        if self.known is not None and asked["model"] not in self.known:
            return 404, {}, b'{"error": {"message": "The model does not exist."}}'
        kind = (asked.get("response_format") or {}).get("type", "")
        if {*asked, kind} & {*self.refuses} or asked.get("top_logprobs", 0) > self.most:
            return 400, {}, b'{"error": "unknown field"}'
        fields = {"grammar" if "grammar" in asked else "", kind} - {*self.ignores, ""}
        text = '{"ok":"y"}' if fields & {"grammar", "json_schema"} else '{"a": 1}' if fields else "Paris"
        choice: dict[str, Any] = {"message": {"content": text}, "finish_reason": "stop"}
        if asked.get("logprobs") and "logprobs" not in self.ignores:
            parts = [text[:7], text[7:]]
            tops = [{"token": each, "logprob": -0.1} for each in self.tops] + [{"token": "x", "logprob": -9999.0}]
            choice["logprobs"] = {"content": [{"token": p, "logprob": 0.0, "top_logprobs": tops} for p in parts]}
        return self.reply({"choices": [choice], "usage": {"prompt_tokens": 1, "prompt_tokens_details": None}})

    @staticmethod
    def reply(answer: Mapping[str, Any]) -> Reply:
        return 200, {}, orjson.dumps(answer)


async def test_vllm_is_known_by_its_models_and_names() -> None:
    """It owns its models and refuses names it does not know."""
    found = await probe(Scripted("vllm", known=("base",)), "base", "models.lite")
    told = Capabilities("vllm", ("base",), "json_schema", 8, masked=True, adapters="named", context_tokens=4096)
    assert found == told


async def test_a_server_that_takes_any_name_has_no_adapters() -> None:
    """An answer to a nonsense name comes from the base."""
    assert (await probe(Scripted("llamacpp"), "base", "models.lite")).adapters == "none"


async def test_log_probabilities_before_the_mask_show_what_was_not_allowed() -> None:
    """Where an option begins, something of the whole vocabulary is among the likeliest."""
    assert not (await probe(Scripted("vllm", tops=("y", "Paris")), "base", "models.lite")).masked
    assert (await probe(Scripted("vllm", tops=('y"', "n")), "base", "models.lite")).masked


async def test_as_many_alternatives_as_the_server_gives() -> None:
    """Some refuse more than five."""
    assert (await probe(Scripted(most=5), "base", "models.lite")).alternatives == 5


SCHEMA = ("json_schema",)
BOTH = ("json_schema", "grammar")


@pytest.mark.parametrize(
    ("server", "guidance", "logprobs"),
    [
        (Scripted(refuses=SCHEMA), "grammar", True),
        (Scripted(ignores=SCHEMA), "grammar", True),
        (Scripted(ignores=BOTH), "json_object", True),
        (Scripted(refuses=BOTH), "json_object", True),
        (Scripted(ignores=(*BOTH, "json_object")), "none", True),
        (Scripted(refuses=(*BOTH, "json_object", "logprobs")), "none", False),
        (Scripted(refuses=("logprobs",)), "json_schema", False),
        (Scripted(ignores=("logprobs",)), "json_schema", False),
    ],
)
async def test_what_is_refused_or_ignored_is_lacking(server: Scripted, guidance: str, logprobs: bool) -> None:
    """A field that a server takes and does not act on is no feature of it."""
    found = await probe(server, "base", "models.lite")
    assert (found.guidance, found.logprobs) == (guidance, logprobs)


@pytest.mark.parametrize(
    ("listed", "files"),
    [
        (b'[{"id": 3, "path": "/m/a@0123456789ab.gguf"}, {"id": 0, "path": "b.gguf"}]', {"a@0123456789ab": 3, "b": 0}),
        (b"[]", {}),
        (b'{"error": "no"}', {}),
    ],
)
async def test_llama_cpps_adapters_are_the_files_that_it_was_started_with(listed: bytes, files: dict[str, int]) -> None:
    """By the names of their files, with the numbers that the server gave them; without any, there are none."""

    class Files(Scripted):
        async def __call__(self, method: str, path: str, body: bytes | None) -> Reply:
            return (200, {}, listed) if path == "//lora-adapters" else await super().__call__(method, path, body)

    found = await probe(Files("llamacpp"), "base", "models.lite")
    assert (found.guidance, found.adapters, found.files) == ("grammar", "files" if files else "none", files)


async def test_tokens_that_do_not_spell_the_answer_tell_nothing() -> None:
    """A vocabulary's own writing of tokens, or the likeliest in the place of the one that was taken."""

    class Raw(Scripted):
        @staticmethod
        def reply(answer: Mapping[str, Any]) -> Reply:
            return 200, {}, orjson.dumps(answer).replace(b'"token":"Paris', b'"token":"\xc4\xa0Paris')

    found = await probe(Raw(ignores=(*BOTH, "json_object")), "base", "models.lite")
    assert not found.logprobs


async def test_a_wrong_base_model_is_a_configuration_error() -> None:
    """The message says what is served."""
    with pytest.raises(ConfigError, match=r"models\.pro\.model: .* it serves big, small"):
        await probe(Scripted("vllm", known=("big", "small")), "base", "models.pro")


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_in_trouble_is_asked_again_later(status: int) -> None:
    """Nothing is concluded from a failure."""

    async def send(method: str, path: str, body: bytes | None) -> Reply:
        return status, {}, b"oops"

    with pytest.raises(Retryable):
        await probe(send, "base", "models.lite")


@pytest.mark.parametrize("answer", [(200, {}, b"<html>"), (200, {}, b'{"choices": []}'), (400, {}, b"no")])
async def test_nothing_is_concluded_from_a_server_that_answers_no_question(answer: Reply) -> None:
    """It would be taken for one that lacks everything, and be asked without a schema for ever."""

    async def send(method: str, path: str, body: bytes | None) -> Reply:
        return answer

    with pytest.raises(Retryable):
        await probe(send, "base", "models.lite")


async def test_the_settings_may_say_what_a_proxy_hides() -> None:
    """An Ollama that can't be told from others is known to cut prompts, and MLX is not asked for a nonsense name."""
    hidden = await probe(Scripted(known=("base",)), "base", "models.lite")
    assert (hidden.engine, hidden.cuts) == ("other", False)
    ollama = await probe(Scripted(known=("base",)), "base", "models.lite", "ollama")
    assert (ollama.engine, ollama.cuts, ollama.guidance) == ("ollama", True, hidden.guidance)
    mlx = await probe(Scripted(known=("base",)), "base", "models.lite", "mlx")
    assert (hidden.adapters, mlx.adapters) == ("named", "none")


@pytest.mark.parametrize("server", [None, "llama.cpp"])
async def test_the_setting_reaches_the_probe(server: Any) -> None:
    """At the start, and when `doctor` asks."""
    async with FakeModelServer() as fake:
        settings = ModelSettings(urls=[fake.url], server=server)
        async with ModelClient(settings) as client:
            engines = {(await client.capabilities()).engine}
            engines |= {each.capabilities.engine for each in await client.inspect() if each.capabilities is not None}
    assert engines == {server or "vllm"}


class Listed(HttpTransport):
    """A llama.cpp server whose list of adapters changes under way."""

    def __init__(self, files: list[dict[str, Any]]) -> None:
        super().__init__(ModelSettings(urls=["http://x/v1"]))
        self.files = files
        self.asked: list[list[dict[str, Any]]] = []
        self.script = Scripted("llamacpp")

    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One exchange."""
        if path == "//lora-adapters":
            return 200, {}, orjson.dumps(self.files)
        if body is not None and b'"lora"' in body:
            self.asked.append(orjson.loads(body)["lora"])
        return await self.script(method, path, body)


async def test_a_list_of_adapters_that_changes_is_seen_before_a_wrong_one_answers() -> None:
    """Their numbers are given out anew by a server that restarted unseen: it is probed again, and asked by the new."""
    transport = Listed([{"id": 0, "path": "one.gguf"}, {"id": 1, "path": "two.gguf"}])
    settings = ModelSettings(urls=["http://x/v1"], probe_s=0.02)
    ask = ChatRequest((Message("user", "x"),), model="two")
    async with ModelClient(settings, transport=transport) as client:
        await client.complete(ask)
        assert transport.asked[-1] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}]
        transport.files = [{"id": 0, "path": "two.gguf"}]
        (replica,) = client.replicas
        await eventually(lambda: replica.capabilities is not None and replica.capabilities.files == {"two": 0}, 60)
        await client.complete(ask)
        assert transport.asked[-1] == [{"id": 0, "scale": 1.0}]
        with pytest.raises(Retryable, match=r"was not started with one\.gguf"):
            await client.complete(replace(ask, model="one"))
