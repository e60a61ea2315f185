"""Known faults: regular expressions with captures, in YAML, that recognise what needs no model.

A rule is a mapping with `id`, `description` and one of `pattern`, `any` or `all` (regular expressions of Python's
`re`, searched in the excerpt's lines; those of `all` match in order, the last at most `within` lines after the
first), and optionally `not` (none of these may match any line), `ecosystem`, `priority` (the higher wins),
`decides` (else it only proposes) and `fields` (what it fills in, `{name}` standing for a capture).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from processor.contract import Excerpt, ExcerptLine, RuleMatch
from processor.errors import ConfigError
from processor.logs.cues import Cues
from processor.logs.lint import RuleProblem, placeholder, problems
from processor.logs.literals import required_literals

LONGEST_LINE: Final = 2_000
"""Characters of a line that rules look at: bounds what a slow regular expression can cost."""

WENT_ON: Final = 25
"""Log lines after a fault from which on another fault means that the first did not end the job."""

DEFAULT_WITHIN: Final = 25
DEFAULT_PRIORITY: Final = 50


@dataclass(frozen=True, slots=True)
class Rule:
    """One known fault."""

    id: str
    description: str
    patterns: tuple[re.Pattern[str], ...]
    together: bool
    absent: tuple[re.Pattern[str], ...]
    fields: Mapping[str, Any]
    ecosystem: str = ""
    priority: int = DEFAULT_PRIORITY
    within: int = DEFAULT_WITHIN
    decides: bool = True
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
            patterns=tuple(re.compile(pattern) for pattern in patterns),
            together="all" in raw,
            absent=tuple(re.compile(one) for one in ([absent] if isinstance(absent, str) else absent)),
            fields=raw.get("fields") or {},
            ecosystem=raw.get("ecosystem", ""),
            priority=raw.get("priority", DEFAULT_PRIORITY),
            within=raw.get("within", DEFAULT_WITHIN),
            decides=raw.get("decides", True),
            precision=raw.get("precision"),
        )


class _Hit(NamedTuple):
    """A rule that holds: where, and what it captured."""

    rule: Rule
    lines: tuple[int, ...]
    captures: dict[str, str]


class RuleSet:
    """The rules of a pipeline, compiled. Thread-safe."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: -rule.priority))
        cued: dict[str, list[Rule]] = {}
        self._uncued: list[Rule] = []
        for rule in self.rules:
            literals = _literals(rule)
            if literals is None:
                self._uncued.append(rule)
            for literal in literals or ():
                cued.setdefault(literal, []).append(rule)
        self._cued = list(cued.values())
        self._cues = Cues([_escape(literal) for literal in cued])

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

    def match(self, excerpt: Excerpt) -> RuleMatch | None:
        """The known fault that the excerpt shows, or None.

        Of several the highest priority wins, then a deciding one, then the one whose line was ranked first. Where
        another of the same priority, or one well after it, says otherwise the match only proposes: the log tells
        of two faults.
        """
        hits = self._hits(excerpt)
        if not hits:
            return None
        place = {number: rank for rank, number in enumerate(excerpt.ranked)}

        def order(hit: _Hit) -> tuple[int, bool, int, int]:
            rank = min(place.get(number, len(place)) for number in hit.lines)
            return -hit.rule.priority, not hit.rule.decides, rank, -hit.lines[-1]

        hits.sort(key=order)
        best = hits[0]
        answer = _fill(best.rule.fields, best.captures)
        agreed = all(_same(answer, _fill(hit.rule.fields, hit.captures)) for hit in hits if _rivals(best, hit))
        return RuleMatch(
            rule=best.rule.id,
            fields=answer,
            captures=best.captures,
            lines=best.lines,
            decides=best.rule.decides and agreed,
            precision=best.rule.precision,
        )

    def _hits(self, excerpt: Excerpt) -> list[_Hit]:
        """The rules that hold for the excerpt."""
        data = "\n".join([line.text for line in excerpt.lines]).encode("utf-8", "replace")
        cued: dict[str, tuple[Rule, set[int]]] = {}
        for index, cues in self._cues.lines(data).items():
            for cue in cues:
                for rule in self._cued[cue]:
                    cued.setdefault(rule.id, (rule, set()))[1].add(index)
        everywhere = range(len(excerpt.lines))
        # Of a rule with `all`, the literals may be another pattern's than the first.
        wanted = [(rule, everywhere if rule.together else sorted(indexes)) for rule, indexes in cued.values()]
        wanted += [(rule, everywhere) for rule in self._uncued]
        place = {number: rank for rank, number in enumerate(excerpt.ranked)}
        found = [_apply(rule, excerpt.lines, among, place) for rule, among in wanted]
        return [hit for hit in found if hit is not None]


def _literals(rule: Rule) -> frozenset[str] | None:
    """Literals without one of which the rule can't hold, or None: then it is always tried."""
    found = [required_literals(pattern) for pattern in rule.patterns]
    if rule.together:
        known = [one for one in found if one]
        return max(known, key=lambda one: min(map(len, one)), default=None)
    return None if None in found else frozenset().union(*(one for one in found if one))


def _escape(literal: str) -> str:
    """A literal as a Hyperscan expression: its bytes, since it knows no other letters than ASCII's."""
    return "".join(f"\\x{byte:02x}" for byte in literal.encode())


def _apply(rule: Rule, lines: Sequence[ExcerptLine], among: Sequence[int], place: Mapping[int, int]) -> _Hit | None:
    """Where `rule` holds, if it does: the mention that ranking put first. It can begin on the lines `among` alone."""
    starts = [
        (place.get(lines[index].number, len(place)), -lines[index].number, index, match)
        for pattern in (rule.patterns[:1] if rule.together else rule.patterns)
        for index in among
        if (match := pattern.search(lines[index].text[:LONGEST_LINE]))
    ]
    if not starts or any(pattern.search(line.text[:LONGEST_LINE]) for pattern in rule.absent for line in lines):
        return None
    for _, _, index, match in sorted(starts, key=lambda start: start[:3]):
        rest = _follow(rule, lines, index) if rule.together else []
        if rest is not None:
            matches = [(lines[index].number, match), *rest]
            captures = {key: value for _, one in matches for key, value in one.groupdict().items() if value is not None}
            return _Hit(rule, tuple(dict.fromkeys(number for number, _ in matches)), captures)
    return None


def _follow(rule: Rule, lines: Sequence[ExcerptLine], start: int) -> list[tuple[int, re.Match[str]]] | None:
    """The other patterns of `all`, each on the line of the one before or a later one; None where one is missing."""
    found: list[tuple[int, re.Match[str]]] = []
    index = start
    for pattern in rule.patterns[1:]:
        while index < len(lines) and lines[index].number - lines[start].number <= rule.within:
            if match := pattern.search(lines[index].text[:LONGEST_LINE]):
                found.append((lines[index].number, match))
                break
            index += 1
        else:
            return None
    return found


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
    return placeholder.sub(lambda match: captures.get(match[1], ""), value)


def _rivals(best: _Hit, other: _Hit) -> bool:
    """Whether `other` may contradict `best`: it is as important, or the job went on and failed well after it."""
    return other.rule.priority == best.rule.priority or other.lines[-1] > best.lines[-1] + WENT_ON


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two answers agree in every field that both fill, free text aside."""
    return all(
        _name(one[key]) == _name(other[key])
        for key in one.keys() & other.keys()
        if not (isinstance(one[key], str) and " " in one[key])
    )


def _name(value: Any) -> Any:
    """What identifies a field's value: of an object its name."""
    return value.get("name") if isinstance(value, Mapping) else value


__all__ = ["Rule", "RuleProblem", "RuleSet"]
