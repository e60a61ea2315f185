"""The engine on Apache Kafka beside bare client loops and other frameworks: one broker, the same records, in one run.

Rounds alternate between the peers, every other one backwards, so that whatever else the machine does meets all of
them; medians are told. `python -m bench.kafka` writes bench/results/kafka.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from bench.latency import latency, of_finding
from bench.line import HERE, PARTITIONS, Peer, measure, prepare
from bench.machine import machine
from bench.peers.engine import CONCURRENCY
from bench.peers.whole_line import PREFIX
from bench.records import records
from processor.contract import Outbound
from tools import bootstrap
from tools.servers import kafka

RESULTS = HERE / "results" / "kafka.json"
COUNT, LARGE_COUNT, LINE_COUNT = 20_000, 1_500, 1_000
LARGE = 65_536
MODEL_MS = 300
SLOW_COUNT = 33 * CONCURRENCY
FEW = 3
"""Rounds of what takes ten seconds and more, and varies little."""


def peers(*, others: bool, batches: bool = True) -> list[Peer]:
    """All that are compared at full speed.

    `others`: those that need an environment of their own, too. `batches`: bare loops that pack batches by hand, too.
    """
    ours = [sys.executable, "-m", "bench.peers.engine"]
    found = [
        Peer("bare", lambda: _script("bare.py")),
        Peer("engine", lambda: ours),
        Peer("engine_librdkafka", lambda: [*ours, "--client", "librdkafka"]),
        Peer("bare_once", lambda: _script("bare_transactional.py")),
        Peer("engine_once", lambda: [*ours, "--once"]),
        Peer("faust", lambda: [sys.executable, "-m", "bench.peers.with_faust"], 0.05),
    ]
    if batches:
        found += [
            Peer("bare_batches", lambda: _script("bare_batches.py")),
            Peer("bare_batches_once", lambda: [*_script("bare_batches.py"), "--once"]),
        ]
    if others:
        python = str(bootstrap.BENCH.ensure())
        found += [
            Peer("faststream", lambda: _script("with_faststream.py", python), 0.05),
            Peer("quix", lambda: _script("with_quix.py", python)),
            Peer("confluent", lambda: _script("with_confluent.py", python)),
        ]
    return found


def lines() -> list[Peer]:
    """The whole line with transactions: reported beside the engine, for a line does far more per record."""
    line = [sys.executable, "-m", "bench.peers.whole_line", "--once", "--pipeline"]
    return [Peer(f"line_{name}", lambda name=name: [*line, name]) for name in ("ci_failure", "log_router")]  # type: ignore[misc]


def _script(name: str, python: str = sys.executable) -> list[str]:
    return [python, str(HERE / "peers" / name)]


def enlarged(made: Sequence[Outbound], size: int) -> list[Outbound]:
    """The same records with logs repeated until the value has some `size` bytes."""
    grown = []
    for record in made:
        event = orjson.loads(record.value or b"")
        log = event["data"]
        room = size - len(record.value or b"") + len(orjson.dumps(log))
        event["data"] = (log * (room // len(log) + 1))[: room * len(log) // len(orjson.dumps(log))]
        grown.append(replace(record, value=orjson.dumps(event)))
    return grown


class Bench:
    """One run on one broker."""

    def __init__(self, address: str, rounds: int) -> None:
        self._address = address
        self._rounds = rounds
        self.runs: dict[str, list[dict[str, float]]] = {}

    def topics(self, made: Sequence[Outbound]) -> tuple[str, str]:
        """A topic with these records, and an empty one."""
        topic, out = (f"bench-{part}-{uuid.uuid4().hex[:8]}" for part in ("in", "out"))
        asyncio.run(prepare(self._address, topic, out, [replace(record, topic=topic) for record in made]))
        return topic, out

    def compare(
        self, compared: Sequence[Peer], made: Sequence[Outbound], suffix: str = "", *, most: int = 100
    ) -> dict[str, float]:
        """Records per second of each, the median of the rounds, of which there are at most `most`."""
        topic, out = self.topics(made)
        for number in range(min(self._rounds, most)):
            for peer in compared if number % 2 == 0 else reversed(compared):
                told = measure(peer, self._address, topic, out, len(made))
                self._tell(number, peer.name + suffix, f"{told['records_per_s']:10,.0f} records/s")
        self.runs |= {peer.name + suffix: peer.runs for peer in compared}
        return {peer.name: peer.median("records_per_s") for peer in compared}

    def slow(self, made: Sequence[Outbound]) -> dict[str, float]:
        """The share of what a model of so many milliseconds allows with so many questions open."""
        command = [sys.executable, "-m", "bench.peers.engine", "--once", "--model-ms", str(MODEL_MS)]
        peer = Peer("slow_model", lambda: command)
        rate = self.compare([peer], made[:SLOW_COUNT], most=FEW)["slow_model"]
        return {"slow_model_share_of_ideal": rate / (CONCURRENCY / MODEL_MS * 1000)}

    def latency(self) -> dict[str, float]:
        """Milliseconds from an event to its finding, through the whole line with transactions."""
        command = [sys.executable, "-m", "bench.peers.whole_line", "--once"]
        runs = []
        for number in range(min(self._rounds, FEW)):
            topic, _ = self.topics([])
            out = f"{PREFIX}.findings.ci_failure"
            told = asyncio.run(latency(self._address, command, topic, out, of_finding, cwd=HERE.parent))
            self._tell(number, "latency", f"p50 {told['p50_ms']:.1f} ms, p99 {told['p99_ms']:.1f} ms")
            runs.append(told)
        self.runs["latency"] = runs
        return {f"added_latency_{key}": statistics.median(run[key] for run in runs) for key in ("p50_ms", "p99_ms")}

    def _tell(self, number: int, name: str, what: str) -> None:
        print(f"round {number + 1}  {name:22} {what}", flush=True)


def ratios(rates: dict[str, float], suffix: str = "") -> dict[str, float]:
    """What is judged, of the rates of one comparison."""
    names = {"at_least_once_vs_bare": "bare", "at_least_once_vs_bare_batches": "bare_batches"}
    names |= {f"vs_{name}": name for name in ("faust", "faststream", "quix", "confluent")}
    found = {told: rates["engine"] / rates[name] for told, name in names.items() if name in rates}
    if (carried := rates.get("engine_librdkafka")) is not None:
        found |= {f"librdkafka_{told}": carried / rates[name] for told, name in names.items() if name in rates}
    names = {"exactly_once_vs_bare": "bare_once", "exactly_once_vs_bare_batches": "bare_batches_once"}
    found |= {told: rates["engine_once"] / rates[name] for told, name in names.items() if name in rates}
    return {name + suffix: value for name, value in found.items()}


def run(*, rounds: int, count: int, others: bool) -> dict[str, Any]:
    """Measures; the result is what is written."""
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(stack.enter_context(kafka.kafka(logs)).address, rounds)
        made = list(records("", max(count, SLOW_COUNT), partitions=PARTITIONS))
        measures = ratios(bench.compare(peers(others=others), made[:count]))
        large = enlarged(made[:LARGE_COUNT], LARGE)
        measures |= ratios(bench.compare(peers(others=others, batches=False), large, "_64k"), "_64k")
        measures |= bench.slow(made) | bench.latency()
        bench.compare(lines(), made[:LINE_COUNT], most=FEW)
    ci = bench.runs["line_ci_failure"]
    measures["rss_mb"] = statistics.median(run["rss_mb"] for run in ci)
    measures["rss_rest_mb"] = statistics.median(run["rss_rest_mb"] for run in ci)
    return {
        "measures": {name: round(value, 3) for name, value in measures.items()},
        "runs": bench.runs,
        "machine": machine() | {"broker": "kafka", "record_bytes": [2048, LARGE], "records": [count, LARGE_COUNT]},
    }


def main() -> None:
    """Runs it and writes the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.kafka", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each peer")
    parser.add_argument("--records", type=int, default=COUNT, help="records of 2 KB per run")
    parser.add_argument("--no-others", action="store_true", help="without what needs an environment of its own")
    given = parser.parse_args()
    result = run(rounds=given.rounds, count=given.records, others=not given.no_others)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, value in result["measures"].items():
        print(f"{name:36} {value:8.3f}")


if __name__ == "__main__":
    main()
