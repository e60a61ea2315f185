"""Durations, sizes and starting points as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.lang.values import format_duration, parse_duration, parse_size, parse_start


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("14d", 1_209_600), ("250ms", 0.25)])
def test_durations(text: str, seconds: float) -> None:
    """A number with a unit, or several."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["24x", "24", "", "h", "1h 30m", 24, None, "-1h"])
def test_wrong_durations(text: object) -> None:
    """Anything else is an error that says how to write one."""
    with pytest.raises(ValueError, match="such as 24h"):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=10**9))
def test_a_formatted_duration_is_read_back(seconds: int) -> None:
    """Whole seconds survive the way out and back."""
    assert parse_duration(format_duration(float(seconds))) == seconds


def test_sizes_and_starts() -> None:
    """Bytes with a unit or without; a start is a word or a time with its zone."""
    assert (parse_size("50MB"), parse_size("1 KiB"), parse_size(7)) == (50_000_000, 1024, 7)
    assert parse_start("2026-11-01T00:00:00Z") == datetime(2026, 11, 1, tzinfo=UTC)
    for wrong in ("50 megabytes", True, -1):
        with pytest.raises(ValueError, match="no size"):
            parse_size(wrong)
    for wrong in ("yesterday", "2026-11-01T00:00:00", 5):
        with pytest.raises(ValueError, match="latest, earliest"):
            parse_start(wrong)
