"""The alert rules that ship: each asks for metrics that the daemon has."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from processor.costs.budgets import BudgetMetrics
from processor.engine.metrics import MetricFamilies
from processor.home import Homes
from processor.models.adapters.metrics import AdapterMetrics
from processor.models.metrics import ModelMetrics
from processor.telemetry import LineMetrics
from processor.tickets.jira.metrics import JiraMetrics
from processor.tickets.metrics import TicketMetrics
from processor.tiers.metrics import TierMetrics

FAMILIES = (
    *(LineMetrics, TierMetrics, BudgetMetrics, MetricFamilies, ModelMetrics, AdapterMetrics),
    *(JiraMetrics, TicketMetrics),
)
FILE = Homes.of(environ={}).find("config/alerts.yaml")
assert FILE is not None
RULES = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]


SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}


def known() -> dict[str, set[str]]:
    """Labels by the names of the samples of all metrics."""
    registry = CollectorRegistry()
    for family in FAMILIES:
        family(registry)
    labels: dict[str, set[str]] = {}
    for collector in list(registry._collector_to_names):
        own = set(getattr(collector, "_labelnames", ()))
        for each in collector.collect():
            told = own or set(getattr(each, "_labelnames", ()))
            labels |= {f"{each.name}{suffix}": told for suffix in SUFFIXES.get(each.type, [""])}
    return labels


def parts(expression: str) -> list[promql_parser.Expr]:
    """All parts of an expression, as Prometheus' own grammar has it. Raises ValueError for one that is none."""
    found: list[promql_parser.Expr] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """What it reads."""
    return [each for each in parts(expression) if isinstance(each, promql_parser.VectorSelector)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_what_there_is(rule: dict[str, object]) -> None:
    """Its metrics exist under these names, and it says in words what it means."""
    labels = known()
    asked = selectors(str(rule["expr"]))
    assert asked, "it asks for a metric of ours"
    for each in asked:
        assert each.name in labels
        assert {one.name for one in each.matchers.matchers} <= labels[str(each.name)]
    assert isinstance(rule["annotations"], dict)
    assert rule["annotations"]["summary"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_groups_by_labels_that_its_metrics_have(rule: dict[str, Any]) -> None:
    """What it groups by, and what its texts show, is there: else a text has a gap where a name belongs."""
    labels = known()
    groups: set[str] = set()
    for part in parts(rule["expr"]):
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            read = [each for each in selectors(part.prettify()) if each.name is not None]
            for each in read:
                assert set(part.modifier.labels) <= labels[str(each.name)], part.prettify()
            groups |= set(part.modifier.labels)
    if not groups:
        groups = set.union(*[labels[str(each.name)] for each in selectors(rule["expr"])])
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert shown <= groups


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_is_whole(rule: dict[str, Any]) -> None:
    """Keys, durations and severities are such as Prometheus takes; promtool looks at the file itself, where it is."""
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert promql_parser.parse_duration(rule.get("for", "1m")).total_seconds() > 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_takes_the_rules() -> None:
    """Prometheus' own check of the file."""
    checked = subprocess.run(["promtool", "check", "rules", str(FILE)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_is_no_expression_is_found() -> None:
    """The checks above can fail."""
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        parts("sum by (pipeline) (rate(faultstream_line_events_total[5m])")
    assert [each.name for each in selectors("rate(a_total{b='c'}[5m]) / d")] == ["a_total", "d"]
    labels = known()
    assert labels["faultstream_line_parked_waiting"] == {"pipeline"}
    assert labels["faultstream_model_request_seconds_bucket"] >= {"tier", "pipeline", "adapter"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_both_sides_of_an_alert_have_the_same_labels(rule: dict[str, object]) -> None:
    """Prometheus adds labels of its own (`instance`, `job`): what keeps them never meets what was summed up."""
    expression = " ".join(str(rule["expr"]).split())
    sides = [side for side in re.split(r" [<>/] | == ", expression) if "faultstream_" in side]
    if " on (" in expression or len(sides) == 1:
        return
    labels = [re.findall(r"\b(?:sum|max|min|avg) by \(([^)]*)\) \(", side) for side in sides]
    assert labels
    assert all(each == labels[0] and len(each) == 1 for each in labels), expression
