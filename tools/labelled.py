"""Logs with a known truth, to train and to evaluate with: the recorded samples and, where present, the dev corpus."""

from __future__ import annotations

import functools
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from processor.contract import Excerpt
from processor.logs import reduce
from processor.logs.redact import redactor
from processor.logs.rules import RuleSet

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "pipelines" / "ci_failure" / "samples"
RULES = ROOT / "pipelines" / "ci_failure" / "rules.yaml"
UNPACKED = ROOT / ".cache" / "dev-corpus"
NAMELESS = frozenset(
    {
        "test", "compile", "static_check", "link_check", "config_script", "environment", "permission", "vcs_checkout",
        "image_pull", "network_infra", "infra_runner", "infra_cancel", "resource", "timeout_hang", "build",
    }
)  # fmt: skip
"""Categories in which a log without a labelled dependency has none; in the others its truth is unknown."""


@dataclass(frozen=True)
class Labelled:
    """One log, reduced, with its truth.

    Attributes:
        id: unique over both sets.
        set: which set it is from.
        group: what must not be in training and evaluation at once: the project, or the kind of injected fault.
        path: the log.
        weight: share of this log among the repeats of one fault.
        repeat: another run of the same fault comes first.
        categories: the right category first, then those that are right as well.
        names: names of the dependency at fault, all of them right; empty where none is.
        dependency_known: whether ``names`` can be scored.
        failing: numbers of the lines that show the fault; empty where nobody marked them.
        proposed: the category that a rule proposes without deciding, if one does.
    """

    id: str
    set: Literal["samples", "dev"]
    group: str
    path: Path
    weight: float
    repeat: bool
    excerpt: Excerpt
    categories: tuple[str, ...]
    names: frozenset[str]
    dependency_known: bool
    failing: frozenset[int] = frozenset()
    proposed: str | None = None


def excerpt_of(data: bytes) -> Excerpt:
    """The excerpt of a log, as the line makes it: redacted, then reduced."""
    return reduce(redactor().redact(data))


@functools.cache
def _rules() -> RuleSet:
    return RuleSet.parse(yaml.safe_load(RULES.read_text()))


def proposal(excerpt: Excerpt) -> str | None:
    """The category that a rule proposes and leaves open."""
    match = _rules().match(excerpt)
    return match.fields.get("category") if match is not None and not match.decides else None


def samples() -> list[Labelled]:
    """The recorded samples."""
    rows = [json.loads(line) for line in (SAMPLES / "truth.jsonl").read_text().splitlines()]
    repeats = Counter((row["repo"], row["fault"]) for row in rows)
    seen: set[tuple[str, str]] = set()
    logs = []
    for row in rows:
        fault = (row["repo"], row["fault"])
        path = SAMPLES / f"{row['id']}.log"
        excerpt = excerpt_of(path.read_bytes())
        logs.append(
            Labelled(
                id=row["id"],
                set="samples",
                group=f"kind {row['kind']}",
                path=path,
                weight=1 / repeats[fault],
                repeat=fault in seen,
                excerpt=excerpt,
                categories=(row["category"], *row["category_alt"]),
                names=_names(row["faulty_dependency"]),
                dependency_known=True,
                failing=_numbers(row["failing_lines"]),
                proposed=proposal(excerpt),
            )
        )
        seen.add(fault)
    return logs


def dev() -> list[Labelled]:
    """The logs of the dev corpus that have a category; none where the corpus is absent."""
    folder = corpus()
    if folder is None:
        return []
    return list(_dev(folder))


def corpus() -> Path | None:
    """The unpacked dev corpus (``$FAULTSTREAM_CORPUS``, or unpacked here once from ``$FAULTSTREAM_DATA``)."""
    if given := os.environ.get("FAULTSTREAM_CORPUS"):
        return Path(given)
    packed = Path(os.environ.get("FAULTSTREAM_DATA") or ROOT.parent / "shared" / "data") / "dev-corpus.tar.xz"
    if not packed.exists():
        return None
    if not (UNPACKED / "ci-logs" / "labels.jsonl").exists():
        UNPACKED.mkdir(parents=True, exist_ok=True)
        with tarfile.open(packed) as archive:
            archive.extractall(UNPACKED, filter="data")
    return UNPACKED


def _dev(folder: Path) -> Iterator[Labelled]:
    logs = folder / "ci-logs"
    for line in (logs / "labels.jsonl").read_text().splitlines():
        row: dict[str, Any] = json.loads(line)
        if not row.get("category_norm"):
            continue
        names = _names(row.get("faulty_dependency"))
        excerpt = excerpt_of((logs / row["path"]).read_bytes())
        hidden = row["source"] == "bump" and not row.get("dep_artifact_in_error_lines")
        yield Labelled(
            id=row["id"],
            set="dev",
            group=f"project {row.get('project') or row['id']}",
            path=logs / row["path"],
            weight=1.0,
            repeat=False,
            excerpt=excerpt,
            categories=(row["category_norm"], *(row.get("category_alt") or ())),
            names=names,
            dependency_known=not hidden and bool(names or row["category_norm"] in NAMELESS),
            failing=_numbers(row.get("failing_lines") or ()),
            proposed=proposal(excerpt),
        )


def _numbers(spans: Iterable[Sequence[int]]) -> frozenset[int]:
    return frozenset(number for first, last in spans for number in range(first, last + 1))


def _names(dependency: dict[str, Any] | None) -> frozenset[str]:
    if not dependency:
        return frozenset()
    return frozenset({dependency["name"], *(dependency.get("accept") or ())})
