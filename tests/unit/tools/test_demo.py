"""The demo says how long it still takes, and tells what did not come from what failed."""

from __future__ import annotations

import pytest
from rich.console import Console

from tools.demo.page import page
from tools.demo.plan import Build
from tools.demo.show import table
from tools.demo.watch import Outcome


@pytest.mark.parametrize(
    ("decided", "events", "left"),
    [
        ([], 9, ""),
        ([100.0], 9, ""),
        ([100.0, 110.0], 3, ", about a minute more"),
        ([100.0, 230.0, 360.0], 11, ", about 24 min more"),
    ],
)
def test_how_long_the_rest_takes(decided: list[float], events: int, left: str) -> None:
    """By the mean time between what the model has answered; nothing is said before it can be known."""
    assert Outcome(began=0.0, decided_s=decided).left(events) == left


def test_what_did_not_come_is_no_dead_letter() -> None:
    """The table tells them apart."""
    builds = [Build(name, b"", {"category": "test"}, by_rule=False) for name in ("gone", "late")]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table([(build, None, "") for build in builds], {"gone"}))
    rows = {line.split()[1]: line for line in captured.get().splitlines() if "gone" in line or "late" in line}
    assert "dead letter" in rows["gone"]
    assert "not done" in rows["late"]


def test_the_page_shows_tickets_and_makes_no_markup_of_logs() -> None:
    """Key, summary, state, description and comments; what a log holds stays text."""
    issue = {
        "key": "BUILD-7",
        "summary": "a < b",
        "priority": {"name": "High"},
        "status": {"name": "Open"},
        "labels": ["fs-1"],
        "description": "{noformat}<script>alert(1)</script>{noformat}",
        "comment": {"comments": [{"body": "seen again"}]},
    }
    made = page([issue, {"key": "BUILD-8"}])
    assert "2 tickets" in made
    assert "<b>BUILD-7</b> a &lt; b" in made
    assert "High · Open · fs-1" in made
    assert "&lt;script&gt;" in made
    assert "<script>" not in made
    assert "<pre>seen again</pre>" in made
