"""Recognise: what the deterministic tools know of a fault before any model is asked."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from processor.contract import Excerpt, Reading
from processor.logs.anchor import NAMED_AFTER, anchor
from processor.logs.classify import MarkerReader, Ranker
from processor.logs.extract import EVERYTHING, MentionReader, collect
from processor.logs.memory import Lines
from processor.logs.rules import RuleSet


@dataclass(frozen=True, slots=True)
class Recognise:
    """Known fault, candidates, narrowed fields and the fault's stable name, from an excerpt alone.

    `rankers` gives, by field, the ranker and how many of its likeliest values to keep; `kinds` the candidates that
    someone asks for, beside those that faults are named after.
    """

    rules: RuleSet = field(default_factory=lambda: RuleSet(()))
    rankers: Mapping[str, tuple[Ranker, int]] = field(default_factory=dict)
    kinds: frozenset[str] = EVERYTHING
    lines: Lines = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", _lines(self.rules, self.kinds | NAMED_AFTER))

    def __call__(self, excerpt: Excerpt) -> Reading:
        """The reading of an excerpt."""
        texts = [line.text for line in (*excerpt.lines, *excerpt.beyond)]
        known, mentions, marked = list(zip(*self.lines(texts), strict=True)) or [(), (), ()]
        known, marked = known[: len(excerpt.lines)], marked[: len(excerpt.lines)]
        rule = self.rules.match(excerpt, known)
        found = collect(excerpt, mentions)
        # A rule that decides leaves nothing for a model to choose from.
        open_fields = {} if rule is not None and rule.decides else self.rankers
        proposed = rule.fields if rule is not None else {}
        return Reading(
            excerpt=excerpt,
            candidates=found,
            rule=rule,
            narrowed={
                name: _likeliest(ranker.rank(excerpt, marked, proposed.get(name)), keep, proposed.get(name))
                for name, (ranker, keep) in open_fields.items()
            },
            anchor=anchor(excerpt, found, rule),
        )


Ranked = tuple[tuple[str, float], ...]


def _likeliest(ranked: Ranked, keep: int, proposed: object) -> Ranked:
    """The `keep` likeliest values, of which one is what a rule proposes: a hint at what is not on offer misleads."""
    kept = ranked[:keep]
    missed = tuple(each for each in ranked[keep:] if each[0] == proposed)
    return kept[: keep - len(missed)] + missed


@functools.lru_cache(maxsize=64)
def _lines(rules: RuleSet, kinds: frozenset[str]) -> Lines:
    """Compiled once for all that recognise alike."""
    return Lines(rules, MentionReader(kinds), MarkerReader())
