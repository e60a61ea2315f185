"""Fitting calibrations: on made-up answers whose true probabilities are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.home import Homes
from processor.models.calibration import FILE, Inputs, Platt, score
from processor.models.calibration import read as read_calibrations
from processor.models.chat import Completion, PlainToken
from processor.models.form import Slot, compile_form
from processor.pipeline import Pipeline
from processor.settings import ModelSettings
from processor.testing.model import FakeModelServer
from tools import calibrate, reliability
from tools.answers import Row, _plain, ask, load
from tools.calibration import Fitted, Point, brier, choose, ece, fit, held_out, measure
from tools.kept import POINTS, Kept, numbered, packed
from tools.kept import read as read_kept
from tools.kept import write as write_kept
from tools.labelled import ROOT, samples

PIPELINE = Pipeline.load(ROOT / "pipelines" / "ci_failure", Homes.of([ROOT]), {})
SHIPPED = ROOT / "pipelines" / "ci_failure" / POINTS


def made(truth: Platt, count: int, seed: int = 0, groups: int = 20) -> list[Point]:
    """Answers whose chance of being right follows `truth`."""
    chance = np.random.default_rng(seed)
    points = []
    for index in range(count):
        options = int(chance.choice([2, 4, 20]))
        probability = float(1 / (1 + math.exp(-chance.normal(1, 2))))
        share = 1 / (1 + math.exp(-score(truth, Inputs(probability, options))))
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


def test_what_the_ranking_thought_of_the_answer_is_used_where_it_tells() -> None:
    """A model that always takes the first choice is as right as the ranking; how clear that was says when."""
    chance = np.random.default_rng(1)
    points = []
    for index in range(300):
        share = float(chance.uniform(0.1, 0.9))
        points.append(Point(float(chance.uniform(0.4, 0.9)), 4, bool(chance.random() < share), f"g{index % 20}", share))
    best, measured = choose(points[:299])
    assert best == "platt with options and ranking"
    assert "platt with options" not in measured, "four options everywhere teach nothing of how many there are"
    assert measured[best].auroc > measured["platt"].auroc + 0.1
    fitted = fit(points, best)
    assert fitted.platt.options == 0
    assert fitted(Point(0.6, 4, True, "", 0.2)) < 0.4 < 0.6 < fitted(Point(0.6, 4, True, "", 0.8))


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
        PlainToken('{"category":"', 0.0),
        PlainToken("k1", math.log(share), (("k2", math.log(1 - share)),)),
        PlainToken('"}', 0.0),
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


KEPT = [(kept, ROOT / "pipelines" / kept.pipeline / FILE) for kept in read_kept(SHIPPED)]


@pytest.mark.parametrize(("kept", "file"), KEPT, ids=lambda each: getattr(each, "engine", ""))
def test_what_ships_is_what_its_answers_teach(kept: Kept, file: Path) -> None:
    """The answers that were kept, fitted again, give the calibration that the daemon reads."""
    _, again = calibrate.calibrate(kept)
    [stored] = [each for each in read_calibrations(file) if (each.engine, each.model) == (kept.engine, kept.model)]
    for part in ("platt", "measured"):
        fresh, old = getattr(again, part).model_dump(), getattr(stored, part).model_dump()
        bins = [np.asarray(each.pop("bins", [])) for each in (fresh, old)]
        assert fresh == pytest.approx(old, abs=2e-3)
        assert bins[0] == pytest.approx(bins[1], abs=0.06)  # an answer at the border may change its bin
    assert (again.fields, again.asked) == (stored.fields, stored.asked)
    assert calibrate.too_few(kept.points()) is None


@pytest.mark.parametrize("base", ["Qwen/Qwen2.5-Coder-0.5B-Instruct", None])
def test_what_ships_is_found_by_the_line(base: str | None) -> None:
    """For the model that it was made for and as long as the pipeline asks as it did; not for one that nobody named."""
    pipeline = Pipeline.load(ROOT / "pipelines" / "ci_failure", Homes.of([ROOT]), {})
    asked = read_calibrations(pipeline.folder / FILE)[0].asked
    known = replace(pipeline.calibrations, asked=asked)
    answer = Completion("{}", "stop", model="base", engine="vllm", base_model=base)
    assert (known.find("lite", answer) is not None) is (base is not None)


def test_the_docs_say_what_was_measured() -> None:
    """The figures and the diagram of the guide are those of the stored calibration."""
    guide = (ROOT / "docs" / "confidence.md").read_text(encoding="utf-8")
    [one] = read_calibrations(ROOT / "pipelines" / "ci_failure" / FILE)
    measured = one.measured
    for figure in (measured.ece, measured.raw_ece, measured.brier, measured.raw_brier, measured.constant_brier):
        assert f"{figure:.3f}" in guide
    assert f"{measured.n} answers" in guide
    picture = (ROOT / "docs" / "confidence.svg").read_text(encoding="utf-8")
    assert picture == reliability.svg(measured, "ci_failure: category")
    ElementTree.fromstring(picture)  # noqa: S314  our own file


def test_intervals_hold_the_share_and_narrow_with_the_count() -> None:
    """Wilson's: never beyond 0 and 1, and right at neither end."""
    few, many = reliability.interval(0.5, 10), reliability.interval(0.5, 1000)
    assert few == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert few[0] < many[0] < 0.5 < many[1] < few[1]
    assert reliability.interval(1.0, 20)[1] <= 1
    assert reliability.interval(0.0, 20)[0] == 0


def test_kept_answers_survive_their_file_and_replace_older_ones(tmp_path: Path) -> None:
    """Groups are numbers there, so that no name of a project stands in it."""
    points = [Point(0.123456789, 4, True, "project a/b", 0.5), Point(0.9, 2, False, "project c")]
    about = {
        "pipeline": "p", "tier": "lite", "engine": "vllm", "model": "m", "adapter": None, "asked": "a", "fields": ["f"],
    }  # fmt: skip
    for share in (0.1, 0.5):
        answers = packed(numbered([Point(share, 3, False, "x"), *points]))
        write_kept(tmp_path / "kept.json", Kept.model_validate(about | {"answers": answers}))
    [kept] = read_kept(tmp_path / "kept.json")
    assert kept.points() == numbered([Point(0.5, 3, False, "x"), *points])
    assert "project" not in (tmp_path / "kept.json").read_text()


def test_the_report_shows_before_and_after() -> None:
    """Each method's error, what chance alone would give, and the reliability diagram."""
    points = made(Platt(constant=-1, logit=0.5), 200)
    best, measured = choose(points)
    text = calibrate.report(points, best, measured)
    assert "200 answers of 20 groups" in text
    assert "bare probability" in text
    assert text.count("|") == len(measured[best].bins) + 1
    assert "AUROC" in text


@pytest.mark.parametrize("adapter", [None, "ci_failure@3f9c0d1e2a4b"])
async def test_a_version_of_an_adapter_is_asked_and_known_by_its_name(adapter: str | None, tmp_path: Path) -> None:
    """Its answers say whose they are, and what the dependency at fault was taken for where that is asked too."""
    file = tmp_path / "answers.jsonl"
    logs = [log for log in samples() if log.dependency_known][:2]
    async with FakeModelServer(adapters={adapter} if adapter else set()) as server:
        tier = ModelSettings(urls=[server.url], base_model="acme/base")
        fields = ("category", "faulty_dependency")
        pipeline = replace(PIPELINE, rules=None)
        await ask(logs, {}, pipeline, tier, file, until=fields, adapter=adapter)
        asked = {each.body["model"] for each in server.asked if each.body["max_tokens"] > 100}
    rows = load(file)
    assert len(rows) == len(logs)
    assert asked == {adapter or "base"}
    assert {(row.completion.adapter, row.completion.base_model) for row in rows} == {(adapter, "acme/base")}
    assert all({"category", "faulty_dependency"} <= row.truth.keys() for row in rows)


def test_the_calibration_of_an_adapter_lies_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a base model with the pipeline; without a folder there is no place for it."""
    monkeypatch.setattr(calibrate, "ROOT", tmp_path)
    (tmp_path / "adapters" / "tuned").mkdir(parents=True)
    assert calibrate._place(PIPELINE, "tuned@3f9c0d1e2a4b") == tmp_path / "adapters" / "tuned" / FILE
    assert calibrate._place(PIPELINE, None) == PIPELINE.calibrations.files[0]
    with pytest.raises(SystemExit, match="no folder adapters/other"):
        calibrate._place(PIPELINE, "other@3f9c0d1e2a4b")
