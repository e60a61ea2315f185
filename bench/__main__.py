"""`python -m bench [NAME …]`: benchmarks, each with its result in bench/results/NAME.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench import line

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Runs the benchmark of the line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=line.__doc__)
    parser.add_argument("--records", type=int, default=5_000, help="records per run")
    parser.add_argument("--rounds", type=int, default=5, help="runs per peer")
    parser.add_argument("--no-faststream", action="store_true", help="without the peer that needs an environment")
    given = parser.parse_args()
    result = line.run(count=given.records, rounds=given.rounds, faststream=not given.no_faststream)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "line.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, value in result["measures"].items():
        print(f"{name:32} {value:8.3f}")


if __name__ == "__main__":
    main()
