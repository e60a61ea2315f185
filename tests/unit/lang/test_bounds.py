"""Bounds of a schema: those that are missing, and those that no answer or grammar can keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from processor.lang.schema_files import read_schema


def problems(tmp_path: Path, **properties: dict[str, Any]) -> list[str]:
    """What is wrong with a JSON Schema of these properties."""
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"type": "object", "properties": properties, "required": list(properties)}))
    return [one.message for one in read_schema(file)[1]]


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 1}, "minimum is 5, more than the most, 1"),
        ({"type": "string", "minLength": 9, "maxLength": 3}, "min_length is 9, more than the most, 3"),
        ({"type": "string", "maxLength": 1_000_000}, "no bound for a small model"),
        ({"type": "string", "maxLength": -1}, "no bound for a small model"),
        ({"type": "integer", "minimum": 0.2, "maximum": 0.8}, "no whole number lies between 0.2 and 0.8"),
        ({"type": "number", "minimum": 1e-9, "maximum": 2e-9}, "no number with 6 decimals lies between"),
        ({"type": "integer", "maximum": 10**30}, "can't be asked for"),
        ({"type": "integer", "maximum": "9"}, "maximum is '9', not a number"),
        ({"type": "integer", "minimum": True}, "minimum is True, not a number"),
        ({"enum": ["none", "a", None]}, "'none' stands for null"),
        (
            {"type": "array", "maxItems": 2, "minItems": 3, "items": {"type": "string", "maxLength": 9}},
            "min_items is 3, more than the most, 2",
        ),
        ({"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 9e9}}, "no bound for a small model"),
    ],
)
def test_what_no_answer_can_keep_is_found_beforehand(tmp_path: Path, schema: dict[str, Any], says: str) -> None:
    """Else it would fail with the first event."""
    found = problems(tmp_path, field=schema)
    assert len(found) == 1
    assert says in found[0]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 0, "maximum": 0},
        {"type": "number", "minimum": 0.25, "maximum": 0.25},
        {"type": "string", "minLength": 3, "maxLength": 3},
        {"enum": ["none", "a"]},
        {"type": "array", "minItems": 1, "maxItems": 1, "items": {"enum": ["a"]}},
    ],
)
def test_tight_bounds_are_fine(tmp_path: Path, schema: dict[str, Any]) -> None:
    """As long as something is left."""
    assert problems(tmp_path, field=schema) == []


def test_least_lengths_are_checked_where_a_grammar_does_not(tmp_path: Path) -> None:
    """Servers without guided decoding, and grammars that leave a keyword out."""
    file = tmp_path / "s.json"
    texts = {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "minLength": 2, "maxLength": 3}}
    file.write_text(json.dumps({"type": "object", "properties": {"tags": texts}, "required": ["tags"]}))
    schema, found = read_schema(file)
    assert found == []
    assert schema is not None
    assert schema.validate({"tags": ["ab"]}) == {"tags": ["ab"]}
    assert schema.json_schema()["properties"]["tags"] == texts
    for wrong, says in (([], "at least 1 are needed"), (["a"], "at least 2 are needed"), (["abcd"], "at most 3")):
        with pytest.raises(ValueError, match=says):
            schema.validate({"tags": wrong})


def test_escapes_of_letters_beyond_16_bits_are_one_letter(tmp_path: Path) -> None:
    """JSON writes them as two escapes; half of one is no text."""
    file = tmp_path / "s.json"
    file.write_text('{"type":"object","required":["a"],"properties":{"a":{"enum":["\\ud83d\\ude00","b"]}}}')
    schema, found = read_schema(file)
    assert found == []
    assert schema is not None
    assert list(schema.fields["a"].enum) == ["😀", "b"]
    file.write_text(file.read_text().replace("\\ude00", ""))
    assert [one.message for one in read_schema(file)[1]] == ["a: half a surrogate pair is no text"]
