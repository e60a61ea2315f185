"""The whole daemon with Jira Cloud: from builds on a topic to a ticket in ADF with its file, a comment, and its end."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.test_jira_client import described
from tests.e2e.deployment import Deployment, sample
from tests.servers import adf_rules
from tests.servers.jira_cloud import JiraCloud

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(240)]

PASSED = "ci.builds.passed"
BUILD = {"repo": "acme/web", "job": "unit", "provider": "example", "url": "https://ci.example.com/4711"}
POLICY = "ticket:\n  attach: excerpt\n  resolve: {when_green: resolve}"


@pytest.fixture
def home(tmp_path: Path, checkout: Path) -> Path:
    """The bundled pipeline with a policy of its own: files, and tickets that end when their jobs pass."""
    folder = tmp_path / "home"
    pipeline = folder / "pipelines" / "ci_failure"
    shutil.copytree(checkout / "pipelines" / "ci_failure", pipeline, ignore=shutil.ignore_patterns("samples", "cases*"))
    shutil.copytree(checkout / "schemas", folder / "schemas")
    file = pipeline / "pipeline.yaml"
    text = file.read_text().replace("\nticket:", f"\noutcomes:\n  kafka: {{topics: [{PASSED}]}}\n{POLICY}")
    file.write_text(text)
    return folder


@pytest.fixture
async def cloud() -> AsyncIterator[JiraCloud]:
    """A Cloud that checks each request against Atlassian's description of it, where that is at hand."""
    async with JiraCloud(described()) as made:
        yield made
        assert made.strange == []


@pytest.fixture
async def deployment(
    apache_kafka: str, cloud: JiraCloud, home: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployment]:
    """A deployment whose daemon is not started yet."""
    monkeypatch.setenv("FAULTSTREAM_HOME", str(home))
    made = Deployment(apache_kafka, cloud.url, home.parent)
    await made.model.start()
    try:
        yield made
    finally:
        await made.close()


def failed(commit: str, branch: str) -> tuple[bytes, dict[str, str]]:
    """A build that fails with the one fault."""
    return sample("npm-eresolve-a1"), {"ce_type": "build.failed", **BUILD, "commit": commit, "branch": branch}


def passed(commit: str, branch: str) -> tuple[None, dict[str, str]]:
    """A build of the same job that passes."""
    return None, {"ce_type": "build.passed", **BUILD, "commit": commit, "branch": branch}


async def test_a_fault_has_one_ticket_on_cloud_until_its_jobs_pass(deployment: Deployment, cloud: JiraCloud) -> None:
    """Two failures, two passes: one issue with description, file and counts, one comment, then closed with another."""
    jira = {"url": cloud.url, "user": "faultstream@example.com", "token": "t", "search_lag_s": 0, "timeout_s": 5}
    await deployment.start(jira=jira)
    await deployment.send(failed("a1", "main"))
    await deployment.until(lambda: cloud.issues and cloud.issues["BUILD-1"].files, "there is a ticket with its file")
    issue = cloud.issues["BUILD-1"]
    assert adf_rules.wrong(issue.fields["description"]) == []
    said = " ".join(text for _, text in adf_rules.texts(issue.fields["description"]))
    assert "ERESOLVE" in said
    assert "Seen once" in said
    (file,) = issue.files
    assert file.name.startswith("log-excerpt-unit-")
    assert "> " in file.data.decode()
    await deployment.send(failed("a2", "release"))
    await deployment.until(lambda: len(issue.comments) == 1, "the repeat is a comment")
    deployment.topic = PASSED
    await deployment.send(passed("a3", "main"), passed("a4", "release"))
    await deployment.until(lambda: issue.resolved is not None and len(issue.comments) == 2, "the ticket is closed")
    said = " ".join(text for _, text in adf_rules.texts(issue.fields["description"]))
    assert "Seen 2 times" in said
    assert list(cloud.issues) == ["BUILD-1"]
    assert len(issue.files) == 1
    assert not deployment.dead
    assert await deployment.stop() == 0
