"""Records of a topic that lie in a file."""

from __future__ import annotations

import json

from processor.assemble.files import logs, records
from processor.contract import Record
from processor.sources.decode import DecodeConfig

from .conftest import plan, texts


def test_values_and_whole_records_are_read_however_the_file_comes() -> None:
    """A value is a line of the file; what kcat prints has key, headers and time, too."""
    whole = {"topic": "t", "partition": 3, "offset": 9, "tstype": "create", "ts": 12, "broker": 0}
    rows = [
        b'{"message": "a\\u00e9"}',
        b"",
        b"{no JSON",
        json.dumps({**whole, "headers": ["run_id", "7", "x", None], "key": "k", "payload": "text"}).encode(),
        json.dumps({**whole, "key": None, "payload": {"log": "x"}}).encode(),
        json.dumps({**whole, "key": None, "payload": None}).encode(),
    ]
    file = b"\n".join(rows)
    found = list(records([file[at : at + 7] for at in range(0, len(file), 7)], 5))
    assert found == [
        Record("file", 0, 0, None, rows[0], (), 5),
        Record("file", 0, 1, None, rows[2], (), 5),
        Record("file", 0, 2, b"k", b"text", (("run_id", b"7"), ("x", b"")), 12),
        Record("file", 0, 3, None, b'{"log":"x"}', (), 12),
        Record("file", 0, 4, None, None, (), 12),
    ]


def test_logs_end_as_on_the_topic_and_with_the_file() -> None:
    """Thousands of them, too; lines of none are told apart."""
    how = plan(decode=DecodeConfig("json", {"run_id": ("run",)}))
    rows = [{"run": str(n), "message": text} for n in range(2_000) for text in ("x", "END")]
    rows += [{"run": "last", "message": "open"}, {"message": "whose?"}]
    found, refused = logs(records([b"\n".join(json.dumps(each).encode() for each in rows)]), how)
    assert texts(found) == ["x\nEND"] * 2_000 + ["open"]
    assert [each.value for each in refused] == [b'{"message": "whose?"}']
