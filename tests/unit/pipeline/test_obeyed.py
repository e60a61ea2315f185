"""No key may be written in vain: what the models take is read somewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from processor.pipeline.document import PipelineDocument
from processor.pipeline.ticket import TicketConfig
from processor.settings import Settings

ROOT = Path(__file__).parents[3]


def keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every key of a document, dotted."""
    for name, info in model.model_fields.items():
        here = f"{path}.{info.alias or name}".lstrip(".")
        yield here
        for part in models(info.annotation):
            yield from keys(part, here)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def what_is_read() -> set[str]:
    """The attributes that the code reads off anything, but for checking and loading pipelines."""
    files = [file for file in (ROOT / "processor").rglob("*.py") if file.parent.name != "pipeline"]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_all_that_is_said_of_tickets_is_taken_along() -> None:
    """Nothing that may be written about tickets is dropped without a word."""
    written = {key.rpartition(".")[2] for key in keys(PipelineDocument) if key.count(".") == 1 and "ticket." in key}
    assert written
    assert written - {each.name for each in fields(TicketConfig)} == set()


def test_all_settings_are_read() -> None:
    """Each is read somewhere; a secret's file is read where its secret is."""
    read = what_is_read()
    settings = {key.rpartition(".")[2] for key in keys(Settings)}
    assert {key for key in settings if not {key, key.removesuffix("_file")} & read} == set()
