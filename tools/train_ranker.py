"""Train the ranker that narrows a failure's category, and say how good it is: ``python -m tools.train_ranker``.

A multinomial logistic regression on the features of `processor.logs.classify`, trained on the recorded samples,
the dev corpus and what is known of tools (`lessons.txt`). Its quality is measured on logs of projects (samples: kinds
of fault) that were left out of training. Training again on the same logs gives the same weights.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from processor.logs.classify import VERSION, Ranker, features
from tools.labelled import ROOT, Labelled, dev, samples
from tools.lessons import lessons as written

WEIGHTS = ROOT / "pipelines" / "ci_failure" / "ranker.json"
LIMIT_BYTES = 400_000
FOLDS = 8
PARTITIONS = 10
"""Ways to cut the groups into folds: of one way alone the accuracy is up to three points off."""
STRENGTH = 4.0
"""Inverse regularisation; from 3 to 300 the measured accuracy moves by less than three points."""
BALANCE = 0.3
"""How far rare categories are lifted: weight is count to the power of minus this."""
MARKED = 2.0
"""How much freer the weights of tools' markers (t:) are than those of words: they hold in other projects too."""
AS_WELL = 0.2
"""Share of a log's weight that its other right categories learn from."""
TAUGHT = 0.5
"""What all lessons of `lessons.txt` weigh together, of what the logs do. Those of a category weigh the more the more
logs it has, by the square root: written lessons say nothing about how common a category is."""
RARE = 2
"""Features of fewer logs than this are left out: they can't help another project."""

Ranked = Mapping[str, tuple[tuple[str, float], ...]]
Features = Mapping[str, float]
Lesson = tuple[Features, str, float]


def train(logs: Sequence[Labelled]) -> Ranker:
    """The ranker that these logs teach, rounded and pruned as it is stored."""
    return _ranker(fit(logs))


def fit(logs: Sequence[Labelled]) -> dict[str, Any]:
    """The content of ``ranker.json``: values, and by feature the weights that are worth their bytes."""
    rows = [features(log.excerpt) for log in logs]
    taught = list(_taught(logs))
    spread = Counter(name for row in [*rows, *(row for row, _, _ in taught)] for name in row)
    lessons = [*_lessons(logs, rows), *taught]
    kept = [
        {name: value * _scale(name) for name, value in row.items() if spread[name] >= RARE} for row, _, _ in lessons
    ]
    truth = [category for _, category, _ in lessons]
    vectorizer = DictVectorizer()
    matrix = vectorizer.fit_transform(kept)
    with threadpool_limits(1):  # sums in one order: the same weights each time
        model = LogisticRegression(C=STRENGTH, max_iter=500).fit(matrix, truth, sample_weight=_balanced(lessons))
    names = [str(name) for name in vectorizer.feature_names_]
    weights = model.coef_ * np.array([_scale(name) for name in names])
    weights[:, vectorizer.vocabulary_["bias"]] += model.intercept_
    return _content([str(value) for value in model.classes_], names, weights)


def _scale(name: str) -> float:
    return MARKED if name.startswith("t:") else 1.0


def _lessons(logs: Sequence[Labelled], rows: Sequence[Features]) -> Iterator[Lesson]:
    """A log teaches its category, and a little of those that are right as well."""
    for log, row in zip(logs, rows, strict=True):
        first, *others = log.categories
        yield row, first, log.weight * (1 - AS_WELL if others else 1)
        for other in others:
            yield row, other, log.weight * AS_WELL / len(others)


def _taught(logs: Sequence[Labelled]) -> Iterator[Lesson]:
    """What is known of tools, weighed by how much the logs have of each category."""
    counts = Counter(category for category, _ in written())
    logged: dict[str, float] = dict.fromkeys(counts, 0.0)
    for log in logs:
        if log.categories[0] in logged:
            logged[log.categories[0]] += log.weight
    roots = {category: max(weight, 1.0) ** 0.5 for category, weight in logged.items()}
    share = TAUGHT * sum(log.weight for log in logs) / sum(roots.values()) if roots else 0.0
    for (category, _), row in zip(written(), _written_features(), strict=True):
        yield row, category, share * roots[category] / counts[category]


@functools.cache
def _written_features() -> tuple[Features, ...]:
    return tuple(features(excerpt) for _, excerpt in written())


def _balanced(lessons: Sequence[Lesson]) -> list[float]:
    """The lessons' weights, with rare categories lifted."""
    counts: dict[str, float] = defaultdict(float)
    for _, category, weight in lessons:
        counts[category] += weight
    return [weight * counts[category] ** -BALANCE for _, category, weight in lessons]


def _content(values: list[str], names: list[str], weights: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Drop the smallest weights until the file is within its limit."""
    for smallest in (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6):
        content = {"version": VERSION, "values": values, "weights": _sparse(names, weights, smallest)}
        if len(dump(content)) <= LIMIT_BYTES:
            return content
    raise SystemExit(f"the weights do not fit into {LIMIT_BYTES} bytes")


def _sparse(names: list[str], weights: np.ndarray[Any, Any], smallest: float) -> dict[str, list[list[float]]]:
    sparse = {}
    for column, name in enumerate(names):
        pairs = [[at, round(float(w), 2)] for at, w in enumerate(weights[:, column]) if abs(w) >= smallest]
        if pairs:
            sparse[name] = pairs
    return sparse


def dump(content: Mapping[str, Any]) -> str:
    """The file's text: one feature a line, so that a change can be read."""
    lines = ",\n".join(f"{json.dumps(name)}:{_compact(pairs)}" for name, pairs in content["weights"].items())
    head = f'{{"version":{content["version"]},"values":{_compact(content["values"])},"weights":{{\n'
    return f"{head}{lines}\n}}}}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _ranker(content: Mapping[str, Any]) -> Ranker:
    weights = {name: [(int(at), float(w)) for at, w in pairs] for name, pairs in content["weights"].items()}
    return Ranker(content["values"], weights)


def out_of_fold(logs: Sequence[Labelled], seed: int = 0) -> Ranked:
    """By log, the ranking of a ranker that never saw the log's project (samples: its kind of fault).

    What a rule proposes for the log counts as it does in the line. `seed` is that of the way the groups are cut into
    folds.
    """
    truth = [log.categories[0] for log in logs]
    groups = [log.group for log in logs]
    ranked: dict[str, tuple[tuple[str, float], ...]] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(truth, truth, groups))
    for seen, unseen in folds:
        ranker = train([logs[index] for index in seen])
        ranked |= {logs[index].id: ranker.rank(logs[index].excerpt, None, logs[index].proposed) for index in unseen}
    return ranked


def partitions(logs: Sequence[Labelled]) -> list[Ranked]:
    """`out_of_fold` for as many ways to cut the groups as their mean takes; the first is that of `out_of_fold`."""
    return [out_of_fold(logs, seed) for seed in range(PARTITIONS)]


def accuracy(logs: Sequence[Labelled], ranked: Ranked, top: int) -> float:
    """Share of logs with a right category among the ``top`` likeliest; repeats of a fault count as one."""
    right = sum(log.weight for log in logs if {name for name, _ in ranked[log.id][:top]} & set(log.categories))
    return right / sum(log.weight for log in logs)


def commonest(logs: Sequence[Labelled]) -> float:
    """Share of logs for which the commonest category is right."""
    counts = Counter(log.categories[0] for log in logs)
    best = counts.most_common(1)[0][0]
    return sum(log.weight for log in logs if best in log.categories) / sum(log.weight for log in logs)


def main() -> int:
    """Measure, train on everything, write the weights."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_ranker", description=__doc__)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--no-measure", action="store_true", help="train and write only")
    options = parser.parse_args()
    logs = [*samples(), *dev()]
    if not any(log.set == "dev" for log in logs):
        print("the dev corpus is absent: the ranker would learn from the samples alone", file=sys.stderr)
        return 1
    if not options.no_measure:
        report(logs, partitions(logs))
    options.out.write_text(dump(fit(logs)))
    print(
        f"{options.out.relative_to(Path.cwd()) if options.out.is_relative_to(Path.cwd()) else options.out}: "
        f"{options.out.stat().st_size:,} bytes"
    )
    return 0


def report(logs: Sequence[Labelled], ways: Sequence[Ranked]) -> None:
    """Print the accuracies by set: their means over ways to cut the groups, and of the likeliest their range."""
    print(f"{'set':8} {'logs':>5} {'top 1':>6} {'least':>6} {'most':>6} {'top 3':>6} {'top 4':>6} {'commonest':>10}")
    for name in ("samples", "dev"):
        part = [log for log in logs if log.set == name]
        first, third, fourth = ([accuracy(part, ranked, top) for ranked in ways] for top in (1, 3, 4))
        shares = (fmean(first), min(first), max(first), fmean(third), fmean(fourth))
        print(f"{name:8} {len(part):5} {' '.join(f'{each:6.3f}' for each in shares)} {commonest(part):10.3f}")


if __name__ == "__main__":
    sys.exit(main())
