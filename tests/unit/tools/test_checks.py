"""How `make test` runs pytest: in two processes where that is possible, each taking whole files."""

from __future__ import annotations

import os

import pytest

from tests import processes
from tools import checks

TWO = ["-n", "2", "--dist", "loadfile"]


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)


@pytest.mark.parametrize("words", [[], ["-k", "some name"], ["--durations=20", "tests/unit"], ["-x", "-v"]])
def test_two_processes_share_the_tests(cores: None, words: list[str]) -> None:
    """Whatever is asked for besides."""
    assert checks.shared(words) == [*TWO, *words]


@pytest.mark.parametrize("words", [["-n", "4"], ["-n0"], ["--pdb"], ["-x", "-s"], ["-p", "no:xdist"], ["--co", "-q"]])
def test_who_says_how_many_or_wants_to_look_is_obeyed(cores: None, words: list[str]) -> None:
    """A debugger needs the process that the tests run in."""
    assert checks.shared(words) == words


def test_one_core_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would only be in each other's way."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert checks.shared(["-v"]) == ["-v"]


def test_each_model_server_is_for_one_process() -> None:
    """All that talks to one is one unit, and so are the chaos tests; the rest goes by files."""
    model = ["tests/contract/test_adapters.py::test_a[vllm]", "tests/integration/test_tiers.py::test_b"]
    chaos = ["tests/chaos/test_chaos.py::test_c", "tests/chaos/test_waits.py::test_d[x::y]"]
    other = ["tests/unit/test_line.py::test_e", "tests/e2e/test_daemon.py::test_f[tests/chaos/]"]
    assert {processes.unit_of(each) for each in model} == {processes.MODELS}
    assert {processes.unit_of(each) for each in chaos} == {processes.CHAOS}
    assert [processes.unit_of(each) for each in other] == ["tests/unit/test_line.py", "tests/e2e/test_daemon.py"]


def test_the_long_ones_begin() -> None:
    """The unit tests keep the other process busy while the chaos tests last, then come the models."""
    files = ["contract/test_s3.py", "integration/test_tiers.py", "e2e/test_large.py", "unit/test_line.py", "chaos/t.py"]
    turns = sorted((f"tests/{each}::test" for each in files), key=processes.place)
    first = [
        "tests/chaos/t.py",
        "tests/unit/test_line.py",
        "tests/integration/test_tiers.py",
        "tests/e2e/test_large.py",
    ]
    assert [each.partition("::")[0] for each in turns] == [*first, "tests/contract/test_s3.py"]
