"""Which recorded builds the demo sends, and in which order."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[2] / "pipelines" / "ci_failure" / "samples"


@dataclass(frozen=True, slots=True)
class Build:
    """A recorded failing build: its log, what was broken in it, and whether a rule decides it."""

    id: str
    log: bytes
    truth: dict[str, Any]
    by_rule: bool

    @property
    def pair(self) -> tuple[str, str]:
        """What a ticket stands for: the repository and the fault that was injected."""
        return self.truth["repo"], self.truth["fault"]

    def headers(self, number: int) -> list[tuple[str, bytes]]:
        """What a CI system sends along."""
        repo, run = self.truth["repo"], f"{1000 + number}"
        attributes = {
            "ce_type": "build.failed",
            "ce_source": f"https://ci.example.com/{repo}",
            "repo": repo,
            "branch": self.truth["branch"],
            "commit": self.truth["commit"],
            "job": self.truth["job"],
            "run_id": run,
            "url": f"https://ci.example.com/{repo}/runs/{run}",
            "provider": "recorder",
        }
        return [(name, value.encode()) for name, value in attributes.items()]


def recorded(by_rule: Callable[[bytes], bool], folder: Path = SAMPLES) -> list[Build]:
    """All recorded builds, in order of their ids."""
    lines = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    truths = sorted((json.loads(line) for line in lines), key=lambda truth: str(truth["id"]))
    logs = ((truth, (folder / f"{truth['id']}.log").read_bytes()) for truth in truths)
    return [Build(truth["id"], log, truth, by_rule(log)) for truth, log in logs]


def choose(builds: Iterable[Build], by_rules: int = 14, by_model: int = 18) -> list[Build]:
    """About as many builds as asked for of each sort: whole pairs, repeated ones first, toolchains in turn.

    Those that rules decide come first, so that tickets appear while the model is still being loaded.
    """
    groups: dict[tuple[str, str], list[Build]] = defaultdict(list)
    for build in builds:
        if build.truth["category"] == "infra_cancel":  # by the pipeline's own condition these get no ticket
            continue
        groups[build.pair].append(build)
    ruled = [group for group in groups.values() if all(build.by_rule for build in group)]
    asked = [group for group in groups.values() if not all(build.by_rule for build in group)]
    return [*_fill(ruled, by_rules), *_fill(asked, by_model)]


def _fill(groups: list[list[Build]], wanted: int) -> list[Build]:
    """Repeated pairs up to half of what is wanted, then single ones, the toolchains taking turns."""
    repeated = _turns([group[:3] for group in groups if len(group) > 1])
    single = _turns([group for group in groups if len(group) == 1])
    taken: list[Build] = []
    for group in repeated:
        if len(taken) + len(group) <= wanted // 2:
            taken += group
    for group in single:
        if len(taken) < wanted:
            taken += group
    return taken


def _turns(groups: list[list[Build]]) -> list[list[Build]]:
    by_tool: dict[str, list[list[Build]]] = defaultdict(list)
    for group in groups:
        by_tool[group[0].truth["toolchain"]].append(group)
    ordered: list[list[Build]] = []
    while any(by_tool.values()):
        ordered += [queue.pop(0) for _, queue in sorted(by_tool.items()) if queue]
    return ordered
