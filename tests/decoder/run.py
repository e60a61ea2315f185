"""One schema and one log through the line, with a real model server: what comes of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import yaml
from jsonschema import Draft202012Validator
from prometheus_client import CollectorRegistry

from processor.contract import ATTRIBUTES, Event, Excerpt, ExcerptLine, Origin, Reading, Record
from processor.errors import FaultstreamError, Rejected
from processor.home import Homes
from processor.lane import Lane, Shared
from processor.logs.redact import redactor
from processor.models.chat import ChatRequest, Message, Model
from processor.pipeline import Pipeline
from processor.pipeline.load import PipelineError
from processor.reasons import REASONS
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics

Kind = Literal["valid", "lint", "refused", "failed", "hung"]
"""A valid finding; refused by lint or with a reason: both are as they should be. Failed and hung are not."""

MAX_TOKENS: Final = 64
BUDGET_TOKENS: Final = 100
SYSTEM: Final = (
    "You read the end of a failed build's log and answer with one JSON object. "
    "Its fields: {% for name, one in schema.fields.items() %}{{ name }} {% endfor %}"
)
USER: Final = "{{ excerpt }}\n{{ choices }}\n"


@dataclass(frozen=True)
class Outcome:
    """What came of one case; `text` is the reason or what went wrong."""

    schema: str
    log: str
    kind: Kind
    text: str = ""
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        """Whether it is a valid answer or an explicit refusal."""
        return self.kind in ("valid", "lint", "refused")


def pipeline_of(home: Path, name: str, schema: Mapping[str, Any], max_tokens: int = MAX_TOKENS) -> Pipeline:
    """The pipeline of a schema, made in a home. Raises PipelineError where lint refuses it."""
    folder = home / "pipelines" / name
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "version": 1, "pipeline": name, "source": {"kafka": {"topics": [name]}}, "schema": f"{name}.json",
        "reduce": {"budget_tokens": BUDGET_TOKENS}, "prompt": {"system": "system.j2", "user": "user.j2"},
        "model": {"max_tokens": max_tokens},
    }  # fmt: skip
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")
    (folder / "system.j2").write_text(SYSTEM, encoding="utf-8")
    (folder / "user.j2").write_text(USER, encoding="utf-8")
    return Pipeline.load(folder, Homes((home,)))


def lane_of(pipeline: Pipeline, model: Model, context_tokens: int = 8192) -> Lane:
    """The line's way of a pipeline, with `model` to answer, whose context the settings know."""
    shared = Shared("decoder", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(CollectorRegistry()))
    return Lane.by(pipeline, model, shared, context_tokens)


def event_of(body: bytes) -> Event:
    """The event of a log."""
    record = Record("decoder", 0, 0, None, body, (), 0)
    attributes = {name: each.default for name, each in ATTRIBUTES.items()}
    return Event(Origin("decoder", "decoder", 0, 0), record, attributes, body)


async def run(
    home: Path, schema: tuple[str, Mapping[str, Any]], log: tuple[str, bytes], model: Model, patience_s: float
) -> Outcome:
    """One case, within `patience_s`."""
    began = time.monotonic()

    def outcome(kind: Kind, text: str = "") -> Outcome:
        return Outcome(schema[0], log[0], kind, " ".join(text.split())[:300], time.monotonic() - began)

    try:
        pipeline = pipeline_of(home, schema[0], schema[1])
    except PipelineError as error:
        return outcome("lint", error.problems[0].message)
    try:
        async with asyncio.timeout(patience_s):
            finding = await lane_of(pipeline, model).find(event_of(log[1]))
    except TimeoutError:
        return outcome("hung", f"nothing within {patience_s:g} s")
    except Rejected as error:
        return outcome("refused" if error.reason in REASONS and error.reason != "internal" else "failed", str(error))
    except FaultstreamError as error:
        return outcome("failed", str(error))
    wrong = list(Draft202012Validator(pipeline.schema.json_schema()).iter_errors(finding.result))
    if wrong or orjson.loads(orjson.dumps(finding.result)) != finding.result:
        return outcome("failed", wrong[0].message if wrong else "it does not survive JSON")
    return outcome("valid")


def question_of(pipeline: Pipeline) -> ChatRequest:
    """A question of a few tokens in the pipeline's form: enough for a server to compile its grammar."""
    excerpt = Excerpt((ExcerptLine(1, "error"),), 1, (1,))
    form = lane_of(pipeline, _NOBODY).prompt(event_of(b"error"), Reading(excerpt)).form
    return ChatRequest((Message("user", "x"),), form, max_tokens=1, alternatives=0)


class _Nobody:
    async def complete(self, request: ChatRequest) -> Any:
        """Never asked."""
        raise AssertionError(request)


_NOBODY: Final = _Nobody()
