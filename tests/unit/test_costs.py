"""What findings cost: added up from the findings themselves, by hour and pipeline."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from processor.cli.cost import _cells
from processor.contract import Origin, Record, Reused, Step, Usage
from processor.costs.ledger import BYTES_PER_TOKEN, Ledger, Paid, Tariff
from processor.costs.report import Report
from processor.models.prices import Prices
from processor.settings.costs import CostSettings
from processor.settings.models import ModelSettings
from processor.sinks.dead_letters import dead_letter
from processor.stages.emit import FINDING_TYPE, total

NOON = 1_780_000_200  # within an hour
URLS = ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"]


def tariff(**models: ModelSettings) -> Tariff:
    """The tariff of these tiers, all else as it is by default."""
    return Tariff.of(models or {"lite": ModelSettings(urls=URLS)}, CostSettings())


def finding(
    steps: Sequence[Step], pipeline: str = "ci", at_s: float = NOON, size: int = 2600, review: bool = False
) -> Record:
    """A finding as it lies on its topic."""
    data = {
        "pipeline": pipeline,
        "review": review,
        "steps": [asdict(step) for step in steps],
        "usage": asdict(total(steps)),
        "log": {"bytes": size, "lines": 10},
    }
    value = json.dumps({"type": FINDING_TYPE, "data": data}).encode()
    return Record(f"t.findings.{pipeline}", 0, 0, b"k", value, timestamp_ms=int(at_s * 1000))


def by_model(usage: Usage, tier: str = "lite") -> Step:
    """A step of a tier."""
    return Step("diagnose", "model", tier=tier, usage=usage)


RULE = Step("diagnose", "rule", rule="eresolve")
PRICED = ModelSettings(urls=URLS, usd_per_million_prompt=1, usd_per_million_cached=0.1, usd_per_million_completion=4)
HOURLY = ModelSettings(urls=URLS, usd_per_replica_hour=3)


def test_cached_tokens_that_a_server_does_not_count_are_unknown() -> None:
    """They are paid for as if none were; the table says that nobody knows, and so does the sum with those that are."""
    ledger = Ledger(tariff(lite=PRICED))
    ledger.add(finding([by_model(Usage(1_000_000, None, 0))]))
    ledger.add(finding([by_model(Usage(1_000_000, 500_000, 0))], pipeline="other"))
    report = Report.of(ledger, NOON, NOON + 60, ["ci", "other"])
    rows = {row["pipeline"]: row for row in report.said()["pipelines"]}
    assert {name: row["cached_tokens"] for name, row in rows.items()} == {"ci": None, "other": 500_000}
    assert rows["ci"]["cost_usd"] == pytest.approx(1.0)
    assert report.said()["total"]["cached_tokens"] is None
    assert "unknown" in _cells(rows["ci"])
    assert "unknown" not in _cells(rows["other"])


def test_tokens_have_three_prices() -> None:
    """Read anew, cached, written; what is not said costs as much as a prompt token."""
    usage = Usage(1000, 600, 50)
    priced = Prices.of(PRICED)
    assert priced is not None
    assert priced.cost(usage) == pytest.approx((400 * 1 + 600 * 0.1 + 50 * 4) / 1e6)
    plain = Prices.of(ModelSettings(urls=URLS, usd_per_million_prompt=2))
    assert plain is not None
    assert plain.cost(usage) == pytest.approx(1050 * 2 / 1e6)
    assert Prices.of(ModelSettings(urls=URLS)) is None


def test_replicas_that_are_found_are_counted_by_hand() -> None:
    """Their number changes while they are paid for; nothing would be the wrong price."""
    with pytest.raises(ValidationError, match="paid_replicas is missing"):
        ModelSettings(dns="http://models:8000/v1", usd_per_replica_hour=2)
    found = ModelSettings(dns="http://models:8000/v1", usd_per_replica_hour=2, paid_replicas=3)
    assert Paid.of(found) == Paid(6.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"usd_per_million_prompt": 1, "usd_per_replica_hour": 1},
        {"usd_per_million_completion": 1},
    ],
)
def test_a_tier_has_one_kind_of_price(wrong: dict[str, float]) -> None:
    """Both at once, or half of one, is a mistake."""
    with pytest.raises(ValidationError, match="usd_per_million_prompt"):
        ModelSettings(urls=URLS, **wrong)


USAGES = st.builds(
    lambda prompt, cached, written, cost: Usage(prompt, min(prompt, cached), written, cost),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 300),
    st.floats(0, 0.01),
)
STEPS = st.lists(
    st.one_of(st.just(RULE), st.builds(by_model, USAGES, st.sampled_from(["lite", "pro"]))), min_size=1, max_size=3
)
FINDINGS = st.lists(st.tuples(STEPS, st.sampled_from(["ci", "deploys"]), st.integers(0, 4 * 3600)), max_size=12)


@given(FINDINGS, st.randoms(use_true_random=False))
def test_the_sum_of_costs_is_that_of_the_findings(
    found: list[tuple[list[Step], str, int]], chance: random.Random
) -> None:
    """In whatever order they are read, by day, by pipeline and in all; each finding is the sum of its steps."""
    records = [finding(steps, name, NOON + later) for steps, name, later in found]
    spent = sum(step.usage.cost_usd or 0.0 for steps, _, _ in found for step in steps)
    chance.shuffle(records)
    ledger = Ledger(tariff())
    for record in records:
        ledger.add(record)
    report = Report.of(ledger, NOON, NOON + 86_400, ["ci", "deploys"])
    for rows in (report.days, report.pipelines, [report.total]):
        assert sum(row.cost_usd or 0.0 for row in rows) == pytest.approx(spent)
        assert sum(row.entry.findings for row in rows) == len(found)
    for steps, _, _ in found:
        own = total(steps).cost_usd
        if any(step.decided_by == "model" for step in steps):
            assert own == pytest.approx(sum(step.usage.cost_usd or 0.0 for step in steps))


@given(FINDINGS)
def test_replica_hours_are_shared_out_whole(found: list[tuple[list[Step], str, int]]) -> None:
    """Of each hour in which somebody asked, all pipelines together pay all of it; the others are idle."""
    ledger = Ledger(tariff(lite=HOURLY, pro=ModelSettings(urls=URLS, usd_per_replica_hour=10, paid_replicas=1)))
    for steps, name, later in found:
        ledger.add(finding(steps, name, NOON + later))
    end = NOON + 6 * 3600
    report = Report.of(ledger, NOON, end, ["ci", "deploys"])
    hours = end / 3600 - NOON // 3600
    assert (report.total.cost_usd or 0.0) + report.idle_usd == pytest.approx(hours * (2 * 3 + 10))


def test_replica_hours_go_by_the_work_of_tokens() -> None:
    """A written token is worth five that are read, a cached one a tenth."""
    ledger = Ledger(tariff(lite=HOURLY))
    ledger.add(finding([by_model(Usage(1000, 1000, 0))], "cached"))
    ledger.add(finding([by_model(Usage(0, 0, 180))], "written"))
    after = (NOON // 3600 + 1) * 3600
    assert ledger.cost(NOON // 3600, "cached", after) == pytest.approx(6 * 0.1)
    assert ledger.cost(NOON // 3600, "written", after) == pytest.approx(6 * 0.9)
    assert ledger.cost(NOON // 3600, "written", NOON // 3600 * 3600 + 900) == pytest.approx(1.5 * 0.9), "so far"


def test_what_a_finding_cost_then_stays() -> None:
    """A price that was changed since changes nothing; where none was set then, that of now counts, or none."""
    steps = [by_model(Usage(1_000_000, 0, 0, cost_usd=7.0))]
    without = [by_model(Usage(1_000_000, 0, 0))]
    hour = NOON // 3600
    for prices, record, cost in (
        (tariff(lite=PRICED), finding(steps), 7.0),
        (tariff(lite=PRICED), finding(without), 1.0),
        (tariff(), finding(without), None),
        (tariff(), finding([RULE]), 0.0),
    ):
        ledger = Ledger(prices)
        ledger.add(record)
        assert ledger.cost(hour, "ci", NOON) == cost


def test_the_large_model_would_have_been_asked_of_everything() -> None:
    """With our prompts, and with whole logs up to its context; of what rules decided by what the others had."""
    ledger = Ledger(tariff(lite=PRICED))
    ledger.add(finding([by_model(Usage(1000, 600, 50))], size=26_000))
    ledger.add(finding([RULE], size=10**9))
    [row] = Report.of(ledger, NOON, NOON, ["ci"]).pipelines
    said = row.said(ledger.tariff.large)
    assert said["large_model_usd"] == pytest.approx(2 * (400 * 2 + 600 * 0.2 + 50 * 10) / 1e6)
    assert said["naive_usd"] == pytest.approx((26_000 / BYTES_PER_TOKEN + 200_000) * 2 / 1e6 + 100 * 10 / 1e6)
    assert said["per_finding_usd"] == pytest.approx(said["cost_usd"] / 2)


def test_a_known_answer_costs_nothing_and_saves_what_it_had_cost() -> None:
    """At the price of then, else of now; the large model would have been asked, and had its prompt."""
    asked = by_model(Usage(1000, 600, 50, cost_usd=0.5))
    known = [replace(by_model(Usage(cost_usd=0.0)), reused=Reused("f", False, usage))
             for usage in (asked.usage, Usage(1000, 600, 50))]  # fmt: skip
    ledger = Ledger(tariff(lite=PRICED))
    for step in (asked, *known):
        ledger.add(finding([step]))
    said = Report.of(ledger, NOON, NOON, ["ci"]).total.said(ledger.tariff.large)
    assert (said["findings"], said["asked"], said["reused"]) == (3, 3, 2)
    assert (said["cost_usd"], said["prompt_tokens"], said["saved_prompt_tokens"]) == (0.5, 1000, 2000)
    assert said["saved_usd"] == pytest.approx(0.5 + (400 * 1 + 600 * 0.1 + 50 * 4) / 1e6)
    assert said["large_model_usd"] == pytest.approx(3 * (400 * 2 + 600 * 0.2 + 50 * 10) / 1e6)


def test_what_was_saved_has_a_price_or_none() -> None:
    """Nobody says of replicas that are paid by the hour what one question costs; findings of before have no field."""
    ledger = Ledger(tariff(lite=HOURLY))
    ledger.add(finding([replace(by_model(Usage(cost_usd=0.0)), reused=Reused("f", True, Usage(10, 0, 1)))]))
    assert Report.of(ledger, NOON, NOON, ["ci"]).total.said(ledger.tariff.large)["saved_usd"] is None
    old = json.loads(finding([by_model(Usage(10, 0, 1))]).value or b"")
    del old["data"]["steps"][0]["reused"]
    ledger = Ledger(tariff(lite=PRICED))
    ledger.add(replace(finding([RULE]), value=json.dumps(old).encode()))
    assert Report.of(ledger, NOON, NOON, ["ci"]).total.said(ledger.tariff.large)["saved_usd"] == 0.0


def test_nothing_to_compare_with_is_left_open() -> None:
    """Where rules decided everything nobody knows what a model would have read."""
    ledger = Ledger(tariff(lite=PRICED))
    ledger.add(finding([RULE]))
    said = Report.of(ledger, NOON, NOON, ["ci"]).total.said(ledger.tariff.large)
    assert (said["cost_usd"], said["large_model_usd"], said["naive_usd"]) == (0.0, None, None)


@pytest.mark.parametrize("value", [b"", b"no json", b"[]", b'{"type": "another"}', None])
def test_what_is_no_finding_costs_nothing(value: bytes | None) -> None:
    """Whoever wrote it there."""
    ledger = Ledger(tariff())
    ledger.add(Record("t.findings.ci", 0, 0, None, value))
    assert not ledger.entries


def test_findings_of_before_are_counted_too() -> None:
    """Those that did not say how large their log was."""
    record = finding([by_model(Usage(100, 0, 10, 0.5))])
    value: dict[str, Any] = json.loads(record.value or b"")
    del value["data"]["log"]
    ledger = Ledger(tariff())
    ledger.add(Record(record.topic, 0, 0, None, json.dumps(value).encode(), timestamp_ms=record.timestamp_ms))
    said = Report.of(ledger, NOON, NOON, ["ci"]).total.said(ledger.tariff.large)
    assert (said["cost_usd"], said["naive_usd"]) == (0.5, None)


def dead(steps: Sequence[Step], pipeline: str = "ci", body: bytes = b"a log") -> Record:
    """The dead letter of an event for which models did these steps."""
    origin = Origin("line", "t.in", 0, 1)
    received = Record("t.in", 0, 1, None, body)
    made = dead_letter("t", received, "invalid_output", "no JSON", pipeline, origin, "2026-01-01T00:00:00Z", "", steps)
    return Record(made.topic, 0, 0, made.key, made.value, made.headers, timestamp_ms=NOON * 1000)


def test_what_came_to_nothing_was_paid_for() -> None:
    """Dead letters have their part in the cost, by token and by the hour; none of them is a finding."""
    for prices, ours in ((tariff(lite=PRICED), 1.5), (tariff(lite=HOURLY), 6.0)):
        ledger = Ledger(prices)
        ledger.add(finding([by_model(Usage(1000, 0, 100, 1.0))]))
        ledger.add(dead([by_model(Usage(500, 0, 50, 0.5))]))
        ledger.add(dead([], body=finding([by_model(Usage(10, 0, 1, 7.0))]).value or b""))
        said = Report.of(ledger, NOON, (NOON // 3600 + 1) * 3600, ["ci"]).total.said(ledger.tariff.large)
        assert (said["findings"], said["asked"], said["dead_letters"]) == (1, 1, 1)
        assert said["cost_usd"] == said["per_finding_usd"] == pytest.approx(ours)
        assert (said["prompt_tokens"], said["completion_tokens"]) == (1500, 150)


def test_the_large_model_would_have_been_asked_once() -> None:
    """Neither a second tier, nor a shadow, nor a dead letter makes the comparison dearer."""
    plain, full = Ledger(tariff(lite=PRICED)), Ledger(tariff(lite=PRICED))
    first = by_model(Usage(1000, 600, 50, 0.1))
    plain.add(finding([first]))
    full.add(finding([first, by_model(Usage(1000, 0, 60, 0.9), "pro")]))
    full.add(dead([first]))
    shadow = json.dumps({"kind": "shadow", "pipeline": "ci", "steps": [asdict(first)]}).encode()
    full.add(Record("t.shadow.ci", 0, 0, None, shadow, timestamp_ms=NOON * 1000))
    told = [Report.of(each, NOON, NOON, ["ci"]).total.said(each.tariff.large) for each in (plain, full)]
    assert told[0]["large_model_usd"] == told[1]["large_model_usd"]
    assert told[0]["naive_usd"] == told[1]["naive_usd"]
    assert told[1]["cost_usd"] == pytest.approx(0.1 + 0.9 + 0.1 + 0.1)
