"""What can be wrong with `source.assemble`."""

from __future__ import annotations

import re
from typing import Final

from processor.contract import ATTRIBUTES
from processor.lang.problem import nearest
from processor.pipeline.checked import Checked

RECORD_KEY: Final = "kafka.key"
"""What stands for the record's own key among the names of `key`."""

_NEVER: Final = frozenset({"time", "type"})
_SHARED: Final = frozenset({"source", "provider", "attempt", "repo", "branch"})
"""Attributes that builds which run at the same time may share."""


def check_assemble(checked: Checked) -> None:
    """Says what is wrong with the section, if there is one."""
    _key(checked)
    for name in ("end", "passed"):
        _expression(checked, name)
    model = checked.model.source.assemble if checked.model is not None else None
    if model is not None and model.idle > model.max_age:
        message = f"a log would be closed after max_age ({model.max_age:g} s), before it is silent for that long"
        checked.say(("source", "assemble", "idle"), message, "make it shorter than max_age")


def _key(checked: Checked) -> None:
    path = ("source", "assemble", "key")
    given = checked.mapping("source", "assemble").get("key")
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    known = [*ATTRIBUTES, RECORD_KEY]
    for index, name in enumerate(names):
        here = (*path, index) if isinstance(given, list) else path
        if not isinstance(name, str):
            continue
        if name not in known:
            checked.say(here, f"unknown attribute {name!r}", nearest(name, known, most=16))
        elif name in _NEVER:
            checked.say(here, f"lines of one log differ in {name!r}", "name what only they share, like run_id")
    if names and all(name in _SHARED for name in names):
        checked.say(path, f"several builds at once share {', '.join(map(str, names))}", "add run_id, or kafka.key")


def _expression(checked: Checked, name: str) -> None:
    text = checked.text("source", "assemble", name)
    if text is None:
        return
    try:
        pattern = re.compile(text, re.MULTILINE)
    except re.error as exc:
        checked.say(("source", "assemble", name), f"not a regular expression: {exc}")
        return
    if pattern.search(""):
        checked.say(("source", "assemble", name), "it is found in an empty line, so that each line would be the last")
