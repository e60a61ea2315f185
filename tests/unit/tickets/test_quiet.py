"""Maintenance windows: by the clock of a place, over midnight and over days on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from processor.pipeline.quiet import Quiet
from processor.tickets.policy import Decision, Fault, Policy, decide


def quiet(**given: object) -> Quiet:
    """The section as it is written."""
    return Quiet.model_validate(given)


def at(text: str) -> datetime:
    """A time."""
    return datetime.fromisoformat(text)


NIGHT = quiet(weekly=[{"days": ["sat"], "begins": "22:00", "ends": "06:00", "zone": "Europe/Berlin"}])


@pytest.mark.parametrize(
    ("time", "covered"),
    [
        ("2026-11-21T20:59:59Z", False),
        ("2026-11-21T21:00:00Z", True),
        ("2026-11-22T04:59:59Z", True),
        ("2026-11-22T05:00:00Z", False),
        ("2026-11-22T21:00:00Z", False),
        ("2026-07-04T20:00:00Z", True),
        ("2026-10-24T20:00:00Z", True),
        ("2026-10-25T04:59:00Z", True),
        ("2026-10-25T05:00:00Z", False),
        ("2026-03-29T03:59:00Z", True),
        ("2026-03-29T04:00:00Z", False),
    ],
)
def test_a_night_by_the_clock_of_a_place(time: str, covered: bool) -> None:
    """From ten in the evening of a Saturday until six the next morning in Berlin, in summer as in winter."""
    assert NIGHT.covers(at(time)) == covered


def test_whole_days_and_spans() -> None:
    """Without times it is the whole day; a span begins and ends once."""
    weekend = quiet(weekly=[{"days": ["sat", "sun"]}])
    assert [weekend.covers(at(f"2026-11-{day}T12:00:00Z")) for day in (20, 21, 22, 23)] == [False, True, True, False]
    holidays = quiet(once=[{"since": "2026-12-24T00:00:00+01:00", "until": "2026-12-27T00:00:00+01:00"}])
    times = ("2026-12-23T22:59:00Z", "2026-12-23T23:00:00Z", "2026-12-26T22:59:00Z", "2026-12-26T23:00:00Z")
    assert [holidays.covers(at(time)) for time in times] == [False, True, True, False]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weekly": [{"zone": "Berlin"}]}, "is no time zone"),
        ({"weekly": [{"begins": 1320}]}, "is no time of day"),
        ({"weekly": [{"ends": "6 pm"}]}, "is no time of day"),
        ({"weekly": [{"begins": "22:00+01:00"}]}, 'write "22:00", and the place as zone'),
        ({"weekly": [{"days": []}]}, "at least 1 item"),
        ({"weekly": [{}]}, "covers the whole week"),
        ({"weekly": [{"begins": "08:00", "ends": "08:00"}]}, "covers the whole week"),
        ({"once": [{"since": "2026-12-24", "until": "2026-12-27T00:00:00Z"}]}, "with its zone"),
        ({"once": [{"since": "2026-12-24T01:00:00Z", "until": "2026-12-24T01:30:00+01:00"}]}, "window is empty"),
        ({"once": [{"since": "2026-12-24T00:00:00Z", "until": "2026-12-24T00:00:00Z"}]}, "window is empty"),
        ({}, "no window is named"),
        ({"weekly": [], "once": []}, "no window is named"),
    ],
)
def test_what_is_no_time_is_told(given: dict[str, object], said: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValidationError, match=said):
        quiet(**given)


def test_findings_are_counted_and_filed_afterwards() -> None:
    """The ticket that comes then knows of all that was; one that is there is left alone."""
    policy, fault = Policy(quiet=NIGHT, max_age=timedelta(days=400)), Fault()
    actions: list[str] = []
    for offset, time in enumerate(("22T01:00", "22T02:00", "22T09:00", "22T10:00", "29T01:00", "29T09:00")):
        finding = {"id": str(offset), "pipeline": "ci", "fingerprint": "f1", "time": f"2026-11-{time}:00Z"}
        made: Decision = decide(
            finding, fault, {"ci": policy}, partition=0, offset=offset, at=datetime(2026, 11, 30, tzinfo=UTC)
        )
        assert made.fault is not None
        fault = made.fault
        actions.append(f"{made.command.action} {made.command.count}" if made.command else "left")
    assert actions == ["left", "left", "create 3", "comment 4", "left", "comment 6"]
