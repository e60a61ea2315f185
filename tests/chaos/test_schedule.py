"""The harness itself: schedules, and what counts as lost or repeated."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from tests.chaos.faults import KINDS, schedule
from tests.chaos.oracle import lost, repeated


def test_a_seed_makes_one_schedule() -> None:
    """The same faults at the same times; all kinds come, some of them together."""
    faults = schedule(7, 120, 3, 3.0)
    assert faults == schedule(7, 120, 3, 3.0)
    assert faults != schedule(8, 120, 3, 3.0)
    assert {fault.kind for fault in faults} == set(KINDS)
    assert min(later.at - fault.at for fault, later in pairwise(faults)) < 0.3


def test_what_is_lost_and_what_came_twice() -> None:
    """Per pipeline; a dead letter counts for all of them, and a finding beside it is one too many."""
    fine, half, none, twice, both = ((0, offset) for offset in range(5))
    outcomes = Counter(
        {
            ("a", fine): 1,
            ("b", fine): 1,
            ("a", half): 1,
            ("a", twice): 2,
            ("b", twice): 1,
            (None, both): 1,
            ("b", both): 1,
        }
    )
    acknowledged = [fine, half, none, twice, both]
    assert sorted(lost(acknowledged, outcomes, "ab")) == [("a", none), ("b", half), ("b", none)]
    assert sorted(repeated(outcomes, "ab")) == [("a", twice), ("b", both)]
