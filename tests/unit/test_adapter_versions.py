"""Versions of an adapter along the line: findings name the one that answered, and metrics tell them apart."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.errors import Retryable
from processor.lane import Shared
from processor.line import Line
from processor.logs.redact import redactor
from processor.models.chat import ChatRequest
from processor.models.client import ModelClient
from processor.models.metrics import ModelMetrics
from processor.settings import ModelSettings, Settings
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.infer import Served
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import FakeModelServer, StubModel, first_answer
from processor.tiers.metrics import TierMetrics

from .test_line import CI_FAILURE, HOMES, found, record

TUNED = replace(CI_FAILURE, name="tuned", rules=None, model=CI_FAILURE.model.model_copy(update={"adapter": "ci"}))
LOG = b"$ make all\nerror: the frobnicator is out of tune\nmake: *** [all] Error 1\n"


def tuned(model: StubModel, served: Served, registry: CollectorRegistry) -> Line:
    """A line whose one pipeline asks the adapter `ci`, in the version that `served` says."""
    counts, tiers = LineMetrics(registry), TierMetrics(registry)
    shared = Shared("t", Fetch(FetchSettings()), Redact(redactor()), counts, tiers=tiers, served={"lite": served})
    return app.build_line((TUNED,), Settings(), HOMES, {"lite": model}, shared)


async def test_a_finding_names_the_version_that_answered() -> None:
    """The served name stands in the finding's step, and counts what the version did."""
    registry, model, events = CollectorRegistry(), StubModel(), []

    def served(name: str, event: str) -> str:
        events.append(event)
        return f"{name}@{'b' if len(events) > 1 else 'a'}"

    line = tuned(model, served, registry)
    first = found(await line.handle(record(LOG, offset=1)))
    assert first["data"]["steps"][0]["adapter"] == "ci@a"
    assert events == [first["id"]], "the version is chosen by the finding's id"
    second = found(await line.handle(record(LOG, offset=2)))
    assert second["data"]["steps"][0]["adapter"] == "ci@b"

    def counted(adapter: str) -> Any:
        labels = {"tier": "lite", "pipeline": "tuned", "adapter": adapter, "outcome": "valid"}
        return registry.get_sample_value("faultstream_model_answers_total", labels)

    assert (counted("ci@a"), counted("ci@b")) == (1, 1)


@pytest.mark.parametrize(("answers", "outcome"), [(["no object"], "invalid"), (["no object", None], "repaired")])
async def test_what_is_wrong_counts_for_the_version_that_gave_it(answers: list[str | None], outcome: str) -> None:
    """An answer that became a dead letter does as well; what was repaired is not valid at the first answer."""
    registry, left = CollectorRegistry(), list(answers)

    def answer(request: ChatRequest) -> str:
        assert request.form is not None
        return (left.pop(0) if len(left) > 1 else left[0]) or first_answer(request.form)

    outputs = await tuned(StubModel(answer), lambda name, _: f"{name}@a", registry).handle(record(LOG))
    assert ("dead-letters" in outputs[0].topic) == (outcome == "invalid")
    whose = {"tier": "lite", "pipeline": "tuned", "adapter": "ci@a"}
    for name in ("valid", "repaired", "invalid"):
        told = registry.get_sample_value("faultstream_model_answers_total", {**whose, "outcome": name})
        assert told == (1 if name == outcome else None)
    repairs = {**whose, "reason": "invalid_output"}
    assert registry.get_sample_value("faultstream_model_repairs_total", repairs) == 1


async def test_series_of_a_version_end_with_it() -> None:
    """A pipeline that is trained every day has no more series after a year than on the first day."""
    registry, version = CollectorRegistry(), 0
    tiers, models = TierMetrics(registry), ModelMetrics(registry)
    shared = Shared(
        "t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(registry), tiers=tiers,
        served={"lite": lambda name, _: f"{name}@{version}"},
    )  # fmt: skip
    async with FakeModelServer(adapters={f"ci@{number}" for number in range(4)}) as server:
        client = ModelClient(ModelSettings(urls=[server.url]), metrics=models)
        line = app.build_line((TUNED,), Settings(), HOMES, {"lite": client}, shared)
        counts, kept = [], []
        for version in range(4):
            await line.handle(record(LOG, offset=version))
            app._forget(client, tiers, f"ci@{version - 1}")
            counts.append(sum(len(family.samples) for family in registry.collect()))
            kept.append(sum(len(each) for each in client._trials._controls.values()))
        await client.stop()
    assert len(set(counts[1:])) == 1
    assert kept == [1, 1, 1, 1], "nor do questions stay that were asked of it"
    adapters = {sample.labels.get("adapter") for family in registry.collect() for sample in family.samples}
    assert adapters & {f"ci@{number}" for number in range(4)} == {"ci@3"}


async def test_an_adapter_that_cant_be_served_is_the_pipelines_own_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ward hears of it, so that the pipeline's events go aside."""

    def served(name: str, event: str) -> str:
        raise Retryable(f"adapter {name}: {event} has to wait", shared=False)

    line = tuned(StubModel(), served, CollectorRegistry())
    failed: list[str] = []
    monkeypatch.setattr(line.wards["tuned"], "failed", lambda _, why: failed.append(why))
    with suppress(Retryable):  # whether it waits or goes aside is the line's business
        await line.handle(record(LOG))
    assert failed[0].startswith("adapter ci:")
