"""Many regular expressions over bytes in one pass (hyperscan).

Hyperscan runs without the GIL but for its callbacks; a scratch space serves one thread at a time, so each
thread gets its own. Matches are reported by their end, in order of their ends.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import hyperscan

from processor.logs.compiled import database

Hit = tuple[int, int]
"""Pattern index, offset of the match's end."""

_INDEX: Final = itemgetter(0)
_END: Final = itemgetter(1)
_OVERLAP: Final = 64
"""What comes first is not longer: where a part of the line was read, the next begins so far before its end."""


def _collect(index: int, _start: int, end: int, _flags: int, hits: Any) -> None:
    hits.append((index, end))


class Scanner:
    """A compiled set of expressions; safe to share between threads.

    `expressions` are (regex, caseless) pairs in hyperscan's syntax; `^` and `$` match at line ends. `alone` are the
    indexes of those that get a database of their own: hyperscan looks for those without literal text at each byte,
    and what it makes of two of them together takes longer than both by themselves. `behind` tells by
    index what an expression only counts behind, on the same line and without overlap: hyperscan takes long where what
    comes first is on many lines and the rest on few, so that `re` looks for it at hits.
    """

    def __init__(
        self,
        expressions: Sequence[tuple[str, bool]],
        alone: Collection[int] = (),
        behind: Mapping[int, re.Pattern[bytes]] | None = None,
    ) -> None:
        self._behind: Final = behind or {}
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
        if not self._behind.keys().isdisjoint(map(_INDEX, found)):
            return list(self._counting(data, found))
        return found

    def _counting(self, data: bytes, hits: Sequence[Hit]) -> Iterator[Hit]:
        """The hits but for those that should stand behind something that is not there; no byte is read twice."""
        known: dict[int, tuple[int, int, bool]] = {}  # by index the line, how far it was read, whether it is there
        line = beyond = -1
        for index, end in hits:
            if end > beyond:
                line, beyond = data.rfind(b"\n", 0, end) + 1, data.find(b"\n", end)
                beyond = len(data) if beyond < 0 else beyond
            if index in self._behind:
                begun, read, there = known.get(index, (-1, 0, False))
                if begun != line:
                    read, there = line, False
                there = there or self._behind[index].search(data, max(line, read - _OVERLAP), end) is not None
                known[index] = line, end, there
                if not there:
                    continue
            yield index, end

    def _scratches(self) -> list[hyperscan.Scratch]:
        scratches: list[hyperscan.Scratch] | None = getattr(self._local, "scratches", None)
        if scratches is None:
            scratches = self._local.scratches = [hyperscan.Scratch(one) for one in self._databases]
        return scratches
