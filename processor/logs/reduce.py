"""From a log of any size to the lines that tell its fault, within a budget of tokens.

One pass: blocks of whole lines are cleaned (`text`), scanned (`scan`, `patterns`) and stored, in memory while
they are few, else in a temporary file. Then the lines that matter are scored (`rank`) and chosen (`blocks`).
Python touches only lines that a pattern hit, and their neighbours.

The scan runs without the GIL; the rest holds it. Call it inline for small logs (a 2 KB log takes well
under a millisecond), in a thread or process for large ones.
"""

from __future__ import annotations

import bisect
import functools
import tempfile
from collections import Counter
from collections.abc import Iterable
from typing import IO, Final

from processor.contract import Excerpt
from processor.errors import Rejected
from processor.logs import blocks, text
from processor.logs.mask import template
from processor.logs.patterns import PATTERNS
from processor.logs.rank import rank, weigh
from processor.logs.scan import Scanner
from processor.logs.tokens import TokenCounter, estimate

_IN_MEMORY: Final = 1 << 26
_MOST_MARKED: Final = 40_000
"""Lines with hits that are remembered; beyond it the weakest half is forgotten."""
_CONSIDERED: Final = 2_000
"""Lines whose text is read back to be chosen from."""
_TAIL: Final = 40


def reduce(data: bytes, budget_tokens: int = 1000, *, count: TokenCounter = estimate) -> Excerpt:
    """The excerpt of a log: at most `budget_tokens` tokens of `Excerpt.text`, by `count`.

    Line numbers count from 1 in the raw bytes split on b"\\n". Raises Rejected ("empty", "binary").
    """
    data = text.require_text(data)
    return _reduce(_slices(data), budget_tokens, count)


def reduce_stream(
    chunks: Iterable[bytes], budget_tokens: int = 1000, *, count: TokenCounter = estimate
) -> Excerpt:
    """Like `reduce`, for a log that comes in chunks of any size; memory stays bounded."""
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= 8192:
            break
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return reduce(head + b"".join(source), budget_tokens, count=count)
    head = text.require_text(head)

    def rest() -> Iterable[bytes]:
        yield head
        yield from source

    return _reduce(text.blocks(rest()), budget_tokens, count)


@functools.cache
def scanner() -> Scanner:
    """The scanner of all log patterns, compiled at first use (about a second)."""
    return Scanner([(pattern.regex, pattern.caseless) for pattern in PATTERNS])


class _Store:
    """The clean lines of a log, found again by their number. Spills to a temporary file."""

    def __init__(self) -> None:
        self.total = 0
        self._firsts: list[int] = []
        self._places: list[tuple[int, int]] = []
        self._kept: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def add(self, block: bytes, lines: int) -> None:
        """Takes a block of `lines` lines."""
        self._firsts.append(self.total + 1)
        self.total += lines
        if self._size + len(block) <= _IN_MEMORY:
            self._places.append((-1, len(self._kept)))
            self._kept.append(block)
        else:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
            self._places.append((self._file.tell(), len(block)))
            self._file.write(block)
        self._size += len(block)

    def texts(self, numbers: Iterable[int]) -> dict[int, bytes]:
        """The lines with these numbers; numbers ascend."""
        found: dict[int, bytes] = {}
        current = -1
        lines: list[bytes] = []
        for number in numbers:
            index = bisect.bisect_right(self._firsts, number) - 1
            if index != current:
                current = index
                lines = self._block(index).split(b"\n")
            found[number] = lines[number - self._firsts[index]]
        return found

    def _block(self, index: int) -> bytes:
        offset, size = self._places[index]
        if offset < 0 or self._file is None:
            return self._kept[size]
        self._file.seek(offset)
        block = self._file.read(size)
        self._file.seek(0, 2)
        return block

    def close(self) -> None:
        """Drops the temporary file."""
        if self._file is not None:
            self._file.close()


def _slices(data: bytes) -> Iterable[bytes]:
    if len(data) <= text.BLOCK:
        return (data,)
    return text.blocks((data,))


def _reduce(source: Iterable[bytes], budget: int, count: TokenCounter) -> Excerpt:
    store = _Store()
    try:
        marks: dict[int, list[int]] = {}
        for block in source:
            _read(block, store, marks)
        if store.total == 0:
            raise Rejected("empty")
        return _pick(store, marks, budget, count)
    finally:
        store.close()


def _read(block: bytes, store: _Store, marks: dict[int, list[int]]) -> None:
    """Cleans and scans one block, notes which patterns hit which lines."""
    block = text.clean(block)
    hits = scanner().hits(block)
    line = store.total + 1
    position = 0
    previous = -1
    for index, end in hits:
        if end > position:
            line += block.count(b"\n", position, end)
            position = end
        if line == previous:
            marks[line].append(index)
        else:
            marks.setdefault(line, []).append(index)
            previous = line
    store.add(block, block.count(b"\n") + (not block.endswith(b"\n")))
    if len(marks) > _MOST_MARKED:
        _forget(marks)


def _forget(marks: dict[int, list[int]]) -> None:
    """Drops the weaker half of the marked lines, earlier ones first among equals."""
    weights = {number: weigh(patterns)[0] for number, patterns in marks.items()}
    order = sorted(marks, key=lambda number: (weights[number], number))
    for number in order[: len(order) // 2]:
        del marks[number]


def _pick(store: _Store, marks: dict[int, list[int]], budget: int, count: TokenCounter) -> Excerpt:
    total = store.total
    raw = store.texts(sorted(marks))
    seen = Counter(template(line) for line in raw.values())
    ranking = rank(marks, {number: seen[template(line)] for number, line in raw.items()}, total)
    scores = ranking.scores
    if total <= _CONSIDERED:
        numbers: Iterable[int] = range(1, total + 1)
    else:
        best = sorted(scores, key=lambda number: (-scores[number], number))[:_CONSIDERED]
        numbers = sorted({*best, *range(total - _TAIL, total + 1)})
    texts = {number: blocks.shorten(text.show(line)) for number, line in store.texts(numbers).items()}
    if len(texts) == total:
        whole = blocks.assemble(list(texts), texts, scores, ranking.errors, total, count)
        if whole.tokens <= budget:
            return whole
    texts = {number: line for number, line in texts.items() if line and not line.isspace()}
    return blocks.choose(texts, scores, ranking.errors, total, budget, count)
