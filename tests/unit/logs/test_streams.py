"""Logs in which several programs talk at once: what one says is read as if it talked alone."""

from __future__ import annotations

import pytest

from processor.logs import reduce, streams
from processor.logs.extract import candidates

LEADS = [
    ("api-1  | ", "web-1  | ", "db-1   | "),
    ("@acme/api:test: ", "@acme/web:build: ", "@acme/db:lint: "),
    ("[api] ", "[web] ", "[db] "),
    ("[0] ", "[1] ", "[2] "),
    ("@acme/api: ", "@acme/web: ", "@acme/db: "),
    ("packages/api test: ", "packages/web build$ ", "packages/db test: "),
]
FAULT = [
    "Traceback (most recent call last):",
    '  File "/srv/api/main.py", line 7, in <module>',
    "    serve()",
    '  File "/srv/api/serve.py", line 31, in serve',
    "    bind(port)",
    "OSError: [Errno 98] Address already in use",
]


@pytest.mark.parametrize("leads", LEADS)
def test_one_speakers_fault_is_kept_whole(leads: tuple[str, str, str]) -> None:
    """A stack trace with others' lines between its own is kept, the others' chatter is not."""
    api, web, db = leads
    lines = [f"{(api, web, db)[n % 3]}request {n} served in {n % 7} ms" for n in range(900)]
    mixed = [part for line in FAULT for part in (f"{web}GET /{len(line)} 200", f"{db}checkpoint", f"{api}{line}")]
    log = "\n".join([*lines, *mixed, *lines[:60], f"{web}stopping", "exit status 1"])
    kept = {line.number for line in reduce(log.encode(), 320).lines}
    assert {900 + 3 * place for place in range(1, len(FAULT) + 1)} <= kept


def test_a_speakers_name_hides_no_sign() -> None:
    """What must stand at a line's start may stand behind a name."""
    lines = [f"web-1  | step {n}" for n in range(2000)]
    lines[900] = "api-1  | error[E0382]: borrow of moved value: `x`"
    assert 901 in {line.number for line in reduce("\n".join(lines).encode(), 200).lines}


@pytest.mark.parametrize(
    "line", ["12 | let x = 3;", "[error] no", "[INFO] Compiling", "src/a.rs:3:1: error: x", "2 errors | 3", "plain"]
)
def test_what_is_no_speaker(line: str) -> None:
    """Code frames, severities and places are not taken for names."""
    assert streams.unled(line.encode()) == line.encode()
    assert streams.speakers({1: line.encode(), 2: b"plain"}) is None


def test_lines_are_neither_added_nor_removed() -> None:
    """Names go, newlines stay, also at both ends of a block."""
    block = b"\nweb-1 | a\n\ndb-1 | b\nweb-1 | \n"
    assert streams.unled(block) == b"\na\n\nb\n\n"


@pytest.mark.parametrize("leads", LEADS)
def test_small_logs_are_read_behind_the_names_too(leads: tuple[str, str, str]) -> None:
    """In a log that is kept whole signs at the start of what is said count, and extractors read what is said."""
    api, web, db = leads
    lines = [part for line in FAULT for part in (f"{api}{line}", f"{web}GET 200", f"{db}checkpoint")]
    excerpt = reduce("\n".join(lines).encode())
    assert excerpt.ranked == (16, 1)
    assert [file.name for file in candidates(excerpt)["files"]] == ["/srv/api/main.py:7", "/srv/api/serve.py:31"]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_job_and_step_before_each_line_go(mark: str) -> None:
    """What `gh run view --log` writes before each line is not shown, also where a step begins, and shifts no number."""
    lead = f"build (3.11, ubuntu-latest, postgres)\tUNKNOWN STEP\t{mark}2026-11-22T10:27:04.1234567Z "
    for healthy in (3, 900):
        log = [*[f"{lead}step {n}" for n in range(healthy)], *[lead + line for line in FAULT]]
        excerpt = reduce("\n".join(log).encode())
        shown = {line.number: line.text for line in excerpt.lines}
        assert [shown[healthy + place] for place in range(1, len(FAULT) + 1)] == FAULT
