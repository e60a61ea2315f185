"""Many regular expressions over bytes in one pass (hyperscan).

Hyperscan runs without the GIL but for its callbacks; a scratch space serves one thread at a time, so each
thread gets its own. Matches are reported by their end, in order of their ends.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Any, Final

import hyperscan

from processor.logs.compiled import database

Hit = tuple[int, int]
"""Pattern index, offset of the match's end."""

_END: Final = itemgetter(1)


def _collect(index: int, _start: int, end: int, _flags: int, hits: Any) -> None:
    hits.append((index, end))


class Scanner:
    """A compiled set of expressions; safe to share between threads.

    `expressions` are (regex, caseless) pairs in hyperscan's syntax; `^` and `$` match at line ends. `alone` are the
    indexes of those that get a database of their own: hyperscan looks for those without literal text at each byte,
    and what it makes of two of them together takes longer than both by themselves.
    """

    def __init__(self, expressions: Sequence[tuple[str, bool]], alone: Collection[int] = ()) -> None:
        caseless = hyperscan.HS_FLAG_CASELESS
        flagged = [(regex.encode(), hyperscan.HS_FLAG_MULTILINE | (caseless * alike)) for regex, alike in expressions]
        together = [index for index in range(len(flagged)) if index not in alone]
        self._databases: Final = [
            database([flagged[index] for index in group], hyperscan.HS_MODE_BLOCK, group)
            for group in (together, *([index] for index in alone))
            if group
        ]
        self._local: Final = threading.local()

    def hits(self, data: bytes) -> list[Hit]:
        """All matches in `data` as (pattern index, end)."""
        found: list[Hit] = []
        sorted_to = 0
        for known, scratch in zip(self._databases, self._scratches(), strict=True):
            before = len(found)
            known.scan(data, match_event_handler=_collect, context=found, scratch=scratch)
            sorted_to = sorted_to or before
        if 0 < sorted_to < len(found):
            found.sort(key=_END)
        return found

    def _scratches(self) -> list[hyperscan.Scratch]:
        scratches: list[hyperscan.Scratch] | None = getattr(self._local, "scratches", None)
        if scratches is None:
            scratches = self._local.scratches = [hyperscan.Scratch(one) for one in self._databases]
        return scratches
