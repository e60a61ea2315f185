"""Our *decide*, until so many signals are decided on.

`python -m bench.tickets.deciding BOOTSTRAP PREFIX COUNT [FOLDER]` prints one line of JSON. With COUNT 0 it tells how
long it took to start, its tables recovered.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.peers.bare import peak_mb, report
from bench.tickets.topics import PARTITIONS
from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.telemetry import configure_logs
from processor.tickets.decide import Decide, FaustConfig
from processor.tickets.decider import Tables
from processor.tickets.messages import Topics
from processor.tickets.policy import Policy
from processor.tickets.signals import Signals


class Clocked(Signals):
    """Notes when the first signal came."""

    started = 0.0
    cpu = 0.0

    def __call__(self, record: Record, tables: Tables) -> Sequence[Outbound]:
        """As it is."""
        if not self.started:
            self.started, self.cpu = time.perf_counter(), time.process_time()
        return super().__call__(record, tables)


async def main(bootstrap: str, prefix: str, count: int, folder: Path | None) -> None:
    """Runs it."""
    client, topics = KafkaClient(bootstrap), Topics(prefix)
    sink = KafkaSink(KafkaSinkConfig(client))
    await sink.start()
    signals = Clocked(topics, {"ci_failure": Policy()})
    decide = Decide(FaustConfig(client, PARTITIONS, folder), topics, [signals], sink.publish)
    began = time.perf_counter()
    running = asyncio.create_task(decide.run(asyncio.Event()))
    while decide.problem() is not None or decide.decided < count:
        await asyncio.wait([running], timeout=0.01)
        if running.done():
            running.result()
    if count:
        report(decide.decided, signals.started, signals.cpu)
        return
    told = {"start_s": time.perf_counter() - began, "known": decide.known, "rss_mb": peak_mb()}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    configure_logs("warning")
    where, name, records, *store = sys.argv[1:]
    asyncio.run(main(where, name, int(records), Path(store[0]) if store else None))
    os._exit(0)  # what was to be measured is told; a stop takes Faust seconds
