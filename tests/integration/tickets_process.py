"""The write part as a daemon for the tests to kill: `python tickets_process.py BOOTSTRAP PREFIX JIRA CHECKOUT`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from processor.cluster.client import KafkaClient
from processor.engine import Engine, ExactlyOnce, Journal, Limits
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
from processor.tickets.text import Texts
from processor.tickets.write import Writer


async def main(bootstrap: str, prefix: str, url: str, checkout: str) -> None:
    """Runs until it is told to stop."""
    client, topics = KafkaClient(bootstrap, request_timeout_s=10), Topics(prefix)
    config = KafkaSourceConfig(topics.writer, {topics.commands: "earliest"}, session_timeout_s=6, rebalance_s=10)
    pipeline = Pipeline.load(Path(checkout) / "pipelines" / "ci_failure", Homes((Path(checkout),)))
    jira = JiraClient(JiraSettings(url=url, token="t", timeout_s=2.0, search_lag_s=0.0))
    sink = KafkaSink(KafkaSinkConfig(client.arguments()))
    await sink.start()
    load = StateLoader(client, topics)
    # Each repeat is said at once, so that there is much to be killed in.
    said = {name: replace(plan, recurrence=Recurrence()) for name, plan in plans([pipeline]).items()}
    journal, source = Journal(), KafkaSource(client, config)
    transactions = KafkaTransactions(KafkaSinkConfig(client.arguments()))
    writer = Writer(jira, Texts(said), journal, sink.publish, load, topics, unsettled_s=2.0, hold_s=2.0)
    engine = Engine(
        source,
        KafkaSink(KafkaSinkConfig(client.arguments())),
        writer,
        Limits(backoff_most_s=1.0),
        delivery=ExactlyOnce(source, transactions, topics.writer, stateful=True),
        key_of=Writer.key_of,
        journal=journal,
    )
    async with Lifecycle() as life:
        life.cleanup("jira", jira.close)
        life.cleanup("sink", sink.stop)
        life.task("engine", engine.run(life.stop))
        await life.run()


if __name__ == "__main__":
    configure_logs("warning")
    asyncio.run(main(*sys.argv[1:]))
