"""`faultstream reduce`, option by option, error by error."""

from __future__ import annotations

import bz2
import gzip
import http.server
import json
import lzma
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cramjam
import pytest

from processor.cli import inputs, work
from processor.logs.tokens import estimate
from tests.unit.cli.conftest import Program


def test_lines_are_one_json_list(program: Program, failing: Path) -> None:
    """`--lines` prints the numbers of the kept lines and nothing else."""
    told = program("reduce", "--lines", "--budget", "1000", failing)
    numbers = json.loads(told.out)
    assert told.code == 0
    assert {700, 701} <= set(numbers)
    assert numbers == sorted(numbers)
    assert told.out.count("\n") == 1


def test_json_tells_all_of_an_excerpt(program: Program, failing: Path) -> None:
    """`--json` has the text, within the budget, and where its lines stand."""
    found = json.loads(program("reduce", "--json", "--budget", "200", failing).out)
    assert found["file"] == str(failing)
    assert found["total_lines"] == 1200
    assert estimate(found["text"]) == found["tokens"] <= 200
    assert {"number": 700, "text": "npm ERR! code ERESOLVE", "repeated": 1} in found["lines"]
    assert 700 in found["ranked"]
    assert "blocks" not in found


def test_piped_output_is_json_unless_text_is_asked_for(program: Program, failing: Path) -> None:
    """What goes into a pipe is JSON; `--text` makes it what a terminal shows, without colour."""
    assert json.loads(program("reduce", failing).out)["file"] == str(failing)
    told = program("reduce", "--text", failing)
    assert " 700 │ npm ERR! code ERESOLVE\n" in told.out
    assert "   ⋮   " in told.out
    assert "\x1b[" not in told.out


def test_a_terminal_gets_colour_and_marks(program: Program, failing: Path) -> None:
    """Error lines are coloured, gaps marked, and the last line says how much was kept."""
    told = program("reduce", "--budget", "100", failing, terminal=True)
    assert "\x1b[1;31mnpm ERR! code ERESOLVE" in told.out
    assert "lines\x1b[0m\n" in told.out
    assert "of 1,200 lines, " in told.out


def test_no_color_is_respected(program: Program, failing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR: no colour on a terminal either."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in program("reduce", failing, terminal=True).out


def test_why_tells_scores_and_patterns(program: Program, failing: Path) -> None:
    """`--why` names of each block its score, its place among the error lines, and the patterns that hit."""
    blocks = json.loads(program("reduce", "--json", "--why", "--budget", "200", failing).out)["blocks"]
    block = next(block for block in blocks if block["first"] <= 700 <= block["last"])
    assert block["score"] > 0
    assert block["place"] == 1
    assert {reason["line"] for reason in block["reasons"]} >= {700, 701}
    told = program("reduce", "--text", "--why", "--budget", "200", failing).out
    assert f"▸   score {block['score']:g}, error line no. 1: {block['reasons'][0]['pattern']} (+" in told


def test_secrets_do_not_reach_the_output(program: Program, tmp_path: Path) -> None:
    """What is printed is redacted."""
    secret = "ghp_" + "Ab3" * 12
    (tmp_path / "a.log").write_text(f"fatal: could not read from https://x:{secret}@example.com/r\n", encoding="utf-8")
    told = program("reduce", tmp_path / "a.log")
    assert secret not in told.out
    assert "fatal: could not read" in told.out


def test_a_homes_own_secrets_do_not_reach_the_output(program: Program, tmp_path: Path) -> None:
    """What `config/redaction.yaml` of a home adds is taken out too, and what is wrong with it is told."""
    (tmp_path / "a.log").write_text("fatal: badge 7731-blue was refused\n", encoding="utf-8")
    for home, pattern in (("home", "[0-9]{4}-blue"), ("broken", "(")):
        file = tmp_path / home / "config" / "redaction.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(f"patterns: [{{name: badge, pattern: '{pattern}'}}]\n", encoding="utf-8")
    assert "[badge:1] was refused" in program("reduce", "--home", tmp_path / "home", tmp_path / "a.log").out
    broken = program("reduce", "--home", tmp_path / "broken", tmp_path / "a.log")
    assert (broken.code, "redaction.yaml:1:" in broken.err) == (2, True)
    linted = program("lint", "--home", tmp_path / "broken")
    assert (linted.code, "redaction.yaml:1:" in linted.out) == (1, True)


def test_a_baseline_takes_out_what_it_says_too(program: Program, tmp_path: Path) -> None:
    """An error that a passing run shows as well is no fault."""
    noise = [f"ERROR: flaky probe {number} failed, ignored" for number in range(300)]
    (tmp_path / "passing.log").write_text("\n".join(noise), encoding="utf-8")
    (tmp_path / "failing.log").write_text("\n".join([*noise, "assertion failed: left == right", *noise]), "utf-8")
    numbers = json.loads(
        program(
            "reduce", "--lines", "--budget", "60", "--baseline", tmp_path / "passing.log", tmp_path / "failing.log"
        ).out
    )
    assert 301 in numbers


def test_a_tokenizer_counts(program: Program, failing: Path, tmp_path: Path) -> None:
    """`--tokenizer` counts by the file's vocabulary; so do the settings."""
    library = pytest.importorskip("tokenizers", reason="needs tokenizers")
    made = library.Tokenizer(library.models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    found = json.loads(program("reduce", "--json", "--tokenizer", tmp_path / "tokenizer.json", failing).out)
    assert found["tokens"] == len(found["text"].split())
    (tmp_path / "settings.yaml").write_text(
        f"models: {{lite: {{urls: ['http://127.0.0.1:1/v1'], tokenizer: {tmp_path / 'tokenizer.json'}}}}}\n", "utf-8"
    )
    assert json.loads(program("reduce", "--json", "--config", tmp_path / "settings.yaml", failing).out) == found


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".bz2", bz2.compress),
        (".zst", cramjam.zstd.compress),
        (".lz4", cramjam.lz4.compress),
        (".gz", lambda data: gzip.compress(data[:999]) + gzip.compress(data[999:]) + bytes(512)),
        (".zst.gz", lambda data: gzip.compress(bytes(cramjam.zstd.compress(data)))),
        (".log", bytes),
    ],
)
def test_packed_logs_are_unpacked(
    program: Program, failing: Path, tmp_path: Path, suffix: str, pack: Callable[[bytes], Any]
) -> None:
    """Each kind is told by its first bytes, in a file and on standard input."""
    expected = program("reduce", "--lines", failing).out
    packed = bytes(pack(failing.read_bytes()))
    (tmp_path / f"packed{suffix}").write_bytes(packed)
    assert program("reduce", "--lines", tmp_path / f"packed{suffix}").out == expected
    assert program("reduce", "--lines", "-", stdin=packed).out == expected


@pytest.mark.parametrize(
    "pack", [gzip.compress, lzma.compress, bz2.compress, cramjam.zstd.compress, cramjam.lz4.compress]
)
def test_a_damaged_archive_is_told(
    program: Program, failing: Path, tmp_path: Path, pack: Callable[[bytes], Any]
) -> None:
    """What ends early fails by name."""
    (tmp_path / "cut.log.packed").write_bytes(bytes(pack(failing.read_bytes()))[:-20])
    told = program("reduce", "--lines", tmp_path / "cut.log.packed")
    assert (told.code, told.out) == (1, "")
    assert "cut.log.packed: it starts as" in told.err


def test_many_logs_give_an_object_each(program: Program, failing: Path, tmp_path: Path) -> None:
    """Of many logs each has a line of its own, in their order; one that fails is told and the others are read."""
    (tmp_path / "zeros.log").write_bytes(bytes(1000))
    missing = tmp_path / "missing.log"
    told = program("reduce", "--lines", failing, tmp_path / "zeros.log", missing, failing)
    first, binary, gone, again = [json.loads(line) for line in told.out.splitlines()]
    assert told.code == 1
    assert first == again
    assert first["file"] == str(failing)
    assert 700 in first["lines"]
    assert binary["error"]["reason"] == "binary"
    assert gone == {
        "file": str(missing),
        "error": {"reason": "unreadable", "text": "can't be read: No such file or directory"},
    }
    assert f"error: {missing}: can't be read: No such file or directory\n" in told.err


def test_many_logs_as_text_have_heads(program: Program, failing: Path) -> None:
    """For people each log stands under its name."""
    told = program("reduce", "--text", "--budget", "100", failing, failing)
    assert told.out.count(f"── {failing}\n") == 2


def test_a_folder_is_read_however_deep(program: Program, failing: Path, tmp_path: Path) -> None:
    """Of a folder all that look like logs: no hidden folders, no other files, no empty ones; even of one an object."""
    log = failing.read_bytes()
    folder = tmp_path / "run"
    for name in ("b/job.txt", "a/1_build.LOG", "a/rotated.log.2.gz", "consoleText", "node_modules/x.log", ".git/x.log",
                 "README.md", "x.json"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(log)
    (folder / "empty.log").touch()
    (folder / "loop").symlink_to(folder)
    told = program("reduce", "--lines", folder)
    names = [json.loads(line)["file"] for line in told.out.splitlines()]
    assert told.code == 0
    assert names == [str(folder / name) for name in ("a/1_build.LOG", "a/rotated.log.2.gz", "b/job.txt", "consoleText")]
    assert json.loads(program("reduce", "--lines", folder / "b").out)["file"] == str(folder / "b/job.txt")


def test_parallel_workers_give_the_same(program: Program, failing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes print what one prints, in the same order, and fail alike."""
    monkeypatch.setattr(work, "_ALONE", 0)
    arguments = ["reduce", "--json", failing, "missing.log", failing, failing]
    alone, together = program(*arguments, "--jobs", "1"), program(*arguments, "--jobs", "3")
    assert alone == together
    assert alone.code == 1


def test_a_large_log_is_streamed(program: Program, failing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the pieces end in which a log is read, the result is the same, from standard input too."""
    failing.write_bytes(failing.read_bytes() * 40)
    expected = program("reduce", "--lines", failing).out
    monkeypatch.setattr(inputs, "_CHUNK", 997)
    assert program("reduce", "--lines", failing).out == expected
    assert program("reduce", "--lines", "-", stdin=failing.read_bytes()).out == expected


def test_utf16_is_redacted_and_read(program: Program, tmp_path: Path) -> None:
    """A log of a Windows shell is decoded before secrets are looked for."""
    secret = "ghp_" + "Ab3" * 12
    (tmp_path / "a.log").write_text(f"ok\nerror: token {secret} refused\n", encoding="utf-16")
    found = json.loads(program("reduce", "--json", tmp_path / "a.log").out)
    assert [line["number"] for line in found["lines"]] == [1, 2]
    assert secret not in found["text"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lines", "--json"], "exclude each other"),
        (["--lines", "--text"], "exclude each other"),
        (["--lines", "--why"], "--why says nothing beside --lines"),
        (["--budget", "3"], "Invalid value for '--budget'"),
        (["--jobs", "0"], "Invalid value for '--jobs'"),
        (["--tokenizer", "gone.json"], "gone.json: can't be read"),
        (["--config", "gone.yaml"], "gone.yaml: can't be read"),
        (["--unknown"], "No such option"),
        (["-", "-"], "standard input (-) can be read once only"),
    ],
)
def test_usage_is_told(program: Program, failing: Path, arguments: list[str], said: str) -> None:
    """A wrong call ends with 2, before anything is read."""
    told = program("reduce", *arguments, failing)
    assert (told.code, told.out) == (2, "")
    assert said in told.err


def test_a_folder_without_logs_is_told(program: Program, tmp_path: Path) -> None:
    """It says what it looks for."""
    told = program("reduce", tmp_path)
    assert told.code == 2
    assert f"{tmp_path}: no logs in this folder; what is read of a folder: *.log" in told.err


def test_a_baseline_that_can_not_be_read_is_told(program: Program, failing: Path, tmp_path: Path) -> None:
    """Nothing is reduced without the baseline that was asked for."""
    told = program("reduce", failing, "--baseline", tmp_path / "gone.log")
    assert (told.code, told.out) == (1, "")
    assert "--baseline " in told.err
    assert "gone.log: can't be read: No such file" in told.err
    (tmp_path / "two").mkdir()
    for name in "ab":
        (tmp_path / "two" / f"{name}.log").write_bytes(failing.read_bytes())
    assert (
        "one log is expected, and this folder has 2" in program("reduce", failing, "--baseline", tmp_path / "two").err
    )


@pytest.fixture
def address(failing: Path) -> Iterator[str]:
    """An address under which the failing log is served."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = failing.read_bytes()
            self.send_response(200 if self.path == "/build.log" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_is_read_where_allowed(
    program: Program, failing: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings' list of hosts decides, as it does for the daemon."""
    told = program("reduce", "--lines", f"{address}/build.log")
    assert told.code == 1
    assert "the scheme of http://127.0.0.1/build.log is not allowed; fetch.schemes lists https" in told.err
    monkeypatch.setenv("FAULTSTREAM_FETCH__SCHEMES", "http")
    assert "fetch.allow lists nothing" in program("reduce", "--lines", f"{address}/build.log").err
    monkeypatch.setenv("FAULTSTREAM_FETCH__ALLOW", "127.0.0.1")
    assert "see fetch.private" in program("reduce", "--lines", f"{address}/build.log").err
    monkeypatch.setenv("FAULTSTREAM_FETCH__PRIVATE", "true")
    told = program("reduce", "--lines", f"{address}/build.log")
    assert (told.code, told.out) == (0, program("reduce", "--lines", failing).out)
    told = program("reduce", "--lines", f"{address}/gone.log", failing)
    assert told.code == 1
    assert "answers 404" in told.err
    assert [set(json.loads(line)) for line in told.out.splitlines()] == [{"file", "error"}, {"file", "lines"}]
    assert 700 in json.loads(told.out.splitlines()[1])["lines"]


def test_a_bar_is_drawn_on_a_terminal_alone(program: Program, failing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading many logs shows how far it is, and never in what is piped."""
    monkeypatch.setattr(work, "_ALONE", 0)
    assert "/2\x1b[0m" in program("reduce", failing, failing, terminal=True).out
    assert "━" not in "".join(program("reduce", "--text", failing, failing)[1:])
    monkeypatch.setattr(work, "_LARGE", 0)
    assert "reading " in program("reduce", failing, terminal=True).out
