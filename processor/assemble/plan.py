"""How the lines of a topic become logs, and how one line is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processor.assemble.pieces import Piece, piece_of
from processor.contract import ATTRIBUTES, PASSED, Record
from processor.errors import Rejected
from processor.sources.decode import Decoder

LOOKED_AT: Final = 4_000
"""Bytes of a line's end in which the last line's expression is looked for."""

_ANSI: Final = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")


@dataclass(frozen=True, slots=True)
class Line:
    """One record's part of a log. `key` tells its log from others."""

    key: tuple[str, ...]
    piece: Piece
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How lines are read and told apart, and when a log is complete; times in seconds, `max_bytes` of one log."""

    decoder: Decoder
    key: tuple[str, ...]
    end: re.Pattern[bytes] | None = None
    passed: re.Pattern[bytes] | None = None
    idle_s: float = 60.0
    max_age_s: float = 21_600.0
    max_bytes: int = 50_000_000

    @classmethod
    def of(
        cls,
        decoder: Decoder,
        key: Sequence[str],
        end: str | None = None,
        passed: str | None = None,
        *,
        idle_s: float = 60.0,
        max_age_s: float = 21_600.0,
        max_bytes: int = 50_000_000,
    ) -> Plan:
        """With expressions as they are written."""
        return cls(decoder, tuple(key), _compiled(end), _compiled(passed), idle_s, max_age_s, max_bytes)

    @property
    def told_apart_by(self) -> str:
        """Changes when lines are told apart in another way."""
        config = self.decoder.config
        how = f"{self.key} {config.format} {sorted(config.attributes.items())}"
        return hashlib.sha256(how.encode()).hexdigest()[:6]

    def read(self, record: Record) -> Line:
        """The line in a record. Raises Rejected for one that is none, or that does not say which log is its own."""
        event = self.decoder.line(record)
        values = [self._value(record, event.attributes, name) for name in self.key]
        if not any(values):
            raise Rejected("no_log_key", f"the line says nothing of {', '.join(self.key)} (source.assemble.key)")
        return Line(tuple(values), piece_of(event.body or b"", event.payload), event.attributes)

    @staticmethod
    def _value(record: Record, attributes: Mapping[str, Any], name: str) -> str:
        if name not in ATTRIBUTES:  # kafka.key
            return (record.key or b"").decode("utf-8", "backslashreplace")
        value = attributes[name]
        return str(value) if value != ATTRIBUTES[name].default else ""

    def ends(self, text: bytes) -> bool:
        """Whether a line is the last one of its log."""
        plain = _plain(text)
        return any(each is not None and each.search(plain) is not None for each in (self.end, self.passed))

    def type_of(self, text: bytes) -> str | None:
        """What a log's last line says about its event's type."""
        return PASSED if self.passed is not None and self.passed.search(_plain(text)) else None


def _compiled(text: str | None) -> re.Pattern[bytes] | None:
    return re.compile(text.encode(), re.MULTILINE) if text is not None else None


def _plain(text: bytes) -> bytes:
    """The end of a line, without colours and without the carriage returns of progress bars."""
    if len(text) > LOOKED_AT:
        text = b"\0" + text[-LOOKED_AT:]  # no line begins where it is cut
    return _ANSI.sub(b"", text).replace(b"\r", b"\n") if b"\x1b" in text or b"\r" in text else text
