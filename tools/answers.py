"""Raw answers of a model to logs with known truth, kept in a file, so that what follows from them can be tried again.

A line of the file is one log: what was asked (the form), what came back (text, tokens, log-probabilities), what the
deterministic ranking thought, what the answer says and what is true. A log that is there already is not asked again.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from processor.contract import ATTRIBUTES, Candidate, Event, Origin, Reading, Record
from processor.errors import Rejected, Retryable
from processor.logs.rules import RuleSet
from processor.models.chat import Completion, PlainToken
from processor.models.client import ModelClient
from processor.models.form import NONE, Form, Slot, compile_form
from processor.models.question import Prompt
from processor.pipeline import Pipeline
from processor.settings import ModelSettings
from processor.stages.check import Check, Invalid
from processor.stages.infer import Infer
from processor.stages.prompt import BuildPrompt
from processor.stages.recognise import Recognise
from tools.labelled import Labelled

Truth = Mapping[str, Sequence[str | None]]
Ranking = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Row:
    """One log's answer.

    ``said`` by field, objects by their name, is None where the answer was no good; ``truth`` holds all that is right
    of each field that is labelled; ``ranked`` the deterministic ranking of the narrowed fields; ``asked`` is the
    pipeline's digest of what made the question.
    """

    id: str
    set: str
    group: str
    form: Form
    completion: Completion
    ranked: Mapping[str, Ranking]
    said: Mapping[str, Any] | None
    truth: Truth
    asked: str

    def right(self, fields: Iterable[str]) -> bool:
        """Whether the answer is right in these fields, so far as they are labelled."""
        said = self.said
        return said is not None and all(
            _same(said.get(name), self.truth[name]) for name in fields if name in self.truth
        )


def _same(value: str | None, accepted: Sequence[str | None]) -> bool:
    return (value or "").lower() in {(one or "").lower() for one in accepted}


def truth_of(log: Labelled) -> Truth:
    """What is right of a labelled log of `ci_failure`."""
    truth: dict[str, Sequence[str | None]] = {"category": log.categories}
    if log.dependency_known:
        truth["faulty_dependency"] = sorted(log.names) or [None]
    return truth


async def ask(
    logs: Sequence[Labelled],
    rankings: Mapping[str, Ranking],
    pipeline: Pipeline,
    settings: ModelSettings,
    file: Path,
    at_once: int = 2,
    until: Sequence[str] = (),
    adapter: str | None = None,
) -> None:
    """Asks about the logs that `file` does not have yet, those that a rule decides aside; each answer is written.

    With `until`, answers end with the last of these fields. What a model writes does not depend on what it is going
    to write next, so that choices and probabilities are those of a whole answer, in a fraction of the time. `adapter`
    is the served name of a version that is asked instead of the base model; the server has it.
    """
    have = {row.id for row in load(file)}
    recognise = Recognise(pipeline.rules or RuleSet(()), pipeline.rankers)
    build = BuildPrompt(
        pipeline.name, pipeline.prompt.system, pipeline.prompt.user, pipeline.questions,
        settings.context_tokens, pipeline.model.max_tokens, excerpt_tokens=pipeline.prompt.excerpt_tokens,
    )  # fmt: skip
    check = Check(pipeline.schema, pipeline.questions)
    gate, wanted = asyncio.Semaphore(at_once), [log for log in logs if log.id not in have]
    async with ModelClient(settings) as model:
        infer = Infer(model, adapter=adapter, max_tokens=pipeline.model.max_tokens)

        async def one(log: Labelled) -> None:
            reading = _reading(recognise, log, pipeline, rankings)
            if reading.rule is not None and reading.rule.decides:
                return
            prompt = build(EVENT, reading)
            if until:
                prompt = replace(prompt, form=_beginning(prompt.form, until))
            async with gate:
                try:
                    completion = await infer(prompt)
                except (Rejected, Retryable) as error:
                    print(f"{log.id}: {error}", file=sys.stderr)
                    return
            row = Row(log.id, log.set, log.group, prompt.form, completion, reading.narrowed,
                      _chosen(prompt, completion) if until else _said(check, prompt, completion, reading),
                      truth_of(log), pipeline.calibrations.asked)  # fmt: skip
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(_plain(row)) + "\n")

        await asyncio.gather(*map(one, wanted))


def _reading(recognise: Recognise, log: Labelled, pipeline: Pipeline, rankings: Mapping[str, Ranking]) -> Reading:
    """What is known of the log, its narrowed fields ranked by a ranker that never saw its group."""
    reading = recognise(log.excerpt)
    narrowed = {
        name: tuple(rankings.get(log.id, reading.narrowed.get(name, ())))[:keep]
        for name, (_, keep) in pipeline.rankers.items()
    }
    return replace(reading, narrowed=narrowed)


EVENT: Final = Event(
    Origin("answers", "answers", 0, 0),
    Record("answers", 0, 0, None, b"", (), 0),
    {name: each.default for name, each in ATTRIBUTES.items()},
    b"",
)
"""Nothing is said of the build: labelled logs come without it."""


def _said(check: Check, prompt: Prompt, completion: Completion, reading: Reading) -> dict[str, Any] | None:
    try:
        result = check(prompt, completion, reading).result
    except Invalid:
        return None
    return {name: value.get("name") if isinstance(value, dict) else value for name, value in result.items()}


def _beginning(form: Form, until: Sequence[str]) -> Form:
    """The form up to the last of the fields `until` that it has."""
    last = max((index for index, slot in enumerate(form.slots) if slot.name in until), default=0)
    return compile_form(form.name, form.slots[: last + 1])


def _chosen(prompt: Prompt, completion: Completion) -> dict[str, Any] | None:
    """What the choices of a beginning stand for; None where they are no choices of it."""
    try:
        given = json.loads(completion.text)
    except ValueError:
        return None
    said: dict[str, Any] = {}
    for slot in prompt.form.slots:
        code = given.get(slot.name)
        if slot.kind == "choice" and code != NONE:
            meaning = prompt.codes[slot.name].get(code)
            if meaning is None:
                return None
            said[slot.name] = meaning.name if isinstance(meaning, Candidate) else meaning
    return said


def _plain(row: Row) -> dict[str, Any]:
    said = row.completion
    return {
        "id": row.id, "set": row.set, "group": row.group, "engine": said.engine, "form": row.form.name,
        "slots": [asdict(slot) for slot in row.form.slots], "ranked": row.ranked, "said": row.said, "truth": row.truth,
        "text": said.text, "finish_reason": said.finish_reason, "model": said.model, "masked": said.masked,
        "adapter": said.adapter, "base_model": said.base_model, "asked": row.asked,
        "tokens": [[token.text, token.logprob, token.top] for token in said.tokens],
    }  # fmt: skip


def load(file: Path) -> list[Row]:
    """The answers in a file; none where there is no file yet."""
    if not file.exists():
        return []
    return [_row(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _row(given: Mapping[str, Any]) -> Row:
    slots = tuple(Slot(**slot | {"options": tuple(slot["options"])}) for slot in given["slots"])
    tokens = tuple(PlainToken(text, logprob, tuple((t, p) for t, p in top)) for text, logprob, top in given["tokens"])
    completion = Completion(
        given["text"], given["finish_reason"], tokens, model=given["model"], masked=given["masked"],
        engine=given["engine"], adapter=given["adapter"],
        base_model=given["base_model"],
    )  # fmt: skip
    ranked = {name: tuple((value, share) for value, share in pairs) for name, pairs in given["ranked"].items()}
    return Row(given["id"], given["set"], given["group"], compile_form(given["form"], slots),
               completion, ranked, given["said"], given["truth"], given["asked"])  # fmt: skip
