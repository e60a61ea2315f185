"""Two real models of different families as tiers: SmolLM2-135M asks for help, Qwen2.5-Coder-0.5B gives it.

Their confidence is that of their own log-probabilities, by a calibration that the test makes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.contract import Outbound, Record
from processor.home import Homes
from processor.lane import Shared
from processor.lang.predicate import Predicate
from processor.logs.redact import redactor
from processor.models.calibration import FILE, Calibration, Calibrations, Measured, Platt, write
from processor.models.chat import ChatRequest, Completion, Model
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
from tools.servers.model import BASE
from tools.weights import DEMO, SMALLER

pytestmark = [pytest.mark.llamacpp, pytest.mark.timeout(600)]

HOMES = Homes.of(environ={})
ROUTER = Pipeline.load(HOMES.pipelines()["log_router"], HOMES)
LOGS = (
    b"ERROR payment-service: connection to postgres at db-1:5432 refused\n",
    b"2026-03-02 WARN [search-api] slow query took 812 ms\n",
)
FINDINGS, REVIEW = "t.findings.log_router", "t.review.log_router"
AWAY = "http://127.0.0.1:9/v1"


@dataclass(frozen=True)
class Tiers:
    """The two models as clients, and a line to either."""

    lite: Model
    pro: Model
    settings: Settings
    folder: Path

    async def handle(
        self, log: bytes, *, when: str | None = None, shadow: bool = False, uncalibrated: bool = False
    ) -> tuple[list[Outbound], list[dict[str, Any]], CollectorRegistry]:
        """What becomes of a log: its records, its shadows, what was counted. Answers go up on `when`."""
        published: list[dict[str, Any]] = []

        async def publish(records: Sequence[Outbound]) -> None:
            published.extend(json.loads(each.value or b"") for each in records)

        registry = CollectorRegistry()
        metrics = TierMetrics(registry)
        shadows = Shadows(publish, metrics)
        shared = Shared(
            "t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(registry), tiers=metrics, shadows=shadows
        )
        pipeline = self.pipeline(when, shadow=shadow, uncalibrated=uncalibrated)
        line = app.build_line([pipeline], self.settings, HOMES, {"lite": self.lite, "pro": self.pro}, shared)
        outputs = await line.handle(Record("service.errors", 0, 0, None, log))
        await shadows.settled()
        return outputs, published, registry

    def pipeline(self, when: str | None, *, shadow: bool, uncalibrated: bool) -> Pipeline:
        """log_router with `escalate` or a shadow; both tiers are calibrated unless `uncalibrated`."""
        changes: dict[str, Any] = {"shadow": Shadow(share=1.0)} if shadow else {}
        predicate = None
        if when is not None:
            part = Escalate(when=when, within=300.0, uncalibrated=uncalibrated)
            changes["escalate"] = part
            predicate = Predicate.compile(part.when, contexts.escalate_roots(ROUTER.schema))
        known = Calibrations(ROUTER.name, ROUTER.calibrations.asked, () if uncalibrated else (self.folder / FILE,))
        model = ROUTER.model.model_copy(update=changes)
        return replace(ROUTER, model=model, escalate=predicate, calibrations=known)


def at_its_word(tier: str, model: str) -> Calibration:
    """A calibration that shows the probability of the severity as it is."""
    return Calibration(
        pipeline=ROUTER.name, tier=tier, engine="llama.cpp", model=model, asked=ROUTER.calibrations.asked,
        fields=("severity",), platt=Platt(constant=0, logit=1),
        measured=Measured(
            n=10**6, groups=1, right=0.5, ece=0, raw_ece=0, brier=0, raw_brier=0, constant_brier=0, auroc=0.5
        ),
    )  # fmt: skip


@pytest.fixture
async def tiers(smaller_server: str, llamacpp_server: str, tmp_path: Path) -> AsyncIterator[Tiers]:
    """The two servers as tiers, the larger one at ten times the price."""
    lite = ModelSettings(
        urls=[smaller_server],
        model=SMALLER.name,
        base_model=SMALLER.name,
        timeout_s=300,
        usd_per_million_prompt=1,
        usd_per_million_completion=4,
    )
    pro = lite.model_copy(
        update={"urls": [llamacpp_server], "model": BASE, "base_model": DEMO.name, "usd_per_million_prompt": 10}
    )
    for tier, name in (("lite", SMALLER.name), ("pro", DEMO.name)):
        write(tmp_path / FILE, at_its_word(tier, name))
    async with ModelClient(lite) as small, ModelClient(pro, "pro") as large:
        yield Tiers(small, large, Settings(models={"lite": lite, "pro": pro}), tmp_path)


def data(outputs: Sequence[Outbound]) -> dict[str, Any]:
    """The finding's data."""
    found: dict[str, Any] = json.loads(outputs[0].value or b"")["data"]
    return found


async def test_what_the_small_model_is_less_sure_of_goes_up(tiers: Tiers) -> None:
    """By its own probabilities: below the bound the larger model answers, at or above it nobody else is asked."""
    alone = [data((await tiers.handle(log))[0]) for log in LOGS]
    sure = [finding["confidence"]["value"] for finding in alone]
    assert len(set(sure)) == len(LOGS), "each has its own"
    assert all(finding["confidence"]["calibrated"] for finding in alone)
    bound = sum(sure) / 2
    up = []
    for log, confidence in zip(LOGS, sure, strict=True):
        outputs, _, registry = await tiers.handle(log, when=f"confidence < {bound}")
        steps = data(outputs)["steps"]
        assert [step["tier"] for step in steps] == (["lite", "pro"] if confidence < bound else ["lite"])
        if confidence < bound:
            up.append(data(outputs))
            whose = {"pipeline": "log_router", "adapter": steps[0]["adapter"] or ""}
            labels = {**whose, "why": "unsure", "outcome": "answered"}
            assert registry.get_sample_value("faultstream_line_escalations_total", labels) == 1
    [finding] = up
    first, second = finding["steps"]
    assert (first["unused"], second["unused"]) == ("unsure", None)
    assert (first["model"], second["model"]) == (SMALLER.name, BASE)
    assert finding["result"] == second["result"]
    assert finding["confidence"]["value"] == pytest.approx(second["confidence"], abs=1e-3)
    assert second["usage"]["cost_usd"] > first["usage"]["cost_usd"]
    assert finding["usage"]["cost_usd"] == pytest.approx(first["usage"]["cost_usd"] + second["usage"]["cost_usd"])


async def test_what_both_are_unsure_of_is_for_people_and_a_shadow_says_the_same_of_both(tiers: Tiers) -> None:
    """A copy for review with both answers; in a shadow the two stand field by field, and the finding is the first's."""
    outputs, _, _ = await tiers.handle(LOGS[1], when="confidence < 1.0")
    assert [out.topic for out in outputs] == [FINDINGS, REVIEW]
    assert outputs[0].value == outputs[1].value
    finding = data(outputs)
    assert finding["review"]
    small, large = (step["result"] for step in finding["steps"])
    assert small != large, "two models that always agree would prove nothing"

    outputs, [shadow], registry = await tiers.handle(LOGS[1], shadow=True)
    assert [out.topic for out in outputs] == [FINDINGS]
    assert data(outputs)["result"] == small
    assert [step["tier"] for step in data(outputs)["steps"]] == ["lite"]
    assert shadow["fields"] == {
        name: {"first": small[name], "second": large[name], "same": small[name] == large[name]} for name in small
    }
    assert (shadow["first"]["model"], shadow["second"]["model"]) == (SMALLER.name, BASE)
    outcome = "agrees" if shadow["agree"] else "differs"
    labels = {"pipeline": "log_router", "outcome": outcome}
    assert registry.get_sample_value("faultstream_shadow_answers_total", labels) == 1


@dataclass(frozen=True)
class Unguided:
    """A model behind a server without guided decoding."""

    model: Model

    async def complete(self, request: ChatRequest) -> Completion:
        """What it writes when nothing but the prompt says how."""
        return await self.model.complete(replace(request, form=None))


async def test_what_is_no_answer_goes_up_after_one_repair(tiers: Tiers) -> None:
    """Unguided the small model repeats an example instead; both tries are paid for, the finding is the other one's."""
    lost = replace(tiers, lite=Unguided(tiers.lite))
    outputs, _, registry = await lost.handle(LOGS[0], when="confidence < 0.01")
    finding = data(outputs)
    first, second = finding["steps"]
    assert first["unused"] in ("cut_off", "invalid_output")
    assert (first["result"], second["unused"]) == (None, None)
    assert finding["result"] == second["result"]
    assert not finding["review"]
    assert first["usage"]["prompt_tokens"] > second["usage"]["prompt_tokens"], "it was asked twice"
    whose = {"pipeline": "log_router", "adapter": first["adapter"] or ""}
    labels = {**whose, "why": first["unused"], "outcome": "answered"}
    assert registry.get_sample_value("faultstream_line_escalations_total", labels) == 1


async def test_a_larger_model_that_is_away_costs_a_flag(tiers: Tiers) -> None:
    """The small model's answer is the finding, with its confidence, for people to look at."""
    part = tiers.settings.models["pro"].model_copy(update={"urls": [AWAY], "connect_timeout_s": 1.0})
    settings = Settings(models={"lite": tiers.settings.models["lite"], "pro": part})
    async with ModelClient(part, "pro") as nobody:
        outputs, _, _ = await replace(tiers, pro=nobody, settings=settings).handle(LOGS[0], when="confidence < 1.0")
    finding = data(outputs)
    assert [out.topic for out in outputs] == [FINDINGS, REVIEW]
    assert finding["review"]
    assert [(step["tier"], step["unused"]) for step in finding["steps"]] == [("lite", None), ("pro", "away")]
    assert finding["result"] == finding["steps"][0]["result"]


async def test_without_a_calibration_there_is_no_confidence_and_the_policy_says_what_then(tiers: Tiers) -> None:
    """Null, though the probabilities are there; `when` never sees it, and `uncalibrated: true` sends it up."""
    outputs, _, _ = await tiers.handle(LOGS[0], when="confidence < 0.7", uncalibrated=True)
    finding = data(outputs)
    assert finding["confidence"] == {"value": None, "calibrated": False}
    assert finding["steps"][0]["unused"] == "uncalibrated"
    assert all(0 < step["confidence"] < 1 for step in finding["steps"])
