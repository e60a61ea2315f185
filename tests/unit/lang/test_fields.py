"""Result schemas: YAML of fields, JSON Schema and pydantic classes become the same thing."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from processor.lang.fields import InvalidResult, ResultSchema
from processor.lang.schema_files import read_schema

YAML = """
version: 3
description: Why.
fields:
  category: {enum: {test: A test failed., compile: It does not compile.}}
  package: {ground: candidates.packages, nullable: true}
  tests: {type: list, ground: candidates.tests, max_items: 2}
  level: {type: integer, minimum: 1, maximum: 5}
  sure: {type: boolean}
  evidence: {ground: excerpt.lines, type: list, max_items: 2}
  summary: {max_length: 20}
"""
GOOD = {
    "summary": "It broke.", "category": "test", "level": 2, "sure": True, "tests": ["a"],
    "package": {"name": "x", "version": None, "ecosystem": "npm"},
}  # fmt: skip


@pytest.fixture
def schema(tmp_path: Path) -> ResultSchema:
    """The schema above."""
    file = tmp_path / "why.yaml"
    file.write_text(YAML)
    made, problems = read_schema(file)
    assert made is not None
    assert problems == []
    return made


def test_a_good_result_comes_back_in_the_order_of_the_schema(schema: ResultSchema) -> None:
    """The evidence is no part of the result; the order is that of the fields."""
    assert list(schema.validate(GOOD | {"evidence": [1]})) == [
        "category",
        "package",
        "tests",
        "level",
        "sure",
        "summary",
    ]
    assert schema.evidence is not None
    assert schema.evidence.name == "evidence"
    assert schema.version == 3


def test_the_json_schema_says_the_same(schema: ResultSchema) -> None:
    """What validates here validates against the JSON Schema, and what does not does not."""
    document = schema.json_schema()
    jsonschema.Draft202012Validator.check_schema(document)
    validator = jsonschema.Draft202012Validator(document)
    assert validator.is_valid(schema.validate(GOOD))
    for change in (
        {"category": "x"},
        {"level": 9},
        {"sure": 1},
        {"summary": "x" * 21},
        {"tests": ["a", "b", "c"]},
        {"new": 1},
    ):
        assert not validator.is_valid(GOOD | change)
        with pytest.raises(InvalidResult):
            schema.validate(GOOD | change)


def test_all_that_is_wrong_is_said(schema: ResultSchema) -> None:
    """Every wrong field has its message."""
    wrong = {"category": "tset", "level": 0, "sure": "yes", "package": {"name": 1, "version": None}, "other": 1}
    with pytest.raises(InvalidResult) as error:
        schema.validate(wrong)
    assert error.value.messages == [
        "other: no such field",
        "category: 'tset' is none of test, compile",
        "package.name: 1 is not text",
        "package.ecosystem: missing",
        "tests: missing",
        "level: 0 is less than 1",
        "sure: 'yes' is not true or false",
        "summary: missing",
    ]


def test_a_pydantic_class_validates_with_its_own_validators(tmp_path: Path) -> None:
    """A class from a home is loaded by path; its validators and defaults count."""
    file = tmp_path / "why.py"
    file.write_text(
        "from typing import Literal\n"
        "from pydantic import BaseModel, Field, field_validator\n"
        "VERSION = 2\n"
        "class Why(BaseModel):\n"
        '    """Why."""\n'
        '    category: Literal["test", "compile"] = Field(json_schema_extra={"definitions": {"test": "A test."}})\n'
        "    tests: list[str] = Field(default_factory=list, max_length=3)\n"
        "    summary: str = Field(max_length=20)\n"
        "    @field_validator('summary')\n"
        "    @classmethod\n"
        "    def _capital(cls, value):\n"
        "        if not value[:1].isupper():\n"
        "            raise ValueError('begin with a capital')\n"
        "        return value\n"
    )
    made, problems = read_schema(file, "Why", {"tests": "candidates.tests"})
    assert problems == []
    assert made is not None
    assert made.version == 2
    assert made.fields["category"].enum == {"test": "A test.", "compile": ""}
    assert made.validate({"category": "test", "summary": "It broke."}) == {
        "category": "test", "tests": [], "summary": "It broke.",
    }  # fmt: skip
    with pytest.raises(InvalidResult, match="begin with a capital"):
        made.validate({"category": "test", "summary": "it broke."})


def test_an_optional_member_of_a_json_schema_may_be_null(tmp_path: Path) -> None:
    """What a JSON Schema does not require is null where it is missing, so that templates always find it."""
    file = tmp_path / "why.json"
    file.write_text(
        '{"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "maxLength": 9}, '
        '"b": {"$ref": "#/$defs/level"}}, "$defs": {"level": {"type": "integer", "minimum": 1}}}'
    )
    made, problems = read_schema(file)
    assert problems == []
    assert made is not None
    assert made.validate({"a": "x"}) == {"a": "x", "b": None}
