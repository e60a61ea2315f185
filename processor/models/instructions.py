"""A form in words, for servers that don't keep answers to one: the model is told, and what it writes is checked."""

from __future__ import annotations

from functools import lru_cache

import orjson

from processor.models.form import NONE, Slot


@lru_cache(maxsize=4096)
def instructions(slots: tuple[Slot, ...]) -> str:
    """What the model is told of a form, a key a line; nothing of one without any."""
    if not slots:
        return ""
    lines = [f"{_json(slot.name)}: {_told(slot)}" for slot in slots]
    return "\n".join(["Answer with one JSON object and nothing else. Its keys, all of them, in this order:", *lines])


def _told(slot: Slot) -> str:
    first, last = slot.range if slot.kind == "integer" else (0, 0)
    said = {
        "choice": f"one of {_options(slot)}",
        "choices": f"a list of {_count(slot)} of {_options(slot)}",
        "text": f"a text of {f'{slot.shortest} to' if slot.shortest else 'at most'} {slot.length} characters",
        "texts": f"a list of {_count(slot)} texts of at most {slot.length} characters",
        "integer": f"a whole number from {first} to {last}",
        "number": f"a number from {slot.minimum:g} to {slot.maximum:g}",
        "flag": "true or false",
    }[slot.kind]
    return said + (", or null" if slot.nullable and slot.kind != "choice" else "")


def _options(slot: Slot) -> str:
    options = [*slot.options, NONE] if slot.nullable and slot.kind == "choice" else slot.options
    return ", ".join([_json(option) for option in options])


def _count(slot: Slot) -> str:
    return f"{slot.least} to {slot.most}" if slot.least else f"at most {slot.most}"


def _json(text: str) -> str:
    return orjson.dumps(text).decode()
