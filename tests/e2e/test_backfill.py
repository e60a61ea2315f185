"""`start` and `faultstream backfill` with the daemon as a process, on Apache Kafka."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.e2e.deployment import SAMPLES, Deployment

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(300)]

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
PAST = 40
FIRST = 30
"""Minutes after the first event: from here on the pipeline is to begin."""

SPAN = range(10, 20)
"""What is to be worked on later."""


def moment(minute: int) -> str:
    """When the past event of that number came."""
    return (BEGAN + timedelta(minutes=minute)).isoformat()


class Builds:
    """Failed builds by number, on two partitions; those of the past have come one a minute."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    async def send(self, numbers: Iterable[int], *, past: bool = False) -> None:
        """They come now, or have come then."""
        producer = AIOKafkaProducer(bootstrap_servers=self.deployment.bootstrap)
        await producer.start()
        try:
            for n in numbers:
                headers = [("ce_type", b"build.failed"), ("repo", b"acme/web"), ("run_id", b"%d" % n)]
                time = int((BEGAN + timedelta(minutes=n)).timestamp() * 1000) if past else None
                log = b"$ make all\nerror: the frobnicator of part %d is out of tune\nmake: *** [all] Error 1\n" % n
                await producer.send_and_wait(
                    self.deployment.topic, log, headers=headers, timestamp_ms=time, partition=n % 2
                )
        finally:
            await producer.stop()

    def found(self) -> Counter[int]:
        """How many findings there are of each."""
        records = self.deployment.records.get("findings.ci_failure", [])
        return Counter(int(json.loads(record.value)["data"]["build"]["run_id"]) for record in records)

    async def all_of(self, numbers: Iterable[int]) -> None:
        """Waits until each has a finding."""
        wanted = set(numbers)
        await self.deployment.until(lambda: wanted <= self.found().keys(), f"findings of {sorted(wanted)}")


@pytest.fixture
async def builds(
    apache_kafka: str, jira_double: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Builds]:
    """Past events on a topic of its own, and a pipeline that is to begin behind three quarters of them."""
    topic = f"builds-{uuid.uuid4().hex[:8]}"
    folder = tmp_path / "home" / "pipelines" / "ci_failure"
    shutil.copytree(SAMPLES.parent, folder, ignore=shutil.ignore_patterns("samples", "cases.yaml"))
    document: dict[str, Any] = yaml.safe_load((folder / "pipeline.yaml").read_text())
    document["source"] = {"kafka": {"topics": [topic], "start": moment(FIRST)}}
    del document["rules"], document["ticket"]
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("FAULTSTREAM_HOME", str(tmp_path / "home"))
    made = Builds(Deployment(apache_kafka, jira_double, tmp_path, topic=topic))
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    await made.send(range(PAST), past=True)
    await made.deployment.model.start()
    try:
        yield made
    finally:
        await made.deployment.close()


async def backfill(deployment: Deployment) -> dict[str, Any]:
    """The command, as a process of its own, and what it says."""
    words = ["backfill", "ci_failure", "--since", moment(SPAN.start), "--until", moment(SPAN.stop), "--rate", "2"]
    config = str(deployment.folder / "faultstream.yaml")
    command = [sys.executable, "-m", "processor", *words, "--json", "--config", config]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        told, _ = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    return dict(json.loads(told))


async def test_a_span_of_the_past_is_worked_on_once_beside_what_comes(builds: Builds) -> None:
    """That span, and what came since the start; neither a kill -9 in its midst nor a second backfill repeats any."""
    deployment, began = builds.deployment, range(FIRST, PAST)
    await deployment.start()
    await builds.all_of(began)
    assert builds.found() == Counter(began)

    sending = asyncio.create_task(backfill(deployment))
    await deployment.until(lambda: builds.found().keys() & set(SPAN), "the backfill has begun")
    await builds.send(range(100, 110))
    await builds.all_of(range(100, 110))
    assert not sending.done(), "what comes waits for the backfill"
    deployment.kill()
    assert deployment.process is not None
    await deployment.process.wait()
    await builds.send(range(110, 120))
    await deployment.start()
    assert (await sending)["kinds"] == {"sent": len(SPAN)}
    await builds.all_of([*SPAN, *range(110, 120)])

    again = await backfill(deployment)
    assert (again["before"], again["kinds"]) == (len(SPAN), {})
    assert await deployment.stop() == 0
    await deployment.start()
    await builds.send(range(120, 124))
    await builds.all_of(range(120, 124))
    assert builds.found() == Counter([*SPAN, *began, *range(100, 124)])
    assert not deployment.dead
