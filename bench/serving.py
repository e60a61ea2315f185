"""`python -m bench.serving`: the serving layer's figures, into bench/results/serving.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench import placement
from bench.machine import machine

RESULT = Path(__file__).resolve().parent / "results" / "serving.json"


def main() -> None:
    """Runs what there is and keeps the figures of other runs that stand in the result already."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--requests", type=int, default=6000, help="requests of each simulation")
    parser.add_argument("--asked", type=int, default=1500, help="requests over HTTP in each round")
    given = parser.parse_args()
    known: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    found = placement.run(given.requests, given.asked)
    known |= found["measures"] | {"machine": machine(), "placements": found["placements"]}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for way, values in found["placements"].items():
        print(f"{way:14}" + "".join(f"{name} {value:8.3f}   " for name, value in values.items()))
    for name, value in found["measures"].items():
        print(f"{name:32} {value:8.3f}")


if __name__ == "__main__":
    main()
