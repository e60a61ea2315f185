"""The daemon on a cluster with TLS, SCRAM and ACLs: it runs with the rights that docs/kafka.md lists, and no more."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.deployment import TOPIC, Deployment, sample
from tests.servers.secure_kafka import USERS, Operation, Resource, SecureKafka

pytestmark = [pytest.mark.kafka, pytest.mark.jira, pytest.mark.timeout(300)]

USER = USERS[-1]
RETOPICS = {"Topic": Resource.TOPIC, "Group": Resource.GROUP, "TransactionalId": Resource.TRANSACTIONAL_ID}
OPERATIONS = {
    "Read": Operation.READ,
    "Write": Operation.WRITE,
    "Describe": Operation.DESCRIBE,
    "DescribeConfigs": Operation.DESCRIBE_CONFIGS,
}


def rights(checkout: Path, prefix: str) -> list[tuple[Resource, str, list[Operation], bool]]:
    """The rows of the table in docs/kafka.md that are not for special cases: resource, name, operations, prefixed."""
    text = (checkout / "docs" / "kafka.md").read_text()
    table = text[text.index("## Rights") :]
    rows = re.findall(r"^\| (\w+) \| (.+?) \| (\w+) \| (.+?) \| (.+?) \|$", table, flags=re.MULTILINE)[1:]
    return [
        (
            RETOPICS[resource],
            TOPIC if "source" in name else name.strip("`").replace("<p>", prefix),
            [OPERATIONS[operation] for operation in operations.split(", ")],
            pattern == "prefixed",
        )
        for resource, name, pattern, operations, when in rows
        if not when.startswith("only")
    ]


def settings(cluster: SecureKafka, password: Path, **more: Any) -> dict[str, Any]:
    """The section `kafka` of a daemon that is that user."""
    return {
        "bootstrap": cluster.sasl,
        "session_timeout_s": 6,
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(cluster.cafile),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password_file": str(password),
        **more,
    }


@pytest.fixture
async def deployment(secure_kafka: SecureKafka, jira_double: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment whose test's own clients use the plain listener."""
    made = Deployment(secure_kafka.address, jira_double, tmp_path)
    await made.model.start()
    try:
        yield made
    finally:
        await made.close()


async def faultstream(file: Path, *words: str) -> tuple[int, str]:
    """Runs a command; its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "processor",
        *words,
        "--config",
        str(file),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(90):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_the_listed_rights_are_enough(deployment: Deployment, secure_kafka: SecureKafka, checkout: Path) -> None:
    """Before they are granted, the topic, the user and the settings are named; with them builds become tickets."""
    password = deployment.folder / "password"
    password.write_text(secure_kafka.passwords[USER])
    operator = deployment.write_settings(kafka={"bootstrap": secure_kafka.address, "partitions": 2})
    assert await faultstream(operator, "topics", "--create", "--json")
    secured = settings(secure_kafka, password)
    file = deployment.write_settings(kafka=secured)
    code, said = await faultstream(file, "run")
    assert code == 2
    assert f"user {USER} (kafka.sasl_username) may not see these topics; grant it" in said
    assert f"- {TOPIC} (source.kafka.topics of ci_failure)" in said
    for resource, name, operations, prefixed in rights(checkout, deployment.prefix):
        await secure_kafka.grant(USER, resource, name, *operations, prefixed=prefixed)
    await deployment.start(kafka=secured)
    build = {"ce_type": "build.failed", "repo": "acme/web", "job": "test"}
    await deployment.send((sample("npm-eresolve-a1"), build), (b"\x00\x01\x02binary", build))
    await deployment.until(lambda: deployment.tickets() and deployment.dead, "a ticket and a dead letter")
    code, said = await faultstream(file, "doctor", "--json")
    looked = {each["what"]: each for each in json.loads(said)}
    assert looked["kafka"]["text"] == f"{secure_kafka.sasl} as user {USER} (kafka.sasl_username)"
    assert looked["topics"]["fine"]
    code, said = await faultstream(file, "replay", "--reason", "binary")
    assert json.loads(said)["sent"] == 1
    assert await deployment.stop() == 0
    assert "AuthorizationFailed" not in deployment.log
    assert secure_kafka.passwords[USER] not in deployment.log


async def test_a_wrong_password_is_told_by_the_daemon_and_by_doctor(
    deployment: Deployment, secure_kafka: SecureKafka
) -> None:
    """Exit codes 2 and 1, the user and the settings to check; the password itself nowhere."""
    wrong = secrets.token_urlsafe()
    password = deployment.folder / "password"
    password.write_text(wrong)
    file = deployment.write_settings(kafka=settings(secure_kafka, password))
    told = f"refuses user {USER} (kafka.sasl_username): check kafka.sasl_username and kafka.sasl_password"
    code, said = await faultstream(file, "run")
    assert code == 2
    assert told in said.splitlines()[-1]
    assert wrong not in said
    code, said = await faultstream(file, "doctor", "--json")
    assert code == 1
    assert told in said
    assert wrong not in said
    assert yaml.safe_load(file.read_text())["kafka"]["sasl_password_file"] == str(password)
