"""The text that every match of a regular expression must contain: what a prefilter can look for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_SHORTEST = 3
"""Shorter literals are in nearly every log and filter nothing."""


def required_literals(pattern: str) -> frozenset[str] | None:
    """Literals of which each match of `pattern` contains at least one, or None where there is no such set.

    >>> sorted(required_literals("(?:no|bad) (?:space|room) left"))
    [' left']
    """
    tree = parser.parse(pattern)
    return None if tree.state.flags & re.IGNORECASE else _required(tree)


def _required(sequence: Any) -> frozenset[str] | None:
    """The best set for a sequence of items: the one whose shortest literal is longest."""
    found = [one for one in _choices(sequence) if min(map(len, one)) >= _SHORTEST]
    return max(found, key=lambda one: (min(map(len, one)), -len(one)), default=None)


def _choices(sequence: Any) -> Iterable[frozenset[str]]:
    """Every set that an item, or a run of plain characters, of the sequence demands."""
    run = ""
    for kind, argument in _flat(sequence):
        if kind is op.LITERAL:
            run += chr(argument)
            continue
        if run:
            yield frozenset((run,))
        run = ""
        inner = _item(kind, argument)
        if inner:
            yield inner
    if run:
        yield frozenset((run,))


def _flat(sequence: Any) -> Iterable[tuple[Any, Any]]:
    """Items with plain groups opened, so that runs go through them."""
    for kind, argument in sequence:
        if kind is op.SUBPATTERN and not argument[1] and not argument[2]:
            yield from _flat(argument[3])
        else:
            yield kind, argument


def _item(kind: Any, argument: Any) -> frozenset[str] | None:
    """What one item demands: a repetition that happens at least once its body, a choice one of its branches."""
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT) and argument[0] > 0:
        return _required(argument[2])
    if kind is op.BRANCH:
        branches = [_required(branch) for branch in argument[1]]
        known = [branch for branch in branches if branch is not None]
        return frozenset().union(*known) if len(known) == len(branches) else None
    return None
