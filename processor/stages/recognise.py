"""Recognise: what the deterministic tools know of a fault before any model is asked."""

from __future__ import annotations

from collections.abc import Mapping

from processor.contract import Excerpt, Reading
from processor.logs.anchor import NAMED_AFTER, anchor
from processor.logs.classify import MarkerReader, Ranker
from processor.logs.extract import EVERYTHING, MentionReader, collect
from processor.logs.memory import Lines
from processor.logs.rules import RuleSet


class Recognise:
    """Known fault, candidates, narrowed fields and the fault's stable name, from an excerpt alone.

    `rankers` gives, by field, the ranker and how many of its likeliest values to keep; `kinds` the candidates that
    someone asks for, beside those that faults are named after.
    """

    def __init__(
        self,
        rules: RuleSet | None = None,
        rankers: Mapping[str, tuple[Ranker, int]] | None = None,
        kinds: frozenset[str] = EVERYTHING,
    ) -> None:
        self._rules = rules or RuleSet(())
        self._rankers = rankers or {}
        markers = [MarkerReader()] if self._rankers else []
        self._lines = Lines(self._rules, MentionReader(kinds | NAMED_AFTER), *markers)

    def __call__(self, excerpt: Excerpt) -> Reading:
        """The reading of an excerpt."""
        columns = list(zip(*self._lines([line.text for line in excerpt.lines]), strict=True))
        known, mentions, *marked = columns or [(), (), ()]
        rule = self._rules.match(excerpt, known)
        found = collect(excerpt, mentions)
        # A rule that decides leaves nothing for a model to choose from.
        open_fields = {} if rule is not None and rule.decides else self._rankers
        return Reading(
            excerpt=excerpt,
            candidates=found,
            rule=rule,
            narrowed={name: ranker.rank(excerpt, *marked)[:keep] for name, (ranker, keep) in open_fields.items()},
            anchor=anchor(excerpt, found, rule),
        )
