"""A third pipeline as a newcomer makes it: the files of docs/pipelines.md in a home outside the checkout, no Python.

That it lints and that its cases pass is tested with the pipeline language; here the daemon runs it, on the embedded
broker, from a record on its topic to its ticket.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.deployment import Deployment

pytestmark = [pytest.mark.broker, pytest.mark.jira, pytest.mark.timeout(240)]

FILES = re.compile(r"^\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOP = {"x-repository": "acme/shop", "x-deployment": "shop", "url": "https://deploy.example.com/7"}


@pytest.fixture
def home(tmp_path: Path, checkout: Path) -> Path:
    """A home with the files that the guide shows; only Jira's project is the double's."""
    folder = tmp_path / "faults"
    for name, text in FILES.findall((checkout / "docs" / "pipelines.md").read_text(encoding="utf-8")):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("project: OPS", "project: BUILD"), encoding="utf-8")
    return folder


@pytest.fixture
async def deployment(
    embedded_broker: str, jira_double: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    """A deployment of the guide's pipeline and no other, as the guide's settings say."""
    monkeypatch.setenv("FAULTSTREAM_HOME", str(home))
    made = Deployment(embedded_broker, jira_double, home.parent, topic="deploys.failed", pipeline="deploys")
    await made.model.start()
    try:
        yield made
    finally:
        await made.close()


async def test_a_question_is_asked_once_where_the_pipeline_says_so(deployment: Deployment, home: Path) -> None:
    """Not by default, nor where the daemon has no room for it; each event has its finding, and tells what it saved."""
    manifest = b'$ kubectl apply -f shop.yaml\nerror: error validating "shop.yaml": unknown field "spec.replica"\n'
    document = home / "pipelines" / "deploys" / "pipeline.yaml"
    theirs = yaml.safe_load(document.read_text(encoding="utf-8"))
    for reuse, limits, asked in (({}, {}, 4), ({"reuse": "same"}, {}, 1), ({"reuse": "same"}, {"answers_bytes": 0}, 4)):
        mine = theirs | {"model": theirs.get("model", {}) | reuse}
        document.write_text(yaml.safe_dump(mine), encoding="utf-8")
        deployment.model.asked.clear()
        await deployment.start(limits=limits)
        places = await deployment.send(*[(manifest, SHOP)] * 4)
        await deployment.until(lambda: set(places) <= deployment.findings.keys(), "each has its finding")  # noqa: B023
        assert sum("spec.replica" in each.user for each in deployment.model.asked) == asked
        reused = [deployment.findings[place]["data"]["steps"][0]["reused"] for place in places]
        assert sum(each is not None for each in reused) == 4 - asked
        assert await deployment.stop() == 0


async def test_failed_deployments_become_tickets(deployment: Deployment, home: Path) -> None:
    """One fault that a rule knows, seen twice, and one that the model is asked about: three findings, two tickets."""
    theirs = yaml.safe_load((home / "config" / "faultstream.yaml").read_text(encoding="utf-8"))
    await deployment.start(pipelines=theirs["pipelines"])
    pull = b'Warning  Failed  kubelet  Failed to pull image "registry.example/shop:1.4.2": not found\n'
    manifest = b'$ kubectl apply -f shop.yaml\nerror: error validating "shop.yaml": unknown field "spec.replica"\n'
    places = await deployment.send((b"rollout of shop\n" + pull, SHOP), (b"again\n" + pull, SHOP), (manifest, SHOP))
    await deployment.until(lambda: set(places) <= deployment.findings.keys(), "each deployment has its finding")
    await deployment.until(
        lambda: {each["id"] for each in deployment.findings.values()} <= deployment.settled.keys(), "tickets are filed"
    )
    first, second, other = (deployment.findings[place]["data"] for place in places)
    assert first["result"]["cause"] == "image"
    assert first["steps"][0]["rule"] == "image-pull-back-off"
    assert first["build"]["repo"] == "acme/shop"
    assert first["fingerprint"] == second["fingerprint"] != other["fingerprint"]
    assert other["steps"][0]["decided_by"] == "model"
    assert other["evidence"] == [
        {"line": 2, "text": 'error: error validating "shop.yaml": unknown field "spec.replica"'}
    ]
    assert "You read the log of a failed deployment" in deployment.model.asked[0].body["messages"][0]["content"]
    assert deployment.tickets().keys() == {first["fingerprint"], other["fingerprint"]}
    assert await deployment.stop() == 0
