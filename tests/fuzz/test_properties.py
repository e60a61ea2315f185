"""The properties that `make fuzz` tries for long, tried for seconds on what hypothesis and the seeds hold."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import seeds
from tests.fuzz.properties import PROPERTIES

WORDS = seeds.words()
PIECES = list(seeds.pieces())
LOGS = (
    st.lists(
        st.sampled_from(WORDS)
        | st.sampled_from([b"\n", b"\r", b" ", b": ", b"=", b'"', b"/", b"\x1b[31m", b"\xff", "…\u202e".encode()])
        | st.binary(max_size=12)
        | st.integers(8, 60).map(seeds.made_up),
        max_size=40,
    ).map(b"".join)
    | st.binary(max_size=600)
    | st.sampled_from(PIECES)
)


@pytest.mark.parametrize("name", PROPERTIES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(data=LOGS)
def test_holds_for_any_bytes(name: str, data: bytes) -> None:
    """Bytes, words that the code looks for in any order, and pieces of logs."""
    PROPERTIES[name](data)


@pytest.mark.parametrize("name", PROPERTIES)
def test_holds_for_what_is_hostile(name: str) -> None:
    """The pieces that are made to break a reader, and those after each other."""
    tried = [*seeds.HOSTILE, b"\n".join(seeds.HOSTILE)]
    for data in tried:
        PROPERTIES[name](data)
    assert len(tried) > 20
