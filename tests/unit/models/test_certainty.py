"""How sure a model was of its choices."""

from __future__ import annotations

from math import exp, log

import pytest

from processor.models.certainty import certainty
from processor.models.chat import Completion, Token
from processor.models.form import Slot, compile_form

FORM = compile_form("t", (Slot("category", "choice", ("k1", "k2")), Slot("summary", "text", length=9)))


def completion(*tokens: tuple[str, float, dict[str, float]], masked: bool) -> Completion:
    """A completion spelled by tokens with probabilities."""
    made = tuple(
        Token(text, log(share), tuple((other, log(rest)) for other, rest in top.items())) for text, share, top in tokens
    )
    return Completion("".join(text for text, _, _ in tokens), "stop", made, masked=masked)


def test_after_the_mask_the_product_counts() -> None:
    """VLLM's log-probabilities are among what the grammar allows already."""
    answer = completion(
        ('{"category":"', 1, {}), ("k", 1, {}), ("2", 0.8, {"1": 0.2}), ('","summary":"x"}', 1, {}), masked=True
    )
    assert certainty(answer, FORM) == pytest.approx(0.8)


def test_before_the_mask_only_what_leads_to_an_option_counts() -> None:
    """Llama.cpp's are weighed against the alternatives that the grammar allows."""
    answer = completion(
        ('{"category":"', 0.01, {"The": 0.9}),
        ("k", 0.02, {"apple": 0.9, "k": 0.02}),
        ("1", 0.3, {"9": 0.5, "2": 0.1}),
        ('","', 0.05, {"0": 0.9}),
        ('summary":"x"}', 1, {}),
        masked=False,
    )
    assert certainty(answer, FORM) == pytest.approx(0.3 / 0.4)


def test_a_token_that_holds_the_quote_too() -> None:
    """Tokens need not end where the option begins."""
    answer = completion(
        ('{"category":', 1, {}), ('"k', 0.1, {' "': 0.8, '"x': 0.05}), ("2", 0.6, {"1": 0.2}), ('"', 1, {}),
        (',"summary":""}', 1, {}), masked=False,
    )  # fmt: skip
    assert certainty(answer, FORM) == pytest.approx(0.75)


def test_prefix_codes_are_told_apart_by_the_closing_quote() -> None:
    """After c1 comes the quote, or the 2 of c12."""
    form = compile_form("t", (Slot("d", "choice", ("c1", "c12"), nullable=True),))
    answer = completion(
        ('{"d":"', 1, {}), ("c", 0.9, {"none": 0.1}), ("1", 1, {}), ('"}', 0.5, {"2": 0.5}), masked=False
    )
    assert certainty(answer, form) == pytest.approx(0.9 * 0.5)


def test_several_choices_multiply() -> None:
    """The joint probability of all choices."""
    form = compile_form(
        "t", (Slot("a", "choice", ("x", "y")), Slot("b", "choice", ("x", "y")), Slot("c", "choice", ("z",)))
    )
    answer = completion(
        ('{"a":"', 1, {}),
        ("x", 0.5, {}),
        ('","b":"', 1, {}),
        ("y", 0.4, {}),
        ('","c":"', 1, {}),
        ('z"}', 0.9, {}),
        masked=True,
    )
    assert certainty(answer, form) == pytest.approx(0.2)


@pytest.mark.parametrize("text", ['{"category":"k1","summary":""}', '```json\n{"category":"k1"}\n```', "{}"])
def test_without_tokens_that_spell_the_text_it_is_unknown(text: str) -> None:
    """A fence that the text does not show, or no log-probabilities at all."""
    assert certainty(Completion(text, "stop"), FORM) is None


def test_it_is_a_probability() -> None:
    """Rounding never makes more than one of it."""
    answer = Completion('{"category":"k1"}', "stop", (Token('{"category":"k1"}', 1e-9),), masked=True)
    sure = certainty(answer, FORM)
    assert sure == pytest.approx(exp(0))
    assert sure is not None
    assert sure <= 1
