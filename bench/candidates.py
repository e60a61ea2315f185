"""How often the true faulty dependency is among the candidates, and first of them, on labelled logs.

    python -m bench.candidates [--data DIR] [--budget 1000] [--whole] [--misses]

Of source ``bump`` only logs count whose failing lines name the artifact: in the others nobody could find it.
With ``--whole`` the extractors see the whole log, ranked as in the excerpt: what is missed there too is not missed
because of what `reduce` left out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processor.contract import Candidate, Excerpt, ExcerptLine
from processor.logs import reduce, text
from processor.logs.extract import candidates
from processor.logs.extract.beyond import beyond
from processor.logs.redact import redactor


@dataclass(frozen=True)
class Found:
    """One log with a known dependency: where it stands among the candidates (None: it isn't there)."""

    id: str
    source: str
    names: frozenset[str]
    rank: int | None
    packages: tuple[Candidate, ...]


def labelled(folder: Path) -> Iterator[tuple[Mapping[str, Any], bytes]]:
    """The logs of a corpus whose faulty dependency is known and can be read from the log."""
    for line in (folder / "labels.jsonl").read_text().splitlines():
        label = json.loads(line)
        if not label.get("faulty_dependency"):
            continue
        if label["source"] == "bump" and not label.get("dep_artifact_in_error_lines"):
            continue
        yield label, (folder / label["path"]).read_bytes()


def found(folder: Path, budget: int = 1000, *, whole: bool = False) -> list[Found]:
    """Where the truth stands among the candidates of each labelled log."""
    results = []
    for label, data in labelled(folder):
        dependency = label["faulty_dependency"]
        names = frozenset({dependency["name"], *(dependency.get("accept") or ())})
        packages = candidates(_excerpt(data, budget, whole=whole))["packages"]
        lowered = {name.lower() for name in names}
        rank = next((at for at, one in enumerate(packages) if one.name.lower() in lowered), None)
        results.append(Found(label["id"], label["source"], names, rank, packages))
    return results


def measure(folder: Path, budget: int = 1000, *, whole: bool = False) -> dict[str, float | int]:
    """Shares of logs whose true dependency is among the candidates (`candidate_recall`) and first (`…_first`)."""
    results = found(folder, budget, whole=whole)
    return {
        "candidate_logs": len(results),
        "candidate_recall": sum(one.rank is not None for one in results) / max(1, len(results)),
        "candidate_first": sum(one.rank == 0 for one in results) / max(1, len(results)),
    }


def _excerpt(data: bytes, budget: int, *, whole: bool) -> Excerpt:
    """What the line makes of a log; or all of its lines, in that order of likelihood."""
    data = redactor().redact(data)
    excerpt = reduce(data, budget, beyond=beyond)
    if not whole:
        return excerpt
    lines = text.show(text.clean(text.require_text(data))).split("\n")
    every = tuple(ExcerptLine(number, line) for number, line in enumerate(lines, start=1))
    return Excerpt(every, len(every), excerpt.ranked)


def main() -> None:
    """Prints the shares, and what was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FAULTSTREAM_DEV_LOGS", "ci-logs")))
    parser.add_argument("--whole", action="store_true", help="show the extractors whole logs")
    parser.add_argument("--misses", action="store_true", help="list logs whose dependency is missing or not first")
    options = parser.parse_args()
    if options.misses:
        for one in found(options.data, options.budget, whole=options.whole):
            if one.rank != 0:
                named = ", ".join(f"{each.ecosystem}/{each.name} {each.score}" for each in one.packages[:3])
                print(f"{one.id}  {sorted(one.names)}  rank {one.rank}  first: {named}")
    print(json.dumps(measure(options.data, options.budget, whole=options.whole)))


if __name__ == "__main__":
    main()
