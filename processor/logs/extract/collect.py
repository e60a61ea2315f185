"""Collect what the excerpt names and order it by how likely it is the faulty one."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from processor.contract import Candidate, Excerpt
from processor.logs.extract import classes
from processor.logs.extract.ecosystems import PATTERNS
from processor.logs.extract.located import BORDER, locate, summed
from processor.logs.extract.patterns import LONGEST, Kind, Pattern
from processor.logs.memory import Lines

LIMIT: Final = 24
"""Candidates of a kind that a prompt can carry (codes c1 … c24)."""

PLURAL: Final[Mapping[Kind, str]] = {
    "package": "packages",
    "test": "tests",
    "file": "files",
    "host": "hosts",
    "exit_code": "exit_codes",
}
EVERYTHING: Final = frozenset(PLURAL.values())
BEYOND: Final = 0.77
"""How much of its pattern's weight counts on a line beyond the excerpt: names there come after those on lines in it,
and no fault is named after them (`anchor.SURE_PACKAGE`)."""


class _Seen:
    """One candidate while it is being collected."""

    __slots__ = ("best", "ecosystem", "kind", "lines", "name", "place", "score", "version")

    def __init__(self, pattern: Pattern, name: str) -> None:
        self.kind = pattern.kind
        self.name = name
        self.ecosystem = pattern.ecosystem
        self.version: str | None = None
        self.lines: list[int] = []
        self.score = 0.0
        self.best = -1.0
        self.place: str | None = None

    def add(self, number: int, version: str | None, score: float) -> None:
        """Note one more mention."""
        if number not in self.lines:
            self.lines.append(number)
        if version and (self.version is None or score > self.best):
            self.version, self.best = version, score
        self.score = max(self.score, score)

    def freeze(self) -> Candidate:
        """The candidate; mentions beyond the first few add a little, so that they break ties only."""
        score = min(1.0, self.score + 0.002 * min(len(self.lines), 5))
        lines = tuple(self.lines)
        return Candidate(self.kind, self.name, self.version, self.ecosystem, lines, round(score, 4), self.place)


class Mention(NamedTuple):
    """What a pattern finds on a line."""

    pattern: Pattern
    name: str
    version: str | None
    key: tuple[Kind, str, str]


class MentionReader:
    """Finds what a line names, of some kinds (see `EVERYTHING`)."""

    def __init__(self, kinds: frozenset[str]) -> None:
        by_cue: dict[str, list[Pattern]] = {}
        for pattern in PATTERNS:
            if PLURAL[pattern.kind] in kinds:
                by_cue.setdefault(pattern.cue, []).append(pattern)
        self.cues: Final = tuple(by_cue)
        self._patterns = tuple(by_cue.values())

    def read(self, line: str, cued: Collection[int]) -> tuple[Mention, ...]:
        """What the line names, in the order of the patterns."""
        line = line[:LONGEST]
        return tuple(mention for cue in cued for pattern in self._patterns[cue] for mention in _mentions(pattern, line))


@functools.cache
def _lines(kinds: frozenset[str]) -> Lines:
    return Lines(MentionReader(kinds))


def candidates(excerpt: Excerpt, kinds: frozenset[str] = EVERYTHING) -> dict[str, tuple[Candidate, ...]]:
    """Packages, tests, files, hosts and exit codes that the excerpt names, at most 24 of each, likeliest first.

    Of kinds that are not wanted there are none.

    A candidate's score (0..1) says how strongly a message blames it; BLAMED and above means that an error names it.
    Thread-safe; about 10 µs where nothing is named.
    """
    lines = [line.text for line in (*excerpt.lines, *excerpt.beyond)]
    return collect(excerpt, [mentions for (mentions,) in _lines(kinds)(lines)])


def collect(excerpt: Excerpt, on_lines: Sequence[Sequence[Mention]]) -> dict[str, tuple[Candidate, ...]]:
    """The candidates of an excerpt, as `candidates`, from what a MentionReader found on its lines and those beyond."""
    seen: dict[tuple[Kind, str, str], _Seen] = {}
    place: dict[int, int] | None = None
    texts = {line.number: line.text for line in excerpt.lines} if any(on_lines) else {}
    for index, (line, mentions) in enumerate(zip((*excerpt.lines, *excerpt.beyond), on_lines, strict=True)):
        if not mentions:
            continue
        if place is None:
            place = {number: rank for rank, number in enumerate(excerpt.ranked[:50])}
        # Where ranking put a line early, what it names is likelier; the spread must not outweigh the pattern.
        near = 1.0 - 0.003 * min(place.get(line.number, 50), 50)
        if index >= len(excerpt.lines):
            near = BEYOND
        for pattern, name, version, key in mentions:
            if pattern.kind == "test" and summed(line.number, line.text, texts):
                continue
            if key not in seen:
                seen[key] = _Seen(pattern, name)
            seen[key].add(line.number, version, pattern.weight * near)
    _place(seen.values(), excerpt)
    return _ordered(_settled(list(seen.values())))


def _place(seen: Collection[_Seen], excerpt: Excerpt) -> None:
    """Tells the tests their places, which the log's lines then belong to as well."""
    tests = {one.name: one for one in seen if one.kind == "test"}
    if not tests:
        return
    files = {one.name: one.lines for one in seen if one.kind == "file"}
    others = [line.number for line in excerpt.lines if BORDER.match(line.text)]
    for name, place in locate({name: one.lines for name, one in tests.items()}, files, others).items():
        tests[name].place = place.name
        if place.line not in tests[name].lines:
            tests[name].lines.append(place.line)


def _settled(seen: list[_Seen]) -> list[_Seen]:
    """Without classes of artifacts that are not known: what says of them goes to the artifacts that may hold them."""
    unknown = [one for one in seen if one.name.startswith(classes.UNKNOWN)]
    if not unknown:
        return seen
    known = [one for one in seen if not one.name.startswith(classes.UNKNOWN)]
    for one in known:
        if one.ecosystem == "maven":
            for other in unknown:
                if classes.fits(one.name, other.name):
                    one.score = max(one.score, min(other.score, BEYOND))
                    one.lines = sorted({*one.lines, *other.lines})
    return known


def _mentions(pattern: Pattern, text: str) -> Iterator[Mention]:
    """What `pattern` finds on a line."""
    matches: Iterable[re.Match[str]] = (
        pattern.regex.finditer(text) if pattern.all else filter(None, [pattern.regex.search(text)])
    )
    for match in matches:
        groups = match.groupdict()
        name = groups["name"].strip() if groups["name"] else ""
        name = pattern.clean(name) if pattern.clean and name else name
        if name and len(name) <= 300:
            version = (groups.get("version") or "").strip().removeprefix("==").strip()
            key = (pattern.kind, pattern.ecosystem, canonical(pattern.ecosystem, name))
            yield Mention(pattern, name, version or None, key)


def canonical(ecosystem: str, name: str) -> str:
    """The form in which two names are the same package (PEP 503 for PyPI)."""
    if ecosystem == "pypi":
        return re.sub(r"[-_.]+", "-", name).lower()
    return name if ecosystem in ("maven", "golang", "") else name.lower()


def _ordered(seen: Iterable[_Seen]) -> dict[str, tuple[Candidate, ...]]:
    """Candidates by plural kind, likeliest first, cut at LIMIT; kinds without any are there, empty."""
    result: dict[str, list[Candidate]] = {plural: [] for plural in PLURAL.values()}
    for one in seen:
        result[PLURAL[one.kind]].append(one.freeze())
    return {
        plural: tuple(sorted(found, key=lambda one: (-one.score, one.lines[0] if one.lines else 0, one.name))[:LIMIT])
        for plural, found in result.items()
    }
