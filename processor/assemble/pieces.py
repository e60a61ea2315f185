"""Lines that a container runtime has cut, and how the pieces are told and put together again.

Runtimes cut lines at 16 KiB, and each piece becomes a record of its own unless the shipper joins them. What says that
more of a line is to come:

- a container's log file as text (CRI): `2026-01-01T00:00:00.0Z stdout P text`, and `F` for the last piece; as such, or
  parsed by a shipper, with P or F in the field `logtag` (fluent-bit, fluentd);
- `partial_message`, `partial_id` and `partial_last` of Docker's log driver for fluentd;
- `CONTAINER_PARTIAL_MESSAGE` and so on of its driver for journald;
- `_partial` of vector;
- Docker's own files: all whole lines end in a newline, and a piece does not. Other shippers send none with any line,
  so a long text without one is a piece only if the last one behind it, on the same stream, has one. What shippers that
  don't parse these files send as their text is unpacked first: `{"log":"and a newline","stream":"stdout","time":"…"}`.

fluent-bit's `_p` says nothing: it stays P on lines that fluent-bit has joined.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

CUT_AT: Final = 16_384
"""Bytes at which Docker cuts lines."""

STREAMS: Final = 16
"""Lines of one log that may be under way at once; beyond, the oldest is taken for whole."""

More = Literal["no", "yes", "perhaps"]

_MARKS: Final = (
    ("partial_message", "partial_last"),
    ("CONTAINER_PARTIAL_MESSAGE", "CONTAINER_PARTIAL_LAST"),
    ("container_partial_message", "container_partial_last"),
    ("_partial", ""),
)
"""Fields that say that a record is a piece, and that it is the last one."""

_MARKED: Final = frozenset({"logtag", *(cut for cut, _ in _MARKS)})

_STREAMS: Final = ("partial_id", "CONTAINER_PARTIAL_ID", "container_partial_id", "stream", "source")

_CRI: Final = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP])(?::\S*)?(?: |$)"
)

_DOCKER: Final = b'{"log":"'
"""How a line of Docker's own files begins."""

_DOCKER_FIELDS: Final = frozenset({"log", "stream", "time"})

_DOCKER_MAY: Final = _DOCKER_FIELDS | {"attrs"}
"""With what a container's labels and environment say, if Docker is told to write it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A line, or a part of one. `stream` tells lines apart that are under way at once; `more`: whether more comes.

    `newline`: whether it ended in one, which is not part of the text.
    """

    text: bytes
    stream: str = ""
    more: More = "no"
    newline: bool = False


def piece_of(text: bytes, payload: Mapping[str, Any] | None) -> Piece:
    """What a record's text is; `payload` is the JSON object around it, if there is one."""
    found = _CRI.match(text)
    if found is not None:
        text, stream = text[found.end() :], found[1].decode()
        return Piece(text, stream, "yes") if found[2] == b"P" else Piece(text.rstrip(b"\r\n"), stream)
    written = _docker(text)
    if written is not None:
        text, payload = written["log"].encode("utf-8", "replace"), written
    if payload is None:
        return Piece(text.rstrip(b"\r\n"))
    newline = text.endswith(b"\n")
    more = _marked(payload) or ("perhaps" if not newline and len(text) >= CUT_AT else "no")
    return Piece(text.rstrip(b"\r\n") if more == "no" else text, _stream(payload), more, newline)


def _docker(text: bytes) -> dict[str, Any] | None:
    """What Docker wrote for a line, where the text is that as it stands in the file. What is in it stays as it is."""
    if not text.startswith(_DOCKER):
        return None
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    told = isinstance(parsed, dict) and _DOCKER_FIELDS <= parsed.keys() <= _DOCKER_MAY
    return parsed if told and all(isinstance(parsed[name], str) for name in _DOCKER_FIELDS) else None


def _marked(payload: Mapping[str, Any]) -> More | None:
    """Whether more comes, where the record says so."""
    if _MARKED.isdisjoint(payload):
        return None
    tag = payload.get("logtag")
    if isinstance(tag, str):
        return "yes" if tag.partition(":")[0] == "P" else "no"
    for cut, last in _MARKS:
        if _true(payload.get(cut)):
            return "no" if _true(payload.get(last)) else "yes"
    return None


def _true(value: object) -> bool:
    return value is True or value == "true"


def _stream(payload: Mapping[str, Any]) -> str:
    """The id of the line that was cut, else what it was written to."""
    for name in _STREAMS:
        if isinstance(value := payload.get(name), str):
            return value
    return ""


@dataclass(slots=True)
class _Line:
    """One that is under way. `cuts`: where pieces end; `sure`: whether they are pieces at all."""

    text: bytearray = field(default_factory=bytearray)
    cuts: list[int] = field(default_factory=list)
    sure: bool = False

    def add(self, piece: Piece) -> None:
        self.text += piece.text
        self.sure = self.sure or piece.more == "yes" or piece.newline
        if self.sure:
            self.cuts.clear()
        else:
            self.cuts.append(len(self.text))

    def lines(self) -> list[bytes]:
        """One line, or as many as there were records if they were none of a runtime's pieces."""
        ends = self.cuts or [len(self.text)]
        return [bytes(self.text[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]


@dataclass(slots=True)
class Joiner:
    """The lines of one log that are under way, by stream. `held`: bytes of their pieces."""

    held: int = 0
    _under_way: dict[str, _Line] = field(default_factory=dict)

    def add(self, piece: Piece) -> list[bytes]:
        """Takes a piece; returns the lines that are whole now."""
        if piece.more == "no" and piece.stream not in self._under_way:
            return [piece.text]
        self._under_way.setdefault(piece.stream, _Line()).add(piece)
        self.held += len(piece.text)
        if piece.more == "no":
            return self._whole(piece.stream)
        return self._whole(next(iter(self._under_way))) if len(self._under_way) > STREAMS else []

    def rest(self) -> list[bytes]:
        """What is under way, taken for whole, in the order in which it began."""
        return [line for stream in list(self._under_way) for line in self._whole(stream)]

    def _whole(self, stream: str) -> list[bytes]:
        line = self._under_way.pop(stream)
        self.held -= len(line.text)
        return line.lines()
