"""Failed builds of 2 KB, no two alike: CloudEvents in structured mode, so that every peer has JSON to parse.

Their logs are recorded samples, cut around the lines that failed, of twelve toolchains and kinds of fault. A rule
decides none of them, so each takes the whole way through the model.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import orjson

from processor.contract import Outbound

SAMPLES = Path(__file__).resolve().parent.parent / "pipelines" / "ci_failure" / "samples"
NAMES = (
    "bandit-finding-a1",
    "cargo-type-error-a1",
    "cmake-undefined-reference-a1",
    "env-oom-killed-a1",
    "git-submodule-a1",
    "go-test-failure-a1",
    "maven-junit-failure-a1",
    "npm-licence-a1",
    "pip-conflict-a1",
    "pytest-assertion-a1",
    "typescript-vitest-assertion-a1",
    "sphinx-linkcheck-a1",
)
ENVELOPE = 270
"""Bytes of a record beside its log."""
_FIGURES = re.compile(r"\d{2,}")


def logs(size: int) -> list[str]:
    """The samples' logs, each cut to whole lines that hold what failed, at most `size` bytes as JSON."""
    truths = map(json.loads, (SAMPLES / "truth.jsonl").read_text(encoding="utf-8").splitlines())
    failing = {truth["id"]: truth["failing_lines"] for truth in truths}
    return [
        cut((SAMPLES / f"{name}.log").read_bytes().decode().split("\n"), failing[name][0][0] - 1, size)
        for name in NAMES
    ]


def cut(lines: list[str], failing: int, size: int) -> str:
    """At most `size` bytes (as JSON) of whole lines around line `failing` (from 0), a third of them after it."""
    costs = [len(orjson.dumps(line)) for line in lines]  # the quotes make up for the newline's escape
    first, last = failing, failing + 1
    while last < len(lines) and sum(costs[failing : last + 1]) * 3 <= size:
        last += 1
    while first and sum(costs[first - 1 : last]) <= size:
        first -= 1
    while last < len(lines) and sum(costs[first : last + 1]) <= size:
        last += 1
    return "\n".join(lines[first:last]) + "\n"


def records(topic: str, count: int, *, size: int = 2048, partitions: int = 4, seed: int = 7) -> Iterator[Outbound]:
    """`count` records; `size` bounds the whole value in bytes.

    Figures of two digits and more (in hashes, times, sizes) are drawn anew for each record. 72 of 100 lines were in a
    record before then; where one job of ours was recorded twice it is 66 on average, in 43 failed runs of other
    projects' jobs 70 that the passing run before them had.
    """
    rng = random.Random(seed)  # noqa: S311 (no secret)
    kept = logs(size - ENVELOPE)

    def other(figures: re.Match[str]) -> str:
        return "".join(rng.choices("0123456789", k=len(figures[0])))

    for number, log in zip(range(count), itertools.cycle(kept)):
        repo = f"acme/{NAMES[number % len(NAMES)].partition('-')[0]}"
        event = {
            "specversion": "1.0",
            "type": "build.failed",
            "source": "https://ci.example",
            "id": str(number),
            "time": "2026-01-01T00:00:00Z",
            "datacontenttype": "text/plain",
            "repo": repo,
            "branch": "main",
            "commit": f"{rng.getrandbits(160):040x}",
            "job": "test",
            "runid": str(number),
            "data": _FIGURES.sub(other, log),
        }
        headers = (("content-type", b"application/cloudevents+json"),)
        yield Outbound(topic, repo.encode(), orjson.dumps(event), headers, number % partitions)
