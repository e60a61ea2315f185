"""The stable name of a fault, and the fingerprint made of it.

An anchor comes from deterministic stages alone, never from a model's words: the rule that decided with what it
captured, else the failing test, else the package that an error names, else the masked error line that ranks first.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from processor.contract import Candidate, Excerpt, RuleMatch
from processor.logs.extract.collect import canonical
from processor.logs.mask import mask
from processor.logs.structured import unfold

VERSION: Final = 1
"""Version of anchors and fingerprints, part of the fingerprint: tickets of an older one are not found again."""

SURE_TEST: Final = 0.8
SURE_PACKAGE: Final = 0.78
SURE_PLACE: Final = 0.75
"""How strongly a message must blame a test, a package or a place before the fault is named after it."""

BELOW: Final = 2
"""Lines below an error that still belong to it: tools say what failed first and list the packages then."""

LONGEST: Final = 200
NAMED_AFTER: Final = frozenset({"tests", "packages", "files"})
"""The kinds of candidates that `anchor` looks at."""
VOLATILE: Final = frozenset({"version", "actual", "line", "have", "want", "found", "count", "code", "time"})
"""Captures that may change while the fault stays: they fill fields but don't name the fault."""

_ADDRESS: Final = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://(?:[^\s/@'\"]*@)?([^\s\"'<>()\[\]{}?#,;]+)")
"""An address without scheme and credentials: its host and path tell two faults apart, so they outlive the mask."""

_LOCATION: Final = re.compile(r"(?:\(<n>(?:, ?<n>)?\)|(?::<n>){1,2}|:\[<n>(?:, ?<n>)?\])(?::| -)?")
"""Line and column in the ways of different tools, or of one tool on a terminal and off it."""

_POINTS: Final = re.compile(r"\s*--> ")
_CARETS: Final = re.compile(r"^\s*\|.*\^+ (\S.*)$")
"""A line that says where the message before it applies (rustc), and what is wrong with the text pointed at."""

_BEGINS_EMPTY: Final = re.compile(
    r"\W*(?:error|failed|failure|fail|errors|failures)\W*$|build fail|(?:failed|error|fail)\s+\S+(?:\s+[\d.]+m?s)?$"
    r"|\W*(?:job|build|command|process) failed|traceback|\W*\d+ \w+( \w+)?$"
    r"|\s*[│├└]|\W*(?:found )?\d+ (?:\w+ )*vulnerabilit"
)
_SAYS_NOTHING: Final = re.compile(
    r"exit(?:ed)?(?: with)?(?: code| status| \d)|returned (?:a )?non-zero|elifecycle|make\S*: \*\*\*.*error \d"
    r"|errors? found|full log|process completed|aborting due to|could not compile `"
    r"|for more (?:info|detail|help)|re-run"
)
"""Lines (in lower case) that say that something failed and not what: they would give all faults one name.

Two expressions, since each alternative that can begin anywhere is tried at every character.
"""

_JSON: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_DOTTED: Final = re.compile(r"(?:[\w$]+\.)*?([\w$]+\.[\w$]+)(\[.*\]|\(.*\))?")
_FIGURES: Final = re.compile(r"\d{3,}|0x")


def anchor(excerpt: Excerpt, candidates: Mapping[str, tuple[Candidate, ...]], rule: RuleMatch | None = None) -> str:
    """The stable name of the fault that an excerpt shows."""
    if rule is not None and rule.decides:
        return _of_rule(rule)
    tests = sure_tests(candidates)
    if tests:
        # Not the first one: runners that work in parallel report failures in any order.
        return min(f"test:{test_name(one.name)}" for one in tests)
    package = sure_package(excerpt, candidates)
    if package is not None:
        return f"pkg:{package.ecosystem or 'generic'}/{canonical(package.ecosystem, package.name)}"
    return _of_line(excerpt, candidates)


def near_error(number: int, excerpt: Excerpt) -> bool:
    """Whether a line was ranked as an error, or stands right below one."""
    return any(0 <= number - error <= BELOW for error in excerpt.ranked)


def sure_tests(candidates: Mapping[str, tuple[Candidate, ...]]) -> list[Candidate]:
    """The tests that a message surely blames."""
    return [one for one in candidates.get("tests", ()) if one.score >= SURE_TEST]


def sure_package(excerpt: Excerpt, candidates: Mapping[str, tuple[Candidate, ...]]) -> Candidate | None:
    """The likeliest package that an error surely blames."""
    for package in candidates.get("packages", ()):
        if package.score >= SURE_PACKAGE and any(near_error(number, excerpt) for number in package.lines):
            return package
    return None


def fingerprint(pipeline: str, scope: Sequence[str], anchor: str) -> tuple[str, dict[str, Any]]:
    """The fingerprint (32 hexadecimal digits) of a fault within its scope, and the parts it is made of."""
    return _hashed(pipeline, tuple(scope), anchor), {"v": VERSION, "scope": list(scope), "anchor": anchor}


@functools.lru_cache(maxsize=4096)  # faults come back
def _hashed(pipeline: str, scope: tuple[str, ...], anchor: str) -> str:
    text = _JSON.encode([pipeline, {"v": VERSION, "scope": scope, "anchor": anchor}])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def test_name(name: str) -> str:
    """A test without what varies: its package, which a runner prints only sometimes, and its parameters' figures."""
    if dotted := _DOTTED.fullmatch(name):
        name = dotted[1] + (dotted[2] or "")
    return mask(name)[:LONGEST] if _FIGURES.search(name) else name[:LONGEST]


def _of_rule(rule: RuleMatch) -> str:
    """The rule's id with what it captured, volatile captures aside."""
    named = {key: mask(value) if " " in value else value for key, value in rule.captures.items() if key not in VOLATILE}
    return f"rule:{rule.rule}" + "".join(f":{key}={named[key]}" for key in sorted(named))


def _of_line(excerpt: Excerpt, candidates: Mapping[str, tuple[Candidate, ...]]) -> str:
    """The error line that names the fault, masked."""
    texts = {line.number: line.text for line in excerpt.lines}
    chosen = named_after(excerpt, texts, candidates)
    return f"line:{' '.join([_steady(said(texts.get(chosen, ''))), *_pointed(texts, chosen)])[:LONGEST]}"


def named_after(excerpt: Excerpt, texts: Mapping[int, str], candidates: Mapping[str, tuple[Candidate, ...]]) -> int:
    """The number of the error line that names the fault; 0 where there is none.

    Where lines point at places in the code it is the first of them, since compilers' later errors follow from it;
    else the first-ranked line that says something; else what was printed before the first-ranked one.
    """
    ranked = [number for number in excerpt.ranked if number in texts]
    first = first_placed(ranked, candidates) or next((at for at in ranked if tells(said(texts[at]))), None)
    return first or before(excerpt, ranked[0] if ranked else None)


def first_placed(ranked: Iterable[int], candidates: Mapping[str, tuple[Candidate, ...]]) -> int | None:
    """The first of these lines that surely points at a place in the code."""
    placed = {number for file in candidates.get("files", ()) if file.score >= SURE_PLACE for number in file.lines}
    return min(placed.intersection(ranked), default=None)


@functools.lru_cache(maxsize=4096)
def said(text: str) -> str:
    """The first line of what a line says."""
    return unfold(text)[0]


def _pointed(texts: Mapping[int, str], number: int) -> list[str]:
    """What a compiler prints below a message and belongs to it: the place, and the words beside the carets (rustc)."""
    if not _POINTS.match(texts.get(number + 1, "")):
        return []
    below = [found[1] for at in range(number + 2, number + 8) if (found := _CARETS.search(texts.get(at, "")))]
    return [_steady(texts[number + 1]), *map(_steady, below[:1])]


# Builds repeat each other's lines: most of them have been judged and masked before.
@functools.lru_cache(maxsize=4096)
def tells(text: str) -> bool:
    """Whether a line says what failed, not only that something did."""
    lower = text.lower()
    return not _BEGINS_EMPTY.match(lower) and not _SAYS_NOTHING.search(lower)


@functools.lru_cache(maxsize=4096)
def _steady(text: str) -> str:
    """`text` masked, but for the hosts and paths of its addresses, of which only figures go."""
    parts = _ADDRESS.split(text)
    for at, part in enumerate(parts):
        parts[at] = _address(part) if at % 2 else mask(part)
    return _LOCATION.sub(":<n>", " ".join(part for part in parts if part))


def _address(text: str) -> str:
    """Host and path of an address without port and without what looks like a number or a hash."""
    host, _, path = text.rstrip(".:").partition("/")
    steps = [host.partition(":")[0], *path.split("/")]
    return "/".join("<n>" if len(re.findall(r"\d", step)) > 2 else step for step in steps if step)


def before(excerpt: Excerpt, number: int | None) -> int:
    """The last line with text before line `number` (or at all) that says something, else the last one; 0 if none."""
    written = [line for line in excerpt.lines if line.text.strip() and (number is None or line.number <= number)]
    telling = [line for line in written if tells(line.text)]
    return (telling or written)[-1].number if written else 0
