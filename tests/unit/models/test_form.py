"""Forms: JSON Schema and grammar of an answer."""

from __future__ import annotations

import re

import orjson
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from processor.models.form import LIST_SIZES, SIZES, Slot, compile_form, size_class

NAMES = st.sampled_from(["category", "faulty_dependency", "n", 'quoted"', "back\\slash"])
OPTIONS = st.lists(st.text('abc1_ "\\é', min_size=1, max_size=5), min_size=1, max_size=4, unique=True).map(tuple)
SLOTS = st.lists(
    st.one_of(
        st.builds(Slot, NAMES, st.just("choice"), OPTIONS, nullable=st.booleans()),
        st.builds(Slot, NAMES, st.just("choices"), OPTIONS, most=st.integers(1, 3)),
        st.builds(Slot, NAMES, st.sampled_from(["text", "texts"]), most=st.integers(1, 3), length=st.integers(1, 9)),
        st.builds(Slot, NAMES, st.sampled_from(["integer", "number", "flag"]), nullable=st.booleans()),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda slot: slot.name,
).map(tuple)


def literals(grammar: str) -> list[str]:
    """What the quoted strings of a grammar's root rule say."""
    root = grammar.splitlines()[0]
    return [re.sub(r"\\(.)", r"\1", each) for each in re.findall(r'"((?:[^"\\]|\\.)*)"', root)]


def test_the_same_slots_give_the_same_bytes() -> None:
    """A server's cache of grammars is keyed by these bytes."""
    slots = (Slot("category", "choice", ("k1", "k2")), Slot("summary", "text", length=60))
    one = compile_form("p", slots)
    compile_form.cache_clear()
    other = compile_form("p", tuple(slots))
    assert orjson.dumps(one.schema) == orjson.dumps(other.schema)
    assert one.grammar == other.grammar


def test_a_form_in_full() -> None:
    """The schema and the grammar of each kind of slot."""
    form = compile_form(
        "p",
        (
            Slot("category", "choice", ("k1", "k2")),
            Slot("dependency", "choice", ("c1",), nullable=True),
            Slot("evidence", "choices", ("L1", "L2"), most=2),
            Slot("code", "integer", nullable=True, minimum=0, maximum=255),
            Slot("day", "integer", minimum=1, maximum=3),
            Slot("share", "number", minimum=-0.5, maximum=9.5),
            Slot("summary", "text", length=60),
        ),
    )
    assert form.json_schema == {
        "type": "object",
        "properties": {
            "category": {"type": "string", "enum": ["k1", "k2"]},
            "dependency": {"type": "string", "enum": ["c1", "none"]},
            "evidence": {"type": "array", "items": {"type": "string", "enum": ["L1", "L2"]}, "maxItems": 2},
            "code": {"type": ["integer", "null"], "minimum": 0, "maximum": 255},
            "day": {"type": "integer", "minimum": 1, "maximum": 3},
            "share": {"type": "number", "minimum": -0.5, "maximum": 9.5},
            "summary": {"type": "string", "maxLength": 60},
        },
        "required": ["category", "dependency", "evidence", "code", "day", "share", "summary"],
        "additionalProperties": False,
    }
    root = (
        r'root ::= "{\"category\":" "\"" ("k1" | "k2") "\"" ",\"dependency\":" "\"" ("c1" | "none") "\""'
        r' ",\"evidence\":" "[" ("\"" ("L1" | "L2") "\"" ("," "\"" ("L1" | "L2") "\""){0,1})? "]"'
        r' ",\"code\":" (("0" | [1-9] [0-9]{0,2}) | "null") ",\"day\":" ("1" | "2" | "3")'
        r' ",\"share\":" "-"? ("0" | [1-9] [0-9]{0,0}) ("." [0-9]{1,6})? ",\"summary\":" "\"" char{0,60} "\"" "}"'
    )
    assert form.grammar.splitlines() == [
        root,
        r'char ::= [^"\\\x7F\x00-\x1F] | "\\" ["\\/bfnrt]',
    ]


@given(SLOTS)
def test_every_form_is_a_valid_schema_that_forbids_the_rest(slots: tuple[Slot, ...]) -> None:
    """Schemas are valid JSON Schema, need every key and allow no other."""
    schema = compile_form("p", slots).json_schema
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == [slot.name for slot in slots]
    assert not Draft202012Validator(schema).is_valid({"another": 1})


@given(SLOTS)
def test_the_grammar_spells_keys_and_options_as_json(slots: tuple[Slot, ...]) -> None:
    """Quotes and backslashes in names and options are escaped twice: for JSON and for the grammar."""
    spelled = "".join(literals(compile_form("p", slots).grammar))
    for slot in slots:
        assert orjson.dumps(slot.name).decode() + ":" in spelled
        for option in slot.options:
            assert orjson.dumps(option).decode()[1:-1] in spelled


def test_size_classes_bound_the_number_of_forms() -> None:
    """Any number of candidates falls into one of a few classes that hold it."""
    assert [size_class(count) for count in (0, 1, 2, 3, 5, 9, 17, 24, 99)] == [0, 1, 2, 4, 8, 16, 24, 24, 24]
    assert {size_class(count, LIST_SIZES) for count in range(40)} == set(LIST_SIZES)
    assert {size_class(count) for count in range(40)} == set(SIZES)


def test_numbers_are_bounded_even_where_the_schema_is_silent() -> None:
    """Digits without end are a known way to fill max_tokens."""
    form = compile_form("p", (Slot("n", "integer"), Slot("x", "number")))
    for limits in form.json_schema["properties"].values():
        assert (limits["minimum"], limits["maximum"]) == (-999_999_999_999, 999_999_999_999)
    assert "[0-9]{0,11}" in form.grammar
    assert "[0-9]*" not in form.grammar


def test_fractions_that_bound_a_whole_number_are_rounded_inwards() -> None:
    """Xgrammar refuses a fraction as the bound of an integer."""
    form = compile_form("p", (Slot("n", "integer", minimum=-3.5, maximum=7.2),))
    assert form.json_schema["properties"]["n"] == {"type": "integer", "minimum": -3, "maximum": 7}


def test_long_texts_repeat_in_parts() -> None:
    """Llama.cpp refuses more than 2,000 repetitions in one place."""
    grammar = compile_form("p", (Slot("s", "text", length=4000, shortest=1200),)).grammar
    assert "char{1000,1000} char{200,1000} char{0,1000} char{0,1000}" in grammar


def test_a_list_that_needs_items_begins_with_one() -> None:
    """Least numbers of items and of characters stand in both languages."""
    form = compile_form(
        "p", (Slot("e", "choices", ("a", "b"), least=2, most=3), Slot("s", "text", shortest=2, length=5))
    )
    assert form.json_schema["properties"]["e"]["minItems"] == 2
    assert form.json_schema["properties"]["s"]["minLength"] == 2
    assert '("," "\\"" ("a" | "b") "\\""){1,2}) "]"' in form.grammar
    assert "char{2,5}" in form.grammar
