"""A share of answers is asked of a larger model too, compared, and never in anybody's way."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from prometheus_client import CollectorRegistry

from processor import app
from processor.asyncapi import shadow_schema
from processor.contract import Outbound
from processor.costs.ledger import Ledger
from processor.errors import Retryable
from processor.lane import Shared
from processor.line import Line
from processor.logs.redact import redactor
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.pipeline import Pipeline
from processor.pipeline.document import Shadow as ShadowPart
from processor.settings import ModelSettings, Settings
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.tiers.answers import Answers
from processor.tiers.metrics import TierMetrics
from processor.tiers.shadow import Shadows, chosen, compare
from tests.unit.test_costs import tariff
from tests.unit.test_line import CI_FAILURE, HOMES, found, record, sample
from tests.unit.tiers.test_judge import LOG, Tier, data, escalating, topics


class Bench:
    """A line with tiers and a place for what their comparison says."""

    def __init__(
        self,
        tiers: Mapping[str, Tier],
        share: float = 1.0,
        rules: bool = False,
        most: int = 4,
        answers: Answers | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self.published: list[Outbound] = []
        self.fault: Exception | None = None
        metrics = TierMetrics(self.registry)
        self.shadows = Shadows(self._publish, metrics, most)
        shared = Shared(
            "t",
            Fetch(FetchSettings()),
            Redact(redactor()),
            LineMetrics(self.registry),
            tiers=metrics,
            shadows=self.shadows,
            answers=answers,
        )
        settings = Settings(models={name: ModelSettings(urls=["http://127.0.0.1:1/v1"]) for name in tiers})
        self.line: Line = app.build_line([shadowed(share, rules)], settings, HOMES, tiers, shared)

    async def _publish(self, records: Sequence[Outbound]) -> None:
        if self.fault is not None:
            raise self.fault
        self.published += records

    def counted(self, outcome: str) -> float:
        """How many second answers ended so."""
        labels = {"pipeline": "ci_failure", "outcome": outcome}
        return self.registry.get_sample_value("faultstream_shadow_answers_total", labels) or 0.0

    async def said(self) -> dict[str, Any]:
        """The one comparison that was published."""
        await self.shadows.settled()
        [made] = self.published
        assert made.topic == "t.shadow.ci_failure"
        return dict(json.loads(made.value or b""))


def shadowed(share: float, rules: bool) -> Pipeline:
    """ci_failure with a shadow."""
    pipeline = CI_FAILURE if rules else escalating()
    model = pipeline.model.model_copy(update={"shadow": ShadowPart(to="pro", share=share)})
    return replace(pipeline, model=model)


async def test_the_finding_is_what_it_would_have_been() -> None:
    """Both answers, field by field, on a topic of their own; in the finding, its records and its cost nothing of it."""
    lite, pro = Tier(said='{"summary": "a small frobnicator"}'), Tier(said='{"summary": "a large frobnicator"}')
    bench = Bench({"lite": lite, "pro": pro})
    outputs = await bench.line.handle(record(LOG))
    said = await bench.said()
    alone = await Bench({"lite": lite}).line.handle(record(LOG))
    assert data(outputs)["result"] == data(alone)["result"]
    assert data(outputs)["usage"] == data(alone)["usage"]
    assert topics(outputs) == topics(alone) == ["t.findings.ci_failure"]
    assert said["id"] == found(outputs)["id"]
    assert said["fingerprint"] == data(outputs)["fingerprint"]
    assert said["fields"]["summary"] == {"first": "a small frobnicator", "second": "a large frobnicator", "same": False}
    assert said["fields"]["category"]["same"]
    assert said["agree"], "prose is never worded alike"
    assert (said["first"]["tier"], said["second"]["tier"]) == ("lite", "pro")
    assert said["usage"]["cost_usd"] == 0.001
    Draft7Validator(shadow_schema()).validate(said)
    assert bench.counted("agrees") == 1


async def test_an_answer_that_was_known_has_no_second_shadow_and_a_shadow_is_always_asked() -> None:
    """The first one was compared; what the larger model had said to the same question before is nobody's answer."""
    lite, pro = Tier(), Tier()
    bench = Bench({"lite": lite, "pro": pro}, answers=Answers(1_000_000, 60))
    for _ in range(2):
        await bench.line.handle(record(LOG))
        await bench.shadows.settled()
    assert (len(lite.asked), len(pro.asked), bench.counted("agrees")) == (1, 1, 1)
    shadow = bench.line.lanes["ci_failure"].shadow
    assert shadow is not None
    assert shadow.ask.recall is None


async def test_a_field_that_differs_is_counted() -> None:
    """By name; the second answer chooses another category."""
    bench = Bench({"lite": Tier(), "pro": Tier(said='{"category": "k2"}')})
    await bench.line.handle(record(LOG))
    said = await bench.said()
    assert not said["agree"]
    labels = {"pipeline": "ci_failure", "field": "category", "same": "false"}
    assert bench.registry.get_sample_value("faultstream_shadow_fields_total", labels) == 1
    assert bench.counted("differs") == 1


async def test_a_second_answer_may_be_invalid() -> None:
    """That is told, too."""
    bench = Bench({"lite": Tier(), "pro": Tier(said="nonsense")})
    outputs = await bench.line.handle(record(LOG))
    said = await bench.said()
    assert (said["agree"], said["fields"]) == (None, {})
    assert topics(outputs) == ["t.findings.ci_failure"]
    assert bench.counted("invalid") == 1


async def test_nobody_waits_for_it_and_it_is_dropped_first() -> None:
    """A model that hangs holds up no finding; when all room is taken none is begun; a stop gives them up."""
    pro = Tier(hangs=True)
    bench = Bench({"lite": Tier(), "pro": pro}, most=2)
    for offset in range(5):
        outputs = await bench.line.handle(record(LOG, offset=offset))
        assert topics(outputs) == ["t.findings.ci_failure"]
    assert bench.counted("dropped") == 3
    await bench.shadows.stop()
    assert len(pro.asked) <= 2
    assert not bench.published


async def test_under_load_none_is_begun() -> None:
    """While questions of the pipeline wait for their turn."""
    bench = Bench({"lite": Tier(), "pro": Tier()})
    shadow = bench.line.lanes["ci_failure"].shadow
    assert shadow is not None
    assert not shadow.busy()
    running = bench.line.lanes["ci_failure"].judge.ask.running
    while not running.locked():
        await running.acquire()
    assert shadow.busy()
    event = bench.line.topics["ci.builds.failed"].decoder.decode(record(LOG))
    running.release()
    finding = await bench.line.lanes["ci_failure"].find(event)
    await running.acquire()
    before = bench.counted("dropped")
    shadow(event, bench.line.lanes["ci_failure"].recognise(await _excerpt(bench)), finding)
    assert bench.counted("dropped") == before + 1


class Full(Tier):
    """A model all of whose replicas have as much as they may."""

    full = True


async def test_none_is_begun_while_the_larger_model_has_no_room() -> None:
    """What goes up, of this pipeline or another, would have to wait behind it."""
    pro = Full()
    bench = Bench({"lite": Tier(), "pro": pro})
    outputs = await bench.line.handle(record(LOG))
    await bench.shadows.settled()
    assert topics(outputs) == ["t.findings.ci_failure"]
    assert bench.counted("dropped") == 1
    assert not pro.asked


async def test_a_client_is_full_when_all_replicas_that_can_be_asked_are() -> None:
    """One with room is enough; one that is not there counts for nothing."""
    urls = ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"]
    async with ModelClient(ModelSettings(urls=urls, concurrency=4, concurrency_min=2)) as client:
        first, second = client.replicas.update([Endpoint(url) for url in urls])
        assert not client.full
        first.phase = "ready"
        while first.has_room:
            first.take("key")
        assert client.full
        second.phase = "ready"
        assert not client.full


async def _excerpt(bench: Bench) -> Any:
    lane = bench.line.lanes["ci_failure"]
    return await lane.reduce(LOG, redactor().session())


@pytest.mark.parametrize("where", ["model", "broker"])
async def test_one_that_fails_is_lost_and_that_is_all(where: str) -> None:
    """The servers are away, or the broker is; the finding is there."""
    bench = Bench({"lite": Tier(), "pro": Tier(fault=Retryable("down") if where == "model" else None)})
    bench.fault = Retryable("no broker") if where == "broker" else None
    outputs = await bench.line.handle(record(LOG))
    await bench.shadows.settled()
    assert topics(outputs) == ["t.findings.ci_failure"]
    assert bench.counted("lost") == 1


async def test_rules_and_what_went_up_have_no_shadow() -> None:
    """There is no small model's answer to compare, or the larger one has spoken already."""
    ruled = Bench({"lite": Tier(), "pro": Tier()}, rules=True)
    assert data(await ruled.line.handle(record(sample("npm-eresolve-a1"))))["steps"][0]["decided_by"] == "rule"
    up = Bench({"lite": Tier(said="nonsense"), "pro": Tier()})
    assert len(data(await up.line.handle(record(LOG)))["steps"]) == 2
    for bench in (ruled, up):
        await bench.shadows.settled()
        assert not bench.published


@pytest.mark.parametrize(("share", "tiers"), [(0.0, ["lite", "pro"]), (1.0, ["lite"])])
def test_without_a_share_or_a_larger_tier_there_is_none(share: float, tiers: list[str]) -> None:
    """Nothing is compared with nothing."""
    assert Bench({tier: Tier() for tier in tiers}, share).line.lanes["ci_failure"].shadow is None


def test_a_share_is_chosen_by_the_id() -> None:
    """The same ones each time, about as many as wanted, and a larger share has all of a smaller one."""
    ids = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(4000)]
    tenth = {each for each in ids if chosen(each, 0.1)}
    assert tenth == {each for each in ids if chosen(each, 0.1)}
    assert 300 < len(tenth) < 500
    assert tenth <= {each for each in ids if chosen(each, 0.2)}
    assert not any(chosen(each, 0.0) for each in ids)
    assert all(chosen(each, 1.0) for each in ids)


RESULTS = st.dictionaries(
    st.sampled_from(["category", "severity", "tests"]),
    st.one_of(st.none(), st.text(max_size=5), st.lists(st.text(max_size=3))),
)


@given(RESULTS, RESULTS)
def test_a_comparison_has_every_field_of_both(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A result is the same as itself; whichever comes first, as much differs."""
    there, back = compare(first, second), compare(second, first)
    assert there.keys() == first.keys() | second.keys()
    assert {name: each["same"] for name, each in there.items()} == {name: each["same"] for name, each in back.items()}
    assert all(each["same"] for each in compare(first, first).values())


async def test_what_a_second_answer_cost_is_counted() -> None:
    """Beside the findings', in the pipeline's sum."""
    bench = Bench({"lite": Tier(), "pro": Tier()})
    outputs = await bench.line.handle(record(LOG))
    await bench.said()
    ledger = Ledger(tariff())
    for offset, each in enumerate([outputs[0], bench.published[0]]):
        ledger.add(replace(record(each.value or b"", offset=offset), topic=each.topic))
    [((hour, name), entry)] = ledger.entries.items()
    assert (name, entry.findings, entry.shadows) == ("ci_failure", 1, 1)
    assert ledger.cost(hour, name, hour * 3600) == pytest.approx(0.002)
    labels = {"pipeline": "ci_failure", "tier": "pro"}
    assert bench.registry.get_sample_value("faultstream_cost_usd_total", labels) == pytest.approx(0.001)
