"""Lines that lie in a file instead of on a topic, for people who try a pipeline out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from processor.assemble.assembly import Assembly
from processor.assemble.checkpoint import Checkpoint
from processor.assemble.metrics import AssemblyMetrics
from processor.assemble.plan import Plan
from processor.contract import Record, TopicPartition

_PLACE: Final = TopicPartition("file", 0)
_WHOLE: Final = frozenset({"topic", "partition", "offset", "payload"})
"""What kcat puts around a value (`-J`), beside key, headers and time."""


def records(chunks: Iterable[bytes], time_ms: int = 0) -> Iterator[Record]:
    """The records of a topic of which each has a line in a file: their values, or all of them as `kcat -J` prints it.

    Empty lines are passed over. Offsets count from 0; `time_ms` is the time of those that name none.
    """
    for offset, line in enumerate(each for each in _lines(chunks) if each.strip()):
        yield _record(offset, line, time_ms)


def logs(lines: Iterable[Record], plan: Plan) -> tuple[list[Record], list[Record]]:
    """The logs of lines, in the order in which they end, and the lines that are part of none.

    What is open behind the last line has ended, too.
    """
    assembly = Assembly(_PLACE, plan, Checkpoint(0, 0, 0), AssemblyMetrics.unregistered())
    found: tuple[list[Record], list[Record]] = [], []
    for line in lines:
        assembly.accept(line, 0)
        _take(assembly, found)
    assembly.due(math.inf, caught_up=True)
    _take(assembly, found)
    return found


def _take(assembly: Assembly, found: tuple[list[Record], list[Record]]) -> None:
    while assembly.ready:
        refused = assembly.ready[0].undone.ended == "refused"
        found[refused].append(assembly.give())
        assembly.done(assembly.number)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    yield rest


def _record(offset: int, line: bytes, time_ms: int) -> Record:
    try:
        told = orjson.loads(line) if line[:1] == b"{" else None
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict) or not told.keys() >= _WHOLE:
        return Record(*_PLACE, offset, None, line, (), time_ms)
    names = told.get("headers") or []
    headers = tuple((str(name), _bytes(value) or b"") for name, value in zip(names[::2], names[1::2], strict=False))
    stamp = told.get("ts")
    time = stamp if isinstance(stamp, int) else time_ms
    return Record(*_PLACE, offset, _bytes(told.get("key")), _bytes(told["payload"]), headers, time)


def _bytes(value: Any) -> bytes | None:
    """Text as bytes; of anything else its JSON (kcat can be told that values are)."""
    if value is None:
        return None
    return value.encode("utf-8", "replace") if isinstance(value, str) else orjson.dumps(value)
