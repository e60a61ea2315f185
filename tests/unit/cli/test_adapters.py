"""`faultstream adapters`: versions published, tried, promoted and rolled back from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from processor.cli import app
from processor.errors import ConfigError
from processor.testing.lora import make_adapter

RUN = CliRunner()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the adapter `ci` and settings that name a store."""
    make_adapter(tmp_path / "adapters" / "ci", 1)
    (tmp_path / "config").mkdir()
    store = {"store": str(tmp_path / "store")}
    settings = {
        "models": {"lite": {"urls": ["http://127.0.0.1:1/v1"], "base_model": "acme/base-3b", "adapters": store}}
    }
    (tmp_path / "config" / "faultstream.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def run(home: Path, *words: str) -> Result:
    """The command's outcome."""
    return RUN.invoke(app, ["adapters", *words, "--home", str(home)])


def listed(home: Path) -> dict[str, object]:
    """What `list` says of the one adapter."""
    [one] = json.loads(run(home, "list", "--json").stdout)
    return dict(one)


def test_a_version_is_published_tried_promoted_and_rolled_back(home: Path) -> None:
    """Each command says what is served now, and `list` agrees."""
    said = run(home, "publish", "ci")
    assert said.exit_code == 0, said.output
    first = listed(home)["version"]
    assert said.stdout == f"ci@{first} is served\n"
    trained = make_adapter(home / "trained", 2)
    assert (
        "is tried on 10.0% of the events" in run(home, "publish", "ci", "--from", str(trained), "--share", "0.1").stdout
    )
    second = listed(home)["candidate"]
    assert second != first
    assert run(home, "promote", "ci").stdout == f"ci@{second} is served\n"
    assert run(home, "rollback", "ci").stdout == f"ci@{first} is served\n"
    assert run(home, "publish", "ci", "--version", str(second)).stdout == f"ci@{second} is served\n"
    assert listed(home)["before"] == first


def test_what_is_wrong_is_told_and_nothing_changes(home: Path) -> None:
    """A bad folder, an unknown name, a tier without a store."""
    run(home, "publish", "ci")
    before = listed(home)
    bad = make_adapter(home / "bad", 3, base_model="acme/base-7b")
    for words, said in (
        (("publish", "ci", "--from", str(bad)), "made for acme/base-7b, models.lite.base_model is acme/base-3b"),
        (("publish", "other"), "no adapter 'other' in any home"),
        (("publish", "ci", "--tier", "pro"), "--tier: no tier pro in the settings; there are lite"),
        (("rollback", "ci"), "no version before this one to go back to"),
        (("promote", "ci"), "there is no candidate"),
    ):
        outcome = run(home, *words)
        assert isinstance(outcome.exception, ConfigError)
        assert said in str(outcome.exception)
    assert listed(home) == before
    (home / "config" / "faultstream.yaml").write_text("{}")
    assert "models.lite.adapters.store is not set" in str(run(home, "list").exception)


def test_a_manifest_is_made_of_the_files(home: Path) -> None:
    """Rank, modules and digest are filled in, what a person wrote stays, and the result passes publication."""
    folder = home / "adapters" / "ci"
    (folder / "manifest.yaml").write_text("base_model: x\ndescription: trained on builds\n")
    made = RUN.invoke(app, ["adapters", "manifest", str(folder), "--base-model", "acme/base-3b", "--write"])
    assert made.exit_code == 0, made.output
    written = yaml.safe_load((folder / "manifest.yaml").read_text())
    assert (written["base_model"], written["rank"], written["target_modules"]) == (
        "acme/base-3b",
        4,
        ["q_proj", "v_proj"],
    )
    assert written["description"] == "trained on builds"
    assert written["digest"].startswith("sha256:")
    assert run(home, "publish", "ci").exit_code == 0
