"""`python -m bench.serving [--only PART …]`: the serving layer's figures, into bench/results/serving.json.

Parts that need no model server: placement, overhead. On vLLM with the demo's model: closed_loop, vs_naive, adapters,
live. On vLLM with a 3B model's shape: ttft. Each keeps to a time of its own and tells medians of the rounds it had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog

from bench.machine import machine
from bench.serving import adapters, overhead, placement, questions, servers, warmth
from bench.serving.loads import Cases
from processor.errors import FaultstreamError
from tools import bootstrap
from tools.servers.process import ServerError

RESULT: Final = Path(__file__).resolve().parents[1] / "results" / "serving.json"

SECONDS: Final = {
    "placement": 40,
    "overhead": 120,
    "closed_loop": 180,
    "vs_naive": 270,
    "adapters": 150,
    "live": 30,
    "ttft": 120,
}
"""About how long each part measures, on two cores; starting the servers comes on top."""

FAILURES: Final = (FaultstreamError, ServerError, aiohttp.ClientError, TimeoutError, ExceptionGroup)
"""What may become of one part without keeping the others from their turn."""

AIMS: Final = {
    "closed_loop_vs_bare": "≥ 0.95",
    "vs_naive": "≥ 25",
    "vs_naive_rules_off": "≥ 8",
    "accuracy": "≥ naive_accuracy",
    "dependency_accuracy": "≥ naive_dependency_accuracy",
    "adapters_mixed_vs_one": "≤ 1.05",
    "new_adapter_live_ms": "≤ 100",
    "ttft_cold_vs_warm": "≥ 15",
    "prefix_hit_share": "≥ 0.95",
    "imbalance": "≤ 1.25",
    "speedup_8_replicas": "near 8",
    "cpu_ms_per_request": "≤ 1",
    "added_p99_ms": "≤ 2",
}


class Bench:
    """The parts, and the servers and logs that they share; a server runs until another one is needed."""

    def __init__(self, given: argparse.Namespace, stack: ExitStack) -> None:
        self._given = given
        self._stack = stack
        self._choice = servers.Choice(given.url, given.model, given.store, given.logs)
        self._cases: Cases | None = None
        self._target: tuple[object, servers.Target] | None = None

    def run(self, part: str) -> dict[str, Any]:
        """What a part finds, with `told` of the server that it asked."""
        given, seconds = self._given, SECONDS[part] * self._given.patience
        most, at_once = given.rounds, given.in_flight
        if part == "placement":
            return placement.run(given.requests, given.seeds)
        if part == "overhead":
            return asyncio.run(overhead.run(given.asked, max(most, 9), seconds))
        target = self._server(servers.large if part == "ttft" else servers.small)
        if part == "ttft":
            found = asyncio.run(warmth.cold_vs_warm(target, max(most, 5), seconds))
        elif part == "closed_loop":
            cases = self._logs().shortest(given.logs_asked)
            found = asyncio.run(questions.closed_loop(target, cases, at_once, most, seconds))
        elif part == "vs_naive":
            cases, few = self._logs().sample(given.logs_asked), given.naive_logs
            found = asyncio.run(
                questions.vs_naive(target, cases, few, at_once, given.naive_rounds, seconds, seconds * 0.6)
            )
        elif not target.shape:
            raise SystemExit(f"{part}: adapters are made to a model's shape: name its folder with --model")
        elif part == "adapters":
            found = asyncio.run(adapters.mixed_vs_one(target, self._choice, at_once, most, seconds))
        else:
            found = asyncio.run(adapters.live(target, self._choice, max(most, 5), seconds))
        found["detail"]["server"] = target.told
        return found

    def _logs(self) -> Cases:
        if self._cases is None:
            bootstrap.say("serving", "reading labelled logs, and ranking each without its project")
            self._cases = Cases.load()
        return self._cases

    def _server(self, make: Callable[[servers.Choice], Any]) -> servers.Target:
        kind = servers.small if self._choice.url or self._choice.folder else make
        if self._target is None or self._target[0] is not kind:
            self._stack.close()  # two servers at once don't fit
            self._target = (kind, self._stack.enter_context(kind(self._choice)))
        return self._target[1]


def keep(part: str, found: dict[str, Any], seconds: float, words: Sequence[str]) -> dict[str, Any]:
    """Writes a part's figures beside those of other parts and runs; returns all."""
    known: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    detail = found.pop("detail")
    known |= {name: None if value is None else round(value, 4) for name, value in found.items()}
    known.setdefault("parts", {})[part] = {
        "command": " ".join(["python -m bench.serving", *words]),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": machine(),
        **detail,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return known


def table(known: dict[str, Any]) -> str:
    """The figures, one a line, with their aims."""
    rows = [f"{'measure':32} {'is':>9}   aim"]
    rows += [
        f"{name:32} {value:9.3f}   {AIMS.get(name, '')}"
        for name, value in known.items()
        if isinstance(value, float | int)
    ]
    return "\n".join(rows)


def main() -> int:
    """Runs the parts; each is written when it is done, and figures of other runs stay in the result."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(SECONDS), help="this part alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each part at most")
    parser.add_argument("--minutes", type=float, default=20, help="parts that would end later are left out")
    parser.add_argument("--patience", type=float, default=1.0, help="how many times its usual time a part may take")
    parser.add_argument(
        "--url", help="a vLLM at hand (…/v1) that serves its model as `base`, instead of one that is started"
    )
    parser.add_argument(
        "--model", type=Path, help="folder of the model to serve instead of the demo's, or that --url serves"
    )
    parser.add_argument(
        "--store", type=Path, help="folder that the server at --url sees under the same path, for adapters"
    )
    parser.add_argument("--logs", type=Path, help="folder for the log of the server")
    parser.add_argument("--in-flight", type=int, default=16, help="questions at once")
    parser.add_argument("--logs-asked", type=int, default=24, help="labelled logs that the line is asked about")
    parser.add_argument("--naive-logs", type=int, default=8, help="how many of these are asked about naively at most")
    parser.add_argument("--naive-rounds", type=int, default=1, help="rounds of vs_naive at most")
    parser.add_argument("--requests", type=int, default=6000, help="requests of each simulation")
    parser.add_argument("--seeds", type=int, default=7, help="simulations")
    parser.add_argument("--asked", type=int, default=1200, help="requests of overhead in each round")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    started = time.perf_counter()
    failed = False
    with ExitStack() as stack:
        bench = Bench(given, stack)
        for part in given.only or SECONDS:
            began = time.perf_counter()
            if began - started > 60 * given.minutes - SECONDS[part]:
                bootstrap.say("serving", f"{part} is left out, {given.minutes:g} minutes are over: --only {part}")
                continue
            try:
                found = bench.run(part)
            except FAILURES as error:
                failed = True
                bootstrap.say("serving", f"{part} failed: {error!r}")
                continue
            spent = time.perf_counter() - began
            keep(part, found, spent, sys.argv[1:])
            bootstrap.say("serving", f"{part} took {spent:.0f} s, its servers' start included")
    if RESULT.exists():
        print(table(json.loads(RESULT.read_text(encoding="utf-8"))))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
