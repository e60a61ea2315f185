"""What a server's answers to the probe say about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from processor.errors import ConfigError, Retryable
from processor.models.chat import Capabilities
from processor.models.probe import Reply, probe


class Scripted:
    """A server that is described by what it refuses and ignores."""

    def __init__(
        self, owner: str = "other", *, known: tuple[str, ...] | None = None, refuses: str = "", ignores: str = ""
    ) -> None:
        self.owner, self.known, self.refuses, self.ignores = owner, known, refuses, ignores

    async def __call__(self, method: str, path: str, body: bytes | None) -> Reply:
        if body is None:
            names = self.known or ("base",)
            return self.reply({"data": [{"id": name, "owned_by": self.owner, "max_model_len": 4096} for name in names]})
        asked: dict[str, Any] = orjson.loads(body)
        if self.known is not None and asked["model"] not in self.known:
            return 404, {}, b'{"error": {"message": "The model does not exist."}}'
        if self.refuses and self.refuses in asked:
            return 400, {}, b'{"error": "unknown field"}'
        obeys = "response_format" in asked and self.ignores != "response_format"
        choice: dict[str, Any] = {
            "message": {"content": '{"ok":"y"}' if obeys else "Sure!"},
            "finish_reason": "stop",
        }
        if asked.get("logprobs") and self.ignores != "logprobs":
            choice["logprobs"] = {"content": [{"token": "{", "logprob": 0.0, "top_logprobs": []}]}
        return self.reply({"choices": [choice], "usage": {"prompt_tokens": 1, "prompt_tokens_details": None}})

    @staticmethod
    def reply(answer: Mapping[str, Any]) -> Reply:
        return 200, {}, orjson.dumps(answer)


async def test_vllm_is_known_by_its_models_and_names() -> None:
    """It owns its models and refuses names it does not know."""
    found = await probe(Scripted("vllm", known=("base",)), "base", "models.lite")
    assert found == Capabilities("vllm", ("base",), True, True, True, False, 4096)


async def test_a_server_that_takes_any_name_has_no_adapters() -> None:
    """An answer to a nonsense name comes from the base."""
    assert not (await probe(Scripted("llamacpp"), "base", "models.lite")).adapters


@pytest.mark.parametrize(
    ("server", "json_schema", "logprobs"),
    [
        (Scripted(refuses="response_format"), False, True),
        (Scripted(ignores="response_format"), False, True),
        (Scripted(refuses="logprobs"), True, False),
        (Scripted(ignores="logprobs"), True, False),
    ],
)
async def test_what_is_refused_or_ignored_is_lacking(server: Scripted, json_schema: bool, logprobs: bool) -> None:
    """A field that a server takes and does not act on is no feature of it."""
    found = await probe(server, "base", "models.lite")
    assert (found.json_schema, found.logprobs) == (json_schema, logprobs)


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
