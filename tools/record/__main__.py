"""``python -m tools.record``: list the kinds of fault, record some, or record all that are committed."""

from __future__ import annotations

import argparse
import fcntl
import fnmatch
import json
import os
import sys
import time
from pathlib import Path

from tools.record import faults
from tools.record.fault import REGISTRY, Kind
from tools.record.record import RecordingError, Sample, record, sample_id

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "faultstream-record"


def main() -> int:
    """Parse the command line and record; 1 if a fault did not show."""
    parser = argparse.ArgumentParser(prog="python -m tools.record", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the kinds, their variants and kept runs")
    parser.add_argument("--only", action="append", default=[], metavar="KIND", help="kind or pattern, e.g. 'npm/*'")
    parser.add_argument("--vary", type=int, default=0, metavar="N", help="N variants of each, one run each")
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="N runs of each variant")
    parser.add_argument("--missing", action="store_true", help="only samples that are not in DIR yet")
    parser.add_argument("--out", type=Path, default=Path("samples"), metavar="DIR")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="packages kept between jobs")
    options = parser.parse_args()
    faults.load()
    kinds = [kind for kind in REGISTRY.kinds.values() if _wanted(kind, options.only)]
    if not kinds:
        parser.error(f"no such kind; there are {', '.join(sorted(REGISTRY.kinds))}")
    if options.list:
        _list(kinds)
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for kind, variant, run in _plan(kinds, options.vary, options.runs):
        if options.missing and (options.out / f"{sample_id(kind, variant, run)}.log").exists():
            continue
        failed += not _one(kind, variant, run, options.out, options.cache)
    return 1 if failed else 0


def _wanted(kind: Kind, patterns: list[str]) -> bool:
    return not patterns or any(fnmatch.fnmatch(kind.name, pattern) for pattern in patterns)


def _plan(kinds: list[Kind], vary: int, runs: int) -> list[tuple[Kind, int, int]]:
    """Which samples to record: the committed ones unless told otherwise."""
    plan = []
    for kind in kinds:
        keep = [runs or 1] * min(vary, len(kind.variants)) if vary else list(kind.keep)
        plan += [(kind, index, run) for index, count in enumerate(keep) for run in range(runs or count)]
    return plan


def _one(kind: Kind, variant: int, run: int, out: Path, cache: Path) -> bool:
    identity = sample_id(kind, variant, run)
    started = time.monotonic()
    try:
        sample = record(kind, variant, run, cache)
    except (RecordingError, RuntimeError) as error:
        print(f"FAILED {identity}: {error}", file=sys.stderr)
        return False
    _keep(sample, out)
    lines = sample.truth["failing_lines"]
    print(f"{identity}: {len(sample.log):,} bytes, lines {lines}, {time.monotonic() - started:.0f} s", flush=True)
    return True


def _keep(sample: Sample, out: Path) -> None:
    (out / f"{sample.truth['id']}.log").write_bytes(sample.log)
    index = out / "truth.jsonl"
    lock = os.open(out, os.O_RDONLY)
    try:  # two recorders may fill one folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        _index(sample, index)
    finally:
        os.close(lock)


def _index(sample: Sample, index: Path) -> None:
    rows = [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []
    rows = [row for row in rows if row["id"] != sample.truth["id"]] + [sample.truth]
    rows.sort(key=lambda row: row["id"])
    index.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _list(kinds: list[Kind]) -> None:
    for kind in kinds:
        print(f"{kind.name}  ({sum(kind.keep)} committed)")
        for index, variant in enumerate(kind.variants):
            print(f"  {chr(ord('a') + index)}  {json.dumps(variant)}")


if __name__ == "__main__":
    sys.exit(main())
