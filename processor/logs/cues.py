"""Find out which lines of a text can match many regular expressions, in one pass.

Hyperscan scans the whole text for every cue at once (a few microseconds for 4 KB) and only lines with a hit are
given to Python's `re`. A scan takes a lock, since a database's scratch space serves one thread at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import hyperscan

from processor.errors import ConfigError


class Cues:
    """Many cues, Hyperscan expressions, compiled into one database. Raises ConfigError where one does not compile."""

    def __init__(self, cues: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._database = hyperscan.Database() if cues else None
        if self._database is None:
            return
        try:
            self._database.compile(
                expressions=[cue.encode() for cue in cues],
                ids=list(range(len(cues))),
                elements=len(cues),
                flags=[hyperscan.HS_FLAG_MULTILINE] * len(cues),
            )
        except hyperscan.error as error:
            raise ConfigError(f"a pattern can't be compiled: {error}") from error

    def hits(self, data: bytes) -> list[tuple[int, int]]:
        """Pairs (cue's index, byte offset of the match's end), in the order of the scan."""
        found: list[tuple[int, int]] = []
        if self._database is None or not data:
            return found

        def note(cue: int, _start: int, end: int, _flags: int, _context: object) -> None:
            found.append((cue, end))

        with self._lock:
            self._database.scan(data, match_event_handler=note)
        return found

    def lines(self, data: bytes) -> dict[int, set[int]]:
        """Indices of the cues that hit, by 0-based line of `data`. Cues must not match a newline."""
        result: dict[int, set[int]] = {}
        for cue, end in self.hits(data):
            result.setdefault(data.count(b"\n", 0, end), set()).add(cue)
        return result
