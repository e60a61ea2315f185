"""Versions of an adapter along the line: findings name the one that answered, and metrics tell them apart."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.errors import Retryable
from processor.line import Line, Shared
from processor.logs.redact import redactor
from processor.settings import Settings
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.infer import Served
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel

from .test_line import CI_FAILURE, HOMES, found, letter, record

TUNED = replace(CI_FAILURE, name="tuned", rules=None, model=CI_FAILURE.model.model_copy(update={"adapter": "ci"}))
LOG = b"$ make all\nerror: the frobnicator is out of tune\nmake: *** [all] Error 1\n"


def tuned(model: StubModel, served: Served, registry: CollectorRegistry) -> Line:
    """A line whose one pipeline asks the adapter `ci`, in the version that `served` says."""
    shared = Shared("t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(registry), served={"lite": served})
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
        labels = {"pipeline": "tuned", "adapter": adapter, "outcome": "used"}
        return registry.get_sample_value("faultstream_adapter_answers_total", labels)

    assert (counted("ci@a"), counted("ci@b")) == (1, 1)


async def test_repairs_count_for_the_version_that_caused_them() -> None:
    """An invalid answer is the fault of the version that gave it."""
    registry = CollectorRegistry()
    line = tuned(StubModel("no object"), lambda name, _: f"{name}@a", registry)
    assert letter(await line.handle(record(LOG)))
    samples = [
        sample
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "faultstream_adapter_repairs_total"
    ]
    assert [(sample.labels["adapter"], sample.value) for sample in samples] == [("ci@a", 1)]


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
