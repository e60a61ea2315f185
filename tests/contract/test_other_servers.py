"""Servers that are not vLLM: what is found of each, and how an event fares on it. One suite for doubles and the real.

Ollama, MLX and plain OpenAI-compatible endpoints are doubles; llama.cpp runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson
import pytest
from prometheus_client import CollectorRegistry

from processor.errors import ConfigError, Rejected, Retryable
from processor.models import needs
from processor.models.capabilities import Capabilities
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.form import Slot, compile_form
from processor.models.metrics import ModelMetrics
from processor.settings import ModelSettings
from tests.servers.other_models import KINDS, Kind, OtherServer
from tests.unit.test_line import found, letter, line, record

pytestmark = pytest.mark.timeout(900)

LOG = b"$ make all\nerror: the frobnicator is out of tune\nmake: *** [all] Error 1\n"

EXPECTED: dict[str, Capabilities] = {
    "ollama": Capabilities(
        "ollama", ("base:latest",), "json_schema", 8, adapters="named", context_tokens=8192, cuts=True
    ),
    "ollama_old": Capabilities("ollama", ("base:latest",), "json_object", adapters="named", cuts=True),
    "mlx": Capabilities("mlx", cached_tokens=True),
    "plain": Capabilities("other", ("base",), "json_object", adapters="named"),
    "bare": Capabilities("other", ("base",)),
}


@dataclass
class World:
    """A client of a server, and the double where it is one."""

    client: ModelClient
    double: OtherServer | None = None


@pytest.fixture(params=[*KINDS, pytest.param("llamacpp", marks=pytest.mark.llamacpp)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Each server in turn."""
    if request.param == "llamacpp":
        url: str = request.getfixturevalue("llamacpp_server")
        async with ModelClient(ModelSettings(urls=[url], timeout_s=250)) as client:
            yield World(client)
        return
    async with OtherServer(request.param) as double, ModelClient(ModelSettings(urls=[double.url])) as client:
        yield World(client, double)


async def test_what_a_server_can_do_is_found(world: World) -> None:
    """By what it does: of llama.cpp it was seen, of the others it is documented."""
    can = await world.client.capabilities()
    if world.double is None:
        assert (can.engine, can.guidance, can.masked, can.adapters) == ("llama.cpp", "grammar", False, "none")
        assert (can.logprobs, can.cached_tokens, can.tokenizer) == (True, True, True)
    else:
        assert can == EXPECTED[world.double.kind]


async def test_an_event_gets_a_finding_whatever_the_server_lacks(world: World) -> None:
    """A valid one, though nothing may keep the answer to its schema; without a calibration it has no confidence."""
    finding = found(await line(world.client).handle(record(LOG)))
    assert finding["data"]["steps"][-1]["decided_by"] == "model"
    assert finding["data"]["confidence"]["value"] is None


async def test_nothing_that_varies_stands_before_what_is_fixed(world: World) -> None:
    """The form is told at the very end, if it is: the beginning of all questions stays the same to the byte."""
    if world.double is None:
        pytest.skip("what llama.cpp is asked can't be seen")
    for number in range(2):
        await line(world.client).handle(record(LOG + b"%d\n" % number, offset=number))
    first, second = [each["messages"] for each in world.double.asked[-2:]]
    assert first[0] == second[0]
    assert first[0]["role"] == "system"
    told = "Answer with one JSON object and nothing else." in first[1]["content"]
    assert told is not (await world.client.capabilities()).schema


@pytest.mark.parametrize("kind", ["mlx", "plain", "bare", "ollama_old"])
async def test_a_wrong_answer_is_asked_for_once_more_with_what_is_wrong(kind: Kind) -> None:
    """The second question holds the first, the answer to it, the fault, and the form again."""
    async with OtherServer(kind, mistakes=1) as double, ModelClient(ModelSettings(urls=[double.url])) as client:
        found(await line(client).handle(record(LOG)))
        first, second = [each["messages"] for each in double.asked[-2:]]
    assert [each["role"] for each in second] == ["system", "user", "assistant", "user"]
    assert second[0] == first[0]
    assert "That answer is wrong: summary is missing" in second[3]["content"]
    assert "Its keys, all of them" in second[3]["content"]


async def test_two_wrong_answers_are_enough() -> None:
    """The dead letter says so, and has what the model wrote; nothing is asked a third time."""
    async with OtherServer("bare", mistakes=2) as double, ModelClient(ModelSettings(urls=[double.url])) as client:
        before = len(double.asked)
        outputs = await line(client).handle(record(LOG))
        questions = [each for each in double.asked[before:] if len(each["messages"]) > 1]
    assert letter(outputs)["fs-reason"] == "invalid_output"
    assert len(questions) == 2


async def test_an_adapter_that_nothing_can_serve_is_a_start_up_error(world: World) -> None:
    """It names the pipeline and the tier. Where the model's name chooses, it may come later: its pipeline waits."""
    can = await world.client.capabilities()
    asking = [("lite", "tuned", "own")]
    request = ChatRequest((Message("user", "Say k1."),), model="own", max_tokens=2)
    if can.chooses:
        await needs.check_all({"lite": world.client}, asking)
        with pytest.raises(Retryable, match="own") as caught:
            await world.client.complete(request)
        assert not caught.value.shared
        return
    with pytest.raises(ConfigError, match=r"^pipeline tuned \(model.adapter own\) .* server of models.lite lacks$"):
        await needs.check_all({"lite": world.client}, asking)


async def test_an_optional_adapter_is_done_without() -> None:
    """The base model answers, and the finding does not claim otherwise."""
    async with OtherServer("mlx") as double:
        settings = ModelSettings(urls=[double.url], adapters_optional=True)
        async with ModelClient(settings) as client:
            await needs.check_all({"lite": client}, [("lite", "tuned", "own")])
            answer = await client.complete(ChatRequest((Message("user", "x"),), model="own", max_tokens=2))
        assert answer.base
        assert double.asked[-1]["model"] == "base"


async def test_ollama_serves_an_adapter_as_a_model() -> None:
    """`ollama create` with ADAPTER makes one; the request's name chooses it."""
    async with OtherServer("ollama", models=("base", "own")) as double:
        async with ModelClient(ModelSettings(urls=[double.url])) as client:
            await needs.check_all({"lite": client}, [("lite", "tuned", "own")])
            await client.complete(ChatRequest((Message("user", "x"),), model="own", max_tokens=2))
        assert double.asked[-1]["model"] == "own"


async def test_a_context_that_ollama_would_cut_is_a_start_up_error() -> None:
    """The daemon would send what the server drops without a word: the system prompt first."""
    async with OtherServer("ollama", context=4096) as double:
        async with ModelClient(ModelSettings(urls=[double.url])) as client:
            with pytest.raises(ConfigError, match=r"models.lite.context_tokens is 8192, .* cuts prompts at 4096"):
                await needs.check_all({"lite": client}, [("lite", "ci", None)])
        async with ModelClient(ModelSettings(urls=[double.url], context_tokens=4096)) as client:
            await needs.check_all({"lite": client}, [("lite", "ci", None)])
            assert (await client.capabilities()).context_tokens == 4096


@pytest.mark.parametrize("kind", ["plain", "bare", "mlx"])
async def test_a_prompt_over_the_context_is_refused_in_the_servers_words(kind: Kind) -> None:
    """Then the line asks again with less of the excerpt."""
    async with OtherServer(kind, context=50) as double, ModelClient(ModelSettings(urls=[double.url])) as client:
        long = ChatRequest((Message("user", "x " * 60),), max_tokens=2)
        if kind == "mlx":  # it takes what it gets
            assert (await client.complete(long)).text
            return
        with pytest.raises(Rejected) as caught:
            await client.complete(long)
    assert caught.value.reason == "prompt_too_long"


async def test_a_model_that_is_not_served_is_told_with_what_is() -> None:
    """Also where the server lists nothing: its own words are there."""
    kinds: tuple[tuple[Kind, str], ...] = (
        ("ollama", "it serves base:latest"),
        ("mlx", "Cannot find an appropriate cached snapshot"),
    )
    for kind, says in kinds:
        async with (
            OtherServer(kind) as double,
            ModelClient(ModelSettings(urls=[double.url], model="other")) as client,
        ):
            with pytest.raises(ConfigError, match=says):
                await client.capabilities()


async def test_a_server_that_comes_back_another_is_probed_again() -> None:
    """What it can do is not taken over from what it was."""
    form = compile_form("f", (Slot("category", "choice", ("k1",)),))
    ask = ChatRequest((Message("system", "s"), Message("user", "u")), form)
    async with OtherServer("ollama") as double:
        settings = ModelSettings(urls=[double.url], probe_s=0.05, attempts=1)
        async with ModelClient(settings) as client:
            await client.complete(ask)
            double.kind = "bare"
            (replica,) = client.replicas
            client.replicas.drop(replica)
            answer = await client.complete(ask)
            assert (await client.capabilities()).guidance == "none"
    assert orjson.loads(answer.text.removeprefix("```json").removesuffix("```")) == {"category": "k1"}


@pytest.mark.parametrize(("kind", "counts"), [("mlx", True), ("ollama", False)])
async def test_no_share_of_cached_tokens_is_expected_where_they_are_not_counted(kind: Kind, counts: bool) -> None:
    """The alert compares the two: without a count it would never keep quiet."""
    prefix = ChatRequest((Message("system", "s " * 40), Message("user", ".")), max_tokens=1, pipeline="ci")
    registry = CollectorRegistry()
    async with OtherServer(kind) as double:
        settings = ModelSettings(urls=[double.url])
        async with ModelClient(settings, metrics=ModelMetrics(registry)) as client:
            client.start(lambda: [prefix])
            await client.complete(prefix)
    names = {sample.name for family in registry.collect() for sample in family.samples}
    assert ("faultstream_model_cached_share_expected" in names) is counts


@pytest.mark.parametrize(("kind", "counts"), [("mlx", True), ("ollama", False), ("bare", False)])
async def test_what_a_server_does_not_count_is_unknown_and_not_none(kind: Kind, counts: bool) -> None:
    """Findings say null, and no metric has a series that says 0."""
    registry = CollectorRegistry()
    async with OtherServer(kind) as double:
        settings = ModelSettings(urls=[double.url])
        async with ModelClient(settings, metrics=ModelMetrics(registry)) as client:
            finding = found(await line(client).handle(record(LOG)))
    cached = finding["data"]["usage"]["cached_tokens"]
    assert (cached is not None) is counts
    kinds = {each.labels["kind"] for family in registry.collect() for each in family.samples if "kind" in each.labels}
    assert kinds == {"prompt", "completion", *({"cached"} if counts else ())}
