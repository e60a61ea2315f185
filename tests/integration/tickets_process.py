"""The write part as a daemon for the tests to kill.

`run(BOOTSTRAP, PREFIX, JIRA, CHECKOUT, NAME[, FAULT])`; FAULT is an action and a point (see Points).
"""

from __future__ import annotations

import asyncio
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
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from processor.sinks.transactions import KafkaTransactions
from processor.sources.history import KafkaHistory
from processor.sources.kafka import KafkaSource, KafkaSourceConfig
from processor.telemetry import configure_logs
from processor.tickets.author import Recurrence
from processor.tickets.jira import JiraClient
from processor.tickets.jira.census import Census
from processor.tickets.listen import marks
from processor.tickets.load import StateLoader
from processor.tickets.messages import Topics
from processor.tickets.plans import plans
from processor.tickets.reconcile import Reconciler
from processor.tickets.text import Texts
from processor.tickets.write import Writer
from tests.integration.points import Points


class Steps(Points):
    """The points of the protocol."""

    def journal(self, real: Journal) -> Callable[[TopicPartition, Sequence[Outbound]], Any]:
        """With the intent to create, and the key, among what is written."""

        async def journal(at: TopicPartition, records: Sequence[Outbound]) -> None:
            names = {"creating": "intent", "open": "key"}
            written = orjson.loads(records[-1].value or b"{}")
            name = names.get(written.get("status", ""), "other")
            if (written.get("waits") or {}).get("sent"):
                name = "intent of a file"
            self.reach(f"before {name}")
            await real(at, records)
            self.reach(f"after {name}")

        return journal

    def jira(self, client: JiraClient) -> JiraClient:
        """With the POSTs: of an issue before its last check, after that, and after the answer; of a file after it."""
        create, attach = client.create, client.attach

        async def created(fields: Mapping[str, Any], may: Callable[[], bool]) -> str:
            def checked() -> bool:
                self.reach("before check")
                holds = may()
                self.reach("after check")
                return holds

            key = await create(fields, checked)
            self.reach("after post")
            return key

        async def attached(*file: Any) -> None:
            await attach(*file)
            self.reach("after post of a file")

        client.create = created  # type: ignore[method-assign, assignment]
        client.attach = attached  # type: ignore[method-assign, assignment]
        return client


class Delivery(ExactlyOnce):
    """With the commit of offsets."""

    points: Steps

    async def deliver(self, batch: Batch, substitute: Substitute) -> None:
        """See ExactlyOnce."""
        if batch.entries:
            self.points.reach("before offsets")
        await super().deliver(batch, substitute)
        if batch.entries:
            self.points.reach("after offsets")


async def main(bootstrap: str, prefix: str, url: str, checkout: str, name: str, fault: str = "") -> None:
    """Runs until it is told to stop."""
    client, topics, points = KafkaClient(bootstrap, request_timeout_s=10), Topics(prefix), Steps(fault)
    config = KafkaSourceConfig(
        topics.writer, {topics.commands: "earliest"}, session_timeout_s=6, rebalance_s=10, instance=name
    )
    pipeline = Pipeline.load(Path(checkout) / "pipelines" / "ci_failure", Homes((Path(checkout),)))
    jira = points.jira(JiraClient(JiraSettings(url=url, token="t", timeout_s=2.0, search_lag_s=0.0)))
    sink = KafkaSink(KafkaSinkConfig(client))
    await sink.start()
    # Each repeat is said at once, so that there is much to be killed in.
    said = {name: replace(plan, recurrence=Recurrence(), attach=True) for name, plan in plans([pipeline]).items()}
    journal, source = Journal(), KafkaSource(client, config)
    load = StateLoader(KafkaHistory(client), topics, journal.ahead)
    delivery = Delivery(source, KafkaTransactions(KafkaSinkConfig(client)), topics.writer, yield_s=1.0, stateful=True)
    delivery.points = points
    writer = Writer(
        jira,
        Texts(said),
        points.journal(journal),
        sink.publish,
        load,
        topics,
        unsettled_s=2.0,
        hold_s=2.0,
        touch_s=1.0,
    )
    engine = Engine(
        source,
        KafkaSink(KafkaSinkConfig(client)),
        writer,
        Limits(backoff_most_s=1.0, linger_s=0.0),
        delivery=delivery,
        key_of=Writer.key_of,
        journal=journal,
    )
    reconciler = Reconciler(
        jira,
        writer.book,
        sink.publish,
        topics,
        redact=str,
        census=Census(jira),
        marks=marks(client, topics),
        lag_s=0.0,
        every_s=2.0,
    )
    async with Lifecycle() as life:
        life.cleanup("jira", jira.close)
        life.cleanup("sink", sink.stop)
        life.task("engine", engine.run(life.stop))
        life.task("reconcile", reconciler.run(life.stop))
        life.task("catch-up", writer.catch_up(life.stop))
        await life.run()


def run(*words: str) -> None:
    """A life."""
    configure_logs("warning")
    asyncio.run(main(*words))
