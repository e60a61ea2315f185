"""From a log of any size to the lines that tell its fault, within a budget of tokens.

One pass: blocks of whole lines are cleaned (`text`), scanned (`scan`, `patterns`) and stored, in memory while
they are few, else in a temporary file. Then the lines that matter are scored (`rank`) and chosen (`blocks`).
Python touches only lines that a pattern hit, and their neighbours.

The scan runs without the GIL; the rest holds it. Call it inline for small logs (a 2 KB log takes well
under a millisecond), in a thread or process for large ones.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from processor.contract import Excerpt, ExcerptLine
from processor.errors import Rejected
from processor.logs import blocks, streams, structured, text, traces
from processor.logs.baseline import Baseline
from processor.logs.likelihood import features, learned
from processor.logs.memory import PerLine
from processor.logs.patterns import DETAILS, SIGNS, scanner
from processor.logs.rank import Marks, neighbourhood, sign, spread, weigh
from processor.logs.scan import Scanner
from processor.logs.store import Store
from processor.logs.tokens import TokenCounter, estimate

_MOST_MARKED: Final = 40_000
"""Lines with signs that are remembered; beyond it the weakest half is forgotten."""
_SMALL: Final = 400
"""A log of so many lines is read whole; of a larger one the neighbourhoods of its likeliest lines."""
_TAIL: Final = 40
_LONGEST_RUN: Final = 50_000
"""Lines that are the same are counted so far beyond those that are read."""

Find = Callable[[bytes], Iterator[tuple[int, bytes]]]
"""Lines of a log that hold some bytes, with their numbers."""

Beyond = Callable[[Mapping[int, str], Mapping[int, float], Collection[int], Find], tuple[ExcerptLine, ...]]
"""Chooses lines beyond an excerpt: of the lines that it was chosen from texts and scores, those kept, and a search."""


def reduce(
    data: bytes,
    budget_tokens: int = 1000,
    *,
    count: TokenCounter = estimate,
    baseline: Baseline | None = None,
    beyond: Beyond | None = None,
) -> Excerpt:
    """The excerpt of a log: at most `budget_tokens` tokens of `Excerpt.text`, by `count`.

    What a passing run of the same job, the `baseline`, says as well is taken for noise. `beyond` chooses among the
    lines that are left out those that stay with the excerpt unshown. Line numbers count from 1 in the raw bytes
    split on newlines. Raises Rejected ("empty", "binary").
    """
    data = text.require_text(data)
    if len(data) < _most_whole(budget_tokens):
        excerpt = _whole(data, budget_tokens, count)
        if excerpt is not None:
            return excerpt
    return _reduce(_slices(data), budget_tokens, count, baseline, beyond)


def reduce_stream(
    chunks: Iterable[bytes],
    budget_tokens: int = 1000,
    *,
    count: TokenCounter = estimate,
    baseline: Baseline | None = None,
    beyond: Beyond | None = None,
) -> Excerpt:
    """Like `reduce`, for a log that comes in chunks of any size; memory stays bounded."""
    source = iter(chunks)
    begun: list[bytes] = []
    length = 0
    for chunk in source:
        begun.append(chunk)
        length += len(chunk)
        if length >= max(_most_whole(budget_tokens), text.SNIFFED):
            break
    else:  # a small log
        return reduce(b"".join(begun), budget_tokens, count=count, baseline=baseline, beyond=beyond)
    head = b"".join(begun)
    if text.wide(head):
        return reduce(head + b"".join(source), budget_tokens, count=count, baseline=baseline, beyond=beyond)
    head = text.require_text(head)

    def rest() -> Iterable[bytes]:
        yield head
        yield from source

    return _reduce(text.blocks(rest()), budget_tokens, count, baseline, beyond)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The lines that an excerpt is chosen from: by number their text, score and features (`likelihood`).

    `ranked` are the error lines among them, likeliest first; `total` counts the log's lines.
    """

    texts: Mapping[int, str]
    scores: Mapping[int, float]
    rows: Mapping[int, tuple[int, ...]]
    ranked: tuple[int, ...]
    total: int


@functools.cache
def _signs() -> Scanner:
    """Compiled at first use, which takes about a second."""
    return scanner(SIGNS)


@functools.cache
def _details() -> Scanner:
    return scanner(DETAILS)


def warm() -> None:
    """Compiles the patterns now, so that no event pays for it."""
    _signs()
    _details()


def _most_whole(budget: int) -> int:
    """Bytes from which on a log is not tried as a whole."""
    return min(budget * 8, text.BLOCK)


def _slices(data: bytes) -> Iterable[bytes]:
    if len(data) <= text.BLOCK:
        return (data,)
    return text.blocks((data,))


def _reduce(
    source: Iterable[bytes], budget: int, count: TokenCounter, baseline: Baseline | None, beyond: Beyond | None
) -> Excerpt:
    with closing(Store()) as store:
        found = _read_all(source, store, baseline)
        scores = learned().correct(found.scores, found.rows)
        excerpt = blocks.choose(found.texts, scores, found.ranked, found.total, budget, count)
        if beyond is None:
            return excerpt
        kept = {line.number for line in excerpt.lines}
        return replace(excerpt, beyond=beyond(found.texts, scores, kept, store.find))


def _read_all(source: Iterable[bytes], store: Store, baseline: Baseline | None) -> Candidates:
    marks: Marks = {}
    for block in source:
        _read(block, store, marks)
    if store.total == 0:
        raise Rejected("empty", "the log is empty")
    return _candidates(store, marks, baseline)


class _Line(NamedTuple):
    """What is on a clean line: the patterns that hit, and how it is shown in how many tokens."""

    signs: Sequence[int]
    details: Sequence[int]
    text: str
    tokens: int


@functools.lru_cache(maxsize=16)
def _remembered(count: TokenCounter) -> PerLine[bytes, _Line]:
    def read(lines: Sequence[bytes]) -> list[_Line]:
        said = [structured.ranked_as(line) for line in lines]
        marks: Marks = {}
        _mark(b"\n".join(said), _signs(), 0, marks)
        details = _detailed({number: said[number] for number in marks})
        texts = map(str.rstrip, text.show(b"\n".join(lines)).split("\n"))
        return [_Line(marks.get(at, ()), details.get(at, ()), one, count(one)) for at, one in enumerate(texts)]

    return PerLine(read)


def _whole(data: bytes, budget: int, count: TokenCounter) -> Excerpt | None:
    """A small log as it is, if it is within the budget: the common case of short logs, made fast."""
    lines = text.clean(data).split(b"\n")
    if data.endswith(b"\n"):
        lines.pop()
    read = _remembered(count)(lines)
    tokens = sum([line.tokens for line in read]) + len(lines)  # with a token for each newline never too few
    if tokens > budget:
        return None
    plain = read
    if streams.speakers(dict(enumerate(lines))):
        plain = _remembered(count)(streams.unled(b"\n".join(lines)).split(b"\n"))
    marked = [(number, line) for number, line in enumerate(plain, 1) if line.signs]
    marks = {number: line.signs for number, line in marked}
    details = {number: line.details for number, line in marked if line.details}
    weights = weigh(marks, details, {number: lines[number - 1] for number in marks}, len(lines))
    excerpt = blocks.whole([line.text for line in read], weights.own, weights.ranked, tokens, count)
    return excerpt if excerpt.tokens <= budget else None


def _read(block: bytes, store: Store, marks: Marks) -> None:
    """Cleans and scans one block, notes which signs are on which lines."""
    ends = block.endswith(b"\n")  # of the clean block the last line may be empty
    block = text.clean(block)
    if store.open:
        cut = block.find(b"\n") + 1 or len(block)
        rest, block = block[:cut], block[cut:]
        _mark(rest, _signs(), store.total, marks)
        store.extend(_window(rest.rstrip(b"\n")), rest.endswith(b"\n"))
        if store.open or (ends and not block):
            return
    bare = streams.bare(block)
    _mark(bare, _signs(), store.total + 1, marks)
    if structured.prevails(bare):
        _mark(structured.messages(bare), _signs(), store.total + 1, marks)
    if len(block) > text.LONGEST_LINE and not block.endswith(b"\n"):
        block = _window(block)
    store.add(block, ends)
    if len(marks) > _MOST_MARKED:
        _forget(marks)


def _window(line: bytes) -> bytes:
    """What to show of a line that is too long: its strongest sign, with what stands around it."""
    line = structured.shorten(line, text.LONGEST_SHOWN)
    if len(line) <= text.LONGEST_SHOWN:
        return line
    best = max(_signs().hits(line), key=lambda hit: (SIGNS[hit[0]].weight, -hit[1]), default=None)
    return text.window(line, best and best[1])


def _mark(block: bytes, scanner: Scanner, line: int, marks: Marks) -> None:
    """Notes the hits on each line of a block whose first line is `line`."""
    position = 0
    beyond = -1
    current: list[int] = []
    for index, end in scanner.hits(block):
        if end > beyond:  # hits come in the order of their ends, often many on a line
            line += block.count(b"\n", position, end)
            position = end
            beyond = block.find(b"\n", end)
            beyond = len(block) if beyond < 0 else beyond
            current = marks.setdefault(line, [])
        current.append(index)


def _forget(marks: Marks) -> None:
    """Drops the weaker half of the marked lines, earlier ones first among equals."""
    strengths = {number: sign(tuple(found))[0] for number, found in marks.items()}
    drop = len(marks) // 2
    # Few strengths differ: by each in turn, since sorting all lines would hold the interpreter's lock for long.
    for strength, count in sorted(Counter(strengths.values()).items()):
        weakest = (number for number, its in strengths.items() if its == strength)
        for number in sorted(weakest)[: min(drop, count)]:
            del marks[number]
        drop -= min(drop, count)
        if not drop:
            break


def _detailed(lines: Mapping[int, bytes]) -> Marks:
    """The details on some lines, by their numbers."""
    found: Marks = {}
    if lines:
        _mark(b"\n".join(lines.values()), _details(), 0, found)
    order = list(lines)
    return {order[place]: indexes for place, indexes in found.items()}


def candidates(data: bytes, baseline: Baseline | None = None) -> Candidates:
    """What `reduce` chooses from, for those who train and measure it. Raises Rejected ("empty", "binary")."""
    with closing(Store()) as store:
        return _read_all(_slices(text.require_text(data)), store, baseline)


def _with_runs(store: Store, lines: dict[int, bytes]) -> dict[int, bytes]:
    """Lines, and those beside them where a run of the same line goes on beyond what was read."""
    more: dict[int, bytes] = {}
    for number, line in lines.items():
        begins = lines.get(number + 1) == line and number - 1 not in lines
        ends = lines.get(number - 1) == line and number + 1 not in lines
        if line and (begins or ends) and number not in more:
            more.update(dict.fromkeys(store.run(number, _LONGEST_RUN), line))
    return dict(sorted({**more, **lines}.items())) if more else lines


def _unled(lines: Mapping[int, bytes]) -> dict[int, bytes]:
    return dict(zip(lines, streams.unled(b"\n".join(lines.values())).split(b"\n"), strict=True))


def _restated(marks: Marks, lines: Mapping[int, bytes]) -> tuple[Marks, Mapping[int, bytes]]:
    """Marks and lines as if what is said in JSON had been printed."""
    changed = {number: said for number, line in lines.items() if (said := structured.ranked_as(line)) is not line}
    if not changed:
        return marks, lines
    found: Marks = {}
    _mark(b"\n".join(changed.values()), _signs(), 0, found)
    order = list(changed)
    kept = {number: signs for number, signs in marks.items() if number not in changed}
    return kept | {order[place]: signs for place, signs in found.items()}, {**lines, **changed}


def _candidates(store: Store, marks: Marks, baseline: Baseline | None) -> Candidates:
    total = store.total
    numbers: Iterable[int] = range(1, total + 1)
    if total > _SMALL:
        said = store.run(total, _LONGEST_RUN).start  # what was said last may have been said for long
        numbers = sorted({*neighbourhood(marks, total, _TAIL), *range(max(1, said - _TAIL), said)})
    read = traces.read_on(store, _with_runs(store, store.texts(numbers)), _detailed)
    raw = {number: _window(line) for number, line in read.items()}
    marked = [number for number in marks if number in raw]
    if marked:
        raw.update(zip(marked, text.undated(b"\n".join([raw[number] for number in marked])).split(b"\n"), strict=True))
    if baseline is not None:
        marks = {number: signs for number, signs in marks.items() if number not in raw or raw[number] not in baseline}
    speakers = streams.speakers(raw)
    marks, plain = _restated(marks, raw if speakers is None else _unled(raw))
    details = _detailed(plain)
    shown = dict(zip(raw, map(str.rstrip, text.show(b"\n".join(raw.values())).split("\n")), strict=True))
    weights = weigh(marks, details, raw, total)
    scores = spread(weights, details, speakers or (tuple(raw),), total)
    traces.shorten(scores, weights.own, details, raw)
    rows = features(scores, weights, details, raw, total)
    shown.update((number, text.brief(shown[number])) for number in rows)
    return Candidates(shown, scores, rows, weights.ranked, total)
