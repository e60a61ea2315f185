"""The recorder's parts that need no machine: spans, checks, scrubbing, the runner's script, the registry."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.record import faults
from tools.record.fault import REGISTRY, Dependency, Fault, Registry, Span
from tools.record.record import RecordingError, check, plain, sample_id
from tools.record.runner import Outcome, job_script
from tools.record.scrub import leaks, scrub

faults.load()
LOG = "start\nERROR one\n  detail\nend of one\nfine\nERROR two\n  detail\nend of two\n"


def fault(**changes: object) -> Fault:
    """A small fault with changes."""
    given: dict[str, object] = {
        "repo": "acme/web",
        "job": "build",
        "category": "test",
        "files": {},
        "script": ("echo one",),
        "spans": (Span("^ERROR two"),),
        **changes,
    }
    return Fault(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("span", "found"),
    [
        (Span("^ERROR"), [(2, 2)]),
        (Span("^ERROR", final=True), [(6, 6)]),
        (Span("^ERROR", every=True), [(2, 2), (6, 6)]),
        (Span("^ERROR", "^end"), [(2, 4)]),
        (Span("^ERROR", "^end", every=True), [(2, 4), (6, 8)]),
        (Span("^ERROR", "^end", reach=1), []),
        (Span("^WARNING"), []),
    ],
)
def test_span_finds_lines(span: Span, found: list[tuple[int, int]]) -> None:
    """First, last or all places, as 1-based inclusive pairs, within reach."""
    assert span.find(LOG.split("\n")) == found


def test_check_gives_the_failing_lines() -> None:
    """What matches is merged where it touches."""
    shown = fault(spans=(Span("^ERROR two"), Span("^  detail", every=True)))
    assert check(shown, Outcome(b"", 1), LOG.encode()) == [(3, 3), (6, 7)]


@pytest.mark.parametrize(
    ("changes", "status", "log", "message"),
    [
        ({}, 0, LOG, "passed"),
        ({"spans": (Span("^WARNING"),)}, 1, LOG, "no line for"),
        ({"dependency": Dependency("left-pad", None, "npm")}, 1, LOG, "names none of"),
        ({"failing_tests": ("test_one",)}, 1, LOG, "does not name the test"),
        ({}, 1, LOG + "/root/.cache\n", "machine paths"),
    ],
)
def test_check_refuses_a_log_that_does_not_show_the_fault(
    changes: dict[str, object], status: int, log: str, message: str
) -> None:
    """A job that passed, or a log without the failing line, the package, the test, or with this machine in it."""
    with pytest.raises(RecordingError, match=message):
        check(fault(**changes), Outcome(b"", status), log.encode())


def test_plain_takes_stamps_colours_and_carriage_returns_off() -> None:
    """What the runner and the terminal added is gone, the lines stay."""
    raw = b"2026-11-22T04:20:53.6200530Z \x1b[31mERROR\x1b[0m one\r\n\xff"
    assert plain(raw) == ["ERROR one", "\ufffd"]


def test_scrub_keeps_line_counts() -> None:
    """The scratch folder becomes a build machine's path; no line comes or goes."""
    scratch = Path("/var/scratch/record-1")
    log = b"in /var/scratch/record-1/root/builds\nand /var/scratch/record-1/in\n"
    assert scrub(log, scratch) == b"in /builds\nand /builds/.runner/in\n"


@pytest.mark.parametrize("line", ["at /root/x", "open /home/dana/a", "/opt/.pyenv/shims", "cp /tmp/abc"])
def test_leaks_are_found(line: str) -> None:
    """Folders of the recording machine are named."""
    assert leaks(f"fine\n{line}\n".encode()) == [line]


@pytest.mark.parametrize("style", ["plain", "steps"])
def test_job_script_is_bash_and_echoes_its_commands(style: str) -> None:
    """The script parses; each command is printed before it runs, quotes included."""
    script = job_script(fault(style=style, script=("echo 'it''s'",), after=("ls",)), "a" * 40)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    echoed = subprocess.run(
        ["bash", "-c", "\n".join(line for line in script.splitlines() if "it" in line and line.startswith("printf"))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "echo 'it''s'" in echoed.stdout


def test_unknown_category_is_refused() -> None:
    """A typo in a category is an error of the fault, not a new category."""
    with pytest.raises(ValueError, match="unknown category 'tests'"):
        fault(category="tests")


def test_a_kind_has_one_maker() -> None:
    """Two makers can't share a name."""
    registry = Registry()
    registry.kind("npm/x", tools={})(lambda _: fault())
    with pytest.raises(ValueError, match="two kinds"):
        registry.kind("npm/x", tools={})(lambda _: fault())


@pytest.mark.parametrize("name", sorted(REGISTRY.kinds))
def test_every_kind_makes_its_variants(name: str) -> None:
    """Each variant gives a fault; another run differs in what has nothing to do with the fault alone."""
    kind = REGISTRY.kinds[name]
    for variant in kind.variants:
        first, again = kind.make(0, **variant), kind.make(1, **variant)
        assert (first.repo, first.category, first.dependency) == (again.repo, again.category, again.dependency)
        assert first.spans
    assert len(kind.keep) <= len(kind.variants)
    assert len({sample_id(kind, index, 0) for index in range(len(kind.variants))}) == len(kind.variants)
