"""The alert rules that ship: each asks for metrics that the daemon has."""

from __future__ import annotations

import re

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


def known() -> set[str]:
    """Names of the samples of all metrics."""
    registry = CollectorRegistry()
    for family in FAMILIES:
        family(registry)
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
    return {f"{each.name}{suffix}" for each in registry.collect() for suffix in suffixes.get(each.type, [""])}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_what_there_is(rule: dict[str, object]) -> None:
    """Its metrics exist under these names, and it says in words what it means."""
    asked = set(re.findall(r"\bfaultstream_\w+", str(rule["expr"])))
    assert asked, "it asks for a metric of ours"
    assert asked <= known()
    assert isinstance(rule["annotations"], dict)
    assert rule["annotations"]["summary"]


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
