"""How well `reduce` finds the failing lines of labelled logs: hit and line recall beside two baselines.

    python -m bench.reduce [--budget 1000] [--data DIR] [--misses]

A log is hit if a labelled line is kept; recall is the mean over logs of the share of labelled lines kept.
The baselines are given the same budget: the log's tail, and its last lines with an error word.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from processor.contract import Excerpt
from processor.logs import text
from processor.logs.reduce import reduce
from processor.logs.tokens import estimate

ERROR_WORD = re.compile(r"error|fail|exception|fatal|panic|cannot|denied", re.IGNORECASE)


def labelled(folder: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The logs of a corpus that have labelled lines."""
    for line in (folder / "labels.jsonl").read_text().splitlines():
        label = json.loads(line)
        if label.get("failing_lines"):
            yield label, (folder / label["path"]).read_bytes()


def kept(excerpt: Excerpt) -> set[int]:
    """Numbers of the kept lines; a collapsed run counts with its first."""
    return {line.number for line in excerpt.lines}


def tail(data: bytes, budget: int) -> set[int]:
    """The last lines that fit the budget."""
    return _last(data, budget, lambda _: True)


def words(data: bytes, budget: int) -> set[int]:
    """The last lines with an error word that fit the budget."""
    return _last(data, budget, lambda line: ERROR_WORD.search(line) is not None)


def _last(data: bytes, budget: int, wanted: Callable[[str], bool]) -> set[int]:
    lines = text.clean(data).split(b"\n")
    chosen: set[int] = set()
    for number in range(len(lines), 0, -1):
        line = text.show(lines[number - 1])
        if not line or not wanted(line):
            continue
        budget -= estimate(line) + 1
        if budget < 0:
            break
        chosen.add(number)
    return chosen


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FAULTSTREAM_DEV_LOGS", "ci-logs")))
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    table: dict[str, dict[str, list[tuple[bool, float]]]] = defaultdict(lambda: defaultdict(list))
    spent = size = 0.0
    for label, data in labelled(options.data):
        gold = {n for first, last in label["failing_lines"] for n in range(first, last + 1)}
        started = time.process_time()
        mine = kept(reduce(data, options.budget))
        spent += time.process_time() - started
        size += len(data)
        for name, chosen in (
            ("reduce", mine),
            ("tail", tail(data, options.budget)),
            ("error words", words(data, options.budget)),
        ):
            share = len(chosen & gold) / len(gold)
            for source in (label["source"], "all"):
                table[source][name].append((share > 0, share))
        if options.misses and len(mine & gold) / len(gold) < 0.5:
            print(label["id"], label["failing_lines"][:5], round(len(mine & gold) / len(gold), 2))
    for source, rows in table.items():
        for name, scores in rows.items():
            hit = sum(hit for hit, _ in scores) / len(scores)
            recall = sum(share for _, share in scores) / len(scores)
            print(f"{source:16} {name:12} {len(scores):4} logs  hit {hit:6.1%}  recall {recall:6.1%}")
    print(f"{size / spent / 1e6:.1f} MB/s")


if __name__ == "__main__":
    main()
