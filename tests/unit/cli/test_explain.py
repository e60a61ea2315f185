"""`faultstream explain`, option by option, error by error."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.testing.model import FakeModelServer
from tests.unit.cli.conftest import Program


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    """A model server that gives valid answers, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    fake = FakeModelServer()
    asyncio.run_coroutine_threadsafe(fake.start(), loop).result(10)
    yield fake
    asyncio.run_coroutine_threadsafe(fake.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """A log that no rule knows."""
    path = tmp_path / "unknown.log"
    path.write_text("step 1 ok\nfrobnicate: cannot align the widget at 3\nexit status 3\n", encoding="utf-8")
    return path


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A log that a rule decides."""
    path = tmp_path / "known.log"
    path.write_text("+ docker build .\nwrite /layer.tar: no space left on device\n", encoding="utf-8")
    return path


def test_an_address_of_a_model_server_without_its_scheme_is_told(program: Program, unknown: Path) -> None:
    """The option is named, and how addresses begin."""
    told = program("explain", unknown, "--model-url", "localhost:8000/v1")
    assert told.code == 2
    assert "--model-url: 'localhost:8000/v1' is no address; it begins with http:// or https://" in told.err


def test_offline_tells_what_is_known(program: Program, known: Path) -> None:
    """Without a model: the excerpt, the rule and the candidates."""
    found = json.loads(program("explain", "--offline", known).out)
    assert found["file"] == str(known)
    assert "write /layer.tar: no space left on device" in found["excerpt"]
    assert found["rule"]["fields"]["category"] == "resource"
    assert set(found["candidates"]) >= {"packages", "files", "exit_codes"}
    told = program("explain", "--offline", "--text", known)
    assert "2 │ write /layer.tar: no space left on device\n" in told.out
    assert f"\nrule {found['rule']['rule']} " in told.out


def test_offline_tells_why(program: Program, failing: Path) -> None:
    """`--why` adds what each block is there for."""
    blocks = json.loads(program("explain", "--offline", "--why", failing).out)["blocks"]
    assert any(reason["line"] == 700 for block in blocks for reason in block["reasons"])
    assert "▸   score " in program("explain", "--offline", "--why", "--text", failing).out


def test_the_prompt_is_printed_and_nobody_asked(program: Program, unknown: Path) -> None:
    """`--prompt` shows the messages that a model would get."""
    messages = json.loads(program("explain", "--prompt", unknown).out)["messages"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert "frobnicate: cannot align the widget" in messages[1]["content"]
    told = program("explain", "--prompt", "--text", unknown).out
    assert messages[1]["content"] in told
    assert "── user\n" in told


def test_a_model_is_asked(program: Program, unknown: Path, server: FakeModelServer) -> None:
    """The finding, in JSON and for people, with what it cost."""
    found = json.loads(program("explain", unknown, "--model-url", server.url).out)
    assert found["file"] == str(unknown)
    assert found["steps"][0]["decided_by"] == "model"
    assert len(found["fingerprint"]) > 10
    told = program("explain", unknown, "--text", "--model-url", server.url)
    assert told.code == 0
    assert f"fingerprint {found['fingerprint']}" in told.out
    assert "category" in told.out


def test_many_logs_keep_their_order_and_fail_alone(
    program: Program, unknown: Path, known: Path, tmp_path: Path, server: FakeModelServer
) -> None:
    """A log that can't be read is told, and the others are explained."""
    (tmp_path / "zeros.log").write_bytes(bytes(1000))
    missing = tmp_path / "missing.log"
    told = program("explain", unknown, tmp_path / "zeros.log", missing, known, "--model-url", server.url)
    results = [json.loads(line) for line in told.out.splitlines()]
    assert told.code == 1
    assert [Path(result["file"]).name for result in results] == [
        "unknown.log", "zeros.log", "missing.log", "known.log",
    ]  # fmt: skip
    assert [result["steps"][0]["decided_by"] for result in (results[0], results[3])] == ["model", "rule"]
    assert results[1]["error"]["reason"] == "binary"
    assert results[2]["error"]["text"] == "can't be read: No such file or directory"
    assert f"error: {missing}: can't be read: No such file or directory\n" in told.err


def test_a_folder_is_explained(program: Program, failing: Path, tmp_path: Path) -> None:
    """Each log of a folder under its name."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("a.log", "b.txt"):
        (folder / name).write_bytes(failing.read_bytes())
    told = program("explain", "--offline", "--text", folder)
    assert [line for line in told.out.splitlines() if line.startswith("── ")] == [
        f"── {folder / 'a.log'}",
        f"── {folder / 'b.txt'}",
    ]


def test_no_model_server_is_told_with_the_remedy(program: Program, unknown: Path) -> None:
    """It says what could be done, once, however many logs there are."""
    told = program("explain", unknown, unknown, "--model-url", "http://127.0.0.1:9/v1")
    assert (told.code, told.out) == (1, "")
    assert told.err.count("error: ") == 1
    assert "Start one with `make model-server`, name one with --model-url, or use --offline." in told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "--text"], "--json and --text exclude each other"),
        (["--why"], "--why says why lines are in the excerpt, which is shown with --offline"),
        (["--prompt", "--offline"], "--prompt asks no model"),
        (["--pipeline", "nope"], "no pipeline nope; there are ci_failure"),
        (["--offline", "--tokenizer", "gone.json"], "gone.json: can't be read"),
    ],
)
def test_usage_is_told(program: Program, failing: Path, arguments: list[str], said: str) -> None:
    """A wrong call ends with 2, before anything is read."""
    told = program("explain", failing, *arguments)
    assert (told.code, told.out) == (2, "")
    assert said in told.err


GOOD = Path(__file__).parents[2] / "data" / "config_good"


def kept(run: str, text: str) -> str:
    """A record as `kcat -J` prints it."""
    headers = ["run_id", run, "job", "test"] if run else []
    return json.dumps({"topic": "t", "partition": 0, "offset": 7, "headers": headers, "key": None, "payload": text})


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Records of three builds, one of which passed, and of none."""
    rows = [("1", "one"), ("2", "two"), ("", "whose?"), ("1", "Job failed"), ("3", "Job succeeded"), ("", "?")]
    path = tmp_path / "lines.jsonl"
    path.write_text("\n".join(kept(run, text) for run, text in rows) + "\n\n", encoding="utf-8")
    return path


def test_the_logs_of_lines_are_explained(program: Program, lines: Path) -> None:
    """Each by itself, as on the topic; what is part of none is told once, and what is not wanted is left alone."""
    words = ["explain", "--offline", "--lines", lines, "--pipeline", "builds", "--home", GOOD]
    told = program(*words)
    found = [json.loads(each) for each in told.out.splitlines()]
    assert [each.pop("file") for each in found] == [
        f"{lines}: 1, test",
        f"{lines}: 3, test",
        f"{lines}: 2, test",
        str(lines),
    ]
    assert [each.get("excerpt") for each in found] == ["one\nJob failed", None, "two", None]
    assert "match: event.type" in found[1]["unwanted"]
    assert found[3]["error"]["reason"] == "no_log_key"
    assert "2 records are no lines of a log; the first: the line says nothing of run_id" in found[3]["error"]["text"]
    assert told.code == 1
    shown = program(*words, "--text").out
    assert f"── {lines}: 3, test\nthe pipeline does not want it" in shown


def test_a_file_without_records_is_told(program: Program, tmp_path: Path) -> None:
    """And one that isn't there."""
    file = tmp_path / "empty.jsonl"
    file.write_text("\n")
    told = program("explain", "--offline", "--lines", file, tmp_path / "gone", "--pipeline", "builds", "--home", GOOD)
    assert [json.loads(each)["error"]["reason"] for each in told.out.splitlines()] == ["empty", "unreadable"]
    assert told.code == 1


def test_whole_logs_have_no_lines_to_put_together(program: Program, failing: Path) -> None:
    """A pipeline that does not assemble is told so."""
    told = program("explain", "--offline", "--lines", failing)
    assert told.code == 2
    assert "ci_failure reads whole logs: --lines is for pipelines with source.assemble" in told.err
