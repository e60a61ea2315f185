"""The whole line with a bundled pipeline, on a model that answers at once.

`python -m bench.peers.whole_line [--pipeline NAME] [--once] BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON; OUT
is not used, the line writes findings and signals to topics of its own.
"""

from __future__ import annotations

import argparse
import asyncio

from prometheus_client import CollectorRegistry

from bench.peers.clocked import measured
from bench.stub import InstantModel
from processor.app import build_line, load
from processor.home import Homes
from processor.lane import Shared
from processor.lifecycle import settle
from processor.line import Line
from processor.logs.redact import redactor
from processor.settings import Settings
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics, configure_logs

PREFIX = "bench"


def build(topic: str, pipeline: str, model: InstantModel) -> Line:
    """The line as the daemon builds it, reading `topic`."""
    settings = Settings(
        models={"lite": {"urls": ["http://127.0.0.1:9/v1"]}}, pipelines=[pipeline], topics={"prefix": PREFIX}
    )
    homes = Homes.of(())
    # No answers are remembered: the records differ in figures alone, and all but one would be answered from memory.
    shared = Shared(PREFIX, Fetch(FetchSettings()), Redact(redactor()), LineMetrics(CollectorRegistry()), answers=None)
    line = build_line(load(settings, homes), settings, homes, {"lite": model}, shared)
    line.topics = {topic: next(iter(line.topics.values()))}
    return line


async def main(given: argparse.Namespace) -> None:
    """Runs the daemon's engine and line until so many records are committed."""
    model = InstantModel()
    line = build(given.topic, given.pipeline, model)
    for lane in line.lanes.values():
        lane.warm()
    settle()
    await measured(line, given.where, given.topic, given.group, once=given.once, count=given.count)
    if model.asked < given.count:
        raise SystemExit(f"of {given.count} records {model.asked} got to the model; the others took a shorter way")


if __name__ == "__main__":
    configure_logs("warning")
    parser = argparse.ArgumentParser()
    for name in ("where", "topic", "out", "group"):
        parser.add_argument(name)
    parser.add_argument("count", type=int)
    parser.add_argument("--pipeline", default="ci_failure")
    parser.add_argument("--once", action="store_true", help="with transactions")
    asyncio.run(main(parser.parse_args()))
