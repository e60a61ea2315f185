"""The whole line with the bundled pipeline `ci_failure`, on a model that answers at once.

`python -m bench.peers.whole_line BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON; OUT is not used, the line
writes findings and signals to topics of its own.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry

from bench.peers.bare import report
from bench.stub import InstantModel
from processor.app import build_line, load
from processor.cluster.client import KafkaClient
from processor.contract import Record, TopicPartition
from processor.engine import Engine, MetricFamilies
from processor.home import Homes
from processor.lifecycle import settle
from processor.line import Line, Shared
from processor.logs.redact import redactor
from processor.settings import Settings
from processor.sinks.kafka import KafkaSink, KafkaSinkConfig
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.stages.fetch import Fetch, FetchConfig
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics, configure_logs

PREFIX = "bench"


def build(topic: str, model: InstantModel) -> Line:
    """The line as the daemon builds it, reading `topic`."""
    settings = Settings(
        models={"lite": {"urls": ["http://127.0.0.1:9/v1"]}}, pipelines=["ci_failure"], topics={"prefix": PREFIX}
    )
    homes = Homes.of(())
    shared = Shared(PREFIX, Fetch(FetchConfig()), Redact(redactor()), LineMetrics(CollectorRegistry()))
    line = build_line(load(settings, homes), settings, homes, {"lite": model}, shared)
    line.topics = {topic: line.topics["ci.builds.failed"]}
    return line


class Clocked(KafkaSource):
    """A source that notes when its first record came, and how many are committed."""

    started = 0.0
    cpu = 0.0
    committed_records = 0

    def __init__(self, client: KafkaClient, config: KafkaSourceConfig) -> None:
        super().__init__(client, config)
        self._ends: dict[TopicPartition, int] = {}
        self._moved = asyncio.Event()

    async def poll(self, timeout_s: float, limit: int) -> Sequence[Record]:
        """As it is."""
        found = await super().poll(timeout_s, limit)
        if found and not self.started:
            self.started, self.cpu = time.perf_counter(), time.process_time()
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """As it is."""
        await super().commit(offsets)
        self._ends.update(offsets)
        self.committed_records = sum(self._ends.values())
        self._moved.set()

    async def reached(self, count: int) -> None:
        """Returns once so many records are committed."""
        while self.committed_records < count:
            self._moved.clear()
            await self._moved.wait()


async def main(bootstrap: str, topic: str, _out: str, group: str, count: int) -> None:
    """Runs the daemon's engine and line until `count` records are committed."""
    model = InstantModel()
    line = build(topic, model)
    for lane in line.lanes.values():
        lane.warm()
    settle()
    client = KafkaClient(bootstrap)
    metrics = MetricFamilies(CollectorRegistry()).of("line")
    source = Clocked(client, KafkaSourceConfig(group, {topic: "earliest"}))
    engine = Engine(source, KafkaSink(KafkaSinkConfig(client.arguments())), line, metrics=metrics)
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    reached = asyncio.create_task(source.reached(count))
    await asyncio.wait([reached, running], return_when=asyncio.FIRST_COMPLETED)
    report(source.committed_records, source.started, source.cpu)
    if model.asked < count:
        raise SystemExit(f"of {count} records {model.asked} got to the model; the others took a shorter way")
    stop.set()
    await running


if __name__ == "__main__":
    configure_logs("warning")
    where, read, written, member, records = sys.argv[1:]
    asyncio.run(main(where, read, written, member, int(records)))
