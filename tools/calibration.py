"""Fits calibrations to labelled answers, and measures them on groups that they have not seen.

Needs scikit-learn, which the daemon does not: what comes out is a handful of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from processor.models.calibration import Inputs, Measured, Platt, features, score

Floats = NDArray[np.float64]

FOLDS: Final = 8
STRENGTH: Final = 1.0
"""Inverse regularisation: with few answers the weights stay near those of "always as often right as on average"."""

STEPS_FROM: Final = 300
"""Answers from which on a step function may follow; with fewer it learns the answers by heart."""

METHODS: Final[Mapping[str, tuple[bool, bool, bool, bool]]] = {
    "constant": (False, False, False, False),
    "platt": (True, False, False, False),
    "platt with options": (True, True, False, False),
    "platt with options and ranking": (True, True, True, False),
    "isotonic": (True, True, True, True),
}
"""By name: whether the logit counts, the number of options, the ranking's share, and whether steps follow."""


@dataclass(frozen=True)
class Point:
    """A labelled answer: joint probability of its choices, how many answers were possible, if it was right, group.

    `ranking` is the deterministic ranking's share of the same answer, None without one.
    """

    probability: float
    options: int
    right: bool
    group: str
    ranking: float | None = None

    @property
    def known(self) -> Inputs:
        """What a calibration sees of it."""
        return Inputs(self.probability, self.options, self.ranking)


@dataclass(frozen=True)
class Fitted:
    """What was fitted: the weights, and the steps that follow."""

    platt: Platt
    steps: tuple[tuple[float, float], ...] = ()

    def __call__(self, point: Point) -> float:
        """The confidence in an answer."""
        value = score(self.platt, point.known)
        if not self.steps:
            return 1 / (1 + math.exp(-value))
        return float(np.interp(value, [at for at, _ in self.steps], [share for _, share in self.steps]))


def fit(points: Sequence[Point], method: str) -> Fitted:
    """The calibration that these answers teach."""
    by_logit, by_options, by_ranking, steps = METHODS[method]
    rows = np.array([features(point.known) for point in points])
    truth = np.array([point.right for point in points])
    if truth.all() or not truth.any():  # the rule of succession: so few answers prove no certainty
        share = (truth.sum() + 1) / (len(truth) + 2)
        return Fitted(Platt(constant=float(np.log(share / (1 - share))), logit=0.0))
    # What is the same everywhere teaches nothing of what it would be elsewhere.
    used = np.array([by_logit, by_options, by_options, by_ranking]) & (np.ptp(rows, axis=0) > 0)
    constant, *weights = _logistic(rows * used, truth)
    for rising in (0, 3):
        if weights[rising] < 0:  # surer, hence wrong more often: noise, and no policy could be made with it
            used[rising] = False
            constant, *weights = _logistic(rows * used, truth)
    logit, options, forced, ranking = weights
    platt = Platt(constant=constant, logit=max(0.0, logit), options=options, forced=forced, ranking=max(0.0, ranking))
    return Fitted(platt, _steps(points, platt, truth) if steps else ())


def _logistic(rows: Floats, truth: NDArray[np.bool_]) -> list[float]:
    """The constant, and the weight of each feature."""
    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(rows, truth)
    return [round(float(weight), 6) for weight in (model.intercept_[0], *model.coef_[0])]


def _steps(points: Sequence[Point], platt: Platt, truth: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    scores = [score(platt, point.known) for point in points]
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, truth)
    pairs = zip(model.X_thresholds_, model.y_thresholds_, strict=True)
    return tuple((round(float(at), 6), round(float(share), 6)) for at, share in pairs)


def held_out(points: Sequence[Point], method: str) -> list[float]:
    """Each answer's confidence by a calibration that never saw its group."""
    groups = [point.group for point in points]
    folds = GroupKFold(n_splits=min(FOLDS, len(set(groups))))
    confidences = [0.0] * len(points)
    for seen, unseen in folds.split(points, groups=groups):
        fitted = fit([points[index] for index in seen], method)
        for index in unseen:
            confidences[index] = fitted(points[index])
    return confidences


def choose(points: Sequence[Point]) -> tuple[str, dict[str, Measured]]:
    """The method that says most of answers it has not seen, and what each measures.

    By logarithmic loss, which needs calibration and discernment both: the expected calibration error alone is best
    for whoever always says the average.
    """
    names = [name for name in METHODS if _apt(name, points)]
    said = {name: held_out(points, name) for name in names}
    best = min(names, key=lambda name: log_loss(points, said[name]))
    return best, {name: measure(points, confidences) for name, confidences in said.items()}


def _apt(method: str, points: Sequence[Point]) -> bool:
    """Whether a method can learn from these answers what a simpler one can't."""
    _, by_options, by_ranking, steps = METHODS[method]
    if steps:
        return len(points) >= STEPS_FROM
    if by_ranking:
        return len({point.ranking for point in points}) > 1
    return not by_options or len({point.options for point in points}) > 1


def log_loss(points: Sequence[Point], confidences: Sequence[float]) -> float:
    """Mean negative log-likelihood of what was right, in nats."""
    given = zip(points, confidences, strict=True)
    likelihoods = [max(1e-6, said if point.right else 1 - said) for point, said in given]
    return -sum(map(math.log, likelihoods)) / len(points)


def measure(points: Sequence[Point], confidences: Sequence[float]) -> Measured:
    """Errors of these confidences, beside those of the bare probabilities and of always saying the average."""
    raw = [point.probability for point in points]
    average = held_out(points, "constant")
    return Measured(
        n=len(points),
        groups=len({point.group for point in points}),
        right=sum(point.right for point in points) / len(points),
        ece=ece(points, confidences),
        raw_ece=ece(points, raw),
        brier=brier(points, confidences),
        raw_brier=brier(points, raw),
        constant_brier=brier(points, average),
        auroc=auroc(points, confidences),
        bins=tuple(bins(points, confidences)),
    )


def ece(points: Sequence[Point], confidences: Sequence[float]) -> float:
    """Expected calibration error over bins of equally many answers (Naeini et al., 2015; Nixon et al., 2019)."""
    parts = bins(points, confidences)
    return sum(count * abs(said - right) for count, said, right in parts) / len(points)


def bins(points: Sequence[Point], confidences: Sequence[float]) -> Iterator[tuple[int, float, float]]:
    """Answers, mean confidence and share right, in up to ten bins of at least fifteen answers, by confidence."""
    order = sorted(range(len(points)), key=lambda index: confidences[index])
    for part in np.array_split(order, max(1, min(10, len(points) // 15))):
        said = [confidences[index] for index in part]
        right = [points[index].right for index in part]
        yield len(part), round(sum(said) / len(said), 4), round(sum(right) / len(right), 4)


def brier(points: Sequence[Point], confidences: Sequence[float]) -> float:
    """Mean squared error."""
    given: Any = zip(points, confidences, strict=True)
    return float(sum((said - point.right) ** 2 for point, said in given) / len(points))


def auroc(points: Sequence[Point], confidences: Sequence[float]) -> float:
    """How often, of a right and a wrong answer, the right one has the higher confidence; 0.5 where all are alike."""
    truth = [point.right for point in points]
    return float(roc_auc_score(truth, confidences)) if 0 < sum(truth) < len(truth) else 0.5


def noise(confidences: Sequence[float], draws: int = 200) -> float:
    """The calibration error that perfectly calibrated confidences would show by chance, with so few answers."""
    chance = np.random.default_rng(0)
    errors = []
    for _ in range(draws):
        points = [Point(said, 2, bool(chance.random() < said), "") for said in confidences]
        errors.append(ece(points, confidences))
    return sum(errors) / draws
