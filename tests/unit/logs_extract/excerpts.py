"""Excerpts made of lines, for tests that start behind `reduce`."""

from __future__ import annotations

from processor.contract import Excerpt, ExcerptLine


def excerpt(*lines: str, ranked: tuple[int, ...] | None = None, first: int = 1) -> Excerpt:
    """An excerpt of consecutive lines numbered from `first`; by default every line is ranked, in order."""
    kept = tuple(ExcerptLine(number, text) for number, text in enumerate(lines, start=first))
    order = tuple(line.number for line in kept) if ranked is None else ranked
    return Excerpt(kept, total_lines=first + len(lines) - 1, ranked=order)
