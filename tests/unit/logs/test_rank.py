"""Which lines of a log are worth reading."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processor.logs.patterns import SIGNS
from processor.logs.rank import neighbourhood

ANY = st.integers(0, len(SIGNS) - 1)


@given(st.lists(ANY, min_size=2, max_size=3), ANY)
def test_the_order_of_a_lines_hits_says_nothing(often: list[int], other: int) -> None:
    """It depends on where the log was cut into pieces."""
    marks = {25 * at + 10: [other] if at % 2 else often for at in range(80)}
    turned = {number: hits[::-1] if number % 100 == 10 else hits for number, hits in marks.items()}
    assert neighbourhood(marks, 2100, 10) == neighbourhood(turned, 2100, 10)
