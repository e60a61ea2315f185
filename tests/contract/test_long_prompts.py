"""A prompt that is over the model's context: the excerpt shrinks, the system prompt never does, the finding says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from processor.errors import Rejected
from processor.home import Homes
from processor.logs.tokens import estimate
from processor.models.client import ModelClient
from processor.pipeline import Pipeline
from processor.pipeline.finding_schema import step_schema
from processor.settings import ModelSettings
from processor.stages.emit import Emit
from processor.testing.model import FakeModelServer
from tests.decoder.run import event_of, lane_of

HOMES = Homes.of(environ={})
BUNDLED = Pipeline.load(HOMES.pipelines()["ci_failure"], HOMES)
CI_FAILURE = replace(BUNDLED, prompt=replace(BUNDLED.prompt, excerpt_tokens=None))
"""Reads whole excerpts: a few hundred tokens would leave little to shrink beside the choices."""

LOG = (Path(__file__).parents[2] / "pipelines" / "ci_failure" / "samples" / "cargo-test-panic-a1.log").read_bytes()


def client_of(server: FakeModelServer) -> ModelClient:
    """A client that believes in a context of the usual length, whatever the server has."""
    return ModelClient(ModelSettings(urls=[server.url], timeout_s=5, attempts=1))


async def words_of_the_prompt() -> tuple[int, int, str]:
    """Of the whole prompt and of its system part, in the fake server's tokens; and that part."""
    async with FakeModelServer() as server, client_of(server) as client:
        await lane_of(CI_FAILURE, client).find(event_of(LOG))
        messages = [each["content"] for each in server.asked[0].body["messages"]]
    return sum(len(each.split()) for each in messages), len(messages[0].split()), messages[0]


async def test_what_the_server_finds_too_long_is_halved_until_it_fits() -> None:
    """More than once if need be; the finding's step says what was shown of how much."""
    whole, system, text = await words_of_the_prompt()
    room = system + (whole - system) // 5
    async with FakeModelServer(context_tokens=room) as server, client_of(server) as client:
        lane = lane_of(CI_FAILURE, client)
        finding = await lane.find(event_of(LOG))
    assert len(server.asked) > 2
    assert {each.body["messages"][0]["content"] for each in server.asked} == {text}
    shrunk = finding.steps[0].shrunk
    assert shrunk is not None
    assert 1 <= shrunk["lines"] < shrunk["of"]
    shown = server.asked[-1].body["messages"][1]["content"]
    assert shown.count("| ") <= shrunk["lines"] + 1
    data = Emit("ci_failure", "1", "fs", ticket=False).cloud_event(finding)["data"]
    assert data["steps"][0].shrunk == shrunk
    assert "shrunk" in step_schema()["properties"]


async def test_what_fits_is_shown_whole_and_says_nothing() -> None:
    """`shrunk` is for prompts that lost lines."""
    async with FakeModelServer() as server, client_of(server) as client:
        finding = await lane_of(CI_FAILURE, client).find(event_of(LOG))
    assert finding.steps[0].shrunk is None
    assert len(server.asked) == 1


async def test_the_repair_of_a_shrunk_prompt_fits_as_well() -> None:
    """An answer that is none is asked for again within the same context."""
    whole, system, _ = await words_of_the_prompt()
    answers = iter(("no json",))
    server = FakeModelServer(context_tokens=system + (whole - system) // 2)
    valid = server.answer
    server.answer = lambda body: next(answers, None) or valid(body)
    async with server, client_of(server) as client:
        finding = await lane_of(CI_FAILURE, client).find(event_of(LOG))
    assert "is wrong" in server.asked[-1].user
    assert finding.steps[0].shrunk is not None


async def test_where_not_even_one_line_fits_it_is_a_dead_letter() -> None:
    """After a bounded number of questions: no event asks a server for ever."""
    _, system, _ = await words_of_the_prompt()
    async with FakeModelServer(context_tokens=system) as server, client_of(server) as client:
        with pytest.raises(Rejected) as caught:
            await lane_of(CI_FAILURE, client).find(event_of(LOG))
    assert caught.value.reason == "prompt_too_long"
    assert 2 < len(server.asked) < 16


async def test_what_is_known_to_be_too_long_is_not_even_sent() -> None:
    """Where the settings know the context, the prompt is made to fit it beforehand."""
    async with FakeModelServer() as server, client_of(server) as client:
        context = estimate(CI_FAILURE.prompt.system) + CI_FAILURE.model.max_tokens + 300
        finding = await lane_of(CI_FAILURE, client, context).find(event_of(LOG))
    assert len(server.asked) == 1
    assert finding.steps[0].shrunk is not None
