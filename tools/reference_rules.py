"""The table of a rule's keys in docs/reference/expressions.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from processor.logs.lint import KEYS
from processor.logs.rules import DEFAULT_FINAL, DEFAULT_PRIORITY, DEFAULT_WITHIN

MEANINGS: Final[Mapping[str, tuple[object, str]]] = {
    "id": ("required", "Name, unique in the file: lower-case letters, digits, `-` and `_`."),
    "description": ("none", "What the fault is, for people."),
    "source": ("none", "Where the wording is from, for people: a tool and its version, an address."),
    "ecosystem": ("none", "Ecosystem of the tool, such as `npm`, for people."),
    "pattern": ("none", "Regular expression, sought in each line of the excerpt."),
    "any": ("none", "Several of them, of which one is enough."),
    "all": ("none", "Several of them, which must all be found, in this order."),
    "not": ("none", "What must not be anywhere in the excerpt."),
    "within": (DEFAULT_WITHIN, "Most lines of the log from the first to the last one of `all`."),
    "priority": (DEFAULT_PRIORITY, "Of several rules that hold the one with the highest wins."),
    "decides": ("true", "Whether it decides; with `false` it only proposes, and the model decides."),
    "final": (DEFAULT_FINAL, "Most lines of the log that may follow; after more of them it only proposes."),
    "precision": ("none", "Share of right answers, 0 to 1, where it was measured: the finding's confidence."),
    "examples": ("none", "Logs that it must match: texts, or files of the folder."),
    "counterexamples": ("none", "Logs that look like them, and that it must not match."),
    "fields": (
        "none",
        "Field of the result to its value, of an object a mapping; `{name}` stands for a capture. Needed to decide.",
    ),
}


def table() -> str:
    """Key, type, default and meaning, a row each."""
    rows = "".join(
        f"| `{name}` | {_type(kind)} | {_default(MEANINGS[name][0])} | {MEANINGS[name][1]} |\n"
        for name, kind in KEYS.items()
    )
    return f"| key | type | default | meaning |\n|---|---|---|---|\n{rows}"


def _default(value: object) -> str:
    return str(value) if value in {"required", "none"} else f"`{value}`"


def _type(kind: Any) -> str:
    words = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        list: "list of texts",
        dict: "mapping",
    }
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(words[one] for one in kinds if not (one is int and float in kinds))
