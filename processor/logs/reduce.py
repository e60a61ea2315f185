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
from collections.abc import Iterable, Mapping
from typing import IO, Final

from processor.contract import Excerpt
from processor.errors import Rejected
from processor.logs import blocks, text
from processor.logs.baseline import Baseline
from processor.logs.patterns import DETAILS, SIGNS
from processor.logs.rank import Marks, neighbourhood, sign, spread, weigh
from processor.logs.scan import Scanner
from processor.logs.tokens import TokenCounter, estimate

_IN_MEMORY: Final = 1 << 26
_MOST_MARKED: Final = 40_000
"""Lines with signs that are remembered; beyond it the weakest half is forgotten."""
_SMALL: Final = 400
"""A log of so many lines is read whole; of a larger one the neighbourhoods of its likeliest lines."""
_TAIL: Final = 40


def reduce(
    data: bytes, budget_tokens: int = 1000, *, count: TokenCounter = estimate, baseline: Baseline | None = None
) -> Excerpt:
    """The excerpt of a log: at most `budget_tokens` tokens of `Excerpt.text`, by `count`.

    What a passing run of the same job, the `baseline`, says as well is taken for noise. Line numbers count from 1
    in the raw bytes split on newlines. Raises Rejected ("empty", "binary").
    """
    data = text.require_text(data)
    if len(data) < min(budget_tokens * 8, text.BLOCK):
        excerpt = _whole(text.clean(data), budget_tokens, count)
        if excerpt is not None:
            return excerpt
    return _reduce(_slices(data), budget_tokens, count, baseline)


def reduce_stream(
    chunks: Iterable[bytes],
    budget_tokens: int = 1000,
    *,
    count: TokenCounter = estimate,
    baseline: Baseline | None = None,
) -> Excerpt:
    """Like `reduce`, for a log that comes in chunks of any size; memory stays bounded."""
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= 8192:
            break
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return reduce(head + b"".join(source), budget_tokens, count=count, baseline=baseline)
    head = text.require_text(head)

    def rest() -> Iterable[bytes]:
        yield head
        yield from source

    return _reduce(text.blocks(rest()), budget_tokens, count, baseline)


@functools.cache
def _signs() -> Scanner:
    """Compiled at first use, which takes about a second."""
    return Scanner([(pattern.regex, pattern.caseless) for pattern in SIGNS])


@functools.cache
def _details() -> Scanner:
    return Scanner([(pattern.regex, pattern.caseless) for pattern in DETAILS])


def warm() -> None:
    """Compiles the patterns now, so that no event pays for it."""
    _signs()
    _details()


class _Store:
    """The clean lines of a log, found again by their number. Spills to a temporary file."""

    def __init__(self) -> None:
        self.total = 0
        self.open = False
        self._more: dict[int, bytes] = {}
        self._firsts: list[int] = []
        self._places: list[tuple[int, int]] = []
        self._kept: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def add(self, block: bytes) -> None:
        """Takes a block of lines; if the last lacks its newline, `extend` can continue it."""
        self._firsts.append(self.total + 1)
        self.open = not block.endswith(b"\n")
        self.total += block.count(b"\n") + self.open
        if self._size + len(block) <= _IN_MEMORY:
            self._places.append((-1, len(self._kept)))
            self._kept.append(block)
        else:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
            self._places.append((self._file.tell(), len(block)))
            self._file.write(block)
        self._size += len(block)

    def extend(self, piece: bytes, ends: bool) -> None:
        """Continues the last line by a piece; of many pieces the last ones are kept."""
        more = self._more.get(self.total, b"") + " … ".encode() + piece
        self._more[self.total] = more[-(1 << 14) :]
        self.open = not ends

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
            found[number] = lines[number - self._firsts[index]] + self._more.get(number, b"")
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


def _reduce(source: Iterable[bytes], budget: int, count: TokenCounter, baseline: Baseline | None) -> Excerpt:
    store = _Store()
    try:
        marks: Marks = {}
        for block in source:
            _read(block, store, marks)
        if store.total == 0:
            raise Rejected("empty", "the log is empty")
        return _pick(store, marks, budget, count, baseline)
    finally:
        store.close()


def _whole(block: bytes, budget: int, count: TokenCounter) -> Excerpt | None:
    """A small clean log as it is, if it is within the budget: the common case of short logs, made fast."""
    lines = block.split(b"\n")
    total = len(lines) - (not lines[-1])
    marks: Marks = {}
    _mark(block, _signs(), 1, marks)
    marked = {number: lines[number - 1] for number in marks}
    weights = weigh(marks, _detailed(marked), marked, total)
    shown = list(map(str.rstrip, text.show(block).split("\n")[:total]))
    excerpt = blocks.whole(shown, weights.own, weights.ranked, count)
    return excerpt if excerpt.tokens <= budget else None


def _read(block: bytes, store: _Store, marks: Marks) -> None:
    """Cleans and scans one block, notes which signs are on which lines."""
    block = text.clean(block)
    if store.open:
        cut = block.find(b"\n") + 1 or len(block)
        rest, block = block[:cut], block[cut:]
        _mark(rest, _signs(), store.total, marks)
        store.extend(_window(rest.rstrip(b"\n")), rest.endswith(b"\n"))
        if not block:
            return
    _mark(block, _signs(), store.total + 1, marks)
    if len(block) > text.LONGEST_LINE and not block.endswith(b"\n"):
        block = _window(block)
    store.add(block)
    if len(marks) > _MOST_MARKED:
        _forget(marks)


def _window(line: bytes) -> bytes:
    """What to show of a line that is too long: its strongest sign, with what stands around it."""
    if len(line) <= text.LONGEST_SHOWN:
        return line
    best = max(_signs().hits(line), key=lambda hit: (SIGNS[hit[0]].weight, -hit[1]), default=None)
    return text.window(line, best and best[1])


def _mark(block: bytes, scanner: Scanner, line: int, marks: Marks) -> None:
    """Notes the hits on each line of a block whose first line is `line`."""
    position = 0
    previous = -1
    current: list[int] = []
    for index, end in scanner.hits(block):
        if end > position:
            line += block.count(b"\n", position, end)
            position = end
        if line != previous:
            current = marks.setdefault(line, [])
            previous = line
        current.append(index)


def _forget(marks: Marks) -> None:
    """Drops the weaker half of the marked lines, earlier ones first among equals."""
    order = sorted(marks, key=lambda number: (sign(tuple(marks[number]))[0], number))
    for number in order[: len(order) // 2]:
        del marks[number]


def _detailed(lines: Mapping[int, bytes]) -> Marks:
    """The details on some lines, by their numbers."""
    found: Marks = {}
    if lines:
        _mark(b"\n".join(lines.values()), _details(), 0, found)
    order = list(lines)
    return {order[place]: indexes for place, indexes in found.items()}


def _pick(store: _Store, marks: Marks, budget: int, count: TokenCounter, baseline: Baseline | None) -> Excerpt:
    total = store.total
    if total <= _SMALL:
        numbers: Iterable[int] = range(1, total + 1)
    else:
        numbers = neighbourhood(marks, total, _TAIL)
    raw = {number: _window(line) for number, line in store.texts(numbers).items()}
    if baseline is not None:
        marks = {number: signs for number, signs in marks.items() if number not in raw or raw[number] not in baseline}
    details = _detailed(raw)
    shown = dict(zip(raw, map(str.rstrip, text.show(b"\n".join(raw.values())).split("\n")), strict=True))
    weights = weigh(marks, details, raw, total)
    scores = spread(weights, details, total)
    return blocks.choose(shown, scores, weights.ranked, total, budget, count)
