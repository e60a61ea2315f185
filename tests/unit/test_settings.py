"""Settings: the file, the environment over it, and errors that name both."""

from __future__ import annotations

from pathlib import Path

import pytest

from processor.errors import ConfigError
from processor.settings import load

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["faultstream.yaml", "production.example.yaml"])
def test_shipped_settings_are_valid(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What we ship loads (the token's file is the deployment's)."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    monkeypatch.setenv("FAULTSTREAM_JIRA__TOKEN_FILE", str(token))
    monkeypatch.setenv("FAULTSTREAM_JIRA__URL", "http://127.0.0.1:1")
    settings = load(ROOT / "config" / name)
    assert settings.group == "faultstream.line"
    assert settings.jira is not None
    assert settings.jira.token is not None
    assert settings.jira.token.get_secret_value() == "secret"


def test_environment_wins_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key from the environment leaves its neighbours from the file."""
    file = tmp_path / "f.yaml"
    file.write_text("kafka: {bootstrap: a:1, group: g}\n")
    monkeypatch.setenv("FAULTSTREAM_KAFKA__BOOTSTRAP", "b:2")
    settings = load(file)
    assert (settings.kafka.bootstrap, settings.kafka.group) == ("b:2", "g")


def test_all_faults_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    """Unknown keys and wrong types, each with file and key."""
    file = tmp_path / "f.yaml"
    file.write_text("kafka: {bootsrap: a}\nlimits: {in_flight: many}\nmodels: {lite: {urls: [u], modle: x}}\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    lines = str(caught.value).splitlines()
    assert f"{file}: kafka.bootsrap: unknown setting; did you mean bootstrap?" in lines
    assert f"{file}: models.lite.modle: unknown setting; did you mean model?" in lines
    assert any(line.startswith(f"{file}: limits.in_flight: Input should be a valid integer") for line in lines)


@pytest.mark.parametrize("where", ["file", "environment"])
def test_setting_that_was_renamed_says_its_new_name(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it stands, and what to write instead."""
    file = tmp_path / "f.yaml"
    file.write_text("jira: {url: http://j" + (", threads: 8" if where == "file" else "") + "}\n")
    if where == "environment":
        monkeypatch.setenv("FAULTSTREAM_JIRA__THREADS", "8")
    with pytest.raises(ConfigError, match=r"jira: threads is called concurrency now: write jira\.concurrency"):
        load(file)


def test_a_fault_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, not a file."""
    monkeypatch.setenv("FAULTSTREAM_LIMITS__IN_FLIGHT", "0")
    with pytest.raises(ConfigError, match=r"^\$FAULTSTREAM_LIMITS__IN_FLIGHT: limits.in_flight: "):
        load(None)


def test_a_secret_never_stands_in_an_error_or_a_repr(tmp_path: Path) -> None:
    """A wrong section that holds a token is told without it."""
    file = tmp_path / "f.yaml"
    file.write_text("jira: {url: http://j, token: hunter2, tokn: hunter2}\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert "hunter2" not in str(caught.value)
    file.write_text("jira: {url: http://j, token: hunter2}\n")
    assert "hunter2" not in repr(load(file))


def test_missing_secret_file_is_named(tmp_path: Path) -> None:
    """The file that can't be read is in the error."""
    file = tmp_path / "f.yaml"
    file.write_text(f"jira: {{url: http://j, token_file: {tmp_path}/none}}\n")
    with pytest.raises(ConfigError, match=r"token_file: can't read .*none"):
        load(file)


def test_no_mapping_and_no_yaml(tmp_path: Path) -> None:
    """A list, or broken YAML."""
    file = tmp_path / "f.yaml"
    file.write_text("- a\n")
    with pytest.raises(ConfigError, match="a mapping of settings is expected"):
        load(file)
    file.write_text("a: [\n")
    with pytest.raises(ConfigError, match="no YAML"):
        load(file)


def test_lists_in_the_environment_need_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses and names may stand side by side with commas between them, or as JSON."""
    monkeypatch.setenv("FAULTSTREAM_MODELS__LITE__URLS", "http://a:1/v1, http://b:2/v1/")
    monkeypatch.setenv("FAULTSTREAM_PIPELINES", "ci_failure,log_router")
    settings = load()
    assert settings.models["lite"].urls == ["http://a:1/v1", "http://b:2/v1"]
    assert settings.pipelines == ["ci_failure", "log_router"]
    monkeypatch.setenv("FAULTSTREAM_PIPELINES", '["ci_failure"]')
    assert load().pipelines == ["ci_failure"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FAULTSTREAM_PIPELINES", "[ci_failure", "pipelines: Input should be a valid list"),
        ("FAULTSTREAM_KAFKA", "broker:9092", "kafka: Input should be a valid dictionary"),
        ("FAULTSTREAM_MODELS__LITE__URLS", "vllm:8000", "urls.0: 'vllm:8000' is no address"),
        ("FAULTSTREAM_JIRA__URL", "jira.example.com", "jira.url: 'jira.example.com' is no address"),
    ],
)
def test_what_can_not_be_a_value_is_told(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken JSON, text for a mapping, and addresses without a scheme: errors that name the key, no traceback."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        load()
    assert said in str(error.value)


def test_broken_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    """File, line and column, as lint tells them."""
    file = tmp_path / "f.yaml"
    file.write_text("kafka: {group: g}\nlog: [a\n")
    with pytest.raises(ConfigError, match=r"f\.yaml:3:1: no YAML: expected ',' or '\]'"):
        load(file)
