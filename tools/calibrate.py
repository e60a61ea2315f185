"""Measures and calibrates how sure a pipeline's model is: ``python -m tools.calibrate``.

    ask   --model-url URL --answers FILE [--set dev] [--limit 200]   asks a model server, adds what comes back to FILE
          [--adapter NAME@VERSION]                              a version of an adapter instead of the base model
    fit   --answers FILE [--tier lite] [--fields category,…] [--write]   prints what it measures; --write keeps it
    again [--write]                                                 the same from the answers that were kept

``ask`` takes labelled logs that rules leave open, the same number of each category as a share of all, and can be
stopped and taken up again. ``fit`` cross-validates by group (project, or kind of fault), so that no log is judged by a
calibration that saw its project. It refuses to write what rests on too few answers.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from processor.home import Homes
from processor.models.calibration import FILE, Calibration, Measured, inputs, write
from processor.models.certainty import choices
from processor.pipeline import Pipeline
from processor.settings import ModelSettings
from tools import reliability
from tools.answers import Row, ask, load
from tools.calibration import Point, auroc, choose, fit, held_out, noise
from tools.evaluate import by_rules
from tools.kept import POINTS, Kept, numbered, packed, read
from tools.kept import write as keep
from tools.labelled import ROOT, Labelled, dev, samples
from tools.train_ranker import out_of_fold

LEAST: Final = 150
"""Answers without which a calibration is not written: their error alone is some eight points."""

LEAST_OF_EACH: Final = 25
"""Right answers, and wrong ones, that it needs."""

SURE: Final = 0.7
"""From here on an answer is not passed up (`model.escalate.when` of ci_failure)."""

LEAST_GROUPS: Final = 10
"""Projects or kinds of fault that it needs."""


def stratified(logs: Sequence[Labelled], limit: int) -> list[Labelled]:
    """At most so many logs, each category with its share, in an order that has nothing to do with what they are."""
    ordered = sorted(logs, key=lambda log: (log.categories[0], _lot(log)))
    count = min(limit or len(ordered), len(ordered))
    return sorted((ordered[index * len(ordered) // count] for index in range(count)), key=_lot)


def _lot(log: Labelled) -> str:
    return hashlib.sha256(log.id.encode()).hexdigest()


def points_of(rows: Sequence[Row], fields: Sequence[str]) -> list[Point]:
    """The answers that can be judged: valid, labelled in all of `fields`, with log-probabilities."""
    points = []
    for row in rows:
        made = choices(row.completion, row.form)
        if row.said is not None and made is not None and all(name in row.truth for name in fields):
            shares = {
                name: dict(ranked).get(row.said[name], 0.0) for name, ranked in row.ranked.items() if name in row.said
            }
            known = inputs(made, fields, shares)
            points.append(Point(known.probability, known.options, row.right(fields), row.group, known.ranking))
    return points


def too_few(points: Sequence[Point]) -> str | None:
    """Why no calibration should rest on these answers, or None."""
    right, groups = sum(point.right for point in points), len({point.group for point in points})
    for what, there, needed in (
        ("answers", len(points), LEAST),
        ("right answers", right, LEAST_OF_EACH),
        ("wrong answers", len(points) - right, LEAST_OF_EACH),
        ("groups", groups, LEAST_GROUPS),
    ):
        if there < needed:
            return f"{there} {what}, at least {needed} are needed"
    return None


def report(points: Sequence[Point], best: str, measured: dict[str, Measured]) -> str:
    """The measures of all methods, the bare probability first, and the reliability of the best."""
    first = next(iter(measured.values()))
    bare = [point.probability for point in points]
    lines = [
        f"{first.n} answers of {first.groups} groups, {first.right:.2f} of them right",
        f"{'method':32} {'ECE':>6} {'by chance':>10} {'Brier':>6} {'AUROC':>6}",
    ]
    rows = [("bare probability", first.raw_ece, bare, first.raw_brier, auroc(points, bare))]
    rows += [(name, each.ece, held_out(points, name), each.brier, each.auroc) for name, each in measured.items()]
    for name, error, said, squared, area in rows:
        mark = "  <- chosen" if name == best else ""
        shown = 0.5 if name == "constant" else area  # folds differ in their average, which ranks nothing
        lines.append(f"{name:32} {error:6.3f} {noise(said):10.3f} {squared:6.3f} {shown:6.2f}{mark}")
    said = held_out(points, best)
    sure = [point.right for point, each in zip(points, said, strict=True) if each >= SURE]
    if sure:
        lines.append(
            f"{len(sure)} of them have a confidence of {SURE:g} or more, {sum(sure) / len(sure):.2f} of those right"
        )
    return "\n".join([*lines, "", reliability.text(measured[best])])


def _ask(pipeline: Pipeline, options: argparse.Namespace) -> int:
    everything = [*samples(), *dev()]
    rankings = out_of_fold(everything)
    decided = by_rules(everything, pipeline.rules)
    left = [log for log in everything if log.set in options.set.split("+") and not log.repeat and log.id not in decided]
    at_once = options.at_once  # as many from the start: nobody is kept waiting here
    settings = ModelSettings(
        urls=[options.model_url],
        base_model=options.base_model,
        timeout_s=900,
        concurrency=at_once,
        concurrency_min=at_once,
    )  # two cores read a long prompt for minutes
    until = options.fields.split(",") if options.brief else ()
    chosen = stratified(left, options.limit)
    asyncio.run(ask(chosen, rankings, pipeline, settings, options.answers, at_once, until, options.adapter))
    return 0


def calibrate(kept: Kept) -> tuple[str, Calibration]:
    """The calibration that kept answers teach, by the best method, and what that is called."""
    points = kept.points()
    best, measured = choose(points)
    fitted = fit(points, best)
    about = kept.model_dump(exclude={"answers"})
    parts = {"platt": fitted.platt, "steps": fitted.steps, "measured": measured[best]}
    return best, Calibration.model_validate(about | parts)


def _fit(pipeline: Pipeline, options: argparse.Namespace) -> int:
    """Fits anew to answers, and with --write keeps what comes of it."""
    sets = options.set.split("+")
    asked = [row for row in load(options.answers) if row.asked == pipeline.calibrations.asked and row.set in sets]
    by_model: dict[tuple[str, str | None, str | None], list[Row]] = defaultdict(list)
    for row in asked:
        by_model[row.completion.engine, row.completion.base_model, row.completion.adapter].append(row)
    fields = tuple(options.fields.split(","))
    failed = not by_model
    for (engine, model, adapter), part in by_model.items():
        points = numbered(points_of(part, fields))
        judged = f"{len(points)} can be judged by {', '.join(fields)}"
        print(f"\n{adapter or model or 'a model without a name'} on {engine}: {len(part)} answers, {judged}")
        if len({point.group for point in points}) < 2:
            failed = True
            continue
        print(report(points, *choose(points)))
        why = too_few(points) or ("" if adapter or model else "ask with --base-model, so that it is known whose it is")
        if why or not options.write:
            print(f"not written: {why or 'no --write'}")
            failed = failed or (bool(why) and options.write)
            continue
        kept = Kept(
            pipeline=pipeline.name, tier=options.tier, engine=engine, model=model or "", adapter=adapter,
            asked=pipeline.calibrations.asked, fields=fields, answers=tuple(packed(points)),
        )  # fmt: skip
        _keep(kept, _place(pipeline, adapter), options.plot)
    return int(failed)


def _place(pipeline: Pipeline, adapter: str | None) -> Path:
    """Where a calibration lies: with the pipeline, or with the folder of the adapter, whose served name is given."""
    if adapter is None:
        return pipeline.calibrations.files[0]
    folder = ROOT / "adapters" / adapter.partition("@")[0]
    if not folder.is_dir():
        raise SystemExit(
            f"no folder adapters/{folder.name}: its calibration has to lie there, and goes with its version"
        )
    return folder / FILE


def _again(pipeline: Pipeline, options: argparse.Namespace) -> int:
    """Fits again to the answers that were kept with the pipeline's calibrations."""
    there = [(kept, file) for file in pipeline.calibrations.files for kept in read(file.with_name(POINTS))]
    for kept, file in there:
        points = kept.points()
        print(f"\n{kept.adapter or kept.model} on {kept.engine}, {', '.join(kept.fields)}")
        print(report(points, *choose(points)))
        if options.write:
            _keep(kept, file, options.plot)
    return int(not there)


def _keep(kept: Kept, file: Path, plot: Path | None) -> None:
    _, made = calibrate(kept)
    write(file, made)
    keep(file.with_name(POINTS), kept)
    print(f"written to {file.parent.name}/{file.name}")
    if plot is not None:
        plot.write_text(reliability.svg(made.measured, f"{kept.pipeline}: {', '.join(kept.fields)}"), encoding="utf-8")


def main() -> int:
    """Asks, or fits."""
    parser = argparse.ArgumentParser(prog="python -m tools.calibrate", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("ask", "fit", "again"))
    parser.add_argument("--answers", type=Path, help="file of raw answers, a JSON object a line")
    parser.add_argument("--model-url", default=os.environ.get("MODEL_URL"), help="such as http://127.0.0.1:8000/v1")
    parser.add_argument("--set", choices=("samples", "dev", "dev+samples"), default="dev+samples")
    parser.add_argument("--at-once", type=int, default=2, help="questions that are open at a time")
    parser.add_argument("--brief", action="store_true", help="have answers end with the last of --fields")
    parser.add_argument("--limit", type=int, default=0, help="ask about so many logs at most")
    parser.add_argument("--tier", default="lite")
    parser.add_argument("--fields", default="category", help="the fields whose truth counts, with commas")
    parser.add_argument("--adapter", help="served name of the version of an adapter that is asked, NAME@VERSION")
    parser.add_argument(
        "--base-model", help="which model it is that the server serves, as models.<tier>.base_model says"
    )
    parser.add_argument("--plot", type=Path, help="with --write: the reliability diagram as SVG")
    parser.add_argument("--write", action="store_true", help=f"put the calibration into {FILE}")
    options = parser.parse_args()
    pipeline = Pipeline.load(ROOT / "pipelines" / "ci_failure", Homes.of([ROOT]), {})
    if options.what == "again":
        return _again(pipeline, options)
    if options.answers is None:
        parser.error(f"{options.what} needs --answers")
    if options.what == "fit":
        return _fit(pipeline, options)
    if not options.model_url:
        parser.error("ask needs --model-url")
    return _ask(pipeline, options)


if __name__ == "__main__":
    sys.exit(main())
