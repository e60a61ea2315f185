"""A record's value takes no more memory than its bytes."""

from __future__ import annotations

import tracemalloc

import orjson

from processor.contract import packed


def test_json_of_a_record_holds_its_own_bytes_alone() -> None:
    """What the library gives holds several times as much; the text is the same."""
    said = {"log": "a line of a log\n" * 4_000}
    tracemalloc.start()
    try:
        plain = orjson.dumps(said)
        before = tracemalloc.get_traced_memory()[0]
        made = packed(said)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert made == plain
    assert taken < 1.1 * len(made)
