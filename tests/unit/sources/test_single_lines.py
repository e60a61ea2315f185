"""A topic that carries a record per line is told, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson
import pytest

from processor.contract import Headers, Record
from processor.errors import Rejected
from processor.sources.decode import DecodeConfig, Decoder
from processor.sources.providers import Providers
from processor.sources.single_lines import ENOUGH, SingleLines

RUN: Headers = (("run_id", b"7"),)


def refused(
    offsets: Iterable[int], value: bytes = b"npm ERR! code 1", *, first: bytes = b"", headers: Headers = ()
) -> list[str]:
    """The reasons of records that come one after the other; what they are told to do about it is the same."""
    decoder = Decoder(DecodeConfig(), Providers(()), "group", lines=SingleLines())
    found: list[Rejected] = []
    for offset in offsets:
        try:
            decoder.decode(Record("in", 0, offset, None, first if first and offset == 0 else value, headers))
        except Rejected as error:
            found.append(error)
    return [error.reason for error in found if "source.assemble" in str(error)]


@pytest.mark.parametrize(
    ("headers", "first"),
    [((), b""), ((("job", b"test"),), b""), (RUN, b"two\nlines")],
    ids=["lines of services", "lines of a job", "a log came before"],
)
def test_lines_that_may_be_events_are_events(headers: Headers, first: bytes) -> None:
    """However many come."""
    assert refused(range(10 * ENOUGH), first=first, headers=headers) == []


def test_many_lines_of_one_run_are_no_logs() -> None:
    """From the one on by which it is evident."""
    assert refused(range(ENOUGH + 3), headers=RUN) == ["line_records"] * 3


def test_what_is_tried_again_is_not_counted() -> None:
    """An event that waits for a model server is read many times."""
    assert refused([3] * 10 * ENOUGH, headers=RUN) == []


def test_whole_logs_of_one_run_are_logs() -> None:
    """Such as one for each of its jobs."""
    assert refused(range(10 * ENOUGH), b"one\ntwo", headers=RUN) == []


@pytest.mark.parametrize(
    "payload",
    [
        {"@timestamp": 1700000000.0, "log": "npm ERR! code 1", "stream": "stderr"},
        {"@timestamp": "2026-01-01T00:00:00Z", "message": "npm ERR! code 1", "agent": {"type": "filebeat"}},
        {"timestamp": "2026-01-01T00:00:00Z", "message": "npm ERR! code 1", "source_type": "file"},
    ],
    ids=["fluent-bit", "filebeat", "vector"],
)
def test_a_shippers_record_is_known_by_its_fields(payload: Mapping[str, object]) -> None:
    """The first one already: nobody knows such a payload otherwise."""
    assert refused([0], orjson.dumps(payload)) == ["line_records"]
