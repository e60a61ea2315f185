"""How often each decider is right, on logs with known truth: ``make eval``, or ``python -m tools.evaluate``.

Deciders are the rules, deterministic ranking alone (the likeliest category, and the package that an error
blames), the model on what the rules leave open (``--model-url``), and the line as it runs. Ranking is always
that of a ranker which never saw the log's project (samples: its kind of fault), for the model's choices too.
Which projects are left out together is a matter of chance, and so are some points of accuracy: rankings' figures
are means over several ways, with the least and the most. A model is asked with the first way's ranking.
Only the first recorded run of a fault counts.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

from prometheus_client import CollectorRegistry

from processor.contract import ATTRIBUTES, Event, Finding, Origin, Record
from processor.errors import Rejected, Retryable
from processor.home import Homes
from processor.lane import Lane, Shared
from processor.logs.classify import Ranker
from processor.logs.extract import BLAMED, candidates
from processor.logs.prose import telling
from processor.logs.redact import redactor
from processor.logs.rules import RuleSet
from processor.models.client import ModelClient
from processor.pipeline import Pipeline
from processor.settings import ModelSettings
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from tools.labelled import ROOT, Labelled, dev, samples
from tools.train_ranker import Ranked, partitions

FEW = 5
"""Classes of fewer logs say nothing about themselves: they are listed, not averaged."""
BLAMING = ("dependency_", "security_audit")
"""Categories in which something must be at fault; in the others ranking alone names only what an error blames."""


AT_ONCE = 2
"""Questions asked of the model at once."""


@dataclass(frozen=True)
class Answer:
    """What a decider says of a log; an empty category is no valid answer, and not every decider writes a summary."""

    category: str
    dependency: str | None
    summary: str | None = None


@dataclass(frozen=True)
class Figures:
    """How good some answers are; shares are None where there was nothing to count.

    Of several ways to leave projects out shares are the means, and `accuracy_range` has the least and the most.
    """

    set: str
    decider: str
    logs: int
    decided: int
    accuracy: float | None
    macro_f1: float | None
    commonest: float | None
    dependency_exact: float | None
    dependency_logs: int
    named_where_none: float | None
    none_logs: int
    summary_tells: float | None
    summary_logs: int
    accuracy_range: tuple[float, float] | None = None


Answers = Mapping[str, Answer]


def by_rules(logs: Sequence[Labelled], rules: RuleSet | None) -> dict[str, Answer]:
    """The answers of rules that decide."""
    answers = {}
    for log in logs:
        match = rules.match(log.excerpt) if rules else None
        if match is not None and match.decides:
            dependency = match.fields.get("faulty_dependency") or {}
            answers[log.id] = Answer(
                str(match.fields.get("category", "")), dependency.get("name"), match.fields.get("summary")
            )
    return answers


def by_ranking(logs: Sequence[Labelled], ranked: Ranked) -> dict[str, Answer]:
    """The likeliest category, and the first package: any in a category that needs one, else only a blamed one."""
    answers = {}
    for log in logs:
        category = ranked[log.id][0][0]
        packages = candidates(log.excerpt)["packages"]
        least = 0.0 if category.startswith(BLAMING) else BLAMED
        named = next((package.name for package in packages if package.score >= least), None)
        answers[log.id] = Answer(category, named)
    return answers


class Known(Ranker):
    """A ranker that has one answer: the ranking of one log, made beforehand."""

    def __init__(self, ranking: tuple[tuple[str, float], ...]) -> None:
        super().__init__([name for name, _ in ranking], {})
        self._ranking = ranking

    def rank(self, *_: object) -> tuple[tuple[str, float], ...]:
        return self._ranking


async def by_model(logs: Sequence[Labelled], ranked: Ranked, pipeline: Pipeline, url: str) -> dict[str, Answer]:
    """The findings of the line itself, with a model server; a log without a valid answer gets an empty one."""
    settings = ModelSettings(urls=[url], timeout_s=600)  # two cores read a long prompt for minutes
    answers: dict[str, Answer] = {}
    async with ModelClient(settings) as model:
        counts = LineMetrics(CollectorRegistry())
        shared = Shared("evaluate", Fetch(FetchSettings()), Redact(redactor()), counts, answers=None)  # all are asked
        lane = Lane.by(pipeline, model, shared, context_tokens=settings.context_tokens)
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask(log: Labelled) -> None:
            async with gate:
                answers[log.id] = await _find(lane, log, ranked)
            print(f"\r{len(answers)} of {len(logs)} asked", end="", file=sys.stderr, flush=True)

        await asyncio.gather(*(ask(log) for log in logs))
    print(file=sys.stderr)
    return answers


def knowing(lane: Lane, ranking: tuple[tuple[str, float], ...]) -> Lane:
    """The lane with a ranking that was made beforehand, by a ranker that never saw the log's group."""
    narrowed = {name: (Known(ranking), keep) for name, (_, keep) in lane.pipeline.rankers.items()}
    return replace(lane, recognise=replace(lane.recognise, rankers=narrowed))


async def _find(lane: Lane, log: Labelled, ranked: Ranked) -> Answer:
    try:
        return answer_of(await knowing(lane, ranked[log.id]).find(event_of(log)))
    except Rejected as error:
        print(f"\n{log.id}: {error}", file=sys.stderr)
        return Answer("", None)
    except Retryable as error:
        raise SystemExit(f"the model server failed: {error}") from error


def answer_of(finding: Finding) -> Answer:
    """What a finding of `ci_failure` says."""
    dependency = finding.result.get("faulty_dependency") or {}
    return Answer(str(finding.result["category"]), dependency.get("name"), finding.result.get("summary"))


def event_of(log: Labelled) -> Event:
    """The event of a log, of whose build nothing is said."""
    body = log.path.read_bytes()
    record = Record("evaluate", 0, 0, None, body, (), 0)
    return Event(Origin("evaluate", "evaluate", 0, 0), record, dict.fromkeys(ATTRIBUTES, ""), body)


def figures(name: str, part: str, logs: Sequence[Labelled], answers: Answers) -> Figures:
    """How good ``answers`` are among ``logs`` (those it has no answer for are not decided)."""
    decided = [log for log in logs if log.id in answers]
    named = [log for log in decided if log.dependency_known and log.names]
    without = [log for log in decided if log.dependency_known and not log.names]
    told = [log for log in decided if log.failing and answers[log.id].summary is not None]
    return Figures(
        set=part,
        decider=name,
        logs=len(logs),
        decided=len(decided),
        accuracy=_share([answers[log.id].category in log.categories for log in decided]),
        macro_f1=_macro_f1(decided, answers),
        commonest=_commonest(decided),
        dependency_exact=_share([_same(answers[log.id].dependency, log) for log in named]),
        dependency_logs=len(named),
        named_where_none=_share([answers[log.id].dependency is not None for log in without]),
        none_logs=len(without),
        summary_tells=_share([tells(answers[log.id].summary or "", log) for log in told]),
        summary_logs=len(told),
    )


def averaged(ways: Sequence[Figures]) -> Figures:
    """The means of what one decider does on the same logs."""
    accuracies = [each.accuracy for each in ways if each.accuracy is not None]
    return replace(
        ways[0],
        accuracy=_mean(accuracies),
        macro_f1=_mean([each.macro_f1 for each in ways]),
        dependency_exact=_mean([each.dependency_exact for each in ways]),
        named_where_none=_mean([each.named_where_none for each in ways]),
        summary_tells=_mean([each.summary_tells for each in ways]),
        accuracy_range=(min(accuracies), max(accuracies)) if accuracies else None,
    )


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return fmean(known) if known else None


def tells(summary: str, log: Labelled) -> bool:
    """Whether a summary has a word of the lines that show the fault which does not fit every failed build."""
    lines = log.path.read_bytes().split(b"\n")
    shown = b"\n".join(lines[number - 1] for number in log.failing if number <= len(lines))
    return bool(telling(summary) & telling(shown.decode("utf-8", "replace")))


def _share(right: Sequence[bool]) -> float | None:
    return sum(right) / len(right) if right else None


def _same(name: str | None, log: Labelled) -> bool:
    return name is not None and name.lower() in {each.lower() for each in log.names}


def _commonest(logs: Sequence[Labelled]) -> float | None:
    if not logs:
        return None
    best = Counter(log.categories[0] for log in logs).most_common(1)[0][0]
    return _share([best in log.categories for log in logs])


def _macro_f1(logs: Sequence[Labelled], answers: Answers) -> float | None:
    """The mean F1 of the classes with enough logs; an answer that is right as well counts as the truth."""
    pairs = []
    for log in logs:
        said = answers[log.id].category
        pairs.append((said if said in log.categories else log.categories[0], said))
    large = [name for name, count in Counter(log.categories[0] for log in logs).items() if count >= FEW]
    scores = []
    for name in large:
        hit = sum(truth == said == name for truth, said in pairs)
        scores.append(
            2 * hit / max(1, sum(truth == name for truth, _ in pairs) + sum(said == name for _, said in pairs))
        )
    return sum(scores) / len(scores) if scores else None


def small_classes(logs: Sequence[Labelled]) -> dict[str, int]:
    """The classes that macro-F1 leaves out, with their numbers of logs."""
    counts = Counter(log.categories[0] for log in logs)
    return {name: count for name, count in sorted(counts.items()) if count < FEW}


def table(rows: Sequence[Figures]) -> str:
    """The figures, one decider a line."""
    head = (
        f"{'set':8} {'decider':28} {'decided':>9} {'category':>9} {'least-most':>10} {'macro-F1':>9} {'commonest':>10} "
        f"{'dependency':>14} {'named, none':>14} {'summary tells':>14}"
    )
    lines = [head, "-" * len(head)]
    for row in rows:
        exact = f"{_cell(row.dependency_exact)} of {row.dependency_logs}"
        extra = f"{_cell(row.named_where_none)} of {row.none_logs}"
        told = f"{_cell(row.summary_tells)} of {row.summary_logs}"
        decided = f"{row.decided}/{row.logs}"
        spread = "-".join(map(_cell, row.accuracy_range or (None,)))
        lines.append(
            f"{row.set:8} {row.decider:28} {decided:>9} {_cell(row.accuracy):>9} {spread:>10} {_cell(row.macro_f1):>9} "
            f"{_cell(row.commonest):>10} {exact:>14} {extra:>14} {told:>14}"
        )
    return "\n".join(lines)


def _cell(share: float | None) -> str:
    return "-" if share is None else f"{share:.2f}"


def evaluate(
    logs: Sequence[Labelled], pipeline: Pipeline, ways: Sequence[Ranked], options: argparse.Namespace
) -> list[Figures]:
    """All deciders on one set; `ways` are rankings of its logs, by different ways to leave projects out."""
    part = logs[0].set
    rules = by_rules(logs, pipeline.rules)
    rankings = [by_ranking(logs, ranked) for ranked in ways]
    left = [log for log in logs if log.id not in rules]
    asked = sorted(left, key=_lot)[: options.limit or None]

    def ranking(name: str, among: Sequence[Labelled], known: Answers) -> Figures:
        return averaged([figures(name, part, among, {**answers, **known}) for answers in rankings])

    rows = [
        figures("rules", part, logs, rules),
        ranking("ranking alone", logs, {}),
        ranking("rules, then ranking", logs, rules),
        ranking("left by rules: ranking", asked, {}),
    ]
    if options.model_url:
        said = asyncio.run(by_model(asked, ways[0], pipeline, options.model_url))
        rows.append(figures("left by rules: its ranking", part, asked, rankings[0]))
        rows.append(figures("left by rules: model", part, asked, said))
        if len(asked) == len(left):
            rows.append(figures("rules, then model", part, logs, {**said, **rules}))
    return rows


def _lot(log: Labelled) -> str:
    """An order that has nothing to do with what a log is about, the same each time."""
    return hashlib.sha256(log.id.encode()).hexdigest()


def main() -> int:
    """Print the figures of both sets."""
    parser = argparse.ArgumentParser(prog="python -m tools.evaluate", description=__doc__)
    parser.add_argument("--model-url", default=os.environ.get("MODEL_URL"), help="such as http://127.0.0.1:8000/v1")
    parser.add_argument("--limit", type=int, default=0, help="ask the model about so many logs of each set at most")
    parser.add_argument("--set", choices=("samples", "dev"), action="append", help="one set only")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    sets = {"samples": samples(), "dev": dev()}
    if not sets["dev"]:
        print("the dev corpus is absent ($FAULTSTREAM_DATA): samples only", file=sys.stderr)
    ways = partitions([*sets["samples"], *sets["dev"]])
    pipeline = Pipeline.load(ROOT / "pipelines" / "ci_failure", Homes.of([ROOT]), {})
    rows: list[Figures] = []
    for name, logs in sets.items():
        first = [log for log in logs if not log.repeat]
        if not first or (options.set and name not in options.set):
            continue
        rows += evaluate(first, pipeline, ways, options)
        print(f"{name}: classes of fewer than {FEW} logs, left out of macro-F1: {small_classes(first) or 'none'}")
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
