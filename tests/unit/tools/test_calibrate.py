"""Fitting calibrations: on made-up answers whose true probabilities are known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.models.calibration import Platt, score
from processor.models.chat import Completion, Token
from processor.models.form import Slot, compile_form
from tools import calibrate
from tools.answers import Row, _plain, load
from tools.calibration import Fitted, Point, brier, choose, ece, fit, held_out, measure


def made(truth: Platt, count: int, seed: int = 0, groups: int = 20) -> list[Point]:
    """Answers whose chance of being right follows `truth`."""
    chance = np.random.default_rng(seed)
    points = []
    for index in range(count):
        options = int(chance.choice([2, 4, 20]))
        probability = float(1 / (1 + math.exp(-chance.normal(1, 2))))
        share = 1 / (1 + math.exp(-score(truth, probability, options)))
        points.append(Point(probability, options, bool(chance.random() < share), f"g{index % groups}"))
    return points


@settings(max_examples=12, deadline=None)
@given(st.floats(-2, 1), st.floats(0.2, 1.5), st.floats(-0.4, 0.4), st.integers(0, 99))
def test_it_finds_the_map_that_the_answers_follow(constant: float, logit: float, options: float, seed: int) -> None:
    """With enough answers the fitted confidence is near the true chance everywhere, and rises with the probability."""
    truth = Platt(constant=constant, logit=logit, options=options)
    points = made(truth, 3000, seed)
    fitted = fit(points, "platt with options")
    errors = [abs(fitted(point) - Fitted(truth)(point)) for point in points]
    assert sum(errors) / len(errors) < 0.04
    rising = [fitted(Point(share, 4, True, "")) for share in (0.1, 0.5, 0.9, 0.99)]
    assert rising == sorted(rising)


@pytest.mark.parametrize("method", ["platt", "platt with options", "isotonic"])
def test_the_calibration_error_falls(method: str) -> None:
    """On groups that were not seen, for answers that are far too sure of themselves."""
    points = made(Platt(constant=-1.5, logit=0.4, options=-0.2), 900)
    measured = measure(points, held_out(points, method))
    assert measured.raw_ece > 0.3
    assert measured.ece < 0.06
    assert measured.brier < measured.raw_brier


def test_the_number_of_options_is_used_where_it_tells() -> None:
    """The same probability means less among few options; a fit that sees it says more of unseen answers."""
    points = made(Platt(constant=-3, logit=0.8, options=1.5), 800)
    best, measured = choose(points)
    assert best in ("platt with options", "isotonic")
    assert measured["platt with options"].brier < measured["platt"].brier


def test_answers_that_say_nothing_are_given_the_average() -> None:
    """Noise is not read as a signal, nor is a signal of the wrong sign made a rule."""
    points = made(Platt(constant=0.5, logit=0), 400)
    best, measured = choose(points)
    assert measured[best].brier <= measured["constant"].brier + 0.005
    known = made(Platt(constant=0, logit=1), 500)
    backwards = [Point(1 - one.probability, one.options, one.right, one.group) for one in known]
    assert fit(backwards, "platt").platt.logit == 0


@pytest.mark.parametrize("right", [True, False])
def test_a_few_that_are_all_alike_prove_no_certainty(right: bool) -> None:
    """Five of five right is six of seven."""
    fitted = fit([Point(0.9, 4, right, f"g{index}") for index in range(5)], "platt")
    assert fitted(Point(0.9, 4, True, "")) == pytest.approx(6 / 7 if right else 1 / 7)


def test_nothing_is_judged_by_what_saw_its_group() -> None:
    """A group of its own kind, learned by heart, would be told right."""
    odd = [Point(0.5, 4, False, "odd") for _ in range(40)]
    usual = [Point(0.5, 4, True, f"g{index % 9}") for index in range(160)]
    assert all(said > 0.9 for said in held_out([*odd, *usual], "platt")[:40])


def test_the_measures_are_what_they_are_called() -> None:
    """By hand: two bins of fifteen."""
    points = [Point(0.2, 2, index < 6, "g") for index in range(15)] + [Point(0.8, 2, True, "g") for _ in range(15)]
    confidences = [point.probability for point in points]
    assert ece(points, confidences) == pytest.approx(0.5 * 0.2 + 0.5 * 0.2)
    assert brier(points, confidences) == pytest.approx((6 * 0.64 + 9 * 0.04 + 15 * 0.04) / 30)


def row(index: int, said: str, truth: str, share: float) -> Row:
    """An answer of one choice between two."""
    form = compile_form("p", (Slot("category", "choice", ("k1", "k2")),))
    text = '{"category":"k1"}'
    tokens = (
        Token('{"category":"', 0.0),
        Token("k1", math.log(share), (("k2", math.log(1 - share)),)),
        Token('"}', 0.0),
    )
    completion = Completion(text, "stop", tokens, model="base", masked=True, engine="vllm")
    return Row(f"log{index}", "dev", f"g{index % 12}", form, completion, {}, {"category": said},
               {"category": [truth]}, "a1")  # fmt: skip


def test_answers_survive_their_file(tmp_path: Path) -> None:
    """What is read is what was written, so that fitting can be repeated."""
    given = row(1, "test", "compile", 0.75)
    (tmp_path / "a.jsonl").write_text(json.dumps(_plain(given)) + "\n")
    [read] = load(tmp_path / "a.jsonl")
    assert (read.completion, read.form.slots, read.truth) == (given.completion, given.form.slots, given.truth)
    assert not given.right(["category"])
    assert row(1, "test", "test", 0.75).right(["category"])


@pytest.mark.parametrize(("count", "says"), [(40, "40 answers, at least 150"), (160, None)])
def test_too_few_answers_are_not_written(tmp_path: Path, count: int, says: str | None) -> None:
    """A calibration that rests on too little is worse than none."""
    rows = [row(index, "test" if index % 3 else "build", "test", 0.6 + index % 30 / 100) for index in range(count)]
    points = calibrate.points_of(rows, ["category"])
    assert len(points) == count
    why = calibrate.too_few(points)
    assert why == says if says is None or why is None else why.startswith(says)


def test_what_is_not_labelled_is_not_judged() -> None:
    """A row without the truth of a field says nothing of it."""
    assert calibrate.points_of([row(1, "test", "test", 0.7)], ["category", "faulty_dependency"]) == []


def test_the_report_shows_before_and_after() -> None:
    """Each method's error, what chance alone would give, and the reliability diagram."""
    points = made(Platt(constant=-1, logit=0.5), 200)
    best, measured = choose(points)
    text = calibrate.report(points, best, measured)
    assert "200 answers of 20 groups" in text
    assert "bare probability" in text
    assert text.count("|") == len(measured[best].bins) + 1
