"""Long stack traces are cut in the middle: where the fault was thrown, what is one's own, and the end stay.

The calls in between are a library's or repeat each other; they may be shown, but after everything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple

from processor.logs.patterns import CALLS
from processor.logs.rank import ANCHOR, Hits
from processor.logs.store import Store

_LONG: Final = 10
"""Calls of a trace that is not cut."""
_ENDS: Final = 3
"""Calls that stay at each end."""
_OWN: Final = 4
"""Calls of one's own code that stay beside them."""
_BETWEEN: Final = 2
"""Lines that may stand between two calls of one trace: the source (Python), the function's name (Go)."""

_MOST_READ: Final = 600
_PIECE: Final = 40
"""Lines of a stack trace that are read at most, and at once."""
_STAYS: Final = 0.6
"""What the ends of a long trace are worth beside its first line."""
_GOES: Final = 0.3
"""What is left of the worth of its middle."""

_LIBRARY: Final = re.compile(
    rb"node_modules|\(?node:|\binternal/|[\\/](?:site|dist)-packages[\\/]|[\\/]lib(?:64)?[\\/]python\d|<frozen "
    rb"|\bat (?:java|javax|jakarta|jdk|sun|com\.sun|kotlin|kotlinx|scala|groovy|android|androidx"
    rb"|org\.(?:junit|testng|gradle|apache|codehaus|springframework|hibernate|mockito|eclipse|opentest4j))[./]"
    rb"|\bat (?:System|Microsoft|Xunit|NUnit)\."
    rb"|/rustc/|/\.cargo/registry/|^\s*\d+: +(?:std|core|alloc|test|tokio)::"
    rb"|/usr/(?:local/)?(?:lib|go|include)/|/go/pkg/mod/|/libexec/|[\\/]gems[\\/]|[\\/]vendor[\\/]|\bruntime\.|\btesting\."
    rb"|\(dart:|package:(?:test|flutter)|\blib\w+\.so|\.jar:"
)
"""Calls of languages and of libraries that everybody uses."""


def read_on(store: Store, lines: dict[int, bytes], detailed: Callable[[Mapping[int, bytes]], Hits]) -> dict[int, bytes]:
    """Lines of a log, and those after them where a stack trace goes on; `detailed` tells the calls among lines."""
    calls = _calls(detailed({number: lines[number] for number in _ends(lines, store.total)}))
    more: dict[int, bytes] = {}
    end = 0
    for number in sorted(calls):
        if number <= end:  # read already
            continue
        last = end = number
        while end - last <= _BETWEEN and end < min(store.total, number + _MOST_READ):
            piece = store.texts(range(end + 1, min(store.total, end + _PIECE) + 1))
            more |= piece
            last = max(_calls(detailed(piece)), default=last)
            end = max(piece)
    return dict(sorted((more | lines).items())) if more else lines


def _ends(lines: Mapping[int, bytes], total: int) -> Iterator[int]:
    """The lines soon after which what was read ends."""
    for number, after in pairwise((*lines, total + 1)):
        if after > number + 1:
            yield from (each for each in range(number - _BETWEEN, number + 1) if each in lines)


def shorten(scores: dict[int, float], own: Mapping[int, float], details: Hits, lines: Mapping[int, bytes]) -> None:
    """Takes from the scores of the middle of long stack traces, and gives to their ends.

    `own` is what lines say by themselves: what says an error is no part of the trace above it.
    """
    calls = _calls(details)
    errors = {number for number in own if own[number] >= ANCHOR} if calls else ()
    for trace in _long(lines, calls, errors):
        first = scores.get(trace.first, 0.0)
        for number in trace.stays:
            scores[number] = max(scores.get(number, 0.0), first * _STAYS)
        for number in trace.goes:
            if number in scores:
                scores[number] *= _GOES


def _calls(details: Hits) -> set[int]:
    return {number for number, found in details.items() if not CALLS.isdisjoint(found)}


class Trace(NamedTuple):
    """A long stack trace: its first line, the other ones that stay and those that may go."""

    first: int
    stays: tuple[int, ...]
    goes: tuple[int, ...]


def _long(lines: Mapping[int, bytes], calls: Collection[int], errors: Collection[int]) -> Iterator[Trace]:
    """The stack traces that are longer than need be.

    `calls` are those of `lines` that are a stack's, `errors` those that say what failed: they end a trace.
    """
    trace: list[int] = []
    held: list[int] = []  # lines since the last call, which belong to the trace if a call follows
    for number in (*lines, -1) if len(calls) > _LONG else ():
        call = number in calls
        if trace and (number in errors or not 0 < number - trace[-1] <= _BETWEEN + call):
            if len(trace) > _LONG:
                yield from _cut(trace, lines, calls)
            trace, held = [], []
        if call:
            trace += [*held, number] if trace else [number]
            held = []
        elif trace:
            held.append(number)


def _cut(trace: Sequence[int], lines: Mapping[int, bytes], calls: Collection[int]) -> Iterator[Trace]:
    made = [number for number in trace if number in calls]
    if len(made) <= _LONG:
        return
    between = made[_ENDS:-_ENDS]
    if lines[made[0]].lstrip().startswith(b"File "):  # Python's traces end where the fault was thrown, others begin
        between.reverse()
    nearest = islice((number for number in between if not _LIBRARY.search(lines[number])), _OWN)
    kept = {*made[:_ENDS], *made[-_ENDS:], *nearest}
    stays: list[int] = []
    goes: list[int] = []
    into = stays
    for number in trace:
        if number in calls:
            into = stays if number in kept else goes
        into.append(number)
    yield Trace(trace[0], tuple(stays), tuple(goes))
