"""`faultstream cost` on Apache Kafka: findings in, the table and the JSON out."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from rich.console import Console

from processor.cli import cost
from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Usage
from processor.costs.ledger import Ledger, Tariff
from processor.costs.report import Report
from processor.settings import ModelSettings, Settings
from processor.settings.kafka import KafkaSettings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.kafka import KafkaSink
from tests.unit.test_costs import RULE, by_model, dead, finding

pytestmark = pytest.mark.kafka


async def test_findings_are_added_up_from_their_topics(apache_kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Two pipelines, one of which has no findings yet; all rows stand in the table."""
    prefix, client = f"cost-{uuid.uuid4().hex[:8]}", KafkaClient(apache_kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    await admin.create_topics([NewTopic(f"{prefix}.findings.{name}", 2, 1) for name in ("ci", "deploys")])
    await admin.create_topics([NewTopic(f"{prefix}.dead-letters", 1, 1)])
    await admin.close()
    made = [
        finding([by_model(Usage(1000, 600, 50, 0.25))]),
        finding([by_model(Usage(1000, 600, 50, 0.25)), by_model(Usage(1000, 0, 50, 0.5), "pro")], review=True),
        finding([RULE]),
    ]
    lost = dead([by_model(Usage(1000, 0, 60, 0.5))])
    sink = KafkaSink(KafkaSinkConfig(client))
    await sink.start()
    try:
        await sink.publish([Outbound(f"{prefix}.findings.ci", b"k", record.value) for record in made])
        await sink.publish([Outbound(f"{prefix}.dead-letters", b"k", lost.value, lost.headers)])
    finally:
        await sink.stop()
    settings = Settings(
        kafka=KafkaSettings(bootstrap=apache_kafka),
        topics={"prefix": prefix},
        models={"lite": ModelSettings(urls=["http://127.0.0.1:1/v1"])},
    )
    report = await cost._read(settings, ["ci", "deploys"], ["ci", "deploys"], datetime.now(UTC) - timedelta(hours=1))
    said = report.said()
    assert [(row["pipeline"], row["findings"], row["cost_usd"]) for row in said["days"]] == [("ci", 3, 1.5)]
    assert (said["total"]["asked"], said["total"]["escalated"], said["total"]["review"]) == (2, 1, 1)
    assert said["total"]["dead_letters"] == 1
    cost.show(report, Console(width=160, force_terminal=False))
    table = capsys.readouterr().out
    assert table.count("ci") == 2
    assert "1.50" in table
    assert json.loads(json.dumps(said)) == said


def test_an_unpriced_tier_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty cell alone would look like nothing."""
    ledger = Ledger(Tariff.of({}, Settings().costs))
    ledger.add(finding([by_model(Usage(10, 0, 1))]))
    cost.show(Report.of(ledger, 0, 0, ["ci"]), Console(width=160))
    assert "has no price" in capsys.readouterr().out
