"""Two pipelines on one topic of Apache Kafka, one of which lacks its adapter for a while."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.deployment import SAMPLES, Deployment

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(300)]

LOG = b"$ make all\nerror: the frobnicator of part %d is out of tune\nmake: *** [all] Error 1\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a pipeline like ci_failure that asks an adapter, and leaves the deciding to it."""
    folder = tmp_path / "home" / "pipelines" / "tuned"
    shutil.copytree(SAMPLES.parent, folder, ignore=shutil.ignore_patterns("samples", "cases.yaml"))
    document = yaml.safe_load((folder / "pipeline.yaml").read_text())
    document |= {"pipeline": "tuned", "model": {"adapter": "tuned", "max_tokens": 192}}
    for key in ("rules", "ticket"):
        document.pop(key, None)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(document))
    adapter = tmp_path / "home" / "adapters" / "tuned"
    adapter.mkdir(parents=True)
    (adapter / "manifest.yaml").write_text("base_model: any\n")
    return tmp_path / "home"


@pytest.fixture
async def deployment(
    apache_kafka: str, jira_double: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    """A deployment of both pipelines."""
    monkeypatch.setenv("FAULTSTREAM_HOME", str(home))
    made = Deployment(apache_kafka, jira_double, tmp_path)
    await made.model.start()
    try:
        yield made
    finally:
        await made.close()


async def test_an_adapter_that_is_missing_holds_one_pipeline_up(deployment: Deployment) -> None:
    """The other goes on; the events lie aside, and have their findings, once each, when the adapter is there."""
    await deployment.start(pipelines=["ci_failure", "tuned"])

    def found(pipeline: str) -> Counter[int]:
        records = [json.loads(record.value) for record in deployment.records.get(f"findings.{pipeline}", [])]
        return Counter(int(each["data"]["build"]["run_id"]) for each in records)

    build = {"ce_type": "build.failed", "repo": "acme/web"}
    await deployment.send(*[(LOG % n, {**build, "run_id": str(n)}) for n in range(30)])
    await deployment.until(lambda: len(found("ci_failure")) == 30, "the well pipeline has its findings")
    await deployment.until(lambda: deployment.records.get("parked.tuned"), "events lie aside")
    assert not found("tuned")
    status, told = await deployment.health("readyz")
    assert (status, told["problems"]) == (200, {})
    assert "the model server has no adapter tuned" in told["notes"]["pipeline tuned"]
    deployment.model.adapters.add("tuned")
    await deployment.send(*[(LOG % n, {**build, "run_id": str(n)}) for n in range(30, 40)])
    await deployment.until(lambda: len(found("tuned")) == 40, "the other one has caught up")
    assert found("ci_failure") == found("tuned") == Counter(range(40))
    assert not deployment.dead
    assert await deployment.stop() == 0
