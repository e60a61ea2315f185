"""How often a question comes again: among recordings of one fault, and wrongly, among logs of different faults.

``python -m tools.repeats`` prints it for the recorded samples and, where present, the dev corpus. With ``--model-url``
a model is asked about the faults that were recorded more than once, repeats and all, and its own answers to these are
compared with those that memory would have given; ``--answers`` keeps them (hours on a machine without a GPU).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from processor.contract import Reading
from processor.home import Homes
from processor.logs.rules import RuleSet
from processor.models.question import Prompt
from processor.pipeline import Pipeline
from processor.settings import ModelSettings
from processor.stages.check import Check
from processor.stages.prompt import BuildPrompt
from processor.stages.recognise import Recognise
from processor.tiers.alike import alike, gist_of, same, shares
from tools.answers import EVENT, Row, ask, load
from tools.labelled import SAMPLES, Labelled, dev, samples


@dataclass(frozen=True)
class Question:
    """What would be asked about a log. `fault` is the same for recordings of one fault; `rule`: one decides it."""

    log: Labelled
    fault: str
    rule: bool
    prompt: Prompt
    reading: Reading
    same: bytes
    alike: bytes


@dataclass(frozen=True)
class Repeats:
    """`again` of the `repeats`, recordings of a fault that was recorded before, would be answered from memory.

    `wrong` are logs of other faults that would be, and by what.
    """

    again: int
    repeats: int
    wrong: tuple[tuple[str, str], ...]


def questions(logs: Sequence[Labelled], pipeline: Pipeline) -> list[Question]:
    """The questions of a pipeline about labelled logs, in their order."""
    recognise = Recognise(pipeline.rules or RuleSet(()), pipeline.rankers)
    shown = pipeline.prompt
    build = BuildPrompt(
        pipeline.name, shown.system, shown.user, pipeline.questions, excerpt_tokens=shown.excerpt_tokens
    )
    rows = [json.loads(line) for line in (SAMPLES / "truth.jsonl").read_text().splitlines()]
    faults = {row["id"]: f"{row['repo']} {row['fault']}" for row in rows}
    made = []
    for log in logs:
        reading = recognise(log.excerpt)
        # All are taken for one repository's, so that nothing but the question tells them apart.
        prompt = build(EVENT, reading)
        like = alike((), prompt, gist_of(prompt), pipeline.scope, EVENT, reading)
        decided = reading.rule is not None and reading.rule.decides
        made.append(Question(log, faults.get(log.id, log.id), decided, prompt, reading, same((), prompt), like))
    return made


def repeats(asked: Sequence[Question], key: Literal["same", "alike"]) -> Repeats:
    """What the memory would make of these questions, one after the other."""
    kept: dict[bytes, Question] = {}
    seen: set[str] = set()
    again = total = 0
    wrong = []
    for each in asked:
        known = kept.setdefault(getattr(each, key), each)
        if known is not each and not _one_answer(known.log, each.log):
            wrong.append((known.log.id, each.log.id))
        if each.fault in seen:
            total += 1
            again += known is not each
        seen.add(each.fault)
    return Repeats(again, total, tuple(wrong))


def _one_answer(first: Labelled, second: Labelled) -> bool:
    """Whether what is right for one is right for the other, as far as the truth is known."""
    named = first.dependency_known and second.dependency_known and first.names != second.names
    return bool(set(first.categories) & set(second.categories)) and not (named and not first.names & second.names)


@dataclass(frozen=True)
class Agreement:
    """A model's `answers`, of which `shared` may serve alike questions.

    `reused` times one would have been given from memory, `agree` of these name the category and the dependency that the
    model named itself.
    """

    answers: int
    shared: int
    reused: int
    agree: int


def agreement(rows: Mapping[str, Row], asked: Sequence[Question], pipeline: Pipeline) -> Agreement:
    """What memory would have given, beside the answers of a model that was asked each time."""
    check = Check(pipeline.schema, pipeline.questions)
    kept: dict[bytes, Mapping[str, Any]] = {}
    shared = reused = agree = 0
    for each in asked:
        row = rows[each.log.id]
        if row.said is None:
            continue
        known = kept.get(each.same) or kept.get(each.alike)
        if known is not None:
            reused += 1
            agree += all(known.get(name) == row.said.get(name) for name in ("category", "faulty_dependency"))
        read = check(each.prompt, row.completion, each.reading).read
        kept.setdefault(each.same, row.said)
        if shares(row.completion.text, each.prompt.form, gist_of(each.prompt), read.gave_way):
            shared += 1
            kept.setdefault(each.alike, row.said)
    return Agreement(sum(rows[each.log.id].said is not None for each in asked), shared, reused, agree)


def _compare(pipeline: Pipeline, url: str, file: Path) -> None:
    asked = [each for each in questions(samples(), pipeline) if not each.rule]
    faults = Counter(each.fault for each in asked)
    asked = [each for each in asked if faults[each.fault] > 1]
    settings = ModelSettings(urls=[url], timeout_s=600)
    asyncio.run(ask([each.log for each in asked], {}, pipeline, settings, file))
    rows = {row.id: row for row in load(file)}
    print(agreement(rows, [each for each in asked if each.log.id in rows], pipeline))


def main() -> int:
    """Prints both, for all logs and for those that no rule decides; 1 where an answer would be wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.repeats", description=__doc__)
    parser.add_argument("--model-url", help="a model server, to compare with its own answers")
    parser.add_argument("--answers", type=Path, default=Path("answers.jsonl"), help="where its answers are kept")
    options = parser.parse_args()
    homes = Homes.of(environ={})
    pipeline = Pipeline.load(homes.pipelines()["ci_failure"], homes)
    if options.model_url:
        _compare(pipeline, options.model_url, options.answers)
        return 0
    wrong = False
    for name, logs in (("samples", samples()), ("dev corpus", dev())):
        asked = questions(logs, pipeline)
        for which, some in (("all", asked), ("asked of the model", [each for each in asked if not each.rule])):
            for line, bad in _told(some):
                print(f"{name}, {which}: {line}")
                wrong = wrong or bad
    return int(wrong)


def _told(asked: Sequence[Question]) -> Iterator[tuple[str, bool]]:
    keys: tuple[Literal["same", "alike"], ...] = ("same", "alike")
    for key in keys:
        found, known = repeats(asked, key), len(asked) - len({getattr(each, key) for each in asked})
        told = f"{found.again} of {found.repeats} repeats" if found.repeats else f"{known} of {len(asked)} logs"
        bad = ", ".join(f"{second} by {first}" for first, second in found.wrong)
        yield f"{key}: {told} answered from memory, {len(found.wrong)} wrongly{bad and ': '}{bad}", bool(bad)


if __name__ == "__main__":
    sys.exit(main())
