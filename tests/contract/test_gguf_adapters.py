"""Adapters as GGUF files on llama.cpp: made with PEFT, converted, chosen per request."""

from __future__ import annotations

import pytest

from processor.errors import ConfigError, Retryable
from processor.models import needs
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.settings import ModelSettings
from tests.servers import peft_adapters
from tests.servers.peft_adapters import PeftAdapters

pytestmark = [pytest.mark.timeout(900), pytest.mark.llamacpp, pytest.mark.vllm]


async def test_the_right_adapter_answers_and_the_base_model_where_none_is_asked_for(
    llamacpp_adapters: tuple[str, PeftAdapters],
) -> None:
    """In turn, each says its word as under transformers; the base model says neither. Another name is no answer."""
    url, made = llamacpp_adapters

    async def ask(client: ModelClient, adapter: str | None) -> str:
        question = (Message("user", peft_adapters.QUESTION),)
        asked = ChatRequest(question, model=adapter, max_tokens=peft_adapters.TOKENS, alternatives=0)
        return (await client.complete(asked)).text

    async with ModelClient(ModelSettings(urls=[url], timeout_s=250)) as client:
        can = await client.capabilities()
        assert (can.engine, can.adapters, dict(can.files)) == ("llama.cpp", "files", {"one": 0, "two": 1})
        said = [await ask(client, each) for each in ("one", "two", None, "one")]
        assert [said[0], said[1], said[3]] == [made.answers[each] for each in ("one", "two", "one")]
        assert said[2] not in made.answers.values()
        with pytest.raises(Retryable, match=r"was not started with other\.gguf") as caught:
            await ask(client, "other")
        assert not caught.value.shared
        await needs.check_all({"lite": client}, [("lite", "tuned", "one")])
        with pytest.raises(ConfigError, match=r"needs other\.gguf, which the llama\.cpp server .* \(it has one, two\)"):
            await needs.check_all({"lite": client}, [("lite", "tuned", "other")])
