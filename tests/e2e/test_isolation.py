"""Two pipelines on one topic of Apache Kafka, one of which the model server can't serve for a while."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.deployment import SAMPLES, Deployment

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(300)]

LOG = b"$ make all\nerror: the frobnicator of part %d is out of tune\nmake: *** [all] Error 1\n"


BUILD = {"ce_type": "build.failed", "repo": "acme/web"}


def add_pipeline(home: Path, name: str, model: dict[str, Any]) -> None:
    """Puts a pipeline like ci_failure into a home, that leaves the deciding to its model."""
    folder = home / "pipelines" / name
    shutil.copytree(SAMPLES.parent, folder, ignore=shutil.ignore_patterns("samples", "cases.yaml"))
    document = yaml.safe_load((folder / "pipeline.yaml").read_text())
    document |= {"pipeline": name, "model": {"max_tokens": 192, **model}}
    for key in ("rules", "ticket"):
        document.pop(key, None)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(document))


def findings(deployment: Deployment, pipeline: str) -> Counter[int]:
    """How many findings a pipeline has of each build."""
    records = [json.loads(record.value) for record in deployment.records.get(f"findings.{pipeline}", [])]
    return Counter(int(each["data"]["build"]["run_id"]) for each in records)


def is_form(body: dict[str, Any], pipeline: str) -> bool:
    """Whether a question comes with a pipeline's schema."""
    return bool(body.get("response_format", {}).get("json_schema", {}).get("name") == pipeline)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a pipeline that asks an adapter, and one that asks the base model."""
    add_pipeline(tmp_path / "home", "tuned", {"adapter": "tuned"})
    add_pipeline(tmp_path / "home", "plain", {})
    adapter = tmp_path / "home" / "adapters" / "tuned"
    adapter.mkdir(parents=True)
    (adapter / "manifest.yaml").write_text("base_model: any\n")
    return tmp_path / "home"


@pytest.fixture
async def deployment(
    apache_kafka: str, jira_double: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    """A deployment with that home."""
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
    await deployment.send(*[(LOG % n, {**BUILD, "run_id": str(n)}) for n in range(30)])
    await deployment.until(lambda: len(findings(deployment, "ci_failure")) == 30, "the well pipeline has its findings")
    await deployment.until(lambda: deployment.records.get("parked.tuned"), "events lie aside")
    assert not findings(deployment, "tuned")
    status, told = await deployment.health("readyz")
    assert (status, told["problems"]) == (200, {})
    assert "the model server has no adapter tuned" in told["notes"]["pipeline tuned"]
    deployment.model.adapters.add("tuned")
    await deployment.send(*[(LOG % n, {**BUILD, "run_id": str(n)}) for n in range(30, 40)])
    await deployment.until(lambda: len(findings(deployment, "tuned")) == 40, "the other one has caught up")
    assert findings(deployment, "ci_failure") == findings(deployment, "tuned") == Counter(range(40))
    assert not deployment.dead
    assert await deployment.stop() == 0


async def test_a_schema_that_is_refused_holds_one_pipeline_up(deployment: Deployment) -> None:
    """From the start, untried: its events lie aside, /readyz says which field of which file, and none is lost."""
    deployment.model.poison = lambda body: "grammar" if is_form(body, "plain") else None
    await deployment.start(pipelines=["ci_failure", "plain"])
    await deployment.send(*[(LOG % n, {**BUILD, "run_id": str(n)}) for n in range(10)])
    await deployment.until(lambda: len(findings(deployment, "ci_failure")) == 10, "the well pipeline has its findings")
    await deployment.until(lambda: len(deployment.records.get("parked.plain", [])) == 10, "the events lie aside")
    status, told = await deployment.health("readyz")
    assert (status, told["problems"]) == (200, {})
    why = told["notes"]["pipeline plain"]
    assert "pipeline plain: schemas/ci_failure.yaml: " in why
    assert "category (type, enum)" in why
    assert "Grammar error: unsupported keyword multipleOf" in why
    deployment.model.poison = lambda _: None
    await deployment.until(lambda: len(findings(deployment, "plain")) == 10, "the other one has caught up")
    assert findings(deployment, "ci_failure") == findings(deployment, "plain") == Counter(range(10))
    assert not deployment.dead
    assert await deployment.stop() == 0


async def test_a_schema_that_is_refused_later_gives_dead_letters(deployment: Deployment) -> None:
    """As by a server that was replaced after it was looked at: each says why, and what comes afterwards is answered."""
    await deployment.start(pipelines=["ci_failure", "plain"])
    asked = deployment.model.asked
    await deployment.until(lambda: any(is_form(each.body, "plain") for each in asked), "the schema was looked at")
    deployment.model.poison = lambda body: "grammar" if is_form(body, "plain") else None
    places = await deployment.send(*[(LOG % n, {**BUILD, "run_id": str(n)}) for n in range(3)])
    await deployment.until(lambda: len(deployment.dead) == 3, "the dead letters are there")
    assert set(deployment.dead) == set(places)
    for headers in deployment.dead.values():
        assert (headers["fs-reason"], headers["fs-pipeline"]) == ("schema_refused", "plain")
        assert "can't enforce the schema of plain" in headers["fs-error"]
        assert "unsupported keyword multipleOf" in headers["fs-error"]
    deployment.model.poison = lambda _: None
    await deployment.send((LOG % 3, {**BUILD, "run_id": "3"}))
    await deployment.until(lambda: findings(deployment, "plain") == Counter([3]), "the next event is answered")
    await deployment.until(lambda: findings(deployment, "ci_failure") == Counter(range(4)), "the other one goes on")
    assert len(deployment.records["dead-letters"]) == 3
    assert await deployment.stop() == 0
