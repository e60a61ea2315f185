"""A passing run of the same job: what it says as well is no fault."""

from __future__ import annotations

import pytest

from processor.errors import Rejected
from processor.logs import reduce
from processor.logs.baseline import Baseline

CHATTER = [f"[{n}/900] compiling module number {n}" for n in range(900)]
SCARE = "ERROR: could not find the optional cache after {} ms, going on without"
FAULT = "src/a.c:3:4: error: expected ';' before 'x'"


def log(milliseconds: int, *fault: str) -> bytes:
    """A run that always says one thing that looks like an error."""
    lines = [*CHATTER[:300], SCARE.format(milliseconds), *CHATTER[300:800], *fault, *CHATTER[800:]]
    return "\n".join(lines).encode()


def test_what_a_passing_run_says_too_ranks_nowhere() -> None:
    """The scare, in other figures, is no candidate beside the passing run; without it it is."""
    failing = log(31, FAULT)
    alone = reduce(failing, 300)
    beside = reduce(failing, 300, baseline=Baseline.of(log(977)))
    assert 301 in alone.ranked
    assert 301 not in beside.ranked
    assert beside.ranked[0] == 802


def test_a_fault_stays_that_the_passing_run_does_not_know() -> None:
    """The excerpt keeps the fault and its number."""
    beside = reduce(log(31, FAULT), 300, baseline=Baseline.of(log(977)))
    assert next(line.text for line in beside.lines if line.number == 802) == FAULT


def test_a_stream_makes_the_same_baseline() -> None:
    """In chunks of any size a log has the templates that it has in one piece."""
    passing = log(977)
    chunks = [passing[start : start + 101] for start in range(0, len(passing), 101)]
    assert Baseline.of_stream(chunks) == Baseline.of(passing)


def test_membership_ignores_figures() -> None:
    """Lines are compared without figures and white space."""
    baseline = Baseline.of(b"took 3 ms\n")
    assert b"took  41 ms" in baseline
    assert b"took long" not in baseline


def test_what_is_no_log_is_no_baseline() -> None:
    """An empty body is refused as a log would be."""
    with pytest.raises(Rejected):
        Baseline.of(b"")
