"""Read lines once: by several readers in one scan, and not again while they are remembered.

Builds repeat each other's lines, so most were read before. What a reader finds on a line must follow from its text
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from processor.logs.scan import Scanner
from processor.logs.structured import unfold

Line = TypeVar("Line", str, bytes)
Found = TypeVar("Found")
Read_co = TypeVar("Read_co", covariant=True)

MOST_LINES: Final = 16_384
"""Lines that are remembered at least, and twice as many at most: some 10 MB for what one reader finds on them."""


class PerLine(Generic[Line, Found]):
    """What `read` finds on lines, by their text; it is asked at once for all that are not remembered.

    `read` gives a result for each line that it is given, never None. Two generations, of which the older is
    forgotten when the younger is full, keep the lines that are in use. Thread-safe: two threads may read a line twice.
    """

    def __init__(self, read: Callable[[Sequence[Line]], Sequence[Found]], most: int = MOST_LINES) -> None:
        self._read: Callable[[Sequence[Line]], Sequence[Found]] = read
        self._most = most
        self._young: dict[Line, Found] = {}
        self._old: dict[Line, Found] = {}

    def __call__(self, lines: Sequence[Line]) -> list[Found]:
        """What is on each of `lines`, which hold no newline."""
        young = self._young
        found = [young.get(line) for line in lines]
        if None in found:
            self._learn([line for line, one in zip(lines, found, strict=True) if one is None])
            young = self._young
            found = [young[line] if one is None else one for line, one in zip(lines, found, strict=True)]
        return found  # type: ignore[return-value]  # those that were None are not any more

    def _learn(self, lines: Sequence[Line]) -> None:
        old = self._old
        known = {line: old[line] for line in lines if line in old}
        unknown = [line for line in dict.fromkeys(lines) if line not in known]
        if unknown:
            known.update(zip(unknown, self._read(unknown), strict=True))
        if len(self._young) + len(known) > self._most:
            self._old, self._young = self._young, known
        else:
            self._young.update(known)


class LineReader(Protocol[Read_co]):
    """Finds something on a line, given which of its cues (Hyperscan expressions) are there.

    What it finds is a tuple or a frozenset. A line of JSON comes as the lines of its message and its stack, one by one.
    """

    @property
    def cues(self) -> Sequence[str]:
        """What to look for; none may match a newline."""
        ...

    def read(self, line: str, cued: Collection[int], /) -> Read_co:
        """What is on `line`, on which the cues with the indexes `cued` are."""
        ...


class Lines:
    """What several readers find on lines, with one scan for all of their cues."""

    def __init__(self, *readers: LineReader[Any]) -> None:
        self._readers = readers
        cues = [(cue, False) for reader in readers for cue in reader.cues]
        self._scanner = Scanner(cues) if cues else None
        self._owners = [(at, own) for at, reader in enumerate(readers) for own in range(len(reader.cues))]
        self._nothing = tuple(reader.read("", ()) for reader in readers)
        self._remembered = PerLine(self._read)

    def __call__(self, lines: Sequence[str]) -> list[tuple[Any, ...]]:
        """By line what each reader found on it, in the order of the readers."""
        return self._remembered(lines)

    def _read(self, lines: Sequence[str]) -> list[tuple[Any, ...]]:
        folded = [unfold(line) for line in lines]
        found = iter(self._read_plain([part for parts in folded for part in parts]))
        return [_joined([next(found) for _ in parts]) for parts in folded]

    def _read_plain(self, lines: Sequence[str]) -> list[tuple[Any, ...]]:
        hits: dict[int, set[int]] = {}
        at = position = 0
        data = "\n".join(lines).encode("utf-8", "replace")
        for cue, end in self._scanner.hits(data) if self._scanner else ():
            at += data.count(b"\n", position, end)
            position = end
            hits.setdefault(at, set()).add(cue)
        return [self._on(line, hits[index]) if index in hits else self._nothing for index, line in enumerate(lines)]

    def _on(self, line: str, hits: Collection[int]) -> tuple[Any, ...]:
        cued: list[list[int]] = [[] for _ in self._readers]
        for hit in sorted(hits):
            reader, own = self._owners[hit]
            cued[reader].append(own)
        return tuple(reader.read(line, own) for reader, own in zip(self._readers, cued, strict=True))


def _joined(found: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """What readers found on the parts of one line: tuples one after the other, sets as one."""
    if len(found) == 1:
        return found[0]
    return tuple(
        frozenset().union(*parts) if isinstance(parts[0], frozenset) else tuple(one for part in parts for one in part)
        for parts in zip(*found, strict=True)
    )
