"""Many regular expressions over bytes in one pass (hyperscan).

Hyperscan runs without the GIL but for its callbacks; a scratch space serves one thread at a time, so each
thread gets its own. Matches are reported by their end, in order of their ends.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import hyperscan

from processor.logs.compiled import database

Hit = tuple[int, int]
"""Pattern index, offset of the match's end."""


def _collect(index: int, _start: int, end: int, _flags: int, hits: Any) -> None:
    hits.append((index, end))


class Scanner:
    """A compiled set of expressions; safe to share between threads.

    `expressions` are (regex, caseless) pairs in hyperscan's syntax; `^` and `$` match at line ends.
    """

    def __init__(self, expressions: Sequence[tuple[str, bool]]) -> None:
        caseless = hyperscan.HS_FLAG_CASELESS
        flagged = [(regex.encode(), hyperscan.HS_FLAG_MULTILINE | (caseless * alike)) for regex, alike in expressions]
        self._database: Final = database(flagged, hyperscan.HS_MODE_BLOCK)
        self._local: Final = threading.local()

    def hits(self, data: bytes) -> list[Hit]:
        """All matches in `data` as (pattern index, end)."""
        found: list[Hit] = []
        self._database.scan(data, match_event_handler=_collect, context=found, scratch=self._scratch())
        return found

    def _scratch(self) -> hyperscan.Scratch:
        scratch: hyperscan.Scratch | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        return scratch
