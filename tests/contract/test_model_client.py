"""The client against model servers: the double, the embedded llama.cpp, vLLM. One suite, few and short requests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from processor.errors import Rejected, Retryable
from processor.models.certainty import certainty
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.form import Slot, compile_form
from processor.settings import ModelSettings
from processor.testing.model import FakeModelServer

# Without a GPU a busy machine starts vLLM in minutes and reads 20 tokens a second.
pytestmark = pytest.mark.timeout(900)

FORM = compile_form(
    "contract",
    (
        Slot("category", "choice", ("k1", "k2", "k3")),
        Slot("faulty_dependency", "choice", ("c1", "c2"), nullable=True),
        Slot("evidence", "choices", ("L1", "L2"), most=2),
        Slot("exit_code", "integer", nullable=True),
        Slot("summary", "text", length=40),
    ),
)
SYSTEM = "You read build logs and answer with one JSON object of codes. " + "The first error is the cause. " * 25
ASK = ChatRequest(
    (
        Message("system", SYSTEM),
        Message("user", "L1| 3 tests failed\nL2| exit status 1\ncategory:\nk1 test\nk2 compile\nk3 network"),
    ),
    FORM,
    max_tokens=80,
)


@pytest.fixture(
    params=[
        "fake",
        pytest.param("llamacpp", marks=pytest.mark.llamacpp),
        pytest.param("vllm", marks=pytest.mark.vllm),
    ]
)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[ModelClient]:
    """A client of each server in turn."""
    if request.param == "fake":
        async with FakeModelServer() as fake, ModelClient(ModelSettings(urls=[fake.url], timeout_s=20)) as client:
            yield client
        return
    url: str = request.getfixturevalue(f"{request.param}_server")
    async with ModelClient(ModelSettings(urls=[url], timeout_s=250)) as client:
        yield client


async def test_an_answer_fills_the_form(client: ModelClient) -> None:
    """Every key is there, each choice is one of its options, and how sure it is can be told."""
    completion = await client.complete(ASK)
    answer = orjson.loads(completion.text)
    assert list(answer) == ["category", "faulty_dependency", "evidence", "exit_code", "summary"]
    assert answer["category"] in {"k1", "k2", "k3"}
    assert answer["faulty_dependency"] in {"c1", "c2", "none"}
    assert set(answer["evidence"]) <= {"L1", "L2"}
    assert answer["exit_code"] is None or isinstance(answer["exit_code"], int)
    assert len(answer["summary"]) <= 40
    assert completion.finish_reason == "stop"
    sure = certainty(completion, FORM)
    assert sure is not None
    assert 0 < sure <= 1


async def test_the_same_question_gets_the_same_answer_from_the_cache(client: ModelClient) -> None:
    """Temperature 0 repeats itself, and the second time most of the prompt is cached."""
    first = await client.complete(ASK)
    second = await client.complete(ASK)
    assert second.text == first.text
    assert second.usage.prompt_tokens == first.usage.prompt_tokens > 0
    assert second.usage.cached_tokens is not None
    assert second.usage.cached_tokens > second.usage.prompt_tokens // 3
    assert second.usage.completion_tokens > 0


async def test_a_short_limit_cuts_the_answer_off(client: ModelClient) -> None:
    """An answer that ends at max_tokens is told apart."""
    completion = await client.complete(ChatRequest(ASK.messages, FORM, max_tokens=4))
    assert completion.cut_off


async def test_the_probe_tells_what_the_server_can_do(client: ModelClient) -> None:
    """Guided decoding, log-probabilities and cached tokens are found; adapters by name are vLLM's alone."""
    found = await client.capabilities()
    assert found.engine in {"vllm", "llama.cpp"}
    assert found.adapters == ("named" if found.engine == "vllm" else "none")
    assert (found.schema, found.logprobs, found.cached_tokens) == (True, True, True)
    assert found.masked is (found.engine == "vllm")
    assert found.context_tokens


async def test_too_long_a_prompt_is_rejected(client: ModelClient) -> None:
    """The server's own words for it are recognised."""
    found = await client.capabilities()
    words = "x " * ((found.context_tokens or 0) + 100)
    with pytest.raises(Rejected) as caught:
        await client.complete(ChatRequest((Message("user", words),), FORM, max_tokens=8))
    assert caught.value.reason == "prompt_too_long"


async def test_an_unknown_adapter_is_told_where_adapters_are_known(client: ModelClient) -> None:
    """Adapters are known by name to vLLM; llama.cpp would answer from the base, and is not asked."""
    request = ChatRequest((Message("user", "Say k1."),), None, model="no-such-adapter", max_tokens=2)
    known = (await client.capabilities()).chooses
    with pytest.raises(
        Retryable, match="no-such-adapter" if known else "has no adapters, but .* no-such-adapter"
    ) as caught:
        await client.complete(request)
    assert not caught.value.shared
