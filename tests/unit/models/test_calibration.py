"""Calibrations: what they say, when they hold, and files of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from processor.errors import ConfigError
from processor.models.calibration import FILE, Calibration, Calibrations, Measured, Platt, read, write
from processor.models.certainty import Choice
from processor.models.chat import Completion

MEASURED = Measured(
    n=198, groups=20, right=0.7, ece=0.05, raw_ece=0.2, brier=0.15, raw_brier=0.25, constant_brier=0.2, auroc=0.7
)
PLATT = Platt(constant=-1.0, logit=0.8, options=0.3, forced=0.5)
ONE = Calibration(
    pipeline="ci", tier="lite", engine="vllm", model="acme/small", asked="a1", fields=("category",), platt=PLATT,
    measured=MEASURED,
)  # fmt: skip
ANSWER = Completion("{}", "stop", model="base", engine="vllm", base_model="acme/small")


def calibrations(folder: Path, *ones: Calibration, asked: str = "a1") -> Calibrations:
    """Calibrations of the pipeline ci in a file."""
    for one in ones:
        write(folder / FILE, one)
    return Calibrations("ci", asked, (folder / FILE,))


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 25))
def test_the_surer_the_model_the_higher_the_confidence(one: float, other: float, options: int) -> None:
    """It rises with the probability, and is never surer than the data: 1 / (n + 2) from both ends."""
    low, high = sorted((one, other))
    said = [ONE.confidence({"category": Choice(share, options)}) for share in (low, high)]
    assert said[0] <= said[1]
    assert 1 / 200 <= said[0] <= said[1] <= 199 / 200


def test_the_same_probability_among_more_options_says_more() -> None:
    """The number of options is an input, and only the choices of the fields that were labelled count."""
    few = ONE.confidence({"category": Choice(0.5, 2), "severity": Choice(0.1, 3)})
    many = ONE.confidence({"category": Choice(0.5, 20)})
    assert few == pytest.approx(ONE.confidence({"category": Choice(0.5, 2)}))
    assert many > few


def test_what_left_no_choice_has_a_confidence_of_its_own() -> None:
    """One allowed option looks certain after the mask; that says nothing."""
    assert ONE.confidence({}) == pytest.approx(1 / (1 + 2.718281828**0.5))


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_higher_it_is_ranked_the_higher_the_confidence(one: float, other: float) -> None:
    """Where the calibration has a weight for it; a field that nobody ranks changes nothing."""
    platt = Platt(constant=0.0, logit=1.0, ranking=0.8)
    ranking = ONE.model_copy(update={"platt": platt})
    made = {"category": Choice(0.6, 4)}
    low, high = sorted((one, other))
    assert ranking.confidence(made, {"category": low}) <= ranking.confidence(made, {"category": high})
    assert ONE.confidence(made, {"category": low}) == ONE.confidence(made, {"severity": high}) == ONE.confidence(made)


def test_steps_follow_the_score() -> None:
    """Between steps it is linear, beyond them level."""
    stepped = ONE.model_copy(update={"platt": Platt(constant=0.0, logit=1.0), "steps": ((-1.0, 0.2), (1.0, 0.6))})
    said = [stepped.confidence({"category": Choice(share, 4)}) for share in (0.001, 0.5, 0.999)]
    assert said == [pytest.approx(0.2), pytest.approx(0.4), pytest.approx(0.6)]


@pytest.mark.parametrize(
    "change",
    [
        {"tier": "pro"},
        {"engine": "llama.cpp"},
        {"model": "other"},
        {"adapter": "ci@1"},
        {"asked": "b2"},
        {"pipeline": "x"},
    ],
)
def test_it_holds_for_what_it_was_made_for_alone(tmp_path: Path, change: dict[str, str]) -> None:
    """Another tier, engine, model, adapter or prompt: no calibration."""
    assert calibrations(tmp_path, ONE).find("lite", ANSWER) == ONE
    (tmp_path / FILE).unlink()
    assert calibrations(tmp_path, ONE.model_copy(update=change)).find("lite", ANSWER) is None


@pytest.mark.parametrize(("base", "holds"), [("acme/small@7b2", True), ("acme/large", False), (None, False)])
def test_what_servers_call_a_base_model_says_nothing_of_which_it_is(
    tmp_path: Path, base: str | None, holds: bool
) -> None:
    """All of them are called `base`; the calibration of one is not that of another, nor of one that nobody named."""
    found = calibrations(tmp_path, ONE).find("lite", replace(ANSWER, base_model=base))
    assert (found is not None) is holds


def test_an_adapters_calibration_holds_for_its_version(tmp_path: Path) -> None:
    """Whatever name the server gives its base model; a version that is published later brings its own."""
    made = calibrations(tmp_path, ONE.model_copy(update={"adapter": "ci@1", "model": "whatever"}))
    first, second = (Completion("{}", "stop", model=name, engine="vllm", adapter=name) for name in ("ci@1", "ci@2"))
    assert made.find("lite", first) is not None
    write(tmp_path / FILE, ONE.model_copy(update={"adapter": "ci@2"}))
    assert made.find("lite", second) is not None
    assert made.find("lite", ANSWER) is None


def test_a_file_that_breaks_while_the_daemon_runs_costs_the_confidence_alone(tmp_path: Path) -> None:
    """The daemon goes on."""
    made = calibrations(tmp_path, ONE)
    (tmp_path / FILE).write_text("{")
    assert made.find("lite", ANSWER) is None


@pytest.mark.parametrize(
    ("ones", "asked", "base", "adapter", "engine", "says"),
    [
        ((), "a1", "acme/small", None, None, "nobody has calibrated it"),
        ((ONE,), "a1", "acme/small", None, None, None),
        ((ONE,), "a1", "acme/small@7b2", None, None, None),
        ((ONE,), "a1", None, None, None, "it was calibrated for acme/small, models.lite.base_model does not say"),
        ((ONE,), "a1", "acme/large", None, None, "it was calibrated for acme/small"),
        ((ONE,), "a1", "acme/small", None, "vllm", None),
        ((ONE,), "a1", "acme/small", None, "llama.cpp", "nobody has calibrated it on llama.cpp"),
        ((ONE,), "b2", "acme/small", None, None, "prompts, schema or rankers have changed"),
        ((ONE,), "a1", "acme/small", "ci", None, "it was calibrated for acme/small"),
        ((ONE.model_copy(update={"adapter": "ci@1"}),), "a1", None, "ci", None, None),
    ],
)
def test_why_there_is_none(
    tmp_path: Path,
    ones: tuple[Calibration, ...],
    asked: str,
    base: str | None,
    adapter: str | None,
    engine: str | None,
    says: str | None,
) -> None:
    """What the daemon says when it starts, and doctor."""
    why = calibrations(tmp_path, *ones, asked=asked).missing("lite", base, adapter, engine)
    assert why == says if says is None or why is None else why.startswith(says)


def test_a_new_one_takes_the_place_of_the_old(tmp_path: Path) -> None:
    """Others in the file stay."""
    other = ONE.model_copy(update={"engine": "llama.cpp"})
    newer = ONE.model_copy(update={"asked": "b2"})
    for one in (ONE, other, newer):
        write(tmp_path / FILE, one)
    assert set(read(tmp_path / FILE)) == {other, newer}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "unexpected end"),
        (b"[]", "version 1"),
        (b'{"version": 2, "calibrations": []}', "version 1"),
        (b'{"version": 1, "calibrations": [{"pipeline": "ci"}]}', "Field required"),
        (orjson.dumps({"version": 1, "calibrations": [ONE.model_dump() | {"extra": 1}]}), "extra"),
        (
            orjson.dumps({"version": 1, "calibrations": [ONE.model_dump() | {"steps": [[1, 0.5], [0, 0.6]]}]}),
            "steps must rise",
        ),
        (
            orjson.dumps({"version": 1, "calibrations": [ONE.model_dump() | {"platt": {"constant": 0, "logit": -1}}]}),
            "platt.logit",
        ),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    """With what is wrong in it."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=f"(?s){FILE}.*{says}"):
        read(tmp_path / FILE)


def test_numbers_must_be_numbers() -> None:
    """A confidence that is none can't come out."""
    with pytest.raises(ValidationError):
        Platt(constant=float("nan"), logit=1)
