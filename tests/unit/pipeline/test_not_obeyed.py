"""Keys that may be written and have no effect yet: they are warned of, and leave the list when they get one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from processor.cli import app as program
from processor.home import Homes
from processor.lang.validate import is_obeyed
from processor.pipeline import Pipeline, load_all
from processor.pipeline.document import PipelineDocument
from processor.pipeline.ticket import TicketConfig
from processor.settings import Settings

ROOT = Path(__file__).parents[3]
GOOD = ROOT / "tests" / "data" / "config_good"
VAIN = ["source.assemble"]
"""Those that the good example gives, in the order of their names."""


def keys(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, bool]]:
    """Every key of a document, dotted, and whether it is obeyed."""
    for name, info in model.model_fields.items():
        here = f"{path}.{info.alias or name}".lstrip(".")
        yield here, is_obeyed(info)
        for part in models(info.annotation):
            yield from keys(part, here)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


MARKED = [key for key, obeyed in keys(PipelineDocument) if not obeyed]


def what_is_read() -> set[str]:
    """`<owner>.<key>` of everything that the code reads off anything, but for checking and loading pipelines."""
    found = set()
    for file in (ROOT / "processor").rglob("*.py"):
        if file.parent.name == "pipeline":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                found.add(f"{owner}.{node.attr}")
    return found


@pytest.mark.parametrize("key", MARKED)
def test_what_is_obeyed_leaves_the_list(key: str) -> None:
    """The code reads nothing that is marked, and compiles nothing of it for a ticket."""
    part, _, name = key.rpartition(".")
    owners = {part.rpartition(".")[2], "part", "pipeline", "plan", "policy"}
    assert not {f"{owner}.{name}" for owner in owners} & what_is_read(), "take NOT_YET off its field"
    if part == "ticket":
        assert name not in {each.name for each in fields(TicketConfig)}, "take NOT_YET off its field"


def test_what_a_ticket_leaves_out_is_on_the_list() -> None:
    """Nothing that may be written about tickets is dropped without a word."""
    written = {key.rpartition(".")[2] for key, _ in keys(PipelineDocument) if key.count(".") == 1 and "ticket." in key}
    assert written - {each.name for each in fields(TicketConfig)} == {
        key.rpartition(".")[2] for key in MARKED if key.startswith("ticket.")
    }


def test_all_settings_are_obeyed() -> None:
    """None is marked, and each is read somewhere; a secret's file is read where its secret is."""
    read = {name.rpartition(".")[2] for name in what_is_read()}
    settings = {key.rpartition(".")[2] for key, obeyed in keys(Settings) if obeyed}
    assert {key for key in settings if not {key, key.removesuffix("_file")} & read} == set()
    assert [key for key, obeyed in keys(Settings) if not obeyed] == []


def test_lint_warns_and_is_content() -> None:
    """Exit code 0; each warning at its place, in text and in JSON, and the count says so."""
    folder = str(GOOD / "pipelines" / "builds")
    told = CliRunner().invoke(program, ["lint", folder])
    assert told.exit_code == 0
    for key in VAIN:
        assert f"warning: {key} is not obeyed yet; it has no effect" in told.output
    assert "1 pipeline: no problems, 1 warning" in told.output
    rows = orjson.loads(CliRunner().invoke(program, ["lint", folder, "--json"]).stdout)
    assert [row["severity"] for row in rows] == ["warning"] * len(VAIN)
    lines = (GOOD / "pipelines" / "builds" / "pipeline.yaml").read_text().splitlines()
    for row in rows:
        key = row["message"].split()[0].rpartition(".")[2]
        assert lines[row["line"] - 1][row["column"] - 1 :].startswith(f"{key}:")


def test_a_daemon_warns_too() -> None:
    """A pipeline that is loaded knows what it gives in vain; what is switched off is not given."""
    pipeline = Pipeline.load(GOOD / "pipelines" / "builds", Homes((GOOD,)))
    assert sorted(one.message.split()[0] for one in pipeline.warnings) == VAIN
    assert MARKED == VAIN


def test_the_bundled_pipelines_give_nothing_in_vain() -> None:
    """They are the example that people copy."""
    assert [one for pipeline in load_all(Homes((ROOT,))) for one in pipeline.warnings] == []
