"""The write part as a daemon for the tests to kill.

`python tickets_process.py BOOTSTRAP PREFIX JIRA CHECKOUT NAME [FAULT]`; FAULT is an action and a point: the process
sends itself that signal when it first gets there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, TopicPartition
from processor.engine import Engine, ExactlyOnce, Journal, Limits
from processor.engine.delivery import Substitute
from processor.engine.inflight import Batch
from processor.home import Homes
from processor.lifecycle import Lifecycle
from processor.pipeline import Pipeline
from processor.settings import JiraSettings
from processor.sinks.kafka import KafkaSink, KafkaSinkConfig
from processor.sinks.transactions import KafkaTransactions
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.telemetry import configure_logs
from processor.tickets.jira import JiraClient
from processor.tickets.load import StateLoader
from processor.tickets.messages import Recurrence, Topics
from processor.tickets.plans import plans
from processor.tickets.reconcile import Reconciler
from processor.tickets.text import Texts
from processor.tickets.write import Writer


class Points:
    """The steps of the protocol, at one of which the process is killed or frozen."""

    def __init__(self, fault: str) -> None:
        action, _, self._point = fault.partition(" ")
        self._signal = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}.get(action)

    def reach(self, point: str) -> None:
        """Here it is."""
        if self._signal is not None and point == self._point:
            number, self._signal = self._signal, None
            os.kill(os.getpid(), number)

    def journal(self, real: Journal) -> Callable[[TopicPartition, Sequence[Outbound]], Any]:
        """With the intent to create, and the key, among what is written."""

        async def journal(at: TopicPartition, records: Sequence[Outbound]) -> None:
            names = {"creating": "intent", "open": "key"}
            name = names.get(orjson.loads(records[-1].value or b"{}").get("status", ""), "other")
            self.reach(f"before {name}")
            await real(at, records)
            self.reach(f"after {name}")

        return journal

    def jira(self, client: JiraClient) -> JiraClient:
        """With the POST: before its last check, after that, and after the answer."""
        create = client.create

        async def created(fields: Mapping[str, Any], may: Callable[[], bool]) -> str:
            def checked() -> bool:
                self.reach("before check")
                holds = may()
                self.reach("after check")
                return holds

            key = await create(fields, checked)
            self.reach("after post")
            return key

        client.create = created  # type: ignore[method-assign, assignment]
        return client


class Delivery(ExactlyOnce):
    """With the commit of offsets."""

    points: Points

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        """See ExactlyOnce."""
        if batch.entries:
            self.points.reach("before offsets")
        await super().deliver(batch, substitute)
        if batch.entries:
            self.points.reach("after offsets")


async def main(bootstrap: str, prefix: str, url: str, checkout: str, name: str, fault: str = "") -> None:
    """Runs until it is told to stop."""
    client, topics, points = KafkaClient(bootstrap, request_timeout_s=10), Topics(prefix), Points(fault)
    config = KafkaSourceConfig(
        topics.writer, {topics.commands: "earliest"}, session_timeout_s=6, rebalance_s=10, instance=name
    )
    pipeline = Pipeline.load(Path(checkout) / "pipelines" / "ci_failure", Homes((Path(checkout),)))
    jira = points.jira(JiraClient(JiraSettings(url=url, token="t", timeout_s=2.0, search_lag_s=0.0)))
    sink = KafkaSink(KafkaSinkConfig(client.arguments()))
    await sink.start()
    load = StateLoader(client, topics)
    # Each repeat is said at once, so that there is much to be killed in.
    said = {name: replace(plan, recurrence=Recurrence()) for name, plan in plans([pipeline]).items()}
    journal, source = Journal(), KafkaSource(client, config)
    delivery = Delivery(
        source, KafkaTransactions(KafkaSinkConfig(client.arguments())), topics.writer, yield_s=1.0, stateful=True
    )
    delivery.points = points
    writer = Writer(jira, Texts(said), points.journal(journal), sink.publish, load, topics, unsettled_s=2.0, hold_s=2.0)
    engine = Engine(
        source,
        KafkaSink(KafkaSinkConfig(client.arguments())),
        writer,
        Limits(backoff_most_s=1.0, linger_s=0.0),
        delivery=delivery,
        key_of=Writer.key_of,
        journal=journal,
    )
    reconciler = Reconciler(jira, writer.book, sink.publish, topics, redact=str, every_s=2.0)
    async with Lifecycle() as life:
        life.cleanup("jira", jira.close)
        life.cleanup("sink", sink.stop)
        life.task("engine", engine.run(life.stop))
        life.task("reconcile", reconciler.run(life.stop))
        await life.run()


if __name__ == "__main__":
    configure_logs("warning")
    asyncio.run(main(*sys.argv[1:]))
