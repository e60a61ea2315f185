"""docs/pipelines.md: its files, typed in as they stand, make a pipeline that lints and whose cases pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from processor.cli import app

GUIDE = Path(__file__).parents[3] / "docs" / "pipelines.md"
FILES = re.compile(r"^\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the files of the guide, outside the checkout."""
    for name, text in FILES.findall(GUIDE.read_text(encoding="utf-8")):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_guides_pipeline_works(home: Path) -> None:
    """What a newcomer types in passes lint and its cases, by its name from a home of its own."""
    runner = CliRunner()
    lint = runner.invoke(app, ["lint", "deploys", "--home", str(home)])
    assert (lint.exit_code, lint.stdout) == (0, "")
    test = runner.invoke(app, ["test", "deploys", "--home", str(home)])
    assert (test.exit_code, test.stdout) == (0, "deploys: 2 of 2 cases passed (1 decided by rules)\n")


def test_the_guides_mistakes_are_found(home: Path) -> None:
    """The messages that the guide shows are those that lint gives."""
    folder = home / "pipelines" / "deploys"
    for name, right, wrong in (
        ("pipeline.yaml", "event.type ==", "event.typ =="),
        ("pipeline.yaml", '"capacity"', '"capcity"'),
        ("ticket.j2", "parts.evidence", "parts.evidenc"),
        ("rules.yaml", "Failed to pull image ", ""),
    ):
        file = folder / name
        file.write_text(file.read_text().replace(right, wrong))
    found = CliRunner().invoke(app, ["lint", "deploys", "--home", str(home)]).stdout
    shown = re.findall(r"```text\n(pipelines/deploys/.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(shown) == 2
    for line in "".join(shown).splitlines():
        assert line.partition("valid: ")[0] in found
