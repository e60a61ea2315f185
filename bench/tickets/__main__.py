"""`python -m bench.tickets [--only PART …]`: the ticket role on Apache Kafka, into bench/results/tickets.json.

decisions: *decide* beside a bare Faust agent with a table, rounds in turn. recovery: a start with 100,000 faults known,
from the changelog alone and from the store on disk. storm: 5,000 equal failures through the whole role into the Jira
double. rate: many faults at once into a Jira that limits its callers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.machine import machine
from bench.tickets.limited_jira import BURST, LimitedJira
from bench.tickets.role import role, settled
from bench.tickets.topics import PARTITIONS, changes, create, fill, fingerprint, prepared, signal, signals
from processor.tickets.messages import LABEL, Topics
from tools.servers import jira, kafka

HERE: Final = Path(__file__).resolve().parents[1]
RESULT: Final = HERE / "results" / "tickets.json"

AIMS: Final = {
    "decisions_per_s": "≥ 500",
    "decisions_vs_bare_faust": "≥ 0.8",
    "jira_rate_share": "0.95 to 1.05",
    "recovery_100k_store_s": "< 10",
    "recovery_100k_changelog_s": "< 60",
    "storm_5000_s": "< 30",
    "storm_tickets": "1",
}

DECISIONS: Final = 8_000
SIGHTS: Final = 5
"""Signals of each fault when decisions are measured."""
KNOWN: Final = 100_000
STORM: Final = 5_000
RATE: Final = 20.0
"""Calls per second that the limited Jira allows."""
LIMITED: Final = 500
"""Faults that want a ticket of it at once."""
PATIENCE_S: Final = 180.0


class Bench:
    """One run on one broker."""

    def __init__(self, address: str, folder: Path, rounds: int) -> None:
        self._address = address
        self._folder = folder
        self._rounds = rounds
        self.runs: dict[str, list[dict[str, float]]] = {}

    def decisions(self) -> dict[str, float]:
        """Signals per second of both, each on topics of its own; every other round backwards."""
        peers: list[tuple[str, Callable[[Topics], list[str]]]] = [("bare_faust", self._bare), ("decide", self._ours)]
        for number in range(self._rounds):
            for name, command in peers if number % 2 == 0 else reversed(peers):
                topics = prepared(self._address, count=DECISIONS, faults=DECISIONS // SIGHTS)
                self._run(name, command(topics))
        ours, bare = (self._median(name, "records_per_s") for name in ("decide", "bare_faust"))
        return {"decisions_per_s": ours, "decisions_vs_bare_faust": ours / bare}

    def recovery(self) -> dict[str, float]:
        """Seconds from nothing to the first signal, Faust's own start and the group's join included."""
        topics = prepared(self._address, count=0, faults=1)
        asyncio.run(fill(self._address, changes(topics, KNOWN)))
        for number in range(min(self._rounds, 3)):
            command = self._decide(topics, 0)
            store = str(self._folder / f"store-{number}")
            self._run("changelog", command)
            self._run("filling", [*command, store])
            self._run("store", [*command, store])
        if any(run["known"] != KNOWN for name in ("changelog", "store") for run in self.runs[name]):
            raise SystemExit(f"not all of {KNOWN} faults were recovered: {self.runs}")
        found = {f"recovery_100k_{name}_s": self._median(name, "start_s") for name in ("changelog", "store")}
        return found | {f"rss_mb_{name}": self._median(name, "rss_mb") for name in ("changelog", "store")}

    def storm(self) -> dict[str, float]:
        """Equal failures all at once, until each is decided on and done, through the role as it is deployed."""
        topics = prepared(self._address, count=0, faults=1)
        with (
            jira.jira(logs=self._folder) as double,
            role(self._address, topics, double.address, self._folder / "storm"),
        ):
            began = time.perf_counter()
            asyncio.run(self._storm(topics))
            seconds = time.perf_counter() - began
            tickets = asyncio.run(found(double.address, 0))
        self._tell("storm", {"seconds": seconds, "tickets": tickets})
        return {"storm_5000_s": seconds, "storm_tickets": tickets}

    async def _storm(self, topics: Topics) -> None:
        await fill(self._address, [signal(topics, 0, sight) for sight in range(STORM)])
        await settled(self._address, topics, STORM, PATIENCE_S)

    def rate(self) -> dict[str, float]:
        """Calls that a Jira lets through, as a share of what it allows, while there is always more to be sent."""
        topics = prepared(self._address, count=0, faults=1)
        told = asyncio.run(self._limited(topics))
        self._tell("rate", told)
        return {"jira_rate_share": told["share"]}

    async def _limited(self, topics: Topics) -> dict[str, float]:
        async with LimitedJira(RATE) as server:
            running = role(self._address, topics, server.url, self._folder / "rate")
            await asyncio.to_thread(running.__enter__)
            try:
                skip = len(server.passed) + BURST
                await fill(self._address, signals(topics, LIMITED, LIMITED))
                async with asyncio.timeout(PATIENCE_S):
                    await server.reached(LIMITED)
            finally:
                await asyncio.to_thread(running.__exit__, None, None, None)
            return {"share": server.share(skip), "refused": server.refused, "calls": len(server.passed)}

    def _bare(self, topics: Topics) -> list[str]:
        group = f"bare-{uuid.uuid4().hex[:8]}"
        asyncio.run(create(self._address, [f"{group}-counts-changelog"]))
        words = [self._address, topics.signals, group, str(PARTITIONS), str(DECISIONS)]
        return [sys.executable, "-m", "bench.tickets.bare_faust", *words]

    def _ours(self, topics: Topics) -> list[str]:
        return self._decide(topics, DECISIONS)

    def _decide(self, topics: Topics, count: int) -> list[str]:
        return [sys.executable, "-m", "bench.tickets.deciding", self._address, topics.prefix, str(count)]

    def _run(self, name: str, command: Sequence[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=HERE.parent)
        if done.returncode or not done.stdout:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        self._tell(name, json.loads(done.stdout.splitlines()[-1]))

    def _tell(self, name: str, told: dict[str, float]) -> None:
        self.runs.setdefault(name, []).append(told)
        print(f"{name:12} " + ", ".join(f"{key} {value:,.1f}" for key, value in told.items()), flush=True)

    def _median(self, name: str, what: str) -> float:
        return statistics.median(run[what] for run in self.runs[name])


async def found(url: str, fault: int) -> int:
    """How many tickets of a fault are in Jira."""
    label = f"{LABEL}{fingerprint(fault)}"
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{url}/rest/api/2/search", params={"jql": f'labels = "{label}"'})
        issues = (await answer.json())["issues"]
    return sum(label in issue["fields"]["labels"] for issue in issues)


def run(*, rounds: int, only: Sequence[str]) -> dict[str, Any]:
    """Measures; the result is what is written."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(stack.enter_context(kafka.kafka(folder)).address, folder, rounds)
        parts = {"decisions": bench.decisions, "recovery": bench.recovery, "storm": bench.storm, "rate": bench.rate}
        measures: dict[str, float] = {}
        for name, part in parts.items():
            if name in only or not only:
                measures |= part()
    return {
        "measures": {name: round(value, 3) for name, value in measures.items()},
        "aims": AIMS,
        "runs": bench.runs,
        "machine": machine() | {"broker": "kafka", "partitions": PARTITIONS},
    }


def main() -> None:
    """Runs it and writes the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.tickets", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each peer")
    parser.add_argument("--only", nargs="*", default=[], choices=["decisions", "recovery", "storm", "rate"])
    given = parser.parse_args()
    result = run(rounds=given.rounds, only=given.only)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, value in result["measures"].items():
        print(f"{name:28} {value:10.3f}   {AIMS.get(name, '')}")


if __name__ == "__main__":
    main()
