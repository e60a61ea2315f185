"""Our engine: source, bounds, order, delivery; its worker parses the record's JSON, asks a model, writes one output.

`python -m bench.peers.engine [--once] [--client CLIENT] [--model-ms MS] BOOTSTRAP IN OUT GROUP COUNT` prints a
line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import get_args

import orjson

from bench.peers.clocked import measured
from processor.contract import Outbound, Record, TopicPartition, packed
from processor.engine import Limits
from processor.errors import Rejected
from processor.lifecycle import settle
from processor.settings.kafka import Carrier
from processor.telemetry import configure_logs

CONCURRENCY = 256
"""Records that a model is asked about at once."""


async def at_once(log: str) -> str:
    """A model that answers without suspending."""
    return log


class Ask:
    """The worker: parse, ask, one output; the same JSON in and out as all peers have."""

    def __init__(self, out: str, model_ms: float) -> None:
        self._out = out
        self._model_s = model_ms / 1000

    async def handle(self, record: Record) -> Sequence[Outbound]:
        """One output."""
        event = orjson.loads(record.value or b"")
        if self._model_s:
            await asyncio.sleep(self._model_s)
        log = await at_once(event["data"])
        answer = {"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": log}
        return (Outbound(self._out, record.key, packed(answer)),)

    def reject(self, record: Record, error: Rejected) -> Sequence[Outbound]:
        """Nothing is rejected here."""
        raise AssertionError(f"{record.offset}: {error}")

    async def assigned(self, partition: TopicPartition) -> None: ...

    async def revoked(self, partition: TopicPartition) -> None: ...


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser()
    for name in ("where", "topic", "out", "group"):
        parser.add_argument(name)
    parser.add_argument("count", type=int)
    parser.add_argument("--once", action="store_true", help="with transactions")
    parser.add_argument("--model-ms", type=float, default=0.0, help="how long the model takes")
    parser.add_argument("--client", choices=get_args(Carrier), default="aiokafka", help="what carries records")
    given = parser.parse_args()
    configure_logs("warning")
    settle()
    # The bounds of the daemon: see processor.app.Parts.limits.
    limits = Limits(in_flight=16 * CONCURRENCY, concurrency=CONCURRENCY)
    worker = Ask(given.out, given.model_ms)
    asyncio.run(
        measured(
            worker,
            given.where,
            given.topic,
            given.group,
            once=given.once,
            count=given.count,
            limits=limits,
            records=given.client,
        )
    )


if __name__ == "__main__":
    main()
