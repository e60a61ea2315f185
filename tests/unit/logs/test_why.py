"""Why blocks are in an excerpt."""

from __future__ import annotations

from processor.contract import Excerpt, ExcerptLine
from processor.logs.patterns import DETAILS, SIGNS
from processor.logs.why import why


def _excerpt(*lines: ExcerptLine, ranked: tuple[int, ...] = ()) -> Excerpt:
    return Excerpt(lines, 100, ranked)


def test_neighbours_are_one_block() -> None:
    """Lines without a gap between them, a counted run included, are told together, with the best score."""
    lines = (ExcerptLine(3, "a", 1.234), ExcerptLine(4, "b", 2.0, 5), ExcerptLine(9, "c", 0.5), ExcerptLine(11, "d"))
    first, second = why(_excerpt(*lines))
    assert (first.first, first.last, first.score) == (3, 9, 2.0)
    assert (second.first, second.last, second.score) == (11, 11, 0.0)
    assert first.place is second.place is None


def test_reasons_are_the_patterns_that_hit_strongest_first() -> None:
    """Each pattern that hits on a line is named with its kind and weight; what only stands beside has none."""
    lines = (ExcerptLine(7, "all is well"), ExcerptLine(8, "npm ERR! code ERESOLVE", 9.0), ExcerptLine(20, "quiet"))
    block, quiet = why(_excerpt(*lines, ranked=(50, 8)))
    assert block.place == 2
    assert {reason.line for reason in block.reasons} == {8}
    known = {pattern.name: (pattern.kind, pattern.weight) for pattern in (*SIGNS, *DETAILS)}
    assert [known[reason.pattern] for reason in block.reasons] == [(each.kind, each.weight) for each in block.reasons]
    weights = [reason.weight for reason in block.reasons]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] >= 7
    assert quiet.reasons == ()


def test_an_empty_excerpt_has_no_blocks() -> None:
    """Nothing kept, nothing to tell."""
    assert why(_excerpt()) == []
