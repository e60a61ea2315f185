"""The one line that shows a fault best: what a ticket quotes, and what no evidence may lack.

It is often the line that the fault is named after (`anchor`), but has other duties: a name has to stay the same from
build to build, while this line is chosen for the person who reads it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from processor.contract import Candidate, Excerpt
from processor.logs.anchor import first_placed, near_error, said, sure_package, sure_tests, tells, test_name
from processor.logs.extract.located import BORDER
from processor.logs.patterns import DETAILS
from processor.logs.prose import compares, is_empty, quoted, telling, words
from processor.logs.streams import behind
from processor.logs.structured import unfold

CLEAR: Final = 0.3
"""Share of the highest score in the excerpt from which on a line is taken for one that belongs to the fault."""

BEFORE, AFTER = 28, 2
"""Lines around one that says only that something failed, among which the fault is looked for."""

_AFTERWARDS: Final = re.compile(
    r"\s*(?:Running after[_ ]script|Post job cleanup\.|\[WS-CLEANUP\]|\[Pipeline\] \{ \(Declarative: Post)"
)
"""What CI systems print when they begin what is done whether or not a job failed."""

FAINT: Final = 0.1
"""Share of the highest score below which a line has nothing to do with the fault, whoever chose it."""

VALUES: Final = re.compile(
    r"\W*(?:left|right|expected|actual|received|got|want|have|symbol|location|required|found|provided|which is"
    r"|snapshot(?: name)?|difference|details?|debug_error_string)(?: \w+)?\s*[:=]",
    re.IGNORECASE,
)
"""Lines below a message that say what was found and what should have been."""

_NEXT: Final = 8
"""Lines between what a rule hit and a line that belongs to the same fault."""

_ABOVE, _BELOW = 25, 40
"""Lines around a failing test's name in which is looked for why it failed."""
_SOURCE: Final = re.compile(r"\s*(?:[>❯]\s*)?\d{1,5}\s*[:|│](?:\s|$)")
"""A line of source with its number, as runners print it around a fault."""
_RIGHT_BELOW: Final = 6
"""Lines below it in which that may be said without any word of an error."""

LIKELY: Final = 0.55
"""How strongly a message must blame a test before it is looked at for why."""

_STATUS: Final = words(
    "ago following elapsed milliseconds panic runner sec seconds stdout stderr subprocess thread time took"
)
_PATHS: Final = re.compile(r"\S*[/\\]\S*|\S+\.\w{1,4}(?=[\s:,)\]]|$)(?::\d+)*")
"""Words and paths beside a test's name that don't say why it failed."""


_DIFFERENCE: Final = frozenset({"difference-part-1"})
"""Patterns on lines that go on with others, and yet are what there is to say."""

_COUNTS: Final = re.compile(
    r"\W*(?:x )?(?:(?:failed|found|result|total)\W+)?\d+ [\w ()-]{0,40}?"
    r"(?:error|warning|problem|violation|issue|failure|finding)(?:s|\(s\))?(?!\w)[^:]*",
    re.IGNORECASE,
)
"""A line that only counts what was found; what that is stands above it, or right below."""
_FINDING: Final = re.compile(
    r"\W*(?:error|fatal)\b.*\w|\s*(?:[\w.@-]{1,60}[\\/]){0,12}[\w.-]{1,60}\.[A-Za-z]\w{0,7}(?:[:(]\d[\d:,]*\)?)?(?:::\S+)?:\s*\S",
    re.IGNORECASE,
)
"""A line that says what was found, and where."""
_ABOVE_COUNT, _BELOW_COUNT = 12, 3
_ECHO: Final = re.compile(r"(?:\$|\++|##\[group\]Run|\[command\]\S*) \S")
"""Shells and CI systems print a command before it runs."""

_BARE: Final = re.compile(r"^\W*\w*(?:Error|Exception|Failure)\W*$")


def _any(kinds: Collection[str]) -> re.Pattern[str]:
    found = [each for each in DETAILS if each.kind in kinds and each.name not in _DIFFERENCE]
    regexes = (f"(?i:{each.regex})" if each.caseless else each.regex for each in found)
    return re.compile("|".join(f"(?:{regex})" for regex in regexes))


_CONTINUES: Final = _any({"call", "frame"})
_CALLS: Final = _any({"call"})


def cause(excerpt: Excerpt, candidates: Mapping[str, tuple[Candidate, ...]]) -> int:
    """The number of that line; 0 where the excerpt is empty.

    It is the line that says why the failing test failed, or one of the package that an error blames; else the first
    place in the code that a compiler points at; else the line with the highest score that says something; else one
    beside the very highest.
    """
    texts = {line.number: line.text for line in excerpt.lines}
    scores = {line.number: line.score for line in excerpt.lines}
    places = {number: -place for place, number in enumerate(excerpt.ranked)}
    clear = CLEAR * max(scores.values(), default=0.0)

    def best(numbers: Iterable[int]) -> int:
        known = [number for number in numbers if number in scores]
        return max(known, key=lambda number: (scores[number], places.get(number, -len(scores))), default=0)

    because = frozenset[int]()
    tests, package = sure_tests(candidates), sure_package(excerpt, candidates)
    if tests and (package is None or not _came_first(package, tests, excerpt)):
        test = _blamed(tests)
        because = why(test, candidates["tests"], excerpt)
        found = best(because or test.lines)
    elif package is not None:
        found = best(number for number in package.lines if near_error(number, excerpt))
    else:
        found = first_placed((number for number in excerpt.ranked if _says(texts.get(number, ""))), candidates) or 0
        likely = _likely(candidates)
        if not found and likely is not None:
            found = best(why(likely, candidates["tests"], excerpt))
    if found and (scores[found] >= clear or found in because):
        return found
    end = next((number for number, text in texts.items() if _AFTERWARDS.match(text)), excerpt.total_lines + 1)
    telling_lines = [at for at, text in texts.items() if _says(text) and (at < end or at in places)]
    likeliest = best(telling_lines)
    if likeliest and scores[likeliest] >= clear > 0:
        return _counted(likeliest, telling_lines, scores, texts)
    top = best(scores)
    if not likeliest or (scores[top] <= 0 and likeliest not in places):
        return _printed({at: text for at, text in texts.items() if at < end}, telling_lines) or top
    beside = [number for number in telling_lines if -BEFORE <= number - top <= AFTER]
    return max(beside, key=lambda number: (scores[number], -abs(number - top)), default=likeliest or top)


def _came_first(package: Candidate, tests: Iterable[Candidate], excerpt: Excerpt) -> bool:
    """Whether an error blames a package before any failing test is named: it is what they fail of."""
    first = min((line for test in tests for line in test.lines), default=0)
    return any(number < first for number in package.lines if number in excerpt.ranked)


def _counted(chosen: int, telling_lines: Iterable[int], scores: Mapping[int, float], texts: Mapping[int, str]) -> int:
    """The likeliest of the findings that line `chosen` counts; `chosen` where it counts none."""
    if not _COUNTS.fullmatch(_bare(texts[chosen])):
        return chosen
    near_it = [at for at in telling_lines if -_ABOVE_COUNT <= at - chosen <= _BELOW_COUNT and _finds(texts[at])]
    return max(near_it, key=lambda number: (scores[number], -number), default=chosen)


def _printed(texts: Mapping[int, str], telling_lines: Iterable[int]) -> int:
    """Of what the last command printed the first finding, else the last line that says something; 0 if none does."""
    echoed = max((at for at, text in texts.items() if _ECHO.match(_bare(text))), default=0)
    after = [at for at in telling_lines if at > echoed]
    found = next((at for at, text in texts.items() if at > echoed and _finds(text) and not is_empty(text)), 0)
    return found or next((at for at in reversed(after) if not _COUNTS.fullmatch(_bare(texts[at]))), 0)


def _bare(text: str) -> str:
    """What a line says behind the name of the program that leads it."""
    return unfold(text)[-1] if behind(text) is not text else said(text)


def _finds(text: str) -> bool:
    return _FINDING.match(_bare(text)[:300]) is not None and not _COUNTS.fullmatch(_bare(text))


def _blamed(tests: Iterable[Candidate]) -> Candidate:
    """The test that a fault is told by. Not the first one: runners that work in parallel report in any order."""
    return min(tests, key=lambda test: test_name(test.name))


def _likely(candidates: Mapping[str, tuple[Candidate, ...]]) -> Candidate | None:
    """The likeliest test of a message that blames one, though not surely enough to name a fault after it."""
    likely = [test for test in candidates.get("tests", ()) if test.score >= LIKELY]
    return max(likely, key=lambda test: test.score, default=None)


def failed_test(candidates: Mapping[str, tuple[Candidate, ...]]) -> Candidate | None:
    """The test that a fault is told by, if any."""
    tests = sure_tests(candidates)
    return _blamed(tests) if tests else _likely(candidates)


def why(test: Candidate, tests: Iterable[Candidate], excerpt: Excerpt) -> frozenset[int]:
    """The numbers of the lines that may say why a test failed; `tests` are all that the log names.

    They name it and more, or stand between its lines and another test's: as an error, else right below its name.
    """
    texts = {line.number: line.text for line in excerpt.lines}
    saying = (
        number for number, text in texts.items() if _says(text) and not VALUES.match(text) and not _SOURCE.match(text)
    )
    telling_lines = {number for number in saying if _beyond(behind(texts[number]), test.name)}
    if own := telling_lines.intersection(test.lines):
        return frozenset(own)
    last = _last(test.name)
    others = {line for each in tests if each is not test and _last(each.name) != last for line in each.lines}
    borders = others.union(number for number, text in texts.items() if BORDER.match(text)).difference(test.lines)
    near = frozenset(number for line in test.lines for number in _within(line, borders, telling_lines))
    below = [number for number in near if any(0 < number - line <= _RIGHT_BELOW for line in test.lines)]
    return near.intersection(excerpt.ranked) or frozenset(sorted(below)[:1])


def _within(line: int, borders: Collection[int], numbers: Iterable[int]) -> Iterable[int]:
    """Those of `numbers` that stand about `line` with no border between."""
    above = max((border for border in borders if border < line), default=0)
    below = min((border for border in borders if border > line), default=line + _BELOW)
    return (at for at in numbers if max(above, line - _ABOVE) < at < min(below, line + _BELOW))


def _last(name: str) -> str:
    return re.split(r"::|[.>/]", name)[-1].strip()


def _beyond(text: str, name: str) -> bool:
    """Whether a line says more than a test's name, its place and that it failed."""
    rest = _PATHS.sub(" ", quoted(text).replace(name, " "))
    bare = telling(_BARE.sub("", rest))  # pytest names a place and the kind of exception alone
    return bool(bare - words(name) - _STATUS) or compares(rest)


@functools.lru_cache(maxsize=4096)  # builds repeat each other's lines
def _says(text: str) -> bool:
    return tells(said(text)) and not is_empty(text) and not continues(text)


def beside(lines: Iterable[int], excerpt: Excerpt, candidates: Mapping[str, tuple[Candidate, ...]]) -> int:
    """The line that shows a fault best: of those next to `lines`, which a rule hit, else of these; 0 if none does.

    Where a rule hit no more than an exit status it may stand anywhere.
    """
    texts = {line.number: line.text for line in excerpt.lines}
    hit = [number for number in lines if number in texts]
    best = cause(excerpt, candidates)
    if only_ended(hit, excerpt) or any(abs(best - number) <= _NEXT for number in hit):
        return best
    return next((number for number in hit if _says(texts[number])), 0)


def only_ended(lines: Iterable[int], excerpt: Excerpt) -> bool:
    """Whether all that `lines` say is that something ended, as an exit status does."""
    texts = {line.number: line.text for line in excerpt.lines}
    return not any(tells(said(texts.get(number, ""))) for number in lines)


def continues(text: str) -> bool:
    """Whether a line is a call of a stack trace, or goes on with what the line before it says."""
    return bool(_CONTINUES.search(text) or _CALLS.search(f"    {quoted(text)}"))


def near(excerpt: Excerpt) -> frozenset[int]:
    """The numbers of the lines that may have to do with the fault."""
    faint = FAINT * max((line.score for line in excerpt.lines), default=0.0)
    return frozenset(line.number for line in excerpt.lines if line.score >= faint)
