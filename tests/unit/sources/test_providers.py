"""Webhook payloads get the same attributes whatever their provider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from processor.errors import ConfigError
from processor.home import Homes
from processor.sources.providers import Providers, check

PROVIDERS = Providers.load(list(Homes.of(environ={}).providers().values()))

OUTCOMES = {
    "failure": "build.failed",
    "failed": "build.failed",
    "success": "build.passed",
    "canceled": "build.cancelled",
    "pending": "build.queued",
    "created": "build.queued",
    "firing": "alert.firing",
    "resolved": "alert.resolved",
}


@pytest.fixture(scope="module")
def payloads(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(index entry, payload) of real webhooks, read from the data folder."""
    import tarfile

    archive = shared_data / "dev-corpus.tar.xz"
    if not archive.exists():
        pytest.skip(f"no recorded webhooks at {archive}; set FAULTSTREAM_DATA")
    folder = tmp_path_factory.mktemp("webhooks")
    with tarfile.open(archive) as tar:
        members = [m for m in tar if m.name.removeprefix("./").startswith("webhooks/")]
        tar.extractall(folder, members=members, filter="data")
    index = json.loads((folder / "webhooks" / "index.json").read_text())
    return [(entry, json.loads((folder / entry["path"]).read_text())) for entry in index]


def test_every_recorded_webhook_is_recognised(payloads: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """All of them have the right provider, and where the outcome is known the right type."""
    assert len(payloads) == 59
    for entry, payload in payloads:
        mapped = PROVIDERS.map(payload, {})
        assert mapped is not None, entry["path"]
        assert mapped.attributes["provider"] == entry["provider"], entry["path"]
        if "Deployment" in entry["event"] or entry["outcome"] not in OUTCOMES:
            continue
        assert mapped.attributes["type"] == OUTCOMES[entry["outcome"]], entry["path"]


def test_builds_say_where_they_come_from(payloads: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """A finished build has repository, branch and address; all but the barest have commit and job too."""
    seen = 0
    for entry, payload in payloads:
        mapped = PROVIDERS.map(payload, {})
        if mapped and mapped.attributes["type"] in {"build.failed", "build.passed"}:
            seen += 1
            wanted = {"repo", "branch", "url"} | (
                set() if "minimal" in entry["event"] else {"commit", "job", "run_id", "time"}
            )
            assert wanted <= mapped.attributes.keys(), entry["path"]
    assert seen >= 20


def test_newer_circleci_webhook() -> None:
    """job-completed of CircleCI's outgoing webhooks."""
    payload = {
        "type": "job-completed",
        "happened_at": "2026-01-02T03:04:05Z",
        "webhook": {"id": "w"},
        "project": {"id": "p", "name": "web", "slug": "github/acme/web"},
        "organization": {"id": "o", "name": "acme"},
        "workflow": {"id": "f", "name": "build", "url": "https://ci.example.com/f"},
        "pipeline": {"vcs": {"branch": "main", "revision": "ab" * 20}},
        "job": {"id": "j", "name": "test", "status": "failed", "stopped_at": "2026-01-02T03:04:00Z"},
    }
    mapped = PROVIDERS.map(payload, {})
    assert mapped is not None
    assert mapped.attributes == {
        "provider": "circleci",
        "type": "build.failed",
        "repo": "acme/web",
        "workflow": "build",
        "branch": "main",
        "commit": "ab" * 20,
        "job": "test",
        "run_id": "j",
        "url": "https://ci.example.com/f",
        "time": "2026-01-02T03:04:00Z",
    }


def test_an_unknown_kind_of_a_known_provider_is_no_build() -> None:
    """A push of GitHub is recognised by its header, and routed nowhere."""
    mapped = PROVIDERS.map({"ref": "refs/heads/main", "commits": []}, {"x-github-event": "push"})
    assert mapped is not None
    assert mapped.attributes["type"] == "github.other"


def test_a_user_adds_a_provider_as_yaml(tmp_path: Path) -> None:
    """A file in a home of one's own is enough."""
    folder = tmp_path / "config" / "providers"
    folder.mkdir(parents=True)
    (folder / "drone.yaml").write_text(
        "provider: drone\n"
        "recognise: {payload: [[event, build.number, repo.slug]]}\n"
        "kinds:\n"
        "  - name: build\n"
        "    type: {path: build.status, values: {failure: build.failed}, otherwise: build.other}\n"
        "    attributes: {repo: repo.slug, run_id: build.number}\n"
    )
    providers = Providers.load(list(Homes.of([tmp_path]).providers().values()))
    mapped = providers.map({"event": "build", "build": {"number": 7, "status": "failure"}, "repo": {"slug": "a/b"}}, {})
    assert mapped is not None
    assert mapped.attributes == {"provider": "drone", "type": "build.failed", "repo": "a/b", "run_id": 7}


def test_faults_of_a_mapping_are_told_all_at_once(tmp_path: Path) -> None:
    """File, line, column and what is meant."""
    file = tmp_path / "bad.yaml"
    file.write_text("provider: bad\nrecognize: {}\nkinds: [{name: 7, type: {path: [3]}, has: x}]\n")
    with pytest.raises(ConfigError) as caught:
        Providers.load([file])
    assert [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()] == [
        "1:1: missing key 'recognise'",
        "2:1: unknown key 'recognize'; did you mean 'recognise'?",
        "3:16: name must be text, not 7; put it in quotes",
        "3:19: missing key 'otherwise' in kinds.type",
        "3:19: missing key 'values' in kinds.type",
        "3:33: path must be text, not 3; put it in quotes",
        "3:43: has must be a list, not 'x'",
    ]


def test_names_of_a_mapping_that_events_do_not_have_are_told(tmp_path: Path) -> None:
    """A wrong attribute, `body` at the wrong level, and nothing to recognise it by."""
    file = tmp_path / "bad.yaml"
    file.write_text(
        "provider: bad\nrecognise: {}\nattributes: {comit: a}\n"
        "kinds:\n  - name: x\n    type: y\n    attributes: {body: log}\n"
    )
    _, problems = check(file)
    assert [str(one).removeprefix(f"{file}:") for one in sorted(problems)] == [
        "2:12: no payload is recognised; name headers or payload",
        "3:14: events have no attribute 'comit'; did you mean 'commit'?",
        "7:18: events have no attribute 'body'; body stands beside attributes, in its kind",
    ]


def test_a_path_that_is_neither_text_nor_a_list_is_told_once(tmp_path: Path) -> None:
    """With both that it may be."""
    file = tmp_path / "bad.yaml"
    file.write_text("provider: p\nrecognise: {headers: [x-p]}\nkinds: [{name: a, type: b, attributes: {job: 7}}]\n")
    assert [one.message for one in check(file)[1]] == ["job must be text or a list, not 7"]


@pytest.mark.parametrize(
    ("payload", "job", "workflow", "jobs"),
    [
        ({"workflow_job": {"conclusion": "failure", "name": "unit", "workflow_name": "CI"}}, "unit", "CI", None),
        ({"workflow_run": {"conclusion": "success", "name": "CI"}}, "CI", "CI", "*"),
        ({"workflow_run": {"conclusion": "success"}, "workflow": {"name": "CI"}}, "CI", "CI", "*"),
    ],
)
def test_github_says_which_workflow_a_job_is_of(
    payload: dict[str, Any], job: str, workflow: str, jobs: str | None
) -> None:
    """So that a run that passes can be told to be of all its jobs."""
    mapped = PROVIDERS.map(payload, {"x-github-event": "x"})
    assert mapped is not None
    said = mapped.attributes
    assert (said["job"], said["workflow"], said.get("jobs")) == (job, workflow, jobs)


def test_gitlab_says_which_jobs_of_a_pipeline_have_passed() -> None:
    """Not those that were skipped, or failed and were allowed to; a list that is none is empty."""
    states = {"unit": "success", "lint": "success", "deploy": "manual", "flaky": "failed"}
    builds = [{"name": name, "status": state} for name, state in states.items()]
    pipeline = {"object_kind": "pipeline", "object_attributes": {"status": "success"}, "project": {}}
    for listed, expected in ((builds, "unit\nlint"), ([], ""), (None, ""), ([None, "x"], "")):
        mapped = PROVIDERS.map({**pipeline, "builds": listed}, {"x-gitlab-event": "x"})
        assert mapped is not None
        assert mapped.attributes["jobs"] == expected


def test_circleci_says_which_workflow_a_job_is_of() -> None:
    """A workflow that is complete tells of all its jobs."""
    common = {"happened_at": "2026-11-22T04:00:00Z", "workflow": {"name": "build-test", "status": "success"}}
    job = {"type": "job-completed", "job": {"name": "unit", "status": "failed"}, **common}
    said = [
        PROVIDERS.map(each, {"circleci-event-type": "x"}) for each in (job, {"type": "workflow-completed", **common})
    ]
    assert [
        (each.attributes["job"], each.attributes["workflow"], each.attributes.get("jobs")) for each in said if each
    ] == [
        ("unit", "build-test", None),
        ("build-test", "build-test", "*"),
    ]
