"""Fixtures of real servers, each started once per run, at its first use, on a free port of loopback.

A server that this machine can't run leaves its tests out, with the reason; if `$REQUIRE` (comma-separated: broker,
kafka, llamacpp, vllm, jira, s3, postgres) names it, they fail instead. Nothing is downloaded here but for what
`$REQUIRE` asks: `make test` sets everything up beforehand.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.models.adapters.convert import convert
from tests.servers import peft_adapters
from tests.servers.peft_adapters import PeftAdapters
from tests.servers.secure_kafka import SecureKafka
from tools import bootstrap, weights
from tools.bootstrap import SetupError
from tools.servers import broker, jira, kafka, model, postgres, s3
from tools.servers.process import Server, ServerError

KNOWN = ("broker", "kafka", "llamacpp", "vllm", "jira", "s3", "postgres")


def required() -> set[str]:
    """The servers that may not be left out."""
    return {name.strip() for name in os.environ.get("REQUIRE", "").split(",") if name.strip()}


def pytest_configure(config: pytest.Config) -> None:
    """Refuses a `$REQUIRE` that names no server, which would otherwise require nothing."""
    unknown = required() - set(KNOWN)
    if unknown:
        raise pytest.UsageError(f"REQUIRE names {', '.join(sorted(unknown))}; known are {', '.join(KNOWN)}")


def servers_obstacle() -> str | None:
    """Why the servers from the demo's environment can't be run."""
    if bootstrap.SERVERS.ready():
        return None
    return "the servers' environment isn't set up: python3 -m tools.bootstrap servers"


def llamacpp_obstacle() -> str | None:
    """Why llama.cpp can't be run."""
    return servers_obstacle() or (
        None if weights.DEMO.ready() else "the model isn't there: python3 -m tools.bootstrap model"
    )


def smaller_obstacle() -> str | None:
    """Why llama.cpp can't be run with the smaller model."""
    return servers_obstacle() or (
        None if weights.SMALLER.ready() else "the smaller model isn't there: python3 -m tools.bootstrap test"
    )


def vllm_obstacle() -> str | None:
    """Why vLLM can't be run, or is too much to set up unasked."""
    if weights.vllm_environment().ready() and weights.converted_path().exists():
        return None
    return "vLLM isn't set up, and takes 6 GB: python3 -m tools.bootstrap vllm, or make test REQUIRE=vllm"


def running(name: str, obstacle: str | None, make: Callable[[], Server]) -> Iterator[str]:
    """Yields the address of a running server; skips, or fails if it is required, where there can be none."""
    if obstacle and name not in required():
        pytest.skip(f"left out: {obstacle}")
    try:
        server = make().start()
    except (SetupError, ServerError) as error:
        pytest.fail(f"{name}{' is required and' if name in required() else ''} can't be run: {error}", pytrace=False)
    try:
        yield server.address
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the servers' logs."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def embedded_broker(server_logs: Path) -> Iterator[str]:
    """Bootstrap address of the embedded broker: no transactions, no compaction."""
    yield from running("broker", servers_obstacle(), lambda: broker.embedded(logs=server_logs))


@pytest.fixture(scope="session")
def apache_kafka(server_logs: Path) -> Iterator[str]:
    """Bootstrap address of Apache Kafka: our own from Maven artifacts, or the one in `$KAFKA_BOOTSTRAP`."""
    yield from running("kafka", kafka.obstacle(), lambda: kafka.kafka(server_logs / "kafka"))


@pytest.fixture(scope="session")
def secure_kafka(server_logs: Path) -> Iterator[SecureKafka]:
    """Apache Kafka with TLS, SASL and ACLs, our own; shared: a test takes a user and topics of its own."""
    made: list[SecureKafka] = []

    def make() -> SecureKafka:
        made.append(SecureKafka(server_logs / "secure"))
        return made[0]

    for _ in running("kafka", kafka.own_obstacle(), make):
        yield made[0]


@pytest.fixture(scope="session")
def llamacpp_server(server_logs: Path) -> Iterator[str]:
    """Base URL (ending in /v1) of llama.cpp with the demo's model, named `base`. About 100 prompt tokens a second."""
    yield from running("llamacpp", llamacpp_obstacle(), lambda: model.llamacpp(logs=server_logs))


@pytest.fixture(scope="session")
def smaller_server(server_logs: Path) -> Iterator[str]:
    """Base URL (ending in /v1) of llama.cpp with a smaller model of another family, named as `weights.SMALLER` is."""
    made = lambda: model.llamacpp(logs=server_logs, parallel=1, what=weights.SMALLER)  # noqa: E731
    yield from running("llamacpp", smaller_obstacle(), made)


@pytest.fixture(scope="session")
def vllm_server(server_logs: Path) -> Iterator[str]:
    """Base URL (ending in /v1) of vLLM with the demo's model, named `base`; adapters may be loaded."""
    yield from running("vllm", vllm_obstacle(), lambda: model.vllm(logs=server_logs))


@pytest.fixture(scope="session")
def peft_made(tmp_path_factory: pytest.TempPathFactory) -> PeftAdapters:
    """Adapters for vLLM's model, made with PEFT; to be asked for beside `vllm_server`."""
    return peft_adapters.make(tmp_path_factory.mktemp("peft"))


@pytest.fixture(scope="session")
def llamacpp_adapters(request: pytest.FixtureRequest, server_logs: Path) -> Iterator[tuple[str, PeftAdapters]]:
    """Base URL of llama.cpp with the adapters `one` and `two`, made with PEFT (in vLLM's environment) and converted."""
    obstacle = llamacpp_obstacle() or vllm_obstacle()
    if obstacle:
        pytest.skip(f"left out: {obstacle}")
    made: PeftAdapters = request.getfixturevalue("peft_made")
    files = [made.folder / f"{name}.gguf" for name in made.answers]
    for file in files:
        convert(made.folder / file.stem, weights.DEMO.path(), file)
    for url in running("llamacpp", None, lambda: model.llamacpp(logs=server_logs, parallel=2, adapters=files)):
        yield url, made


@pytest.fixture(scope="session")
def jira_double(server_logs: Path) -> Iterator[str]:
    """Base URL of the Jira double with the project BUILD. Shared: a test looks at its own issues alone."""
    yield from running("jira", servers_obstacle(), lambda: jira.jira(logs=server_logs))


@pytest.fixture(scope="session")
def s3_double(server_logs: Path) -> Iterator[str]:
    """Base URL of a double of S3 and STS that takes any credentials. Shared: a test makes buckets of its own."""
    obstacle = None if bootstrap.S3.ready() else "the double of S3 isn't set up: python3 -m tools.bootstrap test"
    yield from running("s3", obstacle, lambda: s3.s3(logs=server_logs))


@pytest.fixture(scope="session")
def postgres_server(server_logs: Path) -> Iterator[str]:
    """URL of the superuser of a PostgreSQL server of our own, with the password. Shared: a test has its tables."""
    obstacle = None if bootstrap.POSTGRES.ready() else "PostgreSQL isn't set up: python3 -m tools.bootstrap test"
    yield from running("postgres", obstacle, lambda: postgres.Postgres(logs=server_logs))
