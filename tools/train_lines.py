"""Learn how likely a line is one that tells the fault: `python -m tools.train_lines` writes processor/logs/lines.json.

It learns from the dev corpus (`$FAULTSTREAM_DATA`) and the recorded samples, each log counting the same however many
lines it has. Before it writes, it says what the weights are worth: every log is reduced by a model that saw no log of
its project (of samples: its kind of fault), beside the scores that were not learned.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from bench.excerpts import Case, cases, kept
from processor.contract import Excerpt
from processor.logs import blocks
from processor.logs.likelihood import FEATURES, VERSION, WEIGHTS, Model
from processor.logs.reduce import Candidates, candidates
from processor.logs.tokens import estimate
from tools.labelled import SAMPLES, corpus

FOLDS = 5
STRENGTH = 0.03
"""The inverse of how strongly weights are drawn to zero: chosen by cross-validation, flat from 0.01 to 0.1."""
OTHERS = 3.0
"""What all lines of a log that do not tell its fault count, where those that do count 1."""
SAMPLE = 0.3
"""What a recorded sample counts, where a log of the dev corpus counts 1: samples are short and alike."""

_WIDTHS = [len(bounds) + 1 for bounds in FEATURES.values()]
_OFFSETS = np.cumsum([0, *_WIDTHS])


@dataclass(frozen=True)
class Lesson:
    """A log with marked lines, and what its excerpt would be chosen from."""

    case: Case
    found: Candidates
    weight: float

    def excerpt(self, scores: Mapping[int, float], budget: int) -> Excerpt:
        """The excerpt that these scores choose."""
        return blocks.choose(self.found.texts, scores, self.found.ranked, self.found.total, budget, estimate)


def lessons(prepare: Callable[[bytes], bytes] = bytes) -> list[Lesson]:
    """The dev corpus, where it is at hand, and the recorded samples; `prepare` may take secrets out of a log first."""
    folder = corpus()
    weighed = [(case, SAMPLE) for case in sampled()]
    if folder is not None:
        weighed = [*((case, 1.0) for case in cases(folder / "ci-logs")), *weighed]
    return [Lesson(case, candidates(prepare(case.data)), weight) for case, weight in weighed]


def sampled() -> Iterator[Case]:
    """The recorded samples that say which lines tell their fault."""
    for line in (SAMPLES / "truth.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["failing_lines"]:
            gold = frozenset(number for first, last in row["failing_lines"] for number in range(first, last + 1))
            yield Case(row["id"], "samples", row["kind"], (SAMPLES / f"{row['id']}.log").read_bytes(), gold, row)


def fit(logs: Sequence[Lesson]) -> Model:
    """The model that these logs teach."""
    rows: list[tuple[int, ...]] = []
    truth: list[np.ndarray[Any, Any]] = []
    weights: list[np.ndarray[Any, Any]] = []
    for log in logs:
        told = np.array([number in log.case.gold for number in log.found.rows], dtype=bool)
        rows.extend(log.found.rows.values())
        truth.append(told)
        weights.append(log.weight * 10 * np.where(told, 1 / max(1, told.sum()), OTHERS / max(1, (~told).sum())))
    with threadpool_limits(1):  # sums in one order: the same weights each time
        model = LogisticRegression(C=STRENGTH, max_iter=500).fit(
            _matrix(rows), np.concatenate(truth), sample_weight=np.concatenate(weights)
        )
    tables = tuple(
        tuple(round(float(weight), 3) for weight in model.coef_[0, first:last]) for first, last in pairwise(_OFFSETS)
    )
    return Model(round(float(model.intercept_[0]), 3), tables)


def _matrix(rows: Sequence[tuple[int, ...]]) -> np.ndarray[Any, Any]:
    """One column per bucket of each feature, in it 1 where a line is in the bucket."""
    matrix = np.zeros((len(rows), _OFFSETS[-1]), np.float32)
    columns = np.array(rows) + _OFFSETS[:-1]
    matrix[np.arange(len(rows))[:, None], columns] = 1
    return matrix


def out_of_fold(logs: Sequence[Lesson]) -> dict[str, Model]:
    """By log a model that never saw the log's project (of samples: its kind of fault)."""
    groups = [log.case.group for log in logs]
    models: dict[str, Model] = {}
    for seen, unseen in GroupKFold(FOLDS).split(groups, groups=groups):
        model = fit([logs[index] for index in seen])
        models |= {logs[index].case.id: model for index in unseen}
    return models


def dump(model: Model) -> str:
    """The file's text: one feature a line, so that a change can be read."""
    rows = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(table, separators=(',', ':'))}"
        for name, table in zip(FEATURES, model.tables, strict=True)
    )
    return f'{{"version":{VERSION},"bias":{model.bias},"weights":{{\n{rows}\n}}}}\n'


def shares(logs: Sequence[Lesson], models: Mapping[str, Model] | None, budget: int) -> tuple[float, float]:
    """Hit and line recall of excerpts, corrected by the models or not at all."""
    found = []
    for log in logs:
        scores = log.found.scores
        if models is not None:
            scores = models[log.case.id].correct(scores, log.found.rows)
        found.append(len(kept(log.case, log.excerpt(scores, budget), budget)) / len(log.case.gold))
    return sum(share > 0 for share in found) / len(found), sum(found) / len(found)


def report(logs: Sequence[Lesson]) -> None:
    """Print what the learned weights are worth."""
    models = out_of_fold(logs)
    for name in ("dev", "samples"):
        part = [log for log in logs if (log.case.source == "samples") == (name == "samples")]
        for how, chosen in (("by hand", None), ("learned, cross-validated", models)):
            for budget in (250, 500, 1000, 2000) if part else ():
                hit, recall = shares(part, chosen, budget)
                print(f"{name:8} {how:26} {budget:5} tokens  hit {hit:6.1%}  recall {recall:6.1%}")


def main() -> int:
    """Measure, train on everything, write the weights."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_lines", description=__doc__)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--no-measure", action="store_true", help="train and write only")
    options = parser.parse_args()
    logs = lessons()
    if all(log.case.source == "samples" for log in logs):
        print("the dev corpus is absent: the weights would be learned from the samples alone", file=sys.stderr)
        return 1
    if not options.no_measure:
        report(logs)
    options.out.write_text(dump(fit(logs)))
    print(f"{options.out.name}: {options.out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
