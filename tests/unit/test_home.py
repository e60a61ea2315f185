"""Homes overlay each other by stem."""

from __future__ import annotations

from pathlib import Path

import pytest

from processor.errors import ConfigError
from processor.home import Homes, bundled


def make(home: Path, stem: str) -> Path:
    """A home with one pipeline."""
    folder = home / "pipelines" / stem
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text("version: 1\n")
    return folder


def test_own_home_wins_over_the_bundled_one(tmp_path: Path) -> None:
    """A stem of the user's replaces the bundled one; the others stay."""
    mine = make(tmp_path, "ci_failure")
    found = Homes.of([tmp_path]).pipelines()
    assert found["ci_failure"] == mine
    assert Homes.of([tmp_path]).paths[-1] == bundled().resolve()


def test_the_same_stem_in_two_own_homes_is_a_clash(tmp_path: Path) -> None:
    """Which of them would be meant?"""
    one, two = make(tmp_path / "a", "x"), make(tmp_path / "b", "x")
    assert list(Homes.of([tmp_path / "a", tmp_path / "b"]).clashes()) == [("x", one, two)]


def test_homes_from_the_environment(tmp_path: Path) -> None:
    """$FAULTSTREAM_HOME is a list."""
    homes = Homes.of(environ={"FAULTSTREAM_HOME": f"{tmp_path}"})
    assert homes.own == (tmp_path.resolve(),)
    assert homes.find("nothing/here") is None


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    """The folder and both ways to name one are in the error."""
    with pytest.raises(ConfigError, match=r"none is no folder; fix --home or \$FAULTSTREAM_HOME"):
        Homes.of([tmp_path / "none"])
