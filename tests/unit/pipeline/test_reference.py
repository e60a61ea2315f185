"""The generated reference and JSON Schemas are up to date and good for something."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import orjson
import pytest
import yaml

from tools import generate_reference

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", generate_reference.generate())
def test_generated_files_are_up_to_date(name: str) -> None:
    """`python -m tools.generate_reference` would change nothing."""
    assert (ROOT / name).read_text(encoding="utf-8") == generate_reference.generate()[name]


@pytest.mark.parametrize("file", sorted(ROOT.glob("pipelines/*/pipeline.yaml")), ids=lambda file: file.parent.name)
def test_the_editor_schema_accepts_the_bundled_pipelines(file: Path) -> None:
    """An editor shows no error in a pipeline that lint passes, and one in a pipeline with a typing mistake."""
    schema = orjson.loads((ROOT / "config/schema/pipeline.schema.json").read_bytes())
    validator = jsonschema.Draft202012Validator(schema)
    document = yaml.safe_load(file.read_text())
    assert [error.message for error in validator.iter_errors(document)] == []
    assert not validator.is_valid(document | {"reduce": {"budget": 1000}})


def test_every_field_is_documented() -> None:
    """No key of the language lacks a description, an example where one helps, and a default."""
    text = generate_reference.pipeline_reference() + generate_reference.schema_reference()
    text += generate_reference.provider_reference()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `") and line.count(" | ") >= 4]
    assert len(rows) > 60
    assert [row[0] for row in rows if not row[3].strip() or not row[4].strip("| ")] == []
