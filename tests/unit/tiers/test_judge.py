"""Which answers go up to a larger model, what comes back, and what a person should look at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.bound import Bound
from processor.contract import Confidence, Excerpt, ExcerptLine, Outbound, Reading, Usage
from processor.errors import ConfigError, Rejected, Retryable
from processor.lane import Lane, Shared
from processor.lang.predicate import Predicate
from processor.line import Line
from processor.logs.redact import redactor
from processor.models.chat import ChatRequest, Completion
from processor.models.question import Prompt
from processor.pipeline import Pipeline, contexts
from processor.pipeline.document import Escalate
from processor.settings import ModelSettings, Settings
from processor.settings.fetch import FetchSettings
from processor.stages.check import NEW, Answer, Check, Read
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import first_answer
from processor.tiers.judge import FAILURES, Judge
from processor.tiers.metrics import Share, TierMetrics
from tests.unit.test_line import CI_FAILURE, HOMES, found, letter, record

LOG = b"$ make all\nerror: the frobnicator is out of tune\nmake: *** [all] Error 1\n"


@dataclass
class Tier:
    """A model that is so sure of itself (None: nobody knows), and says so much about itself."""

    sure: float | None = None
    said: str = "{}"
    fault: Exception | None = None
    hangs: bool = False
    asked: list[ChatRequest] = field(default_factory=list)

    async def complete(self, request: ChatRequest) -> Completion:
        """An answer with a price."""
        self.asked.append(request)
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        assert request.form is not None
        text = first_answer(request.form)
        answer = json.loads(text) | json.loads(self.said) if self.said != "nonsense" else None
        text = json.dumps(answer) if answer is not None else "nonsense"
        return Completion(text, "stop", usage=Usage(100, 60, 10, 0.001), model=f"sure {self.sure}")


class Calibrated(Check):
    """Takes the models at their word."""

    def __call__(self, prompt: Prompt, completion: Completion, reading: Reading, before: Read = NEW) -> Answer:
        answer = super().__call__(prompt, completion, reading, before)
        said = completion.model.removeprefix("sure ")
        return replace(answer, confidence=Confidence(None if said == "None" else float(said), said != "None"))


def escalating(pipeline: Pipeline = CI_FAILURE, **changes: Any) -> Pipeline:
    """ci_failure, with another `escalate`."""
    part = Escalate(when="confidence < 0.7", **changes)
    when = Predicate.compile(part.when, contexts.escalate_roots(pipeline.schema))
    model = pipeline.model.model_copy(update={"escalate": part})
    return replace(pipeline, model=model, escalate=when, rules=None)


def judged_by(tiers: Mapping[str, Tier], pipeline: Pipeline, registry: CollectorRegistry | None = None) -> Line:
    """A line with these models as tiers, whose answers are as sure as they say."""
    settings = Settings(models={name: ModelSettings(urls=["http://127.0.0.1:1/v1"]) for name in tiers})
    registry = registry or CollectorRegistry()
    shared = Shared("t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(registry), tiers=TierMetrics(registry))
    made = app.build_line([pipeline], settings, HOMES, tiers, shared)
    return replace(made, lanes={name: _calibrated(lane) for name, lane in made.lanes.items()})


def _calibrated(lane: Lane) -> Lane:
    check = Calibrated(lane.pipeline.schema, lane.pipeline.questions)
    judge = replace(lane.judge, ask=replace(lane.judge.ask, check=check))
    if judge.escalation is not None and judge.escalation.larger is not None:
        larger = replace(judge.escalation.larger, ask=replace(judge.escalation.larger.ask, check=check))
        judge = replace(judge, escalation=replace(judge.escalation, larger=larger))
    return replace(lane, judge=judge)


def data(outputs: list[Outbound]) -> dict[str, Any]:
    """The finding's data."""
    return dict(found(outputs)["data"])


def topics(outputs: list[Outbound]) -> list[str]:
    """Where records went, but for signals."""
    return [out.topic for out in outputs if out.topic != "t.signals"]


UP = {"findings": "t.findings.ci_failure", "review": "t.review.ci_failure"}


async def test_a_sure_answer_stays() -> None:
    """Nobody else is asked; one step, nothing to look at."""
    tiers = {"lite": Tier(0.9), "pro": Tier(0.99)}
    outputs = await judged_by(tiers, escalating()).handle(record(LOG))
    assert topics(outputs) == [UP["findings"]]
    assert not tiers["pro"].asked
    [step] = data(outputs)["steps"]
    assert (step["tier"], step["result"], step["unused"]) == ("lite", None, None)


async def test_an_unsure_answer_goes_up_and_both_are_told() -> None:
    """The larger model's answer is the finding; both answers, tiers and costs stand in the steps, their sum beside."""
    tiers = {
        "lite": Tier(0.4, '{"summary": "a small frobnicator"}'),
        "pro": Tier(0.95, '{"summary": "a large frobnicator"}'),
    }
    outputs = await judged_by(tiers, escalating()).handle(record(LOG))
    finding = data(outputs)
    assert topics(outputs) == [UP["findings"]]
    assert finding["result"]["summary"] == "a large frobnicator"
    assert finding["confidence"]["value"] == 0.95
    first, second = finding["steps"]
    assert [(each["tier"], each["unused"], each["result"]["summary"]) for each in (first, second)] == [
        ("lite", "unsure", "a small frobnicator"),
        ("pro", None, "a large frobnicator"),
    ]
    assert finding["usage"] == {
        "prompt_tokens": 200,
        "cached_tokens": 120,
        "completion_tokens": 20,
        "cost_usd": pytest.approx(0.002),
    }
    signal = next(json.loads(out.value or b"") for out in outputs if out.topic == "t.signals")
    assert signal["finding"]["decided"]["model"] == "sure 0.95"


async def test_what_stays_unsure_is_copied_for_review() -> None:
    """The same bytes on both topics, in one transaction with the rest."""
    outputs = await judged_by({"lite": Tier(0.4), "pro": Tier(0.5)}, escalating()).handle(record(LOG))
    assert topics(outputs) == [UP["findings"], UP["review"]]
    assert outputs[0].value == outputs[1].value
    assert data(outputs)["review"]
    assert data(outputs)["confidence"]["value"] == 0.5


async def test_without_a_larger_model_a_person_looks() -> None:
    """The answer is the finding, flagged."""
    outputs = await judged_by({"lite": Tier(0.4)}, escalating()).handle(record(LOG))
    assert topics(outputs) == [UP["findings"], UP["review"]]
    assert len(data(outputs)["steps"]) == 1


FAULTS = [
    pytest.param(Tier(fault=Retryable("down")), "away", id="away"),
    pytest.param(Tier(fault=Rejected("request_refused", "no")), "away", id="refuses"),
    pytest.param(Tier(fault=ConfigError("the key is refused")), "away", id="no key"),
    pytest.param(Tier(hangs=True), "away", id="hangs"),
    pytest.param(Tier(said="nonsense"), "invalid_output", id="nonsense"),
]


@pytest.mark.parametrize(("pro", "unused"), FAULTS)
async def test_a_larger_model_that_is_no_help_holds_nothing_up(pro: Tier, unused: str) -> None:
    """Lite's answer is the finding, flagged, and the step says what was wrong with the other."""
    lite = Tier(0.4, '{"summary": "a small frobnicator"}')
    outputs = await judged_by({"lite": lite, "pro": pro}, escalating(within="20ms")).handle(record(LOG))
    finding = data(outputs)
    assert topics(outputs) == [UP["findings"], UP["review"]]
    assert finding["result"]["summary"] == "a small frobnicator"
    assert [(step["tier"], step["unused"]) for step in finding["steps"]] == [("lite", None), ("pro", unused)]
    signal = next(json.loads(out.value or b"") for out in outputs if out.topic == "t.signals")
    assert signal["finding"]["decided"]["model"] == "sure 0.4"
    assert finding["usage"]["cost_usd"] == pytest.approx(0.001 if unused == "away" else 0.003)


async def test_no_valid_answer_goes_up() -> None:
    """After its repair; what the larger model says is the finding, and what the small one cost is counted."""
    tiers = {"lite": Tier(said="nonsense"), "pro": Tier(0.9)}
    outputs = await judged_by(tiers, escalating()).handle(record(LOG))
    assert [(step["tier"], step["unused"], step["result"] is None) for step in data(outputs)["steps"]] == [
        ("lite", "invalid_output", True),
        ("pro", None, False),
    ]
    assert data(outputs)["usage"]["cost_usd"] == pytest.approx(0.003)
    assert topics(outputs) == [UP["findings"]]


@pytest.mark.parametrize("pro", [Tier(said="nonsense"), Tier(fault=Retryable("down")), None])
async def test_no_valid_answer_at_all_is_a_dead_letter(pro: Tier | None) -> None:
    """There is nothing to find then, whatever the reason."""
    tiers = {"lite": Tier(said="nonsense")} | ({"pro": pro} if pro is not None else {})
    outputs = await judged_by(tiers, escalating()).handle(record(LOG))
    assert letter(outputs)["fs-reason"] == "invalid_output"
    assert topics(outputs) == ["t.dead-letters"]


async def test_a_small_model_that_is_away_is_waited_for() -> None:
    """The larger one is for hard cases, not for all of them at once."""
    tiers = {"lite": Tier(fault=Retryable("down")), "pro": Tier(0.9)}
    with pytest.raises(Retryable):
        await judged_by(tiers, escalating()).handle(record(LOG))
    assert not tiers["pro"].asked


@pytest.mark.parametrize(
    ("unsure", "uncalibrated", "asked", "review"),
    [("file", False, 0, False), ("review", False, 0, True), ("file", True, 1, False), ("review", True, 1, False)],
)
async def test_an_unknown_confidence_is_what_the_policy_says(
    unsure: str, uncalibrated: bool, asked: int, review: bool
) -> None:
    """`when` never sees it: it stays, is for people, or goes up if that is wanted."""
    assert CI_FAILURE.ticket is not None
    pipeline = replace(
        escalating(uncalibrated=uncalibrated),
        ticket=replace(CI_FAILURE.ticket, unsure=unsure),  # type: ignore[arg-type]
    )
    tiers = {"lite": Tier(None), "pro": Tier(0.9)}
    outputs = await judged_by(tiers, pipeline).handle(record(LOG))
    assert len(tiers["pro"].asked) == asked
    assert data(outputs)["review"] is review


@pytest.mark.parametrize("uncalibrated", [False, True])
async def test_a_larger_model_of_unknown_confidence_is_what_the_policy_says_too(uncalibrated: bool) -> None:
    """Its answer is the finding; who wants unknown ones passed up has people look at this one."""
    tiers = {"lite": Tier(0.4), "pro": Tier(None)}
    outputs = await judged_by(tiers, escalating(uncalibrated=uncalibrated)).handle(record(LOG))
    assert [step["unused"] for step in data(outputs)["steps"]] == ["unsure", None]
    assert data(outputs)["review"] is uncalibrated


async def test_a_larger_model_that_is_away_is_left_alone_for_a_while() -> None:
    """After a few failures in a row nobody waits for it, until the pause is over."""
    pro, now = Tier(fault=Retryable("down")), [0.0]
    line = judged_by({"lite": Tier(0.4), "pro": pro}, escalating(within="30s"))
    escalation = line.lanes["ci_failure"].judge.escalation
    assert escalation is not None
    assert escalation.larger is not None
    escalation.larger.clock = lambda: now[0]
    for offset in range(FAILURES + 5):
        outputs = await line.handle(record(LOG, offset=offset))
        assert data(outputs)["review"]
    assert len(pro.asked) == FAILURES
    now[0] = 31.0
    pro.fault, pro.sure = None, 0.9
    outputs = await line.handle(record(LOG))
    assert not data(outputs)["review"]


async def test_a_larger_model_reads_the_whole_excerpt() -> None:
    """The small one reads the likeliest part of it; what goes up is hard, and deserves a second look at more."""
    tiers = {"lite": Tier(0.4), "pro": Tier(0.9)}
    lines = [f"src/part{number}.c:{number}: error: the frobnicator has no part {number}" for number in range(90)]
    log = "\n".join([*lines, "error: the frobnicator is out of tune", "exit 1"]).encode()
    await judged_by(tiers, escalating()).handle(record(log))
    (first,), (second,) = (tiers[name].asked for name in ("lite", "pro"))
    small, large = (asked.messages[-1].content for asked in (first, second))
    assert "out of tune" in small
    assert "out of tune" in large
    assert small.count("has no part") < 0.6 * large.count("has no part")


async def test_escalations_are_counted_and_their_share_is_known() -> None:
    """By why and what came of it; the share is that of the model's answers."""
    registry = CollectorRegistry()
    lite = Tier(0.4)
    line = judged_by({"lite": lite, "pro": Tier(0.9)}, escalating(), registry)
    for offset, sure in enumerate([0.4, 0.9, 0.9, 0.9]):
        lite.sure = sure
        await line.handle(record(LOG, offset=offset))
    labels = {"pipeline": "ci_failure", "adapter": "", "why": "unsure", "outcome": "answered"}
    assert registry.get_sample_value("faultstream_line_escalations_total", labels) == 1
    share = registry.get_sample_value("faultstream_line_escalated_share", {"pipeline": "ci_failure"})
    assert share == 0.25
    tokens = registry.get_sample_value("faultstream_line_tokens_total", {"pipeline": "ci_failure", "kind": "prompt"})
    assert tokens == 500, "of both tiers"


def test_a_share_forgets_what_is_older_than_its_window() -> None:
    """A quarter of an hour ago does not count any more."""
    now = [0.0]
    share = Share(900, lambda: now[0])
    assert share.value() == 0.0
    for marked in (True, True, False, False):
        share.add(marked)
    assert share.value() == 0.5
    now[0] = 880.0
    share.add(False)
    assert share.value() == 0.4
    now[0] = 930.0
    assert share.value() == 0.0
    now[0] = 5000.0
    assert share.value() == 0.0


def test_a_pipeline_without_escalation_has_none() -> None:
    """log_router says nothing of it."""
    pipeline = Pipeline.load(HOMES.pipelines()["log_router"], HOMES)
    registry = CollectorRegistry()
    ask = judged_by({"lite": Tier()}, escalating()).lanes["ci_failure"].judge.ask
    assert Judge.of(pipeline, ask, TierMetrics(registry), ask).escalation is None


HARD = b"building\n" * 20
"""A log without a line that looks like an error, and nothing that anybody could be sure of."""


async def test_a_hard_event_goes_to_the_larger_model_at_once() -> None:
    """Where the pipeline wants that; the small one is not asked, and nothing is set aside."""
    tiers = {"lite": Tier(0.9), "pro": Tier(0.9)}
    outputs = await judged_by(tiers, escalating(complex=True)).handle(record(HARD))
    assert not tiers["lite"].asked
    [step] = data(outputs)["steps"]
    assert (step["tier"], step["unused"]) == ("pro", None)
    assert topics(outputs) == [UP["findings"]]
    easy = await judged_by(tiers, escalating(complex=True)).handle(record(LOG))
    assert [step["tier"] for step in data(easy)["steps"]] == ["lite"]


async def test_hard_events_are_as_others_by_default() -> None:
    """Looking hard costs nothing unless the pipeline says so; it is counted."""
    registry = CollectorRegistry()
    tiers = {"lite": Tier(0.9), "pro": Tier(0.9)}
    outputs = await judged_by(tiers, escalating(), registry).handle(record(HARD))
    assert [step["tier"] for step in data(outputs)["steps"]] == ["lite"]
    labels = {"pipeline": "ci_failure", "level": "complex"}
    assert registry.get_sample_value("faultstream_line_triaged_total", labels) == 1


@pytest.mark.parametrize(("pro", "unused"), [*FAULTS, pytest.param(None, None, id="none")])
async def test_a_hard_event_has_a_finding_in_any_case(pro: Tier | None, unused: str | None) -> None:
    """The small model's, for people to look at."""
    tiers = {"lite": Tier(0.9)} | ({"pro": pro} if pro is not None else {})
    outputs = await judged_by(tiers, escalating(complex=True, within="20ms")).handle(record(HARD))
    steps = [(step["tier"], step["unused"]) for step in data(outputs)["steps"]]
    assert steps == [*([("pro", unused)] if pro is not None else []), ("lite", None)]
    assert topics(outputs) == [UP["findings"], UP["review"]]


async def test_all_questions_of_an_event_share_its_bound() -> None:
    """`model.within`: what goes up has what is left of it; without it no request has a bound, but what goes up does."""
    bounds = []
    for within in (40.0, None):
        pipeline = escalating(within=30.0)
        model = pipeline.model.model_copy(update={"within": within})
        tiers = {"lite": Tier(0.2), "pro": Tier(0.9)}
        await judged_by(tiers, replace(pipeline, model=model)).handle(record(LOG))
        bounds.append([tier.asked[0].bound for tier in tiers.values()])
    (lite, pro), (free, larger) = bounds
    assert lite is not None
    assert (lite.seconds, free) == (40.0, None)
    assert all(each is not None and each.seconds == 30.0 and each.until is not None for each in (pro, larger))


async def test_an_event_that_has_had_its_time_does_not_go_up() -> None:
    """Its first answer goes out, flagged; the larger tier is not at fault, and gets the next one."""
    pipeline = escalating(within=30.0)
    pipeline = replace(pipeline, model=pipeline.model.model_copy(update={"within": 10.0}))
    tiers = {"lite": Tier(0.2), "pro": Tier(0.9)}
    made = judged_by(tiers, pipeline)
    larger = made.lanes["ci_failure"].judge.escalation
    assert larger is not None
    assert larger.larger is not None
    for _ in range(FAILURES + 1):
        over = Reading(Excerpt((ExcerptLine(1, "error"),), 1, (1,)), bound=Bound(1, until=0.0))
        assert await larger.larger(made.topics["ci.builds.failed"].decoder.decode(record(LOG)), over) is None
    assert not tiers["pro"].asked
    assert data(await made.handle(record(LOG)))["steps"][-1]["tier"] == "pro"
