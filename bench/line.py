"""The whole line beside a bare client loop and beside FastStream: same broker, same records, in one run.

Rounds alternate between the peers, so that whatever else the machine does meets all of them; medians are told.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.machine import machine
from bench.peers.whole_line import PREFIX
from bench.records import records
from processor.cluster.client import KafkaClient
from processor.contract import Outbound
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from tools import bootstrap
from tools.servers import broker, kafka

HERE = Path(__file__).resolve().parent
PARTITIONS = 4


@dataclass
class Peer:
    """Something that consumes, parses and produces; `share` of the records is enough for one that reads one by one.

    The line needs all of them: what it has begun beyond its share would count as time that its share took.
    """

    name: str
    command: Callable[[], list[str]]
    share: float = 1.0
    runs: list[dict[str, float]] = field(default_factory=list)

    def median(self, what: str) -> float:
        """The median of its runs."""
        return statistics.median(run[what] for run in self.runs)


def peers(*, faststream: bool) -> list[Peer]:
    """All that are compared."""
    bare, ours = str(HERE / "peers" / "bare.py"), "bench.peers.whole_line"
    found = [
        Peer("bare_loop", lambda: [sys.executable, bare]),
        Peer("line", lambda: [sys.executable, "-m", ours]),
    ]
    if faststream:
        python = str(bootstrap.BENCH.ensure())
        found.append(Peer("faststream", lambda: [python, str(HERE / "peers" / "with_faststream.py")], 0.1))
    return found


async def prepare(address: str, topic: str, out: str, made: Sequence[Outbound]) -> None:
    """Makes the topics, and fills the first."""
    kinds = ["signals", *(f"{kind}.{name}" for kind in ("findings", "review") for name in ("ci_failure", "log_router"))]
    names = [topic, out, *(f"{PREFIX}.{kind}" for kind in kinds)]
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names if name not in there])
    finally:
        await admin.close()
    sink = KafkaSink(KafkaSinkConfig(KafkaClient(address)))
    await sink.start()
    try:
        for at in range(0, len(made), 1000):
            await sink.publish(made[at : at + 1000])
    finally:
        await sink.stop()


def measure(peer: Peer, address: str, topic: str, out: str, count: int) -> dict[str, float]:
    """One run of one peer, with a group of its own; what it told is among its runs then."""
    group = f"bench-{uuid.uuid4().hex[:12]}"
    command = [*peer.command(), address, topic, out, group, str(max(1, int(count * peer.share)))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=HERE.parent)
    if done.returncode:
        raise SystemExit(f"{peer.name} failed:\n{done.stderr[-3000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    peer.runs.append(told)
    return told


def run(*, count: int = 5_000, rounds: int = 5, faststream: bool = True) -> dict[str, Any]:
    """Measures; the result is what is written to bench/results/line.json."""
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = kafka.kafka(logs) if kafka.obstacle() is None else broker.broker(logs=logs)
        address = stack.enter_context(server).address
        topic, out = (f"bench-{part}-{uuid.uuid4().hex[:8]}" for part in ("in", "out"))
        asyncio.run(prepare(address, topic, out, list(records(topic, count, partitions=PARTITIONS))))
        compared = peers(faststream=faststream)
        for number in range(rounds):
            for peer in compared:
                told = measure(peer, address, topic, out, count)
                print(f"round {number + 1}  {peer.name:12} {told['records_per_s']:10,.0f} records/s", flush=True)
    rates = {peer.name: peer.median("records_per_s") for peer in compared}
    measures = {f"throughput_vs_{name}": round(rates["line"] / rates[name], 3) for name in rates if name != "line"}
    return {
        "measures": measures,
        "runs": {peer.name: peer.runs for peer in compared},
        "machine": machine() | {"broker": type(server).__name__.lower(), "record_bytes": 1990, "records": count},
    }
