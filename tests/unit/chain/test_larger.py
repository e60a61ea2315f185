"""A larger model behind a chain: for steps without a valid answer, and for the pipeline's own question."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.chain.metrics import ChainMetrics
from processor.contract import Confidence, Reading
from processor.databases.ports import Database
from processor.databases.sqlite import Sqlite
from processor.errors import Retryable
from processor.home import Homes
from processor.lane import Shared
from processor.line import Line
from processor.logs.redact import redactor
from processor.models.chat import ChatRequest, Completion
from processor.models.question import Prompt
from processor.pipeline import Pipeline
from processor.settings import ModelSettings, Settings
from processor.settings.fetch import FetchSettings
from processor.stages.check import NEW, Answer, Check, Read
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.tiers.forms import asking
from processor.tiers.metrics import TierMetrics
from tests.unit.chain.test_example import EXAMPLE, FOLDER, Service, data, reason, record

ESCALATE = "model: {max_tokens: 96, escalate: {when: 'confidence < 0.7 && chain.owner.count == 1', to: pro}}"


class Mumbling(Service):
    """Says nothing of use where it is asked for the service, and not where it comes from elsewhere."""

    async def complete(self, request: ChatRequest) -> Completion:
        """Nonsense, or what anybody would say."""
        done = await super().complete(request)
        return replace(done, text="nonsense", replica="http://small/v1") if request.step == "service" else done


class Away(Service):
    """Does not answer."""

    async def complete(self, request: ChatRequest) -> Completion:
        """Raises Retryable."""
        self.asked.append(request)
        raise Retryable("connection refused")


class Unsure(Check):
    """Half sure of every answer."""

    def __call__(self, prompt: Prompt, completion: Completion, reading: Reading, before: Read = NEW) -> Answer:
        return replace(super().__call__(prompt, completion, reading, before), confidence=Confidence(0.5, True))


def escalating(folder: Path, old: str = "", new: str = "") -> Pipeline:
    """The example's pipeline with a larger model, and one other change."""
    shutil.copytree(EXAMPLE, folder)
    pipeline = folder / "pipelines" / FOLDER.name / "pipeline.yaml"
    text = pipeline.read_text(encoding="utf-8").replace("model: {max_tokens: 96}", ESCALATE).replace(old, new)
    pipeline.write_text(text, encoding="utf-8")
    return Pipeline.load(pipeline.parent, Homes((folder,)))


def line(tiers: Mapping[str, Service], database: Database, registry: CollectorRegistry, pipeline: Pipeline) -> Line:
    """A line over the pipeline with these models as tiers."""
    shared = Shared(
        "t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(registry), databases={"catalogue": database},
        chains=ChainMetrics(registry), tiers=TierMetrics(registry),
    )  # fmt: skip
    settings = Settings(models={name: ModelSettings(urls=["http://127.0.0.1:1/v1"]) for name in tiers})
    return app.build_line([pipeline], settings, Homes((EXAMPLE,)), tiers, shared)


def escalated(registry: CollectorRegistry, outcome: str) -> float | None:
    """How many invalid answers went up with that outcome."""
    labels = {"pipeline": "deploy_owner", "adapter": "", "why": "invalid_output", "outcome": outcome}
    return registry.get_sample_value("faultstream_line_escalations_total", labels)


async def test_a_step_without_a_valid_answer_goes_up(
    catalogue: Database, registry: CollectorRegistry, tmp_path: Path
) -> None:
    """The larger model is asked the same; later steps use what it says, and the finding has both answers' steps."""
    tiers = {"lite": Mumbling(), "pro": Service()}
    found = data(await line(tiers, catalogue, registry, escalating(tmp_path / "home")).handle(record()))
    assert [(step["name"], step["tier"], step["unused"]) for step in found["steps"] if step["tier"]] == [
        ("service", "lite", "invalid_output"), ("service", "pro", None), ("diagnose", "lite", None),
    ]  # fmt: skip
    assert (found["chain"]["service"], found["result"]["team"]) == ({"name": "payments-api"}, "Payments")
    first, repair, own = tiers["lite"].asked
    [up] = tiers["pro"].asked
    assert (up.step, up.messages, up.form) == ("service", first.messages, first.form)
    assert (repair.step, own.near) == ("service", "http://small/v1")
    assert found["usage"]["prompt_tokens"] == sum(step["usage"]["prompt_tokens"] for step in found["steps"])
    assert escalated(registry, "answered") == 1.0
    share = registry.get_sample_value("faultstream_line_escalated_share", {"pipeline": "deploy_owner"})
    assert share == 0.5, "of a step's answer and the pipeline's own"


@pytest.mark.parametrize(
    ("larger", "outcome"),
    [(Mumbling(), "invalid"), (Away(), "away"), (None, "no_tier")],
    ids=["invalid", "away", "none"],
)
async def test_a_step_that_nobody_answers_is_a_dead_letter(
    catalogue: Database, registry: CollectorRegistry, tmp_path: Path, larger: Service | None, outcome: str
) -> None:
    """As where the pipeline has no larger model."""
    tiers = {"lite": Mumbling()} | ({"pro": larger} if larger is not None else {})
    over = line(tiers, catalogue, registry, escalating(tmp_path / "home"))
    assert reason(await over.handle(record())) == "invalid_output"
    assert escalated(registry, outcome) == 1.0


async def test_a_step_that_asks_the_larger_model_has_none_above_it(
    catalogue: Database, registry: CollectorRegistry, tmp_path: Path
) -> None:
    """It asks twice, the second time for a repair, and no third time."""
    pipeline = escalating(tmp_path / "home", "      max_tokens: 24\n", "      max_tokens: 24\n      tier: pro\n")
    tiers = {"lite": Service(), "pro": Mumbling()}
    assert reason(await line(tiers, catalogue, registry, pipeline).handle(record())) == "invalid_output"
    assert len(tiers["pro"].asked) == 2
    assert escalated(registry, "invalid") is None


async def test_an_event_that_waits_pays_for_neither_answer_again(
    registry: CollectorRegistry, tmp_path: Path, file: Path
) -> None:
    """Both are kept until its database is back."""
    tiers, moved = {"lite": Mumbling(), "pro": Service()}, tmp_path / "elsewhere.db"
    shutil.move(file, moved)
    over = line(tiers, Sqlite("catalogue", file), registry, escalating(tmp_path / "home"))
    for _ in range(2):
        with pytest.raises(Retryable):
            await over.handle(record())
    shutil.move(moved, file)
    found = data(await over.handle(record()))
    assert [step["unused"] for step in found["steps"] if step["name"] == "service"] == ["invalid_output", None]
    assert (len(tiers["lite"].asked), len(tiers["pro"].asked)) == (3, 1)


@pytest.mark.parametrize(("service", "tier"), [("payments-api", "pro"), ("unheard-of", "lite")])
async def test_the_pipelines_own_answer_goes_up_as_its_chain_has_it(
    catalogue: Database, registry: CollectorRegistry, tmp_path: Path, service: str, tier: str
) -> None:
    """`when` sees what steps gave: here only where the service is known."""
    tiers = {"lite": Service(service), "pro": Service()}
    over = line(tiers, catalogue, registry, escalating(tmp_path / "home"))
    lane = over.lanes["deploy_owner"]
    asked = lane.pipeline.question
    check = Unsure(asked.schema, asked.questions)
    judge = replace(lane.judge, ask=replace(lane.judge.ask, check=check))
    over = replace(over, lanes={"deploy_owner": replace(lane, judge=judge)})
    found = data(await over.handle(record()))
    own = [(step["tier"], step["unused"]) for step in found["steps"] if step["name"] == "diagnose"]
    assert own == ([("lite", "unsure"), ("pro", None)] if tier == "pro" else [("lite", None)])
    assert [each.step for each in tiers["pro"].asked] == ([""] if tier == "pro" else [])


def test_what_steps_ask_of_the_larger_model_is_looked_at_beforehand(tmp_path: Path) -> None:
    """Their forms too; the pipeline can do without its answers."""
    asked = [(each.tier, each.file, each.needed) for each in asking([escalating(tmp_path / "home")])]
    assert ("lite", "schemas/deployed_service.yaml", True) in asked
    assert ("pro", "schemas/deployed_service.yaml", False) in asked
