"""What pipelines need of a server, and what is said where it lacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from processor.errors import ConfigError
from processor.models import needs
from processor.models.capabilities import Capabilities
from processor.models.client import ModelClient
from processor.models.form import Slot, compile_form
from processor.settings import ModelSettings
from processor.testing.model import FakeModelServer, Fault

SETTINGS = ModelSettings(urls=["http://127.0.0.1:1/v1"])
TUNED = [("tuned", "tuned"), ("tuned", "of_a_step"), ("other", "x")]


def test_what_is_needed_and_lacks_is_named() -> None:
    """Each pipeline, its adapter, the feature, the server's engine and its settings; optional ones are remarks."""
    found = Capabilities("llama.cpp", guidance="grammar", alternatives=8, cached_tokens=True)
    told = "adapters that a request can choose, which the llama.cpp server of models.lite lacks"
    lines = [f"pipeline {name} (model.adapter {adapter}) needs {told}" for name, adapter in TUNED]
    assert needs.judge(found, SETTINGS, "models.lite", TUNED) == (lines, [])
    optional = SETTINGS.model_copy(update={"adapters_optional": True})
    wrong, remarks = needs.judge(found, optional, "models.lite", TUNED)
    assert not wrong
    assert remarks == [f"{line}: the base model answers (models.lite.adapters_optional)" for line in lines]


def test_a_file_that_the_server_was_not_started_with_is_named() -> None:
    """A version of the adapter will do; which one is found out when it is asked."""
    found = Capabilities("llama.cpp", adapters="files", files={"tuned@0123456789ab": 0, "more": 1})
    (line,), _ = needs.judge(found, SETTINGS, "models.lite", [("tuned", "tuned"), ("other", "x")])
    assert "pipeline other (model.adapter x) needs x.gguf" in line
    assert "it has more, tuned@0123456789ab" in line


def test_a_context_that_is_cut_without_a_word_is_an_error() -> None:
    """Where longer prompts are refused they are asked again, shortened: worth knowing, no more."""
    for cuts in (True, False):
        found = Capabilities("ollama", guidance="json_schema", context_tokens=4096, cuts=cuts)
        wrong, remarks = needs.judge(found, SETTINGS, "models.lite", [])
        assert ["context_tokens is 8192" in line for line in wrong] == [True] * cuts
        assert any("context_tokens is 8192" in line for line in remarks) is not cuts
    assert needs.judge(Capabilities(context_tokens=8192, cuts=True), SETTINGS, "models.lite", [])[0] == []


def test_what_is_worked_around_is_told() -> None:
    """No schema, no log-probabilities, no counts of cached tokens: each with what comes of it."""
    _, remarks = needs.judge(Capabilities(), SETTINGS, "models.lite", [])
    assert [any(word in each for each in remarks) for word in ("schema", "confidence", "cached")] == [True] * 3


async def test_a_server_that_is_away_is_not_judged() -> None:
    """A start does not depend on it."""
    async with ModelClient(ModelSettings(urls=["http://127.0.0.1:1/v1"])) as client:
        await needs.check(client, "models.lite", TUNED)
        assert not client.healthy


async def test_a_start_is_refused_where_an_adapter_is_asked_of_a_server_without_any() -> None:
    """Named are the pipeline, its adapter and the tier; a pipeline on the base is content."""
    async with FakeModelServer(any_name=True) as server, ModelClient(ModelSettings(urls=[server.url])) as client:
        await needs.check_all({"lite": client}, [("lite", "ci_failure", None)])
        with pytest.raises(
            ConfigError, match=r"^pipeline tuned \(model.adapter a\) needs .* server of models.lite lacks$"
        ):
            await needs.check_all({"lite": client}, [("lite", "ci_failure", None), ("lite", "tuned", "a")])


SLOTS = (
    Slot("category", "choice", ("k1", "k2")),
    Slot("tests", "choices", ("t1",), most=3),
    Slot("n", "integer", maximum=9),
)
FORM = compile_form("ci", SLOTS)
ASKING = [needs.Asking("lite", "ci", "schemas/ci.yaml", FORM), needs.Asking("pro", "ci", "schemas/ci.yaml", FORM)]


async def refused_by(poison: Callable[[dict[str, Any]], Fault | None]) -> str:
    """What is said where a server has this against some schemas."""
    async with FakeModelServer(poison=poison) as server, ModelClient(ModelSettings(urls=[server.url])) as client:
        found = await needs.refusals(client, "lite", ASKING)
    assert found is not None
    (refused,) = found
    assert (refused.pipeline, refused.needed) == ("ci", True)
    return refused.told


async def test_a_schema_that_is_refused_is_told_with_its_place() -> None:
    """Named are the pipeline, its file, the field and its keywords; what the server takes is not."""
    told = await refused_by(lambda body: "grammar" if '"maxItems"' in json.dumps(body) else None)
    assert told.startswith("pipeline ci: schemas/ci.yaml: tests (type, items, maxItems): models.lite: ")
    assert "unsupported keyword multipleOf" in told
    assert "category" not in told


async def test_a_schema_over_a_servers_size_is_found_at_the_start() -> None:
    """Each field alone is taken: the error says that it is all of them together."""
    told = await refused_by(lambda body: "grammar" if "t1" in str(body) and "k1" in str(body) else None)
    assert "schemas/ci.yaml: all 3 fields together, though each one alone is taken: " in told


@pytest.mark.parametrize("fault", ["500", "busy", "hang", "html", "dies", "too_long", "refused", "cut_off"])
async def test_other_troubles_are_no_verdict_on_a_schema(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away, busy or slow at a start is waited for with the events; the start goes on."""
    monkeypatch.setattr(needs, "PATIENCE_S", 0.5)
    async with FakeModelServer(always=fault) as server, ModelClient(ModelSettings(urls=[server.url])) as client:
        assert not await needs.refusals(client, "lite", ASKING)
        assert server.asked


async def test_one_question_each_and_no_more_where_all_is_well() -> None:
    """A start with many pipelines stays quick; a tier that nobody asks is left alone."""
    asking = [needs.Asking("lite", f"p{at}", "s.yaml", compile_form(f"p{at}", FORM.slots)) for at in range(50)]
    async with FakeModelServer() as server, ModelClient(ModelSettings(urls=[server.url])) as client:
        assert await needs.refusals(client, "lite", asking) == []
        assert len(server.asked) == 50
        assert {each.body["max_tokens"] for each in server.asked} == {1}
        assert await needs.refusals(client, "pro", asking) == []
    assert len(server.asked) == 50
