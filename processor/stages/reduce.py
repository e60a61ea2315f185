"""reduce: of a log of any size the lines that tell its fault, without secrets, within a budget of tokens."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from processor.contract import Excerpt
from processor.logs.baseline import Baseline
from processor.logs.decode import text_stream
from processor.logs.extract.beyond import beyond
from processor.logs.redact import Session
from processor.logs.reduce import reduce, reduce_stream
from processor.logs.text import require_text
from processor.logs.tokens import TokenCounter, estimate

INLINE_BYTES = 64_000
"""Logs up to this size are read on the event loop (in a few milliseconds), larger ones in a thread."""
_CHUNK = 1 << 16
_SWITCH_S = 0.001


@dataclass(frozen=True, slots=True)
class Reduce:
    """Reduces to `budget_tokens`, as `count` counts them."""

    budget_tokens: int = 1000
    count: TokenCounter = estimate

    async def __call__(
        self, log: bytes | BinaryIO, session: Session, passing: bytes | BinaryIO | None = None
    ) -> Excerpt:
        """The excerpt of a log as it came, its secrets taken out in `session`.

        What the log of a `passing` run of the same job says as well counts for less. Files are read to their ends in
        chunks and closed. Raises Rejected ("empty", "binary").
        """
        if isinstance(log, bytes) and len(log) <= INLINE_BYTES and passing is None:
            return reduce(session.redact(require_text(log)), self.budget_tokens, count=self.count, beyond=beyond)
        return await asyncio.get_running_loop().run_in_executor(_reader(), self._stream, log, session, passing)

    def _stream(self, log: bytes | BinaryIO, session: Session, passing: bytes | BinaryIO | None) -> Excerpt:
        baseline = None if passing is None else Baseline.of_stream(session.stream(text_stream(_chunks(passing))))
        clean = session.stream(text_stream(_chunks(log)))
        return reduce_stream(clean, self.budget_tokens, count=self.count, baseline=baseline, beyond=beyond)


@functools.cache
def _reader() -> ThreadPoolExecutor:
    """One thread for all large logs: more would not be faster, and the loop would wait for each of them in turn.

    What reads a log holds the interpreter's lock but for the scans, a block at a time. By default the loop asks
    for the lock after five milliseconds, at each of its turns; it shall ask after one.
    """
    sys.setswitchinterval(_SWITCH_S)
    return ThreadPoolExecutor(1, "log-reader")


def _chunks(log: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(log, bytes):
        yield log
        return
    with log:
        while chunk := log.read(_CHUNK):
            yield chunk
