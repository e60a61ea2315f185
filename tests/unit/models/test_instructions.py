"""A form in words."""

from __future__ import annotations

from processor.models.form import Slot
from processor.models.instructions import instructions


def test_each_kind_of_slot_is_told() -> None:
    """Keys and options as JSON writes them, with every limit that the answer is checked for."""
    slots = (
        Slot("category", "choice", ("k1", 'k"2')),
        Slot("dependency", "choice", ("c1",), nullable=True),
        Slot("evidence", "choices", ("L1", "L2"), most=2),
        Slot("code", "integer", nullable=True, minimum=0, maximum=255),
        Slot("share", "number", minimum=-0.5, maximum=9.5),
        Slot("tags", "texts", most=3, least=1, length=9),
        Slot("summary", "text", length=60, shortest=2),
        Slot("flaky", "flag"),
    )
    assert instructions(slots).splitlines()[1:] == [
        '"category": one of "k1", "k\\"2"',
        '"dependency": one of "c1", "none"',
        '"evidence": a list of at most 2 of "L1", "L2"',
        '"code": a whole number from 0 to 255, or null',
        '"share": a number from -0.5 to 9.5',
        '"tags": a list of 1 to 3 texts of at most 9 characters',
        '"summary": a text of 2 to 60 characters',
        '"flaky": true or false',
    ]


def test_nothing_is_told_of_a_form_without_keys() -> None:
    """There is nothing to write."""
    assert instructions(()) == ""
