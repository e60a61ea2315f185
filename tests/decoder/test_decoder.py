"""Hard schemas and hostile logs: a seeded sample of `make fuzz-decoder`, and what holds without a model.

Budget on two slow cores: without a model a minute of processor time; llama.cpp some two minutes for four cases;
vLLM two minutes for two, beside the start that other tests share.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from jsonschema import Draft202012Validator

from processor.contract import Excerpt, ExcerptLine, Reading
from processor.models.chat import Completion
from processor.models.client import ModelClient
from processor.pipeline.load import PipelineError
from processor.settings import ModelSettings
from processor.stages.check import Check, Invalid
from processor.stages.prompt import BuildPrompt
from processor.testing.model import StubModel
from tests.decoder.answers import broken
from tests.decoder.logs import COUNT as LOGS
from tests.decoder.logs import KINDS, logs
from tests.decoder.run import event_of, pipeline_of, question_of, run
from tests.decoder.schemas import COUNT as SCHEMAS
from tests.decoder.schemas import schemas


def test_there_are_enough_of_both_and_the_same_each_time() -> None:
    """At least 200 hard schemas and 500 hostile logs, all different, made anew from a seed."""
    assert SCHEMAS >= 200
    assert LOGS >= 500
    assert len({json.dumps(schema) for _, schema in schemas()}) == SCHEMAS
    assert len({body for _, body in logs()}) == LOGS
    assert logs(7) == logs(7) != logs(8)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(4))
def test_every_schema_becomes_a_form_or_is_refused_with_words(tmp_path: Path, part: int) -> None:
    """Nothing fails later than lint: what it accepts has a bounded, valid JSON Schema and a grammar without blanks."""
    for name, schema in schemas()[part::24]:
        try:
            form = question_of(pipeline_of(tmp_path, name, schema)).form
        except PipelineError:
            continue
        assert form is not None
        Draft202012Validator.check_schema(form.json_schema)
        assert "*" not in form.grammar.replace('"*"', "")
        for limits in form.json_schema["properties"].values():
            assert {"enum", "maxLength", "maxItems", "maximum"} & set(limits) or "boolean" in str(limits["type"])


async def test_hostile_logs_go_through_the_line(tmp_path: Path) -> None:
    """One of each kind: with a model that answers as the form wants, each has its finding."""
    schema = next(schema for name, schema in schemas() if name == "made1")
    for log in logs()[: len(KINDS)]:
        outcome = await run(tmp_path, ("made1", schema), log, StubModel(), 60)
        assert outcome.kind == "valid", outcome


async def test_what_a_server_makes_up_is_refused_by_name(tmp_path: Path) -> None:
    """A decoder that does not decode: explicit refusals, no exceptions."""
    given = dict(schemas())
    for text in (
        "{}",
        " " * 99_999,
        '{"category":"other","summary":"' + "x" * 21 + '"}',
        "\x00",
        '{"category":',
        "9" * 9999,
    ):
        outcome = await run(tmp_path, ("made1", given["made1"]), logs()[0], StubModel(text), 60)
        assert (outcome.kind, outcome.text.partition(":")[0]) == ("refused", "the model's answer can't be used")


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_grammar_leaves_out_is_checked_afterwards(tmp_path: Path, seed: int) -> None:
    """Answers that break a keyword here and there: what is taken is valid by the schema as it was written."""
    chance = Random(seed)  # noqa: S311  seeded, so that a finding can be repeated
    kinds: Counter[str] = Counter()
    reading = Reading(Excerpt((ExcerptLine(1, "error: it failed"),), 1, (1,)))
    for name, schema in schemas(seed)[seed::8]:
        try:
            pipeline = pipeline_of(tmp_path, name, schema)
        except PipelineError:
            continue
        prompt = BuildPrompt(name, "S", pipeline.prompt.user, pipeline.questions)(event_of(b"error"), reading)
        check, written = Check(pipeline.schema, pipeline.questions), Draft202012Validator(schema)
        for _ in range(12):
            text = broken(schema, chance)
            try:
                result = check(prompt, Completion(text, "stop"), reading).result
            except Invalid:
                kinds["refused"] += 1
                continue
            kinds["taken"] += 1
            found = next(written.iter_errors(result), None)
            assert found is None, (schema, text, found)
    assert kinds["refused"] > kinds["taken"] > 0


def sample(count: int) -> list[tuple[int, int]]:
    """Cases of which lint refuses none."""
    return [(index * 13 % 60, index * 7) for index in range(count)]


@pytest.mark.llamacpp
@pytest.mark.timeout(900)
async def test_llamacpp_answers_validly_or_refuses(llamacpp_server: str, tmp_path: Path) -> None:
    """Four cases of the sample on the embedded llama.cpp."""
    async with ModelClient(ModelSettings(urls=[llamacpp_server], timeout_s=400)) as client:
        for schema, log in sample(4):
            outcome = await run(tmp_path, schemas()[schema], logs()[log], client, 400)
            assert outcome.fine, outcome


@pytest.mark.vllm
@pytest.mark.timeout(900)
async def test_vllm_answers_validly_or_refuses(vllm_server: str, tmp_path: Path) -> None:
    """Two cases of the sample on vLLM."""
    async with ModelClient(ModelSettings(urls=[vllm_server], timeout_s=400)) as client:
        for schema, log in sample(2):
            outcome = await run(tmp_path, schemas()[schema], logs()[log], client, 400)
            assert outcome.fine, outcome
