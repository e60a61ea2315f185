"""Builds whose lines a log shipper sends one by one: the daemon as a process, on Apache Kafka, killed in mid-flight."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from tests.e2e.deployment import Deployment, sample, truths

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(300)]

END = "Job failed"
ATTRIBUTES = {"run_id": "labels.run", "repo": "labels.repo", "job": "labels.job"}


@pytest.fixture
def home(tmp_path: Path, checkout: Path) -> Path:
    """A home whose only pipeline is the one of failed builds, fed with lines."""
    folder = tmp_path / "home" / "pipelines" / "ci_failure"
    shutil.copytree(checkout / "pipelines" / "ci_failure", folder, ignore=shutil.ignore_patterns("samples"))
    file = folder / "pipeline.yaml"
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    how = {"key": ["run_id"], "end": f"^{END}$", "idle": "10m"}
    values["source"]["kafka"]["format"] = "json"
    values["source"] |= {"attributes": ATTRIBUTES, "assemble": how}
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return tmp_path / "home"


@pytest.fixture
async def deployment(
    apache_kafka: str, jira_double: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    """A deployment of that pipeline whose daemon is not started yet."""
    monkeypatch.setenv("FAULTSTREAM_HOME", str(home))
    made = Deployment(apache_kafka, jira_double, home.parent)
    await made.model.start()
    try:
        yield made
    finally:
        await made.close()


def shipped(run: int, name: str) -> list[bytes]:
    """The lines of a recorded build as fluent-bit sends them."""
    labels = {"run": f"r{run}", "repo": f"lines/{run % 3}", "job": "test"}
    texts = [*sample(name).decode("utf-8", "replace").split("\n"), END]
    return [json.dumps({"@timestamp": 1_767_225_600.5 + at, "log": f"{text}\n", "labels": labels}).encode()
            for at, text in enumerate(texts)]  # fmt: skip


async def test_a_killed_daemon_makes_one_finding_of_each_builds_lines(deployment: Deployment) -> None:
    """Lines of many builds in turn on one partition; kill -9 while answers are awaited and one build is still open."""
    await deployment.start()
    names = [truth["id"] for truth in truths() if truth["toolchain"] in {"pytest", "cargo", "npm"}][:12]
    builds = [shipped(run, name) for run, name in enumerate(names)]
    last = builds[0].pop()  # the oldest build stays open, so that the offset stays at its first line
    rows = [line for turn in itertools.zip_longest(*builds) for line in turn if line is not None]
    producer = AIOKafkaProducer(bootstrap_servers=deployment.bootstrap, linger_ms=20)
    await producer.start()
    try:
        sent = [await producer.send(deployment.topic, row, partition=0) for row in rows]
        first = (await sent[0]).offset
        await producer.flush()
        under_way = lambda: len(deployment.model.asked) >= 3 and deployment.findings  # noqa: E731
        await deployment.until(under_way, "the model is being asked, and something is done")
        deployment.kill()
        assert deployment.process is not None
        await deployment.process.wait()
        end = (await producer.send_and_wait(deployment.topic, last, partition=0)).offset
    finally:
        await producer.stop()
    await deployment.start()
    await deployment.until(lambda: len(deployment.findings) == len(builds), "each build has a finding")
    assert await deployment.stop() == 0
    records = deployment.records["findings.ci_failure"]
    found = {one["data"]["build"]["run_id"]: one["data"] for one in (json.loads(record.value) for record in records)}
    assert len(records) == len(found) == len(builds)
    assert not deployment.dead
    lengths = {f"r{run}": len(lines) for run, lines in enumerate(builds)} | {"r0": len(builds[0]) + 1}
    assert {run: (data["event"]["assembled"]["ended_by"], data["event"]["assembled"]["records"])
            for run, data in found.items()} == {run: ("end", length) for run, length in lengths.items()}  # fmt: skip
    assert (found["r0"]["event"]["offset"], found["r0"]["event"]["assembled"]["last_offset"]) == (first, end)
    for run, name in enumerate(names):
        lines = sample(name).decode("utf-8", "replace").splitlines()
        assert found[f"r{run}"]["evidence"]
        assert all(each["text"] in lines[each["line"] - 1] for each in found[f"r{run}"]["evidence"]), name
