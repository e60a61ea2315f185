"""The real servers come up, answer, and are gone afterwards."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tools import bootstrap
from tools.servers import broker, process

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string", "enum": ["test", "dependency"]}},
    "required": ["kind"],
    "additionalProperties": False,
}


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST of JSON; the answer as JSON."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=280) as answer:
        return json.load(answer)


def complete(base: str) -> Any:
    """One short completion under a schema."""
    body = {
        "model": "base",
        "messages": [{"role": "user", "content": "npm ERR! ERESOLVE. Which kind of fault is it?"}],
        "max_tokens": 24,
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "kind", "schema": SCHEMA}},
    }
    return ask(f"{base}/chat/completions", body)


@pytest.mark.broker
def test_embedded_broker_speaks_kafka(embedded_broker: str) -> None:
    """The embedded broker answers Kafka's protocol."""
    assert broker.speaks_kafka(embedded_broker)


@pytest.mark.kafka
async def test_apache_kafka_commits_a_transaction(apache_kafka: str) -> None:
    """Apache Kafka has what the embedded broker lacks: transactions."""
    producer = AIOKafkaProducer(bootstrap_servers=apache_kafka, transactional_id="test-servers")
    await producer.start()
    try:
        async with producer.transaction():
            sent = await producer.send_and_wait("test-servers", b"x")
    finally:
        await producer.stop()
    assert sent.offset >= 0


@pytest.mark.jira
def test_jira_double_has_the_project(jira_double: str) -> None:
    """The double has the demo's project."""
    assert "BUILD" in {project["key"] for project in ask(f"{jira_double}/rest/api/2/project")}


@pytest.mark.llamacpp
@pytest.mark.timeout(300)
def test_llamacpp_obeys_a_schema(llamacpp_server: str) -> None:
    """The answer of llama.cpp is JSON of the asked form."""
    answer = complete(llamacpp_server)
    assert json.loads(answer["choices"][0]["message"]["content"])["kind"] in {"test", "dependency"}
    assert answer["timings"]["prompt_ms"] > 0


@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_vllm_obeys_a_schema_and_counts_cached_tokens(vllm_server: str) -> None:
    """The answer of vLLM is JSON of the asked form; it says how much came from the prefix cache, and how soon."""
    answer = complete(vllm_server)
    assert json.loads(answer["choices"][0]["message"]["content"])["kind"] in {"test", "dependency"}
    assert "cached_tokens" in (answer["usage"]["prompt_tokens_details"] or {})
    assert answer["metrics"]["time_to_first_token_ms"] > 0


def test_a_server_that_dies_says_why(tmp_path: Path) -> None:
    """The error has the exit code and the end of the log."""
    server = process.Server(
        "dying", ["/bin/sh", "-c", "echo no room; exit 3"], address="x:1", ready=lambda: False, logs=tmp_path
    )
    with pytest.raises(process.ServerError, match=r"(?s)exit code 3.*no room"):
        server.start()


def test_stop_ends_helpers_too(tmp_path: Path) -> None:
    """Processes that the server started don't outlive it."""
    helper = tmp_path / "helper"
    script = f"sleep 300 & echo $! > {helper}; wait"
    server = process.Server("parent", ["/bin/sh", "-c", script], address="x:1", ready=helper.exists, logs=tmp_path)
    with server:
        while not (number := helper.read_text(encoding="utf-8").strip()):
            continue
        assert _alive(int(number))
    assert server.pid is None
    deadline = time.monotonic() + 5
    while _alive(int(number)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _alive(int(number))


def test_servers_end_with_us_even_when_we_are_killed(tmp_path: Path) -> None:
    """A run that is killed without warning leaves no server behind."""
    script = (
        "import pathlib, sys, time; from tools.servers import process\n"
        f"server = process.Server('left', ['sleep', '300'], address='x:1', ready=lambda: True, "
        f"logs=pathlib.Path({str(tmp_path)!r})).start()\n"
        "print(server.pid, flush=True); time.sleep(300)"
    )
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=bootstrap.CHECKOUT) as owner:
        assert owner.stdout is not None
        number = int(owner.stdout.readline())
        assert _alive(number)
        owner.kill()
    deadline = time.monotonic() + 10
    while _alive(number) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _alive(number)


def test_a_port_that_another_process_was_given_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although nobody listens on it yet."""
    with socket.socket(type=socket.SOCK_DGRAM) as theirs:
        theirs.bind((process.LOOPBACK, 0))
        free = process.free_port()
        monkeypatch.setattr(process, "PORTS", [theirs.getsockname()[1], free])
        for _ in range(20):
            process._reserved.pop().close()
            assert process.free_port() == free


def _alive(pid: int) -> bool:
    """Whether the process runs; one that nobody waited for yet counts as ended."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
