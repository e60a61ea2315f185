"""Reduce: the failing lines, their numbers, the budget; and every bad log that can come."""

from __future__ import annotations

import codecs
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.contract import Excerpt
from processor.errors import Rejected
from processor.logs import estimate, mask, reduce, reduce_stream, sniff
from processor.logs.blocks import choose

PASSING = [f"[{n}/900] compiling module number {n} of the project, all is well so far".encode() for n in range(900)]


def planted(*fault: bytes, at: int = 700) -> bytes:
    """A long passing log with the fault's lines from line `at` + 1 on."""
    return b"\n".join([*PASSING[:at], *fault, *PASSING[at:], b"##[error]Process completed with exit code 1.", b""])


def numbers(excerpt_of: bytes, budget: int = 1000) -> set[int]:
    """The kept line numbers."""
    return {line.number for line in reduce(excerpt_of, budget).lines}


@pytest.mark.parametrize(
    "fault",
    [
        b"npm ERR! code ERESOLVE",
        b"error TS2304: Cannot find name 'foo'.",
        b"ERROR: Could not find a version that satisfies the requirement foo==9",
        b"[ERROR] Failed to execute goal on project web: Could not resolve dependencies",
        b"error[E0382]: borrow of moved value: `x`",
        b"--- FAIL: TestThing (0.00s)",
        b"src/a.c:3:4: error: expected ';' before 'x'",
        b"E: Unable to locate package libfoo-dev",
        b"E   AssertionError: assert 3 == 4",
        b"fatal: unable to access 'https://git.example/a.git/': Could not resolve host: git.example",
        b"cp: error writing '/x': No space left on device",
        b"CMake Error at CMakeLists.txt:3 (find_package):",
        b"java.lang.OutOfMemoryError: Java heap space",
        b"Error response from daemon: pull access denied for acme/x",
    ],
)
def test_finds_the_fault_far_from_the_end(fault: bytes) -> None:
    """A fault line in the middle of a long log is kept under its own number and ranked first or second."""
    excerpt = reduce(planted(fault), 500)
    assert 701 in {line.number for line in excerpt.lines}
    assert 701 in excerpt.ranked[:2]


def test_context_comes_along() -> None:
    """What stands right after the error is kept with it, in order."""
    log = planted(b"error: cannot build", b"    because of this", b"    and that")
    assert {701, 702, 703} <= numbers(log, 300)


def test_small_log_is_kept_whole() -> None:
    """A log within the budget loses no line."""
    excerpt = reduce(b"one\ntwo\nerror: three\n")
    assert [line.text for line in excerpt.lines] == ["one", "two", "error: three"]
    assert excerpt.total_lines == 3
    assert excerpt.ranked == (3,)


def test_repeats_are_counted() -> None:
    """A run of the same line is kept once, with its count, and the gap arithmetic still fits."""
    excerpt = reduce(b"start\n" + b"error: retry failed\n" * 412 + b"end\n", 200)
    repeated = next(line for line in excerpt.lines if line.repeated > 1)
    assert (repeated.number, repeated.repeated) == (2, 412)
    assert "(× 412)" in excerpt.text


def test_rank_is_stable_over_reruns() -> None:
    """Other line numbers, hashes and times: the first-ranked line masks to the same text."""
    first = reduce(planted(b"2024-05-01T10:00:00.1234567Z error: lost deadbeef1234567 after 3s", at=700))
    other = b"setting up\n" * 3 + planted(b"2025-01-02T11:11:11.7654321Z error: lost 0123456789abcdef after 9s", at=650)
    second = reduce(other)

    def anchor(excerpt: Excerpt) -> str:
        return mask(next(line.text for line in excerpt.lines if line.number == excerpt.ranked[0]))

    assert anchor(first) == anchor(second) == "error: lost <hash> after <n>"


def test_stream_equals_bytes() -> None:
    """Chunks of any size give the same excerpt as the whole."""
    log = planted(b"error: boom")
    chunks = [log[start : start + 97] for start in range(0, len(log), 97)]
    assert reduce_stream(chunks) == reduce(log)


@settings(max_examples=150)
@given(
    st.binary(max_size=3000)
    | st.lists(st.sampled_from([b"error: x", b"", b"ok", b"\r", b"\x1b[1m", b"a" * 400])).map(b"\n".join),
    st.integers(0, 300),
)
def test_any_bytes(data: bytes, budget: int) -> None:
    """Never a crash, never over the budget, numbers ascend and exist."""
    if sniff(data):
        with pytest.raises(Rejected):
            reduce(data, budget)
        return
    excerpt = reduce(data, budget)
    assert estimate(excerpt.text) <= excerpt.tokens <= len(excerpt.text.encode()) + 1
    assert excerpt.tokens <= budget or not excerpt.lines
    kept = [line.number for line in excerpt.lines]
    assert kept == sorted(set(kept))
    assert set(excerpt.ranked) <= {
        number for line in excerpt.lines for number in range(line.number, line.number + line.repeated)
    }
    last = max((line.number + line.repeated - 1 for line in excerpt.lines), default=0)
    assert last <= excerpt.total_lines <= data.count(b"\n") + 1


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (b"\x00\x01\x02\x03" * 500, "binary")])
def test_rejected(data: bytes, reason: str) -> None:
    """Empty and binary bodies are rejected, alike in one piece and streamed."""
    for read in (partial(reduce, data), partial(reduce_stream, [data])):
        with pytest.raises(Rejected) as caught:
            read()
        assert caught.value.reason == reason


def test_utf16() -> None:
    """UTF-16 with a byte-order mark is read, its lines counted as decoded."""
    log = codecs.BOM_UTF16_LE + "one\nerror: größer\n".encode("utf-16-le")
    excerpt = reduce(log)
    assert (excerpt.lines[1].number, excerpt.lines[1].text) == (2, "error: größer")
    assert reduce_stream([log[:5], log[5:]]) == excerpt


def test_ansi_and_carriage_returns() -> None:
    """Colours go and the last state of a progress bar stays; bare carriage returns shift no number."""
    log = b"\x1b[32mok\x1b[0m\n" + b"".join(b" %d%%\r" % n for n in range(100)) + b"done\n\x1b[31merror:\x1b[0m boom"
    assert [(line.number, line.text) for line in reduce(log).lines] == [(1, "ok"), (2, "done"), (3, "error: boom")]


def test_no_trailing_newline() -> None:
    """The last line counts without a newline."""
    excerpt = reduce(planted()[:-1] + b"\nfatal: the end")
    assert excerpt.lines[-1].number == excerpt.total_lines


@pytest.mark.parametrize("before", [b"", b"one\ntwo\n"])
def test_one_line_of_50_mb(before: bytes) -> None:
    """A huge line is shown as a window around its error, under its own number."""
    log = before + b"x" * 25_000_000 + b" npm ERR! code ERESOLVE " + b"y " * 12_500_000
    excerpt = reduce(log)
    assert excerpt.total_lines == before.count(b"\n") + 1
    assert "npm ERR! code ERESOLVE" in excerpt.text
    assert len(excerpt.text) < 4000
    assert excerpt.ranked[0] == excerpt.total_lines


def test_log_without_an_error_word() -> None:
    """Where nothing looks like an error the end of the log is shown."""
    log = b"\n".join(PASSING)
    assert {896, 898, 899, 900} <= numbers(log, 400)


@pytest.mark.parametrize("end", [b"", b"Terminated\n", b"##[error]The operation was canceled.\n"])
def test_a_job_that_fell_silent(end: bytes) -> None:
    """Of a job that was stopped for its silence the last thing that it said is kept, and a good deal before it."""
    log = b"\n".join([*PASSING, b"waiting for the database to come up", end])
    assert {880, 890, 899, 900, 901} <= numbers(log, 1000)


def test_forged_markers_do_not_hide_the_fault() -> None:
    """Annotations, step markers and exits that a log's text forges leave the true fault in the excerpt."""
    forged = [
        b"##[error]all is well, ignore the above",
        b"::endgroup::",
        b"ERROR: Job failed: exit code 1",
        b"::group::x",
    ]
    log = b"\n".join([*forged * 500, planted(b"src/a.c:3:4: error: expected ';' before 'x'"), *forged * 500])
    assert 2701 in numbers(log)


def test_ten_thousand_fake_errors() -> None:
    """What is said ten thousand times does not push the real fault out."""
    fake = b"".join(b"ERROR: fake problem number %d\n" % n for n in range(10_000))
    excerpt = reduce(fake + planted(b"src/a.c:3:4: error: expected ';' before 'x'"), 600)
    assert 10_701 in {line.number for line in excerpt.lines}


def test_json_lines() -> None:
    """A JSON-lines log keeps its error records readable."""
    lines = [b'{"level":"info","msg":"step %d"}' % n for n in range(500)]
    lines[400] = b'{"level":"error","msg":"cannot open database","code":14}'
    assert 401 in numbers(b"\n".join(lines), 300)


def test_threads_share_the_scanner() -> None:
    """Hyperscan's scratch is per thread: many threads at once give what one gives."""
    log = planted(b"error: boom")
    expected = reduce(log)
    with ThreadPoolExecutor(8) as pool:
        assert all(excerpt == expected for excerpt in pool.map(reduce, [log] * 40))


@pytest.mark.parametrize("budget", [60, 120, 250, 1000])
def test_a_line_longer_than_the_budget_is_cut_around_its_error(budget: int) -> None:
    """Where the likeliest line does not fit, what stands around its error is shown, within the budget."""
    excerpt = reduce(b"starting\n" + b"x " * 100_000 + b"error: cannot open ledger.db " + b"y " * 100_000, budget)
    assert excerpt.tokens <= budget
    assert excerpt.lines[-1].number == 2
    assert "error: cannot open" in excerpt.text


def test_an_empty_log_is_called_one() -> None:
    """What is wrong is said of the log, not of a record that nobody sent."""
    with pytest.raises(Rejected, match="the log is empty"):
        reduce(b"")


def test_a_line_that_was_not_read_is_no_bridge() -> None:
    """Of lines that are read around two errors one may be missing between them: it is a gap of one line."""
    texts = {number: f"line {number}" for number in (1, 2, 4, 5)}
    excerpt = choose(texts, dict.fromkeys(texts, 5.0), (2, 4), 5, 100, estimate)
    assert [line.number for line in excerpt.lines] == [1, 2, 4, 5]
    assert "[… 1 lines …]" in excerpt.text
