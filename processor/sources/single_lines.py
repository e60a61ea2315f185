"""Tells a topic that carries a record per line, where whole logs are expected.

A single line may well be an event of its own, and one that says which run it belongs to may be all of its log. Many of
one run are not: each would be taken for the log of a failed build.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from processor.contract import Event
from processor.errors import Rejected

ENOUGH: Final = 20
"""Records of one run, a line each, after which it is evident."""

RUNS: Final = 1_000
"""Runs that are remembered, those that were seen last."""

LONGEST: Final = 8_000
"""Bytes that a line has at most."""


class SingleLines:
    """Watches the events of one topic."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[object, ...], tuple[int, int]] = OrderedDict()  # lines, last offset

    def check(self, event: Event) -> None:
        """Counts. Raises Rejected for a line of a run of which enough came before, and no longer log."""
        attributes, body, record = event.attributes, event.body, event.record
        if not attributes["run_id"] or body is None:
            return
        run = record.partition, *(attributes[name] for name in ("repo", "run_id", "job", "attempt"))
        before, last = self._seen.get(run, (0, -1))
        if record.offset <= last:
            return  # tried again
        single = before >= 0 and len(body) <= LONGEST and b"\n" not in body.rstrip()
        self._seen[run] = (before + 1 if single else -1), record.offset
        self._seen.move_to_end(run)
        if len(self._seen) > RUNS:
            self._seen.popitem(last=False)
        if single and before >= ENOUGH:
            raise Rejected("line_records", advice(f"{ENOUGH} records of run {attributes['run_id']} held one line each"))


def advice(found: str) -> str:
    """What to do about it."""
    return f"{found}: have their lines put together by source.assemble, {{key: run_id, end: …}}"
