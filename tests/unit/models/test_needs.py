"""What pipelines need of a server, and what is said where it lacks."""

from __future__ import annotations

import pytest

from processor.errors import ConfigError
from processor.models import needs
from processor.models.chat import Capabilities
from processor.models.client import ModelClient
from processor.settings import ModelSettings
from processor.testing.model import FakeModelServer

TUNED = {"pipeline tuned (model.adapter tuned)": ["adapters"], "pipeline other (model.adapter x)": ["adapters"]}


def test_what_is_needed_and_lacks_is_named() -> None:
    """The error names each pipeline, the feature, the server's engine and its settings."""
    found = Capabilities("llama.cpp", json_schema=True)
    needs.require(found, {"pipeline ci_failure": ["json_schema"]}, "models.lite")
    with pytest.raises(ConfigError) as caught:
        needs.require(found, TUNED, "models.lite")
    told = "adapters chosen by model name, which the llama.cpp server of models.lite lacks"
    assert str(caught.value).splitlines() == [f"{who} needs {told}" for who in TUNED]


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
