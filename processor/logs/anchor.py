"""The stable name of a fault, and the fingerprint made of it.

An anchor comes from deterministic stages alone, never from a model's words: the rule that decided with what it
captured, else the failing test, else the package that an error names, else the masked error line that ranks first.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from processor.contract import Candidate, Excerpt, RuleMatch
from processor.logs.extract.collect import canonical
from processor.logs.mask import mask

VERSION: Final = 1
"""Version of anchors and fingerprints, part of the fingerprint: tickets of an older one are not found again."""

SURE_TEST: Final = 0.8
SURE_PACKAGE: Final = 0.78
"""How strongly a message must blame a test or a package before the fault is named after it."""

LONGEST: Final = 200
VOLATILE: Final = frozenset({"version", "actual", "line", "have", "want", "found"})
"""Captures that may change while the fault stays: they fill fields but don't name the fault."""

_SAYS_NOTHING: Final = re.compile(
    r"exit(?:ed)?(?: with)?(?: code| status)|exit code|returned (?:a )?non-zero|ELIFECYCLE|^\W*(?:error|failed|failure)\W*$"
    r"|^BUILD FAIL|^\W*(?:Job|Build|Command|Process) failed|make\S*: \*\*\*|Traceback|^FAILED\W|errors? found|"
    r"[Ff]or more (?:info|detail|help)|[Rr]e-run|full log|aborting due to|Process completed",
)
"""Lines that say that something failed and not what: they would give all faults of a repository one name."""

_DOTTED: Final = re.compile(r"(?:[\w$]+\.)*?([\w$]+\.[\w$]+)(\[.*\]|\(.*\))?")
_FIGURES: Final = re.compile(r"\d{3,}|0x")


def anchor(excerpt: Excerpt, candidates: Mapping[str, tuple[Candidate, ...]], rule: RuleMatch | None = None) -> str:
    """The stable name of the fault that an excerpt shows."""
    if rule is not None and rule.decides:
        return _of_rule(rule)
    tests = [one for one in candidates.get("tests", ()) if one.score >= SURE_TEST]
    if tests:
        # Not the first one: runners that work in parallel report failures in any order.
        return min(f"test:{test_name(one.name)}" for one in tests)
    errors = set(excerpt.ranked)
    for package in candidates.get("packages", ()):
        if package.score >= SURE_PACKAGE and errors.intersection(package.lines):
            return f"pkg:{package.ecosystem or 'generic'}/{canonical(package.ecosystem, package.name)}"
    return _of_line(excerpt)


def fingerprint(pipeline: str, scope: Sequence[str], anchor: str) -> tuple[str, dict[str, Any]]:
    """The fingerprint (32 hexadecimal digits) of a fault within its scope, and the parts it is made of."""
    parts = {"v": VERSION, "scope": list(scope), "anchor": anchor}
    text = json.dumps([pipeline, parts], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32], parts


def test_name(name: str) -> str:
    """A test without what varies: its package, which a runner prints only sometimes, and its parameters' figures."""
    if dotted := _DOTTED.fullmatch(name):
        name = dotted[1] + (dotted[2] or "")
    return mask(name)[:LONGEST] if _FIGURES.search(name) else name[:LONGEST]


def _of_rule(rule: RuleMatch) -> str:
    """The rule's id with what it captured, volatile captures aside."""
    named = {key: mask(value) if " " in value else value for key, value in rule.captures.items() if key not in VOLATILE}
    return f"rule:{rule.rule}" + "".join(f":{key}={named[key]}" for key in sorted(named))


def _of_line(excerpt: Excerpt) -> str:
    """The first-ranked error line that says something, masked."""
    texts = {line.number: line.text for line in excerpt.lines}
    ranked = [texts[number] for number in excerpt.ranked if number in texts]
    telling = [text for text in ranked if not _SAYS_NOTHING.search(text)]
    fallback = ranked or [line.text for line in excerpt.lines if line.text.strip()][-1:]
    chosen = (telling or fallback or [""])[0]
    return f"line:{mask(chosen)[:LONGEST]}"
