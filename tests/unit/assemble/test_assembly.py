"""How logs end, and what of them is told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from processor.assemble.assembly import OPEN_MOST, Assembly
from processor.assemble.checkpoint import MOST, Checkpoint, Undone
from processor.assemble.metrics import AssemblyMetrics
from processor.assemble.plan import LOOKED_AT
from processor.contract import ASSEMBLED_HEADER, PASSED, Record, TopicPartition
from processor.errors import Rejected
from processor.sources.decode import DecodeConfig, Decoder
from processor.sources.providers import Providers

from .conftest import line, plan, texts

TP = TopicPartition("in", 0)
WHOLE = Decoder(DecodeConfig("log", assembled=True), Providers(()), "group")


def begun(at: Checkpoint | None = None, **changes: Any) -> Assembly:
    """An assembly of the topic's beginning."""
    return Assembly(TP, plan(**changes), at or Checkpoint(0, 0, 0), AssemblyMetrics.unregistered())


def given(assembly: Assembly) -> list[Record]:
    """All logs that are complete."""
    return [assembly.give() for _ in range(len(assembly.ready))]


def told(record: Record) -> dict[str, Any]:
    """How a log ended."""
    found: dict[str, Any] = orjson.loads(dict(record.headers)[ASSEMBLED_HEADER])
    return found


def test_interleaved_logs_are_told_apart() -> None:
    """Each ends by its own last line; the event has the position of its first line and all that its lines say."""
    assembly = begun()
    rows = [("a", "1"), ("b", "2"), ("a", ""), ("b", "\x1b[31mEND\x1b[0m"), ("a", "END")]
    for offset, (run, text) in enumerate(rows):
        assembly.accept(line(offset, run, text, at_s=5), now=offset)
    first, second = given(assembly)
    assert texts([first, second]) == ["2\n\x1b[31mEND\x1b[0m", "1\n\nEND"]
    event = WHOLE.decode(second)
    assert (event.origin.offset, event.attributes["run_id"], event.attributes["time"]) == (
        0,
        "a",
        "1970-01-01T00:00:05.000+00:00",
    )
    assert event.assembled == {"ended_by": "end", "records": 3, "last_offset": 4, "incomplete": False}


def test_what_only_a_later_line_says_is_known_of_the_log() -> None:
    """What the first line says stays."""
    assembly = begun()
    for offset, headers in enumerate([(("repo", b"acme/web"),), (("repo", b"other"), ("job", b"test"))]):
        assembly.accept(Record("in", 0, offset, None, b"END"[: 3 * offset], (("run_id", b"1"), *headers)), 0)
    attributes = WHOLE.decode(given(assembly)[0]).attributes
    assert (attributes["repo"], attributes["job"], attributes["subject"]) == ("acme/web", "test", "acme/web/test")


def test_a_passed_build_says_so() -> None:
    """By its last line; `match` leaves it out."""
    assembly = begun()
    assembly.accept(line(0, "a", "PASSED"), 0)
    assert WHOLE.decode(given(assembly)[0]).attributes["type"] == PASSED


def test_shippers_records_are_lines() -> None:
    """JSON with the line in a field of its own, or in one that attributes name; an empty line is a line."""
    assembly = begun(decode=DecodeConfig("json", {"run_id": ("labels.run",), "body": ("data.text",)}))
    values = [
        {"labels": {"run": "7"}, "data": {"text": "first"}},
        {"labels": {"run": "7"}, "data": {"text": ""}},
        {"labels": {"run": "7"}, "message": "third\n", "@timestamp": "2026-01-01T00:00:00Z"},
        {"labels": {"run": "7"}, "log": "END"},
    ]
    for offset, value in enumerate(values):
        assembly.accept(Record("in", 0, offset, None, orjson.dumps(value)), 0)
    assert texts(given(assembly)) == ["first\n\nthird\nEND"]


def test_a_raw_line_may_be_json() -> None:
    """Headers say which build it is of; it says nothing that a shipper would."""
    assembly = begun(decode=DecodeConfig())
    rows = ["[]", "[1, 2]", "{}", '{"lockfileVersion": 3}', "[INFO] x", "{", '{"log": "shipped"}', "END"]
    for offset, text in enumerate(rows):
        assembly.accept(line(offset, "a", text), 0)
    assert texts(given(assembly)) == ["\n".join([*rows[:6], "shipped", "END"])]


@pytest.mark.parametrize("attributes", [{}, {"job": ("labels.job",)}])
def test_json_that_names_no_line_is_told(attributes: dict[str, tuple[str, ...]]) -> None:
    """Where the record is a shipper's by what else it says."""
    assembly = begun(decode=DecodeConfig(attributes=attributes))
    value = (
        {"labels": {"job": "x"}, "@timestamp": "2026-01-01T00:00:00Z"} if not attributes else {"labels": {"job": "x"}}
    )
    assembly.accept(Record("in", 0, 0, None, orjson.dumps({**value, "text": "x"}), (("run_id", b"a"),)), 0)
    with pytest.raises(Rejected, match="which of"):
        WHOLE.decode(given(assembly)[0])


def test_several_attributes_and_the_records_key_tell_logs_apart() -> None:
    """Jobs of one run, and whatever the shipper keys its records by."""
    assembly = begun(key=["job", "kafka.key"])
    for offset, (job, key) in enumerate([("x", "1"), ("y", "1"), ("x", "2"), ("x", "1")]):
        assembly.accept(Record("in", 0, offset, key.encode(), b"END"[: offset and 1], (("job", job.encode()),)), 0)
    assert [group.lines for group in assembly.open.values()] == [1, 1, 2]


@pytest.mark.parametrize(
    ("now", "caught_up", "latest_s", "how"),
    [
        (59, True, 0, None),
        (60, True, 0, "idle"),
        (60, False, 0, None),  # its next line may wait on the topic
        (60, False, 59, None),
        (60, False, 61, "idle"),  # what was read is later than its next line would have been
        (30, False, 100, None),  # somebody's clock is wrong
    ],
)
def test_a_silent_log_ends(now: float, caught_up: bool, latest_s: float, how: str | None) -> None:
    """After `idle`, when it is known that no line of its own waits."""
    assembly = begun()
    assembly.accept(line(0, "a", "x"), 0)
    assembly.accept(line(1, "b", "y", at_s=latest_s), now)
    assembly.due(now, caught_up=caught_up)
    assert [told(each)["ended_by"] for each in given(assembly)] == ([how] if how else [])


def test_a_log_that_never_ends_is_closed() -> None:
    """After `max_age`, and says that it is not whole; its further lines are another one."""
    assembly = begun()
    for second in range(0, 620, 20):
        assembly.accept(line(second, "a", "x", at_s=second), second)
        assembly.due(second, caught_up=True)
    (log,) = given(assembly)
    assert told(log)["ended_by"] == "age"
    assert told(log)["incomplete"]
    assembly.accept(line(610, "a", "x", at_s=610), 610)
    assert (log.first, told(log)["last_offset"], assembly.at(assembly.number).offset) == (0, 600, 610)


def test_silence_is_an_end_like_another_where_no_last_line_is_known() -> None:
    """It is incomplete only where a last line was to come."""
    found = []
    for end in (None, "^END$"):
        assembly = begun(end=end, passed=None)
        assembly.accept(line(0, "a", "x"), 0)
        assembly.due(60, caught_up=True)
        found.append(told(given(assembly)[0])["incomplete"])
    assert found == [False, True]


def test_a_log_is_bounded_by_bytes() -> None:
    """It goes on as another one; no line is lost."""
    assembly = begun(max_bytes=10)
    for offset in range(5):
        assembly.accept(line(offset, "a", "12345" if offset < 4 else "END"), 0)
    logs = given(assembly)
    assert "".join(texts(logs)).replace("\n", "") == "12345" * 4 + "END"
    assert [told(each)["ended_by"] for each in logs] == ["size", "size", "size", "end"]


def test_the_log_that_was_silent_longest_makes_room() -> None:
    """A partition has so many open logs and no more."""
    assembly = begun()
    for offset in range(OPEN_MOST):
        assembly.accept(line(offset, str(offset), "x"), 0)
    assembly.accept(line(OPEN_MOST, "0", "again"), 1)
    assembly.accept(line(OPEN_MOST + 1, "new", "x"), 1)
    (log,) = given(assembly)
    assert (log.first, told(log)["ended_by"]) == (1, "crowded")
    assert len(assembly.open) == OPEN_MOST


def test_no_more_logs_are_under_way_than_the_metadata_holds() -> None:
    """Whatever the engine does not take: then no line is taken in any more."""
    assembly = begun()
    offset = 0
    while not assembly.full:
        assembly.accept(line(offset, str(offset), "END" if offset % 2 else "x"), 0)
        offset += 1
    assembly.due(60, caught_up=True)
    given(assembly)
    assert assembly.full
    assert len(assembly.at(0).undone) <= MOST
    assembly.done(assembly.number)
    assert not assembly.full


def test_late_lines_are_no_log() -> None:
    """Lines after the last one, put together, are a dead letter; sent back, they are read."""
    assembly = begun()
    for offset, text in enumerate(["END", "cleaning up", "bye"]):
        assembly.accept(line(offset, "a", text), offset)
    assembly.due(100, caught_up=True)
    _, late = given(assembly)
    with pytest.raises(Rejected, match="2 lines came after") as caught:
        WHOLE.decode(late)
    assert caught.value.reason == "late_lines"
    back = Record("retry", 0, 0, None, late.value, (*late.headers, ("fs-origin", b'["g", "in", 0, 1]')))
    assert WHOLE.decode(back).body == b"cleaning up\nbye"


def test_a_second_run_of_the_same_key_is_a_log() -> None:
    """However soon it comes: it has a last line of its own."""
    assembly = begun()
    for offset, text in enumerate(["END", "again", "END"]):
        assembly.accept(line(offset, "a", text), 0)
    assert [told(each)["ended_by"] for each in given(assembly)] == ["end", "end"]


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [((), b"x", "no_log_key"), ((("run_id", b"1"),), b"\x1f\x8b\x08 broken", "undecodable")],
)
def test_what_is_no_line_of_a_log_is_a_dead_letter(headers: Any, value: bytes, reason: str) -> None:
    """As it was received."""
    assembly = begun()
    assembly.accept(Record("in", 0, 4, b"k", value, headers), 0)
    (record,) = given(assembly)
    assert (record.value, record.key, record.first) == (value, b"k", 4)
    with pytest.raises(Rejected) as caught:
        WHOLE.decode(record)
    assert caught.value.reason == reason


def test_a_log_that_had_ended_ends_there_again() -> None:
    """However it had ended, lines that came later are none of its own, and what is done is left out."""
    rows = [("a", "1"), ("b", "END"), ("a", "2"), ("a", "3"), ("c", "x")]
    begin = Checkpoint(0, 7, 5, (Undone(0, 2, "idle"), Undone(3), Undone(4)))
    assembly = begun(begin)
    for offset, (run, text) in enumerate(rows):
        assembly.accept(line(offset, run, text), 0)
    (log,) = given(assembly)
    assert ((log.value or b""), log.offset, told(log)["ended_by"]) == (b"1\n2", 7, "idle")
    assert {key[0]: bytes(group.text) for key, group in assembly.open.items()} == {"a": b"3", "c": b"x"}
    assert assembly.at(8).undone == (Undone(3), Undone(4))


def test_lines_that_are_gone_from_the_topic_hold_nothing_up() -> None:
    """Retention may take what was not done: what is left of a log is a log."""
    begin = Checkpoint(0, 0, 9, (Undone(0, 3, "end"), Undone(2, 6, "end"), Undone(8)))
    assembly = begun(begin)
    assembly.accept(line(2, "b", "x"), 0)
    assert assembly.again
    assembly.due(1, caught_up=True)
    assert texts(given(assembly)) == ["x"]
    assert assembly.at(0) == Checkpoint(2, 0, 9, (Undone(2, 2, "idle"),))
    assert assembly.at(1) == Checkpoint(9, 1, 9)


def test_logs_that_are_read_again_get_their_numbers_again() -> None:
    """In whatever order they had ended: what kills the process is found by its number."""
    begin = Checkpoint(0, 3, 4, (Undone(1, 3, "end"), Undone(0, 2, "idle")))
    assembly = begun(begin)
    for offset, (run, text) in enumerate([("a", "1"), ("b", "2"), ("a", "3"), ("b", "END")]):
        assert not assembly.ready
        assert assembly.at(3) == begin
        assembly.accept(line(offset, run, text), 0)
    assert [(each.offset, each.first) for each in given(assembly)] == [(3, 1), (4, 0)]
    assert assembly.at(4).undone == (Undone(0, 2, "idle"),)


def test_a_passed_build_that_is_read_again_says_so() -> None:
    """Its last line is looked at once more."""
    assembly = begun(Checkpoint(0, 0, 1, (Undone(0, 0, "end"),)))
    assembly.accept(line(0, "a", "PASSED"), 0)
    assert WHOLE.decode(given(assembly)[0]).attributes["type"] == PASSED


def test_the_most_logs_are_read_again() -> None:
    """Also where the first in turn is complete last: what waits for it does not keep its last line away."""
    begin = Checkpoint(0, 0, MOST + 1, (Undone(0, MOST, "end"), *(Undone(at, at, "end") for at in range(1, MOST))))
    assembly = begun(begin)
    for offset in range(MOST + 1):
        assert not assembly.full
        assembly.accept(line(offset, "a" if offset in {0, MOST} else str(offset), "END"), 0)
    assert assembly.full
    assert [each.first for each in given(assembly)] == list(range(MOST))


def test_lines_of_hours_later_are_a_log_however_soon_they_are_read() -> None:
    """A job that was run again, and cut off, while the daemon was away."""
    assembly = begun()
    assembly.accept(line(0, "a", "END"), 0)
    assembly.accept(line(1, "a", "again", at_s=7_200), 0)
    assembly.due(100, caught_up=True)
    assert [told(each)["ended_by"] for each in given(assembly)] == ["end", "idle"]


def test_late_lines_are_known_as_such_after_a_crash() -> None:
    """The last line is done and lies among those that are read again."""
    begin = Checkpoint(0, 7, 3, (Undone(0),))
    assembly = begun(begin)
    for offset, (run, text) in enumerate([("a", "1"), ("b", "x"), ("b", "END"), ("b", "cleaning up"), ("a", "END")]):
        assembly.accept(line(offset, run, text), offset)
    assembly.due(100, caught_up=True)
    assert [(each.first, told(each)["ended_by"]) for each in given(assembly)] == [(0, "end"), (3, "late")]


def test_logs_whose_first_lines_are_gone_are_told() -> None:
    """The topic kept them for too short a time: the rest of them can't be told from what is done."""
    assembly = begun(Checkpoint(0, 7, 4, (Undone(0), Undone(1))))
    with capture_logs() as logs:
        for offset in (2, 3, 4):
            assembly.accept(line(offset, "a", "END"), 0)
    assert [(each["log_level"], each["logs"]) for each in logs] == [("warning", 2)]
    assert [each.first for each in given(assembly)] == [4]


def test_no_line_begins_where_it_is_cut_to_be_looked_at() -> None:
    """Only the end of a very long line is searched."""
    assembly = begun(end="^END")
    assembly.accept(line(0, "a", "x" + "END" + "y" * (LOOKED_AT - 3)), 0)
    assembly.accept(line(1, "a", "x" * LOOKED_AT + "\nEND"), 0)
    (log,) = given(assembly)
    assert told(log)["last_offset"] == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b""),
        (b"", b""),
        (b"\r\n", b""),
        (b"x\r\n", b"x"),
        (b"\xff\x00x", b"\xff\x00x"),
        (b"10%\r99%", b"10%\r99%"),
    ],
)
def test_whatever_a_line_holds_is_in_its_log(value: bytes | None, text: bytes) -> None:
    """Deletion marks and empty lines are empty lines, and no byte but the line's end is left out."""
    assembly = begun()
    assembly.accept(line(0, "a", "first"), 0)
    assembly.accept(Record("in", 0, 1, None, value, (("run_id", b"a"),)), 0)
    assembly.accept(line(2, "a", "END"), 0)
    assert [each.value for each in given(assembly)] == [b"first\n%s\nEND" % text]


def test_a_line_of_ten_megabytes_is_a_line() -> None:
    """It ends the log before it where both together would be too large."""
    assembly = begun(max_bytes=12_000_000)
    for offset, text in enumerate(["x" * 5_000_000, "y" * 10_000_000, "END"]):
        assembly.accept(line(offset, "a", text), 0)
    assert [(told(each)["ended_by"], len(each.value or b"")) for each in given(assembly)] == [
        ("size", 5_000_000),
        ("end", 10_000_004),
    ]
    assert assembly.bytes == 0
