"""Where a failing test stands: its file and line, from what runners print around its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

_BELOW: Final = 60
_ABOVE: Final = 6
"""Lines below and above a test's name in which its place is looked for."""
_NEAR: Final = 8
"""Lines below it in which a file is the test's own whatever it is called."""
_OWN: Final = re.compile(r"^(?P<place>[\w./\\@-]+\.\w+:\d+)(?::\d+)?\b")
_PLACE: Final = re.compile(r":\d+$")
_TESTS: Final = re.compile(
    r"(?:^|[/._-])(?:tests?|specs?|suite|features?|it|e2e)(?:[/._-]|$)|Tests?\.|Spec\.|_test\.|Suite\.", re.IGNORECASE
)
_WORDS: Final = re.compile(r"[A-Za-z_]\w+")
BORDER: Final = re.compile(
    r"\s*(?:=== (?:RUN|NAME|PAUSE|CONT)\b|--- (?:PASS|SKIP)|\[ (?:RUN|      OK|  PASSED) |ok (?:\d+\b|\s)"
    r"|test \S.* \.\.\. ok$|✓|✔|√|PASS(?:ED)?\b|\S+::\S+ PASSED)"
)
"""Lines that begin another test, or say that one passed: what stands beyond them is not the failing test's."""
_FAILED: Final = re.compile(r"\S.*\| FAIL \|")
_SUM: Final = re.compile(r"\d+ tests?, \d+ passed, \d+ failed")
_SUM_BELOW: Final = 3
_FOREIGN: Final = re.compile(
    r"node_modules|[\\/](?:site|dist)-packages[\\/]|/gems/|/vendor/|/usr/lib|/lib(?:64)?/python\d|/rustc/|\.jar:"
)


def summed(number: int, text: str, texts: Mapping[int, str]) -> bool:
    """Whether line `number` tells that a suite failed, no test: Robot Framework counts its tests right below."""
    if not _FAILED.match(text):
        return False
    return any(_SUM.match(texts.get(below, "")) for below in range(number + 1, number + 1 + _SUM_BELOW))


class Place(NamedTuple):
    """A file with a line (`path:12`), and the number of the log's line that names it."""

    name: str
    line: int


def locate(
    tests: Mapping[str, Sequence[int]], files: Mapping[str, Sequence[int]], others: Iterable[int] = ()
) -> dict[str, Place]:
    """By test its place, where one can be told; tests and files come with the log's lines that name them.

    `others` are lines at which other tests begin or end. A place is looked for from a test's name down to the next
    test's, or a little above it where a runner prints the fault first; a file that is called as the test's class or
    module is goes before one that is merely near.
    """
    places = [Place(name, line) for name, lines in files.items() if _PLACE.search(name) for line in lines]
    own = [place for place in places if not _FOREIGN.search(place.name)]
    borders = sorted({line for lines in tests.values() for line in lines}.union(others))
    found: dict[str, Place] = {}
    for test, lines in tests.items():
        if named := _OWN.match(test):
            found[test] = Place(named["place"], lines[0])
            continue
        mentions = sorted({*lines, *_headers(test, tests)})
        ranked = sorted(_rated(test, mentions, borders, own), key=lambda each: each[0])
        if ranked:
            found[test] = ranked[0][1]
    return found


def _headers(test: str, tests: Mapping[str, Sequence[int]]) -> Iterator[int]:
    """The lines on which a test is called by the last part of its name alone, as pytest does above each failure."""
    last = re.split(r"::|\.", test)[-1]
    for other, lines in tests.items():
        if other != test and other.split(".")[-1] == last:
            yield from lines


def _rated(
    test: str, mentions: Sequence[int], borders: Sequence[int], places: Sequence[Place]
) -> Iterator[tuple[tuple[bool, bool, int], Place]]:
    """The places that may be the test's, each with how unlikely it is."""
    words = set(_WORDS.findall(test))
    for place in places:
        path = place.name.rpartition(":")[0].replace("\\", "/")
        stem = PurePosixPath(path).name.partition(".")[0]
        named = stem in words or path.removeprefix("./") in test
        testing = _TESTS.search(path) is not None
        for mention in mentions:
            distance = place.line - mention
            between = any(mention < border < place.line for border in borders) or any(
                place.line < border < mention for border in borders
            )
            if between and not named:
                continue
            if 0 <= distance <= (_BELOW if named or testing else _NEAR) or (
                -_ABOVE <= distance < 0 and (named or testing)
            ):
                yield (not named, between, abs(distance) if distance >= 0 else 2 * -distance + _NEAR), place
