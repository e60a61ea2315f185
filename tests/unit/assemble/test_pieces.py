"""Lines that a container runtime cut come together again, whoever shipped them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.assemble.assembly import Assembly
from processor.assemble.checkpoint import Checkpoint
from processor.assemble.metrics import AssemblyMetrics
from processor.assemble.pieces import CUT_AT, STREAMS, Joiner, Piece, piece_of
from processor.contract import ASSEMBLED_HEADER, PASSED, Record, TopicPartition
from processor.sources.decode import DecodeConfig

from .conftest import cri, line, plan, texts

LONG = "x" * CUT_AT


def docker_file(text: str, stream: str, number: int, last: bool) -> dict[str, Any]:
    """A line of Docker's own files: a piece ends in no newline."""
    return {"log": f"{text}\n" if last else text, "stream": stream, "time": "2026-01-01T00:00:00Z"}


def docker_file_unparsed(text: str, stream: str, number: int, last: bool) -> dict[str, Any]:
    """A line of these files in a record of a shipper that does not parse them."""
    written = orjson.dumps(docker_file(text, stream, number, last)).decode()
    return {"message": written, "stream": "filestream", "log": {"offset": number}}


def docker_fluentd(text: str, stream: str, number: int, last: bool, cut: bool = True) -> dict[str, Any]:
    """A record of Docker's log driver for fluentd."""
    marks = {"partial_message": "true", "partial_id": f"id-{stream}", "partial_ordinal": str(number)}
    return {"log": text, "source": stream, **(marks | {"partial_last": str(last).lower()} if cut else {})}


def docker_journald(text: str, stream: str, number: int, last: bool) -> dict[str, Any]:
    """A record of Docker's log driver for journald: the last piece says that it is, and nothing else."""
    marks = {"CONTAINER_PARTIAL_ID": f"id-{stream}", "CONTAINER_PARTIAL_LAST": str(last).lower()}
    return {"MESSAGE": text, **marks, **({} if last else {"CONTAINER_PARTIAL_MESSAGE": "true"})}


def cri_parsed(text: str, stream: str, number: int, last: bool) -> dict[str, Any]:
    """A record of a shipper that parsed a container's log file."""
    return {"message": text, "stream": stream, "logtag": "F" if last else "P:x"}


def cri_unparsed(text: str, stream: str, number: int, last: bool) -> dict[str, Any]:
    """A record of a shipper that did not."""
    return {"log": cri("F" if last else "P", text, stream)}


def vector(text: str, stream: str, number: int, last: bool) -> dict[str, Any]:
    """A record of vector, told not to join."""
    return {"message": text, "stream": stream, **({} if last else {"_partial": True})}


SHIPPERS: list[Callable[[str, str, int, bool], dict[str, Any]]] = [
    docker_file, docker_file_unparsed, docker_fluentd, docker_journald, cri_parsed, cri_unparsed, vector
]  # fmt: skip


def begun(**changes: Any) -> Assembly:
    """An assembly of the topic's beginning, of whose records `run` says which build they are of."""
    decode = DecodeConfig("json", {"run_id": ("run",)})
    return Assembly(
        TopicPartition("in", 0),
        plan(decode=decode, **changes),
        Checkpoint(0, 0, 0),
        AssemblyMetrics.unregistered(),
    )


def accept(assembly: Assembly, *values: Mapping[str, Any]) -> None:
    """Takes records in."""
    for value in values:
        record = Record("in", 0, assembly.position, None, orjson.dumps({"run": "7", **value}))
        assembly.accept(record, 0)


def one(assembly: Assembly) -> tuple[str, dict[str, Any], dict[str, bytes]]:
    """The one log that is complete: its text, how it ended, its headers."""
    assert len(assembly.ready) == 1
    record = assembly.give()
    headers = dict(record.headers)
    return texts([record])[0], orjson.loads(headers[ASSEMBLED_HEADER]), headers


@pytest.mark.parametrize("shipper", SHIPPERS)
def test_pieces_become_one_line(shipper: Callable[[str, str, int, bool], dict[str, Any]]) -> None:
    """Also where another stream's lines come between them, and where the first line of a log is in pieces."""
    assembly = begun()
    accept(
        assembly,
        shipper(LONG, "stdout", 1, False),
        shipper(LONG, "stderr", 1, False),
        shipper(LONG, "stdout", 2, False),
        shipper("end of out", "stdout", 3, True),
        shipper("end of err", "stderr", 2, True),
    )
    accept(assembly, {"log": "END"})
    text, told, _ = one(assembly)
    assert text == f"{LONG}{LONG}end of out\n{LONG}end of err\nEND"
    assert (told["records"], told["ended_by"]) == (6, "end")


def test_a_line_of_dockers_driver_may_come_between() -> None:
    """It bears no id, and is a line of its own."""
    assembly = begun()
    accept(
        assembly,
        docker_fluentd(LONG, "stdout", 1, False),
        docker_fluentd("short", "stdout", 0, True, cut=False),
        docker_fluentd("rest", "stdout", 2, True),
        docker_fluentd("END", "stdout", 0, True, cut=False),
    )
    assert one(assembly)[0] == f"short\n{LONG}rest\nEND"


def test_long_lines_of_shippers_that_send_no_newlines_stay_apart() -> None:
    """Nothing says that they are pieces; one that a shipper has joined keeps the mark of its first piece."""
    assembly = begun()
    accept(assembly, {"log": LONG, "_p": "P"}, {"log": LONG, "_p": "P"}, {"log": "short", "_p": "F"}, {"log": "END"})
    assert one(assembly)[0] == f"{LONG}\n{LONG}\nshort\nEND"


@pytest.mark.parametrize("text", ["END", "PASSED"])
def test_the_last_line_is_looked_for_in_whole_lines(text: str) -> None:
    """A piece that looks like it is none."""
    assembly = begun()
    accept(assembly, cri_parsed(text, "stdout", 1, False), cri_parsed(" of a part", "stdout", 2, True))
    assert not assembly.ready
    accept(assembly, cri_parsed(text[:2], "stdout", 1, False), cri_parsed(text[2:], "stdout", 2, True))
    found, _, headers = one(assembly)
    assert found == f"{text} of a part\n{text}"
    assert (headers.get("ce_type") == PASSED.encode()) is (text == "PASSED")


@pytest.mark.parametrize(("text", "ended"), [("PASSED", "end"), ("Bus error", "idle")])
def test_a_log_whose_last_line_has_no_newline_ends(text: str, ended: str) -> None:
    """Runtimes say that more comes, and none does."""
    assembly = begun()
    accept(assembly, cri_parsed("x", "stdout", 0, True), docker_fluentd(text, "stdout", 1, False))
    assembly.due(100, caught_up=True)
    found, told, headers = one(assembly)
    assert (found, told["ended_by"], told["incomplete"]) == (f"x\n{text}", ended, ended == "idle")
    assert (headers.get("ce_type") == PASSED.encode()) is (ended == "end")
    assert assembly.bytes == 0


def test_a_log_that_grows_too_large_is_closed_in_the_middle_of_a_line() -> None:
    """Its pieces count as what has been written."""
    assembly = begun(max_bytes=10)
    accept(assembly, *(cri_parsed("12345", "stdout", n, False) for n in range(3)))
    records = [assembly.give() for _ in range(len(assembly.ready))]
    assert texts(records) == ["12345", "12345"]
    assert {orjson.loads(dict(each.headers)[ASSEMBLED_HEADER])["ended_by"] for each in records} == {"size"}
    accept(assembly, cri_parsed("6", "stdout", 4, True), {"log": "END"})
    assert one(assembly)[0] == "123456\nEND"
    assert assembly.bytes == 0


def test_a_raw_line_of_a_container_loses_what_the_runtime_put_before_it() -> None:
    """So that the last line is found by what the build wrote."""
    assembly = Assembly(TopicPartition("in", 0), plan(), Checkpoint(0, 0, 0), AssemblyMetrics.unregistered())
    rows = [cri("F", "  indented"), cri("F", ""), cri("P", "a\r"), cri("F", "b"), cri("X", "kept"), cri("F", "END")]
    for offset, text in enumerate(rows):
        assembly.accept(line(offset, "a", text), 0)
    assert one(assembly)[0] == "\n".join(["  indented", "", "a\rb", cri("X", "kept"), "END"])


def test_raw_lines_of_dockers_files_are_unpacked() -> None:
    """Once: what is in them, and what is like them, stays as it was written."""
    assembly = Assembly(TopicPartition("in", 0), plan(), Checkpoint(0, 0, 0), AssemblyMetrics.unregistered())

    def written(**fields: Any) -> str:
        return orjson.dumps(fields).decode()

    stamp = "2026-01-01T00:00:00Z"
    inner = written(log="a\n", stream="stdout", time=stamp)
    kept = [
        written(log="of the build's", level="info"),
        written(log="x", stream="stdout", time=stamp, more=1),
        written(log=1, stream="stdout", time=stamp),
        inner[:-1],
        '{"log":"',
    ]
    attrs = written(log="ü\r\n", stream="stderr", attrs={"tag": "7"}, time=stamp)
    rows = [
        written(log=f"{inner}\n", stream="stdout", time=stamp),
        attrs,
        *kept,
        written(log="END\n", stream="stdout", time=stamp),
    ]
    for offset, text in enumerate(rows):
        assembly.accept(line(offset, "a", text), 0)
    assert one(assembly)[0] == "\n".join([inner, "ü", *kept, "END"])


def test_lines_under_way_are_bounded() -> None:
    """The oldest one is taken for whole."""
    joiner = Joiner()
    found = [text for n in range(STREAMS + 2) for text in joiner.add(Piece(b"%d" % n, str(n), "yes"))]
    assert found == [b"0", b"1"]
    assert joiner.add(Piece(b"!", "5")) == [b"5!"]
    assert len(joiner.rest()) == STREAMS - 1
    assert joiner.held == 0


@given(
    lines=st.lists(st.tuples(st.text(max_size=40), st.sampled_from(["stdout", "stderr"])), max_size=12),
    size=st.integers(1, 9),
    shipper=st.sampled_from(SHIPPERS[2:]),
    data=st.data(),
)
def test_what_was_cut_anywhere_is_whole_again(
    lines: list[tuple[str, str]],
    size: int,
    shipper: Callable[[str, str, int, bool], dict[str, Any]],
    data: st.DataObject,
) -> None:
    """Of each stream the lines come in order, however its pieces lie among those of the other one."""
    queues: dict[str, list[dict[str, Any]]] = {"stdout": [], "stderr": []}
    wanted: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    for raw, stream in lines:
        text = raw.replace("\n", "").rstrip("\r")
        pieces = [text[at : at + size] for at in range(0, len(text), size)] or [""]
        queues[stream] += [shipper(each, stream, n, n == len(pieces)) for n, each in enumerate(pieces, 1)]
        wanted[stream].append(text.encode())
    joiner, found = Joiner(), []
    while any(queues.values()):
        stream = data.draw(st.sampled_from([name for name, queue in queues.items() if queue]))
        value = queues[stream].pop(0)
        text = next(value[name] for name in ("log", "message", "MESSAGE") if name in value)
        found += [(stream, each) for each in joiner.add(piece_of(text.encode(), value))]
    assert (joiner.held, joiner.rest()) == (0, [])
    assert {name: [text for stream, text in found if stream == name] for name in wanted} == wanted
