"""Bounds of what a model is asked for: those that are missing, and those that no answer or no grammar can keep.

A small model goes on writing for as long as it may, so that every text, list and number needs a bound; and what a
server's grammar can't express fails with the first event, unless it is found here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from processor.lang.fields import DECIMALS, LARGEST, NONE, Field

_MOST: Final = 4000
"""Most characters of a text, or items of a list, that a grammar is made for."""

Fault = tuple[tuple[str, ...], str, str]
"""The names that lead to a field, what is wrong with it, and a remedy or nothing."""


def faults(fields: Mapping[str, Field]) -> Iterator[Fault]:
    """All that is wrong with the bounds of a schema's fields."""
    yield from unbounded(fields)
    yield from impossible(fields)


def unbounded(fields: Mapping[str, Field]) -> Iterator[Fault]:
    """Texts and lists without a bound, as (names that lead there, message, remedy): a small model fills them."""
    for name, one in fields.items():
        yield from _unbounded(one, (name,))


def _unbounded(one: Field, path: tuple[str, ...]) -> Iterator[Fault]:
    if one.type == "list":
        if one.max_items is None:
            yield path, f"{path[-1]} is a list without a bound", "set max_items (maxItems in JSON Schema)"
        if one.item is not None and one.ground is None:
            yield from _unbounded(one.item, path)
        return
    if one.ground is not None:
        return
    if one.type == "string" and not one.enum and one.max_length is None:
        yield path, f"{path[-1]} is a text without a bound", "set max_length (maxLength in JSON Schema)"
    for member in one.fields:
        yield from _unbounded(member, (*path, member.name))


def impossible(fields: Mapping[str, Field]) -> Iterator[Fault]:
    """What no answer can satisfy, or no grammar can express, as (names that lead there, message, remedy)."""
    for name, one in fields.items():
        yield from _impossible(one, (name,))


def _impossible(one: Field, path: tuple[str, ...]) -> Iterator[Fault]:
    name = path[-1]
    if any(map(_is_broken, (name, *one.enum))):
        yield path, f"{ascii(name)[1:-1]}: half a surrogate pair is no text", ""
        return
    for key in ("minimum", "maximum", "min_length", "max_length", "min_items", "max_items"):
        value = getattr(one, key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            yield path, f"{name}: {key} is {value!r:.40}, not a number", ""
            return
    yield from ((path, f"{name}: {message}", hint) for message, hint in _bounds(one))
    if one.nullable and NONE in one.enum:
        yield path, f"{name}: {NONE!r} stands for null where a choice is nullable", "name the value otherwise"
    if one.item is not None:
        yield from _impossible(one.item, path)
    for member in one.fields:
        yield from _impossible(member, (*path, member.name))


def _bounds(one: Field) -> Iterator[tuple[str, str]]:
    """What is wrong with numbers that bound a field, as (message, remedy)."""
    pairs = (("minimum", one.minimum, one.maximum), ("min_length", one.min_length, one.max_length),
             ("min_items", one.min_items, one.max_items))  # fmt: skip
    for key, least, most in pairs:
        if least is not None and most is not None and least > most:
            yield f"{key} is {least:g}, more than the most, {most:g}", ""
            return
    for most in (one.max_length, one.max_items):
        if most is not None and (most < 0 or most > _MOST):
            yield f"a bound of {most:g} is no bound for a small model", f"at most {_MOST}"
    if one.type not in ("integer", "number"):
        return
    least, most = one.minimum, one.maximum
    if any(abs(each) > LARGEST for each in (least, most) if each is not None):
        yield f"numbers beyond {LARGEST:g} can't be asked for", "take a text"
    elif least is not None and most is not None:
        first, last = (least, most) if one.type == "integer" else (least * 10**DECIMALS, most * 10**DECIMALS)
        if math.ceil(first) > math.floor(last):
            what = "whole number" if one.type == "integer" else f"number with {DECIMALS} decimals"
            yield f"no {what} lies between {least:g} and {most:g}", ""


def _is_broken(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
