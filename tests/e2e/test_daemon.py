"""From records on a topic to tickets in Jira: the daemon as a process, on Apache Kafka."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from processor.testing.model import FakeModelServer
from tests.e2e.deployment import Deployment, sample, truths

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(300)]

BUILD = {
    "ce_type": "build.failed",
    "repo": "acme/web",
    "job": "test",
    "branch": "main",
    "url": "https://ci.example.com/1",
}


@pytest.fixture
async def deployment(apache_kafka: str, jira_double: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment whose daemon is not started yet."""
    made = Deployment(apache_kafka, jira_double, tmp_path)
    await made.model.start()
    try:
        yield made
    finally:
        await made.close()


async def test_failing_builds_become_one_ticket_each(deployment: Deployment) -> None:
    """Recorded builds, some repeats: a finding for each, a ticket per fault; SIGTERM ends it cleanly."""
    await deployment.start()
    names = ["npm-eresolve-a1", "npm-eresolve-a2", "npm-etarget-a1", "cargo-test-panic-a1", "cargo-test-panic-a2"]
    known = {truth["id"]: truth for truth in truths()}
    builds = [(sample(name), {**BUILD, "repo": known[name]["repo"], "commit": known[name]["commit"]}) for name in names]
    places = await deployment.send(*builds)
    await deployment.until(
        lambda: (
            {f["id"] for f in deployment.findings.values()} <= deployment.settled.keys()
            and len(deployment.findings) == 5
        ),
        "all five builds are dealt with",
    )
    prints = [deployment.findings[place]["data"]["fingerprint"] for place in places]
    assert prints[0] == prints[1]
    assert prints[3] == prints[4]
    assert len(set(prints)) == 3
    tickets = deployment.tickets()
    assert len(tickets) == 3
    assert all(len(key.split()) == 1 for key in tickets.values())
    assert not deployment.dead
    first = deployment.findings[places[0]]
    assert first["data"]["result"]["category"] == "dependency_resolution"
    assert first["data"]["steps"][0]["decided_by"] == "rule"
    assert first["data"]["build"]["repo"] == known["npm-eresolve-a1"]["repo"]
    assert await deployment.stop() == 0


async def _killed(deployment: Deployment) -> None:
    """Builds on their way, a kill -9 while answers are awaited, a restart, and a finding for each build."""
    await deployment.start()
    logs = [truth["id"] for truth in truths() if truth["toolchain"] in {"pytest", "cargo", "npm"}][:24]
    places = await deployment.send(*[(sample(name), {**BUILD, "repo": f"acme/{n % 5}"}) for n, name in enumerate(logs)])
    await deployment.until(lambda: len(deployment.model.asked) >= 3, "the model is being asked")
    deployment.kill()
    assert deployment.process is not None
    await deployment.process.wait()
    await deployment.start()
    await deployment.until(lambda: set(places) <= deployment.findings.keys(), "each event has a finding")
    ids = [json.loads(record.value)["id"] for record in deployment.records["findings.ci_failure"]]
    assert len(ids) == len(set(ids)) == len(places)


async def test_killed_in_mid_flight_nothing_is_lost_and_nothing_doubled(deployment: Deployment) -> None:
    """Kill -9 while answers are awaited, then a restart: each event has its finding, each fault one ticket."""
    await _killed(deployment)
    await deployment.until(
        lambda: {f["id"] for f in deployment.findings.values()} <= deployment.settled.keys(),
        "each finding is dealt with",
    )
    assert all(len(key.split()) == 1 for key in deployment.tickets().values())


async def test_bad_input_becomes_dead_letters_and_the_rest_goes_on(deployment: Deployment) -> None:
    """Each kind of unreadable record has its reason and its original bytes; good ones around them have findings."""
    await deployment.start()
    packed = gzip.compress(sample("npm-eresolve-a1"))
    bad: list[tuple[str, bytes | None, dict[str, str]]] = [
        ("empty", b"", {}),
        ("empty", None, {}),
        ("binary", bytes(range(256)) * 40, {}),
        ("undecodable", packed[:-20], {}),
        ("too_large", gzip.compress(b"\0" * 60_000_000), {}),
        ("invalid_json", b"[1, 2, 3]", {"content-type": "application/json"}),
        ("unknown_payload", b'{"hello": "world"}', {}),
        ("reference_not_allowed", b"", {"log_url": "https://elsewhere.example.com/log"}),
    ]
    good: list[bytes] = [
        packed,
        sample("npm-eresolve-a1").decode().encode("utf-16"),
        sample("npm-eresolve-a1").rstrip(b"\n"),
        b"\x1b[31m" + sample("npm-eresolve-a1") + b"\rDownloading 10%\rDownloading 100%",
        gzip.compress(b"x" * 25_000_000 + b" npm ERR! code E404 " + b"y" * 20_000_000),
    ]
    places = await deployment.send(
        *[(value, {**BUILD, **headers}) for _, value, headers in bad], *[(value, BUILD) for value in good]
    )
    ended = lambda: set(places) <= deployment.findings.keys() | deployment.dead.keys()  # noqa: E731
    await deployment.until(ended, "every record ended as a finding or a dead letter")
    assert [deployment.dead[place]["fs-reason"] for place in places[: len(bad)]] == [reason for reason, _, _ in bad]
    assert set(places[len(bad) :]) == deployment.findings.keys()
    originals = {record.value for record in deployment.records["dead-letters"]}
    assert originals == {value for _, value, _ in bad}
    assert "fetch.allow" in deployment.dead[places[7]]["fs-error"]
    kinds = {deployment.findings[place]["data"]["fingerprint"] for place in places[len(bad) : -1]}
    assert len(kinds) == 1, "encoding, colours and compression do not change what the fault is"


async def test_model_server_down_at_start_costs_lag_and_nothing_else(deployment: Deployment) -> None:
    """The daemon starts, waits, and catches up when the server comes up: no dead letter, no restart."""
    port = int(deployment.model.url.split(":")[2].split("/")[0])
    await deployment.model.stop()
    deployment.model_url = f"http://127.0.0.1:{port}/v1"
    await deployment.start()
    [place] = await deployment.send((sample("cargo-test-panic-a1"), BUILD))
    await deployment.until(lambda: "record waits" in deployment.log, "the daemon waits for the model")
    problems = await deployment.problems()
    assert problems is not None
    assert "models.lite" in problems
    await deployment.model.start(port)
    await deployment.until(lambda: place in deployment.findings, "the event has its finding")
    assert not deployment.dead


async def test_jira_refusing_our_token_loses_nothing(deployment: Deployment, jira_double: str) -> None:
    """401: the log and readiness name the setting; the finding is there, the ticket follows when Jira lets us in."""
    from tests.servers.fault_proxy import FaultProxy, jira_error

    async with FaultProxy(jira_double) as proxy:
        proxy.break_down("*", "", jira_error(401, "token revoked"))
        await deployment.start(
            jira={"url": proxy.url, "token": "old", "search_lag_s": 0, "timeout_s": 5},
        )
        [place] = await deployment.send((sample("npm-etarget-a1"), {**BUILD, "repo": f"acme/{deployment.prefix}"}))
        await deployment.until(lambda: place in deployment.findings, "the finding does not wait for Jira")
        await deployment.until(lambda: "jira.token" in deployment.log, "the log names the setting")
        problems = await deployment.problems()
        assert problems is not None
        assert "jira.token" in problems.get("jira", "")
        proxy.mend()
        await deployment.until(
            lambda: deployment.findings[place]["id"] in deployment.settled, "the ticket is filed at last"
        )
    assert len(deployment.tickets()) == 1


async def test_replay_after_the_cause_is_mended(deployment: Deployment) -> None:
    """Answers that are no JSON: a dead letter; mended and replayed, the event has the finding it would have had."""
    deployment.model.always = "broken_json"
    await deployment.start()
    [place] = await deployment.send((sample("cargo-test-panic-a1"), BUILD))
    await deployment.until(lambda: place in deployment.dead, "the event is a dead letter")
    assert deployment.dead[place]["fs-reason"] == "invalid_output"
    deployment.model.always = None
    counted = await replay(deployment, "--dry-run", "--reason", "invalid_output")
    due = {"letters": 1, "sent_before": 0, "to_send": 1, "nowhere_to_go": 0}
    assert counted["letters"] == [{"reason": "invalid_output", "pipeline": "ci_failure", **due}]
    assert counted["sent"] == 0
    assert (await replay(deployment, "--reason", "invalid_output"))["sent"] == 1
    assert (await replay(deployment, "--reason", "invalid_output"))["sent"] == 0
    await deployment.until(lambda: place in deployment.findings, "the replayed event has its finding")


async def replay(deployment: Deployment, *options: str) -> dict[str, object]:
    """Runs `faultstream replay`; what it prints."""
    import asyncio
    import sys

    config = str(deployment.folder / "faultstream.yaml")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "processor",
        "replay",
        "--config",
        config,
        "--json",
        *options,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return dict(json.loads(out))


SECRETS = {
    "log": "ghp_" + "Zk3v9QmT7LxR2bWn5YcD8sFhJ1pKqA4eUtVg"[:36],
    "header": "glpat-" + "x7Kq2mZr9TnB4vWc6YdE",
    "address": "Tr0ub4dor-and-3xtra-hunter",
    "error": "xoxb-" + "210987654321-210987654321-AbCdEfGhIjKlMnOpQrStUvWx",
}


async def test_no_secret_leaves(deployment: Deployment, jira_double: str) -> None:
    """Planted in a header, in the build's address, in the log and in an error text: nowhere but in original bytes."""
    await deployment.start()
    log = sample("npm-eresolve-a1").replace(
        b"npm ERR! code", b"export TOKEN=%s\nnpm ERR! code" % SECRETS["log"].encode(), 1
    )
    panic = sample("cargo-test-panic-a1") + b"\nerror: authorization: token %s\n" % SECRETS["log"].encode()
    headers = {
        **BUILD,
        "branch": f"feature-{SECRETS['header']}",
        "x-debug": SECRETS["header"],
        "url": f"https://bot:{SECRETS['address']}@ci.example.com/1",
    }
    unknown = json.dumps({SECRETS["error"]: 1, "b": 2}).encode()
    places = await deployment.send((log, headers), (panic, headers), (unknown, headers))
    ended = lambda: set(places) <= deployment.findings.keys() | deployment.dead.keys()  # noqa: E731
    await deployment.until(ended, "every record ended")
    assert len(deployment.findings) == 2
    await deployment.until(
        lambda: {f["id"] for f in deployment.findings.values()} <= deployment.settled.keys(), "tickets are filed"
    )
    out = [deployment.log, deployment.dead[places[2]]["fs-error"]]
    for topic, records in deployment.records.items():
        if topic != "dead-letters":
            out += [f"{record.key!r} {record.value!r} {record.headers!r}" for record in records]
    async with aiohttp.ClientSession() as session:
        for key in deployment.tickets().values():
            async with session.get(
                f"{jira_double}/rest/api/2/issue/{key}", headers={"Authorization": "Bearer t"}
            ) as answer:
                out.append(await answer.text())
    out += [json.dumps(asked.body) for asked in deployment.model.asked]
    leaks = [(name, text[:200]) for name, secret in SECRETS.items() for text in out if secret in text]
    assert leaks == []
    assert "jira-token-of-the-test" not in "".join(out)


async def test_model_dying_and_talking_rubbish_in_mid_way(deployment: Deployment) -> None:
    """500, a page, half a body, no answer, garbage, a cut answer: each is got over, and every event has its finding."""
    faults: FakeModelServer = deployment.model
    faults.faults.extend(["500", "html", "half", "dies", "garbage", "empty", "busy", "cut_off"])
    await deployment.start()
    logs = [truth["id"] for truth in truths() if truth["toolchain"] == "cargo" and "panic" in truth["id"]][:4]
    places = await deployment.send(*[(sample(name), BUILD) for name in logs])
    await deployment.until(lambda: set(places) <= deployment.findings.keys(), "every event has its finding")
    assert not faults.faults
    assert not deployment.dead
