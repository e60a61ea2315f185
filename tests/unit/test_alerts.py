"""The alert rules that ship: each asks for metrics that the daemon has."""

from __future__ import annotations

import re

import pytest
import yaml
from prometheus_client import CollectorRegistry

from processor.costs.budgets import BudgetMetrics
from processor.engine.metrics import MetricFamilies
from processor.home import Homes
from processor.models.metrics import ModelMetrics
from processor.telemetry import LineMetrics
from processor.tiers.metrics import TierMetrics

FILE = Homes.of(environ={}).find("config/alerts.yaml")
assert FILE is not None
RULES = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]


def known() -> set[str]:
    """Names of the samples of all metrics."""
    registry = CollectorRegistry()
    for family in (LineMetrics, TierMetrics, BudgetMetrics, MetricFamilies, ModelMetrics):
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
