"""When a pipeline parks, when it waits, and when it is well again."""

from __future__ import annotations

import asyncio
import json
import math
import time

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from processor.contract import Origin, Record
from processor.errors import Retryable
from processor.sources.backlog import Waiting
from processor.stages.park import FAILING, FEW, INVALID, PROBE_S, TIME, WELL, Aside, Ward, parked
from processor.telemetry import LineMetrics


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


async def test_the_wards_know_what_lies_aside_and_old_events_are_told_once() -> None:
    """By what the topic itself keeps: one whose events stay for good never warns."""
    registry, hours = CollectorRegistry(), 3600.0
    wards = {name: Ward(name) for name in ("short", "long", "forever")}
    then = int((time.time() - 5 * hours) * 1000)

    async def waiting(topic: str) -> Waiting:
        assert topic.startswith("p.parked.")
        return Waiting(7, then)

    keeps = {"short": 9 * hours, "long": 11 * hours, "forever": math.inf}
    aside = Aside(wards, waiting, LineMetrics(registry), "p", keeps)
    with capture_logs() as told:
        assert await aside.look() is None
        assert await aside.look() is None
    assert [(each["log_level"], each["pipeline"], each["hours"], each["kept_h"]) for each in told] == [
        ("error", "short", 5.0, 9.0)
    ]
    assert [ward.waiting for ward in wards.values()] == [7, 7, 7]
    kept = registry.get_sample_value("faultstream_line_parked_kept_seconds", {"pipeline": "short"})
    assert kept == 9 * hours


async def test_brokers_that_do_not_tell_leave_the_wards_as_they_are() -> None:
    """And the reason is handed on; the watch goes on until it is stopped."""
    ward, stop = Ward("ci"), asyncio.Event()
    ward.waiting = 3
    asked = 0

    async def waiting(topic: str) -> Waiting:
        nonlocal asked
        asked += 1
        stop.set()
        raise Retryable(f"{topic} does not answer")

    aside = Aside({"ci": ward}, waiting, LineMetrics(CollectorRegistry()), "p", {"ci": 60.0})
    assert str(await aside.look()) == "p.parked.ci does not answer"
    stop.clear()
    await asyncio.wait_for(aside.run(stop), 10)
    assert (asked, ward.waiting) == (2, 3)
