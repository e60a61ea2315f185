"""Recognise: what the deterministic tools know of a fault before any model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from processor.contract import Excerpt, Reading
from processor.logs.anchor import NAMED_AFTER, anchor
from processor.logs.classify import Ranker
from processor.logs.extract import EVERYTHING, candidates
from processor.logs.rules import RuleSet


@dataclass(frozen=True, slots=True)
class Recognise:
    """Known fault, candidates, narrowed fields and the fault's stable name, from an excerpt alone.

    `rankers` gives, by field, the ranker and how many of its likeliest values to keep; `kinds` the candidates that
    someone asks for, beside those that faults are named after.
    """

    rules: RuleSet | None = None
    rankers: Mapping[str, tuple[Ranker, int]] = field(default_factory=dict)
    kinds: frozenset[str] = EVERYTHING

    def __call__(self, excerpt: Excerpt) -> Reading:
        """The reading of an excerpt."""
        rule = self.rules.match(excerpt) if self.rules else None
        found = candidates(excerpt, self.kinds | NAMED_AFTER)
        # A rule that decides leaves nothing for a model to choose from.
        open_fields = {} if rule is not None and rule.decides else self.rankers
        return Reading(
            excerpt=excerpt,
            candidates=found,
            rule=rule,
            narrowed={name: ranker.rank(excerpt)[:keep] for name, (ranker, keep) in open_fields.items()},
            anchor=anchor(excerpt, found, rule),
        )
