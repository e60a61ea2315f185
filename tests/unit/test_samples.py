"""The recorded samples are what their truth says, and show nothing of the machine they came from."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tools.record import faults
from tools.record.fault import CATEGORIES, REGISTRY
from tools.record.record import plain
from tools.record.scrub import LEFT

SAMPLES = Path(__file__).parents[2] / "pipelines" / "ci_failure" / "samples"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in (SAMPLES / "truth.jsonl").read_text().splitlines()]
KEYS = {
    "id", "kind", "toolchain", "repo", "branch", "commit", "job", "fault", "category", "category_alt",
    "faulty_dependency", "failing_tests", "failing_lines", "tools",
}  # fmt: skip
ECOSYSTEMS = {
    "npm", "pypi", "maven", "cargo", "golang", "deb", "rpm", "gem", "composer", "docker", "github", "generic",
}  # fmt: skip


def _log(row: dict[str, Any]) -> bytes:
    return (SAMPLES / f"{row['id']}.log").read_bytes()


def test_there_are_enough_samples_of_enough_kinds() -> None:
    """At least 60 samples over 25 kinds of fault, in less than 6 MB."""
    assert len(ROWS) >= 60
    assert len({row["kind"] for row in ROWS}) >= 25
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 6_000_000


def test_every_category_is_there() -> None:
    """Each of the twenty categories has a sample, those that real logs rarely show included."""
    assert {row["category"] for row in ROWS} == CATEGORIES


def test_logs_and_truth_belong_together() -> None:
    """Each log has one line of truth and each line of truth one log."""
    assert sorted(path.stem for path in SAMPLES.glob("*.log")) == sorted(row["id"] for row in ROWS)


def test_repeats_share_repository_and_fault() -> None:
    """At least ten faults were recorded several times, at other commits."""
    groups = Counter((row["repo"], row["fault"]) for row in ROWS)
    repeated = [pair for pair, count in groups.items() if count > 1]
    assert len(repeated) >= 10
    assert len({row["commit"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["id"]))
def test_truth_is_well_formed(row: dict[str, Any]) -> None:
    """The fields are there, of the right form, and come from a kind that the recorder still has."""
    faults.load()
    dependency = row["faulty_dependency"]
    assert set(row) == KEYS
    assert row["kind"] in REGISTRY.kinds
    assert {row["category"], *row["category_alt"]} <= CATEGORIES
    assert re.fullmatch(r"[0-9a-f]{40}", row["commit"])
    assert re.fullmatch(r"acme/[a-z-]+", row["repo"])
    assert dependency is None or set(dependency) == {"name", "version", "ecosystem", "accept"}
    assert dependency is None or dependency["ecosystem"] in ECOSYSTEMS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["id"]))
def test_log_shows_the_truth(row: dict[str, Any]) -> None:
    """The failing lines exist and say something; dependency and failing tests are named in the log."""
    log = _log(row)
    lines = log.split(b"\n")
    text = "\n".join(plain(log))
    dependency = row["faulty_dependency"]
    assert row["failing_lines"]
    for first, last in row["failing_lines"]:
        assert 1 <= first <= last <= len(lines)
        assert any(line.strip() for line in lines[first - 1 : last])
    assert dependency is None or any(name in text for name in (dependency["name"], *dependency["accept"]))
    assert [test for test in row["failing_tests"] if test not in text] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["id"]))
def test_log_shows_nothing_of_the_machine(row: dict[str, Any]) -> None:
    """No folder of the machine that recorded it, no home of its user."""
    leaked = [line[:200] for line in _log(row).split(b"\n") if LEFT.search(line)]
    assert leaked == []
