"""Two real models as tiers: a record goes up and comes back, and another one has its shadow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.contract import Outbound, Record
from processor.home import Homes
from processor.lang.predicate import Predicate
from processor.line import Shared
from processor.logs.redact import redactor
from processor.models.client import ModelClient
from processor.pipeline import Pipeline, contexts
from processor.pipeline.document import Escalate, Shadow
from processor.settings import ModelSettings, Settings
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.tiers.metrics import TierMetrics
from processor.tiers.shadow import Shadows

pytestmark = pytest.mark.llamacpp

HOMES = Homes.of(environ={})
ROUTER = Pipeline.load(HOMES.pipelines()["log_router"], HOMES)
LOG = b"ERROR payment-service: connection to postgres at db-1:5432 refused\n"


def tiered(*, up: bool) -> Pipeline:
    """log_router, whose answers go up (they have no calibrated confidence) or have a shadow."""
    part = Escalate.model_validate({"when": "confidence < 0.7", "uncalibrated": True, "within": "300s"})
    changes = {"escalate": part} if up else {"shadow": Shadow(share=1.0)}
    when = Predicate.compile(part.when, contexts.escalate_roots(ROUTER.schema))
    return replace(ROUTER, model=ROUTER.model.model_copy(update=changes), escalate=when if up else None)


@pytest.mark.timeout(600)
async def test_two_models_answer_one_event(llamacpp_server: str) -> None:
    """Both answers are valid, with their tokens and costs; the second decides where it was asked to alone."""
    tier = ModelSettings(urls=[llamacpp_server], timeout_s=300, usd_per_million_prompt=1, usd_per_million_completion=4)
    settings = Settings(models={"lite": tier, "pro": tier.model_copy(update={"usd_per_million_prompt": 10})})
    published: list[Outbound] = []

    async def publish(records: Sequence[Outbound]) -> None:
        published.extend(records)

    async with ModelClient(settings.models["lite"]) as lite, ModelClient(settings.models["pro"], "pro") as pro:
        for up in (True, False):
            metrics = TierMetrics(CollectorRegistry())
            shadows = Shadows(publish, metrics)
            counts, fetch = LineMetrics(CollectorRegistry()), Fetch(FetchSettings())
            shared = Shared("t", fetch, Redact(redactor()), counts, tiers=metrics, shadows=shadows)
            line = app.build_line([tiered(up=up)], settings, HOMES, {"lite": lite, "pro": pro}, shared)
            outputs = await line.handle(Record("service.errors", 0, 0, None, LOG))
            await shadows.settled()
            data = json.loads(outputs[0].value or b"")["data"]
            tiers = [step["tier"] for step in data["steps"]]
            assert tiers == (["lite", "pro"] if up else ["lite"])
            assert all(step["usage"]["completion_tokens"] > 0 for step in data["steps"])
            assert data["usage"]["cost_usd"] == pytest.approx(sum(s["usage"]["cost_usd"] for s in data["steps"]))
            if up:
                assert data["steps"][0]["unused"] == "uncalibrated"
                assert data["steps"][1]["usage"]["cost_usd"] > data["steps"][0]["usage"]["cost_usd"]
    [shadow] = [json.loads(each.value or b"") for each in published]
    assert shadow["second"]["tier"] == "pro"
    assert shadow["agree"], "one model twice, at temperature 0"
