"""Known faults: regular expressions with captures, in YAML, that recognise what needs no model.

A rule is a mapping with `id`, `description` and one of `pattern`, `any` or `all` (regular expressions of Python's
`re`, searched in the excerpt's lines for a bounded time; those of `all` match in order, the last at most `within`
lines after the first; lines that only quote, see `processor.logs.quotes`, are left out), and optionally

- `not` (none of these may match any line), `ecosystem`, `source` (where its wording is from),
- `priority` (the higher wins), `decides` (else it only proposes), `final` (it decides only where at most so many lines
  of the log follow, 150 by default: what came earlier was survived),
- `fields` (what it fills in, `{name}` standing for a capture), `precision` (the measured share of right answers),
- `examples` and `counterexamples` (logs that it must match, and must not; see `processor.logs.trial`).
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import regex

from processor.contract import Excerpt, ExcerptLine, RuleMatch
from processor.errors import ConfigError
from processor.logs.lint import RuleProblem, placeholder, problems
from processor.logs.literals import required_literals
from processor.logs.memory import Lines
from processor.logs.quotes import quotes

LONGEST_LINE: Final = 2_000
"""Characters of a line that rules look at: bounds what a slow regular expression can cost."""

LONGEST_SEARCH_S: Final = 0.05
"""Seconds after which a search gives up a line: lint refuses what is exponential, a high power is only bounded."""

WENT_ON: Final = 25
"""Log lines after a fault from which on another fault means that the first did not end the job."""

DEFAULT_FINAL: Final = 150
"""Lines of the log that may follow a fault that decides. What is said earlier was survived, or is only said to be read:
one line put into the first half of a log that fails otherwise fooled half of the rules that looked no further."""

DEFAULT_WITHIN: Final = 25
DEFAULT_PRIORITY: Final = 50


@dataclass(frozen=True, slots=True)
class Rule:
    """One known fault."""

    id: str
    description: str
    patterns: tuple[regex.Pattern[str], ...]
    together: bool
    absent: tuple[regex.Pattern[str], ...]
    fields: Mapping[str, Any]
    ecosystem: str = ""
    priority: int = DEFAULT_PRIORITY
    within: int = DEFAULT_WITHIN
    decides: bool = True
    final: int = DEFAULT_FINAL
    precision: float | None = None

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Rule:
        """A rule from its mapping, which `problems` has found correct."""
        listed = raw.get("all") or raw.get("any") or raw["pattern"]
        patterns = [listed] if isinstance(listed, str) else listed
        absent = raw.get("not") or ()
        return cls(
            id=raw["id"],
            description=raw.get("description", ""),
            patterns=tuple(regex.compile(pattern) for pattern in patterns),
            together="all" in raw,
            absent=tuple(regex.compile(one) for one in ([absent] if isinstance(absent, str) else absent)),
            fields=raw.get("fields") or {},
            ecosystem=raw.get("ecosystem", ""),
            priority=raw.get("priority", DEFAULT_PRIORITY),
            within=raw.get("within", DEFAULT_WITHIN),
            decides=raw.get("decides", True),
            final=raw.get("final", DEFAULT_FINAL),
            precision=raw.get("precision"),
        )


Captures = dict[str, str]
"""What a pattern's groups caught, by their names; groups that took no part are left out."""

Places = Mapping[int, Sequence[tuple[int, Captures]]]
"""By pattern the lines (indexes into the excerpt's) on which it is, in order, with what it captured there."""


class Hit(NamedTuple):
    """A rule that holds: where, and what it captured."""

    rule: Rule
    lines: tuple[int, ...]
    captures: Captures

    @property
    def fields(self) -> dict[str, Any]:
        """What the rule says here."""
        return {key: _fill(one, self.captures) for key, one in self.rule.fields.items()}


class _Numbered(NamedTuple):
    """A rule and the numbers of its patterns in the rule set."""

    rule: Rule
    patterns: tuple[int, ...]
    absent: tuple[int, ...]


class RuleSet:
    """The rules of a pipeline, compiled. Thread-safe."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: -rule.priority))
        numbers: dict[regex.Pattern[str], int] = {}
        self._numbered = [
            _Numbered(
                rule,
                tuple(numbers.setdefault(one, len(numbers)) for one in rule.patterns),
                tuple(numbers.setdefault(one, len(numbers)) for one in rule.absent),
            )
            for rule in self.rules
        ]
        self._patterns = tuple(numbers)
        literals = [required_literals(pattern.pattern) for pattern in self._patterns]
        cued: dict[str, list[int]] = {}
        for number, known in enumerate(literals):
            for literal in sorted(known or ()):  # the same in each process, so that what was compiled is found again
                cued.setdefault(literal, []).append(number)
        self._cued = list(cued.values())
        self.cues = tuple(_escape(literal) for literal in cued)
        self._unknown = frozenset(number for number, known in enumerate(literals) if known is None)
        self._always = [index for index, one in enumerate(self._numbered) if not self._needed(one)]
        self._begun_by: dict[int, list[int]] = {}
        for index, one in enumerate(self._numbered):
            for number in self._needed(one):
                self._begun_by.setdefault(number, []).append(index)

    @classmethod
    def parse(cls, raw: Sequence[Mapping[str, Any]]) -> RuleSet:
        """Rules from the mappings of a rules.yaml. Raises ConfigError naming the first mistake."""
        found = problems(raw)
        if found:
            index, path, message = found[0]
            raise ConfigError(f"rule {index + 1}, {'.'.join(path) or 'as a whole'}: {message}")
        return cls([Rule.parse(one) for one in raw])

    @staticmethod
    def problems(
        raw: Any, fields: Collection[str] | None = None, enums: Mapping[str, Collection[str]] | None = None
    ) -> list[RuleProblem]:
        """Everything that is wrong with rules as loaded from YAML; see `processor.logs.lint.problems`."""
        return problems(raw, fields, enums)

    def match(
        self, excerpt: Excerpt, on_lines: Sequence[Sequence[tuple[int, Captures]]] | None = None
    ) -> RuleMatch | None:
        """The known fault that the excerpt shows, or None.

        `on_lines` is what `read` found on each line, if it was asked.

        Of several the highest priority wins, then a deciding one, then the one whose line was ranked first. Where
        another of the same priority, or one well after it, says otherwise the match only proposes: the log tells
        of two faults. So does one that more than its `final` lines follow: the job went on.
        """
        hits = self.hits(excerpt, on_lines)
        if not hits:
            return None
        best = hits[0]
        answer = best.fields
        agreed = all(agree(best, hit) for hit in hits if _rivals(best, hit))
        return RuleMatch(
            rule=best.rule.id,
            fields=answer,
            captures=best.captures,
            lines=best.lines,
            decides=best.rule.decides and agreed and _ended(best, excerpt.total_lines),
            precision=best.rule.precision,
        )

    def hits(self, excerpt: Excerpt, on_lines: Sequence[Sequence[tuple[int, Captures]]] | None = None) -> list[Hit]:
        """All rules that hold for the excerpt, in the order in which they win; see `match`."""
        place = {number: rank for rank, number in enumerate(excerpt.ranked)}
        if on_lines is None:
            on_lines = [found for (found,) in self._lines([line.text for line in excerpt.lines])]

        def order(hit: Hit) -> tuple[int, bool, int, int]:
            rank = min(place.get(number, len(place)) for number in hit.lines)
            return -hit.rule.priority, not hit.rule.decides, rank, -hit.lines[-1]

        return sorted(self._hits(excerpt, on_lines, place), key=order)

    @functools.cached_property
    def _lines(self) -> Lines:
        return Lines(self)

    def _hits(
        self, excerpt: Excerpt, on_lines: Sequence[Sequence[tuple[int, Captures]]], place: Mapping[int, int]
    ) -> list[Hit]:
        """The rules that hold for the excerpt."""
        places: dict[int, list[tuple[int, Captures]]] = {}
        for index, on_line in enumerate(on_lines):
            for number, captures in on_line:
                places.setdefault(number, []).append((index, captures))
        begun = {index for number in places for index in self._begun_by.get(number, ())}
        hits: list[Hit] = []
        for index in sorted(begun.union(self._always)):
            rule = self._numbered[index]
            for number in self._unknown.intersection(rule.patterns + rule.absent):
                if number not in places:
                    places[number] = self._searched(number, excerpt.lines)
            if hit := _apply(rule, excerpt.lines, places, place):
                hits.append(hit)
        return hits

    def _needed(self, rule: _Numbered) -> Sequence[int]:
        """Patterns with known literals of which every excerpt that the rule holds for has one; empty: try it always."""
        known = [number for number in rule.patterns if number not in self._unknown]
        return known if len(known) == len(rule.patterns) or rule.rule.together else []

    def read(self, line: str, cued: Collection[int]) -> tuple[tuple[int, Captures], ...]:
        """The patterns on a line, by number, with what they capture; see `processor.logs.memory.LineReader`."""
        numbers = {number for cue in cued for number in self._cued[cue]}
        return tuple((number, one) for number in sorted(numbers) for one in self._search(number, line))

    def _searched(self, number: int, lines: Sequence[ExcerptLine]) -> list[tuple[int, Captures]]:
        return [(index, one) for index, line in enumerate(lines) for one in self._search(number, line.text)]

    def _search(self, number: int, line: str) -> list[Captures]:
        """What a pattern captures on a line: nothing, or one set of captures."""
        try:
            match = self._patterns[number].search(line[:LONGEST_LINE], timeout=LONGEST_SEARCH_S)
        except TimeoutError:
            return []
        if match is None or quotes(line):
            return []
        return [{key: value for key, value in match.groupdict().items() if value is not None}]


def _escape(literal: str) -> str:
    """A literal as a Hyperscan expression: its bytes, since it knows no other letters than ASCII's."""
    return "".join(f"\\x{byte:02x}" for byte in literal.encode())


def _apply(numbered: _Numbered, lines: Sequence[ExcerptLine], places: Places, place: Mapping[int, int]) -> Hit | None:
    """Where a rule holds, if it does: the mention that ranking put first."""
    rule, patterns, absent = numbered
    if any(number in places for number in absent):
        return None
    starts = [
        (place.get(lines[index].number, len(place)), -lines[index].number, index, captures)
        for number in (patterns[:1] if rule.together else patterns)
        for index, captures in places.get(number, ())
    ]
    for _, _, index, captures in sorted(starts, key=lambda start: start[:3]):
        rest = _follow(rule, patterns[1:], lines, places, index) if rule.together else []
        if rest is not None:
            matches = [(index, captures), *rest]
            merged = {key: value for _, one in matches for key, value in one.items()}
            return Hit(rule, tuple(dict.fromkeys(lines[at].number for at, _ in matches)), merged)
    return None


def _follow(
    rule: Rule, patterns: Sequence[int], lines: Sequence[ExcerptLine], places: Places, start: int
) -> list[tuple[int, Captures]] | None:
    """The other patterns of `all`, each on the line of the one before or a later one; None where one is missing."""
    found: list[tuple[int, Captures]] = []
    index = start
    last = lines[start].number + rule.within
    for pattern in patterns:
        later = ((at, captures) for at, captures in places.get(pattern, ()) if at >= index)
        one = next(later, None)
        if one is None or lines[one[0]].number > last:
            return None
        found.append(one)
        index = one[0]
    return found


_GAP: Final = regex.compile(r" +(?=[.,;:](?:\s|$))")
"""White space that a capture which took no part leaves before a full stop."""


def _fill(value: Any, captures: Mapping[str, str]) -> Any:
    """`value` with every `{capture}` filled in; a capture that took no part gives null (or nothing, within text)."""
    if isinstance(value, Mapping):
        return {key: _fill(one, captures) for key, one in value.items()}
    if isinstance(value, list):
        filled = [_fill(one, captures) for one in value]
        return [one for one in filled if one is not None]
    if not isinstance(value, str):
        return value
    if whole := placeholder.fullmatch(value):
        return captures.get(whole[1])
    return _GAP.sub("", placeholder.sub(lambda match: captures.get(match[1], ""), value))


def _ended(hit: Hit, total_lines: int) -> bool:
    """Whether so little of the log follows that what the rule saw ended the job."""
    return total_lines - hit.lines[-1] <= hit.rule.final


def _rivals(best: Hit, other: Hit) -> bool:
    """Whether `other` may contradict `best`: it is as important, or the job went on and failed well after it."""
    return other.rule.priority == best.rule.priority or other.lines[-1] > best.lines[-1] + WENT_ON


def agree(one: Hit, other: Hit) -> bool:
    """Whether two rules say the same in every field that both fill, free text aside."""
    first, second = one.fields, other.fields
    return all(
        _name(first[key]) == _name(second[key])
        for key in first.keys() & second.keys()
        if not (isinstance(first[key], str) and " " in first[key])
    )


def _name(value: Any) -> Any:
    """What identifies a field's value: of an object its name."""
    return value.get("name") if isinstance(value, Mapping) else value


__all__ = ["Hit", "Rule", "RuleProblem", "RuleSet", "agree"]
