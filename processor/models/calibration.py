"""From how sure a model was to how often it is right: calibrations, fitted on labelled answers and kept as JSON.

A calibration holds for one pipeline as it asks (prompts, schema, rankers), one tier's engine, and one version of an
adapter or one base model. For anything else it says nothing: confidence is null then. `tools/calibrate.py` makes them;
they lie with the adapter (`adapters/<name>/calibration.json`), or for base models with the pipeline.

The score is that of a logistic regression (Platt, 1999) on the logit of the joint probability, on the logarithm of
how many answers were allowed, and on the logit of what the deterministic ranking gives the same answer; with enough
data a monotone step function (isotonic regression; Zadrozny and Elkan, 2002) follows.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from processor.errors import ConfigError
from processor.models.capabilities import Engine
from processor.models.certainty import Choice
from processor.models.chat import Completion

log = structlog.get_logger(__name__)

FILE: Final = "calibration.json"
"""Its name in an adapter's or a pipeline's folder."""

_EDGE: Final = 1e-6
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Platt(_Part):
    """Weights of the score: a constant, the probability's logit, the logarithm of the number of possible answers.

    `forced` is added, and the logit left out, where there was nothing to choose. `ranking` is that of the logit of the
    ranking's share, where there is a ranking.
    """

    constant: FiniteFloat
    logit: Annotated[FiniteFloat, Field(ge=0)]
    options: FiniteFloat = 0.0
    forced: FiniteFloat = 0.0
    ranking: Annotated[FiniteFloat, Field(ge=0)] = 0.0


class Measured(_Part):
    """What cross-validation found: number of answers and of groups, share that was right, errors before and after.

    `ece` is the expected calibration error, `brier` the mean squared one; `raw_…` those of the bare probability,
    `constant_brier` that of always saying the average. `auroc` is how often of a right and a wrong answer the right one
    has the higher confidence (0.5: it tells nothing). `bins` are [answers, mean confidence, share right], for the plot.
    """

    n: Annotated[int, Field(ge=0)]
    groups: Annotated[int, Field(ge=0)]
    right: Share
    ece: Share
    raw_ece: Share
    brier: Share
    raw_brier: Share
    constant_brier: Share
    auroc: Share
    bins: tuple[tuple[int, float, float], ...] = ()


class Calibration(_Part):
    """One calibration. `adapter` is its served name, None for the base model `model` (as `base_model` in the settings).

    `asked` is the pipeline's digest of what makes its questions; `fields` those whose truth was known: what is
    confidence of. `steps` are [score, share right], by score, where the score alone is not the answer.
    """

    pipeline: str
    tier: str
    engine: Engine
    model: str
    adapter: str | None = None
    asked: str
    fields: Annotated[tuple[str, ...], Field(min_length=1)]
    platt: Platt
    steps: tuple[tuple[FiniteFloat, Share], ...] = ()
    measured: Measured

    @model_validator(mode="after")
    def _rising(self) -> Calibration:
        for index in (0, 1):
            values = [step[index] for step in self.steps]
            if values != sorted(values):
                raise ValueError("steps must rise")
        return self

    def of(self, base: str | None) -> bool:
        """Whether it was made for this base model, whose name may end in `@revision`."""
        return base is not None and self.model in (base, base.partition("@")[0])

    def confidence(self, made: Mapping[str, Choice], ranked: Mapping[str, float] | None = None) -> float:
        """How often such an answer is right, from its choices; never surer than so much data allows.

        `ranked` is, by field, what the deterministic ranking gives the value that was chosen (0 to 1).
        """
        value = score(self.platt, inputs(made, self.fields, ranked or {}))
        shown = _interpolated(self.steps, value) if self.steps else _logistic(value)
        edge = 1 / (self.measured.n + 2)
        return min(1 - edge, max(edge, shown))


class Inputs(NamedTuple):
    """What is known of an answer: joint probability of its choices, how many answers were possible, ranking's share."""

    probability: float
    options: int
    ranking: float | None = None


def inputs(made: Mapping[str, Choice], fields: Iterable[str], ranked: Mapping[str, float]) -> Inputs:
    """Of an answer's choices those of `fields`, and what `ranked` has of them."""
    names = list(fields)
    deciding = [made[name] for name in names if name in made]
    shares = [ranked[name] for name in names if name in ranked]
    return Inputs(
        math.prod([each.probability for each in deciding]),
        math.prod([each.options for each in deciding]),
        math.prod(shares) if shares else None,
    )


def features(known: Inputs) -> tuple[float, float, float, float]:
    """What the score is the weighted sum of: logit, logarithm of the options, if it was forced, the ranking's logit."""
    ranking = 0.0 if known.ranking is None else _logit(known.ranking)
    if known.options < 2:
        return 0.0, 0.0, 1.0, ranking
    return _logit(known.probability), math.log(known.options), 0.0, ranking


def score(platt: Platt, known: Inputs) -> float:
    """The score of an answer; it rises with the probability, and with the ranking's share."""
    weights = (platt.logit, platt.options, platt.forced, platt.ranking)
    return platt.constant + sum(weight * each for weight, each in zip(weights, features(known), strict=True))


def _logit(probability: float) -> float:
    inner = min(1 - _EDGE, max(_EDGE, probability))
    return math.log(inner / (1 - inner))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def _interpolated(steps: Sequence[tuple[float, float]], value: float) -> float:
    """Piecewise linear between the steps, level beyond them."""
    at = bisect.bisect_left([step[0] for step in steps], value)
    if at == 0:
        return steps[0][1]
    if at == len(steps):
        return steps[-1][1]
    (left, low), (right, high) = steps[at - 1], steps[at]
    return low + (high - low) * (value - left) / (right - left) if right > left else high


def read(file: Path) -> tuple[Calibration, ...]:
    """The calibrations in a file; none where there is no file. Raises ConfigError that names file and place."""
    try:
        given = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from error
    if not isinstance(given, dict) or given.get("version") != 1 or not isinstance(given.get("calibrations"), list):
        raise ConfigError(f"{file}: not a file of calibrations, version 1")
    try:
        return tuple(Calibration.model_validate(each) for each in given["calibrations"])
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        raise ConfigError(f"{file}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error


def write(file: Path, added: Calibration) -> None:
    """Puts a calibration into a file, in place of the one that it replaces."""
    kept = [each for each in read(file) if key(each) != key(added)]
    rows: list[dict[str, Any]] = [each.model_dump(mode="json") for each in [*kept, added]]
    file.write_bytes(orjson.dumps({"version": 1, "calibrations": rows}, option=orjson.OPT_INDENT_2) + b"\n")


def key(one: Calibration) -> tuple[str, str, str, str, str | None]:
    """What there is one calibration for."""
    return one.pipeline, one.tier, one.engine, "" if one.adapter else one.model, one.adapter


@dataclass(slots=True)
class Calibrations:
    """The calibrations of one pipeline. `asked` as in Calibration; `files` where they lie, read again when they change.

    An adapter may be published while the daemon runs, and brings its calibration along.
    """

    pipeline: str
    asked: str
    files: tuple[Path, ...] = ()
    _read: dict[Path, tuple[float, tuple[Calibration, ...]]] = field(default_factory=dict, repr=False)
    _found: dict[tuple[str, str, str | None, str | None], Calibration | None] = field(default_factory=dict, repr=False)

    def all(self) -> Iterator[Calibration]:
        """Those of this pipeline, whether they still hold or not. Raises ConfigError."""
        for file in self.files:
            stamp = file.stat().st_mtime if file.exists() else 0.0
            if file not in self._read or self._read[file][0] != stamp:
                self._read[file] = (stamp, read(file))
            yield from (each for each in self._read[file][1] if each.pipeline == self.pipeline)

    def find(self, tier: str, completion: Completion) -> Calibration | None:
        """The one that holds for an answer, or None. Files are looked at once for each version that answers.

        What servers call a base model (`base`, everywhere) says nothing of which it is; the settings do.
        """
        asked = (tier, completion.engine, completion.base_model, completion.adapter)
        if asked not in self._found:
            self._found[asked] = self._look(*asked)
        return self._found[asked]

    def _look(self, tier: str, engine: str, base: str | None, adapter: str | None) -> Calibration | None:
        try:
            there = list(self.all())
        except ConfigError as error:  # it was whole when the daemon started
            log.warning("can't be read: confidence stays unknown", action="calibrate", error=str(error))
            return None
        for one in there:
            same = one.adapter == adapter and (adapter is not None or one.of(base))
            if same and (one.tier, one.engine, one.asked) == (tier, engine, self.asked):
                return one
        return None

    def missing(self, tier: str, base: str | None, adapter: str | None, engine: str | None = None) -> str | None:
        """Why answers of a tier have no calibrated confidence, so far as that is known before one comes; else None.

        `base` is the tier's `base_model`, `adapter` the adapter's name without its version; `engine` the server's, if
        it is known. Raises ConfigError.
        """
        there = [each for each in self.all() if each.tier == tier and engine in (None, each.engine)]
        if adapter is None:
            fitting = [each for each in there if each.adapter is None and each.of(base)]
        else:
            fitting = [each for each in there if (each.adapter or "").partition("@")[0] == adapter]
        if not there:
            return f"nobody has calibrated it{f' on {engine}' if engine else ''}"
        if not fitting:
            unnamed = f", models.{tier}.base_model does not say what answers" if not (base or adapter) else ""
            known = " and ".join(sorted({each.adapter or each.model for each in there}))
            return f"it was calibrated for {known}{unnamed}"
        if all(each.asked != self.asked for each in fitting):
            return "prompts, schema or rankers have changed since it was calibrated"
        return None
