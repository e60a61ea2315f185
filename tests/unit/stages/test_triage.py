"""How hard an event looks before any model is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.contract import Candidate, Excerpt, ExcerptLine, Reading, RuleMatch
from processor.stages.triage import LARGE, MANY, Level, triage

LINES = tuple(ExcerptLine(number, "error") for number in range(1, 11))
FOUND = Excerpt(LINES, 10, (1,))
HINT = RuleMatch("hint", {}, {}, (1,), decides=False)
CROWD = {"packages": tuple(Candidate("package", f"p{number}", score=1e9) for number in range(MANY + 1))}
CLEAR = {"category": (("test", 0.9), ("build", 0.05))}
CLOSE = {"category": (("test", 0.4), ("build", 0.35))}

CASES: list[tuple[Reading, Level, tuple[str, ...]]] = [
    (Reading(FOUND), "simple", ()),
    (Reading(FOUND, narrowed=CLEAR), "simple", ()),
    (Reading(FOUND, narrowed=CLOSE), "moderate", ("close_ranking",)),
    (Reading(FOUND, narrowed=CLOSE, rule=HINT), "simple", ("close_ranking",)),
    (Reading(FOUND, CROWD), "moderate", ("many_candidates",)),
    (Reading(FOUND, CROWD, narrowed=CLOSE), "complex", ("close_ranking", "many_candidates")),
    (Reading(Excerpt(LINES, LARGE, (1,))), "moderate", ("little_shown",)),
    (Reading(Excerpt(LINES, LARGE, (1,)), narrowed=CLOSE), "complex", ("close_ranking", "little_shown")),
    (Reading(Excerpt(LINES, 10)), "complex", ("no_error_line",)),
    (Reading(Excerpt(LINES, 10), rule=HINT), "moderate", ("no_error_line",)),
]


@pytest.mark.parametrize(("reading", "level", "why"), CASES)
def test_signals_are_weighed(reading: Reading, level: Level, why: tuple[str, ...]) -> None:
    """What makes an event hard, and what takes that away again."""
    found = triage(reading)
    assert (found.level, found.why) == (level, why)


LEVELS = ["simple", "moderate", "complex"]


@given(st.integers(1, 100_000), st.lists(st.floats(0, 1), max_size=4), st.booleans())
def test_a_hint_never_makes_it_harder(lines: int, ranked: list[float], error: bool) -> None:
    """Whatever else is known."""
    narrowed = {"category": tuple((f"c{index}", each) for index, each in enumerate(sorted(ranked, reverse=True)))}
    excerpt = Excerpt(LINES[:1], lines, (1,) if error else ())
    without, with_hint = (triage(Reading(excerpt, narrowed=narrowed, rule=rule)).level for rule in (None, HINT))
    assert LEVELS.index(with_hint) <= LEVELS.index(without)
