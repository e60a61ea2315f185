"""When a pipeline parks, when it waits, and when it is well again."""

from __future__ import annotations

import json

import pytest

from processor.contract import Origin, Record
from processor.stages.park import FAILING, FEW, INVALID, PROBE_S, TIME, WELL, Ward, parked


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def origin(offset: int) -> Origin:
    """Where an event was first read."""
    return Origin("g", "in", 0, offset)


@pytest.fixture
def clock() -> Clock:
    """A clock at rest."""
    return Clock()


@pytest.fixture
def ward(clock: Clock) -> Ward:
    """A pipeline in good health."""
    return Ward("ci", clock)


def sicken(ward: Ward) -> None:
    """Has enough different events fail."""
    for offset in range(FAILING):
        assert ward.sick is None
        ward.failed(origin(offset), "no adapter")


def test_one_event_that_fails_again_and_again_is_no_sickness(ward: Ward) -> None:
    """Its own log server may be down; nor do failures count that a success parts."""
    for _ in range(50):
        ward.failed(origin(1), "away")
    ward.succeeded()
    for offset in range(FAILING - 1):
        ward.failed(origin(offset), "away")
    assert ward.way(parked=False, others=True) == "go"


def test_events_of_a_sick_pipeline_are_parked_where_others_are_well(ward: Ward) -> None:
    """Where it is alone, they wait: lag is enough."""
    sicken(ward)
    assert [ward.way(parked=False, others=others) for others in (True, False)] == ["park", "wait"]


def test_answers_that_are_all_invalid_are_a_sickness(ward: Ward) -> None:
    """A valid one in between shows that the schema can be answered."""
    for _ in range(INVALID - 1):
        ward.invalid("no JSON")
    ward.succeeded()
    for _ in range(INVALID):
        assert ward.sick is None
        ward.invalid("no JSON")
    assert ward.way(parked=False, others=True) == "park"


def test_a_sick_pipeline_is_tried_with_one_event_at_a_time(ward: Ward, clock: Clock) -> None:
    """The first of the parked ones; it is well after more successes than one."""
    sicken(ward)
    ward.waiting = 7
    assert ward.way(parked=True, others=True) == "wait"
    clock.now += PROBE_S
    assert ward.way(parked=False, others=False) == "wait", "parked ones go first"
    assert [ward.way(parked=True, others=True) for _ in range(2)] == ["go", "wait"]
    for left in range(WELL, 0, -1):
        assert ward.sick is not None
        ward.succeeded()
        if left > 1:
            assert ward.way(parked=True, others=True) == "go", "the next follows at once"
    assert ward.sick is None


def test_a_failed_trial_leaves_it_sick(ward: Ward, clock: Clock) -> None:
    """And a single success before it does not count any more."""
    sicken(ward)
    clock.now += PROBE_S
    ward.succeeded()
    ward.failed(origin(9), "no adapter")
    ward.succeeded()
    assert ward.sick is not None


def test_new_events_stay_behind_the_parked_ones(ward: Ward) -> None:
    """Many: behind them, aside. Few: until those are done. None: straight on."""
    for waiting, way in ((FEW + 1, "park"), (FEW, "wait"), (0, "go")):
        ward.waiting = waiting
        assert ward.way(parked=False, others=True) == way
        assert ward.way(parked=True, others=True) == "go"


def test_a_parked_record_is_as_it_came(ward: Ward) -> None:
    """With its origin, and the time when it was parked first."""
    record = Record("in", 3, 9, b"k", b"log", (("repo", b"acme/web"), ("fs-attempt", b"2")))
    first = parked("p", record, ward.pipeline, origin(9), "2026-01-01T00:00:00.000+00:00")
    again = parked(
        "p", Record("p.parked.ci", 0, 1, first.key, first.value, first.headers), ward.pipeline, origin(9), "later"
    )
    assert (first.topic, first.key, first.value) == ("p.parked.ci", b"k", b"log")
    assert first == again
    headers = dict(first.headers)
    assert json.loads(headers["fs-origin"]) == ["g", "in", 0, 9]
    assert headers[TIME] == b"2026-01-01T00:00:00.000+00:00"
    assert (headers["repo"], headers["fs-attempt"]) == (b"acme/web", b"2")
