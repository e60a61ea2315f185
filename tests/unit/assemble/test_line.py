"""Lines of a recorded build through the whole line, without Kafka."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
from prometheus_client import CollectorRegistry

from processor import app
from processor.assemble.assembly import Assembly
from processor.assemble.checkpoint import Checkpoint
from processor.assemble.metrics import AssemblyMetrics
from processor.contract import PASSED, Outbound, Record, TopicPartition
from processor.home import Homes
from processor.lane import Shared
from processor.line import Line
from processor.logs.redact import redactor
from processor.pipeline import Pipeline
from processor.pipeline.document import Assemble, KafkaSource, Outcomes
from processor.pipeline.finding_schema import finding_schema
from processor.settings import Settings
from processor.settings.fetch import FetchSettings
from processor.sinks.dead_letters import replayable
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel

HOMES = Homes.of(environ={})
WHOLE = Pipeline.load(HOMES.pipelines()["ci_failure"], HOMES)
HOW = Assemble(key=["run_id"], end="^END", passed="^END passed")
PIPELINE = replace(WHOLE, source=WHOLE.source.model_copy(update={"assemble": HOW}))
SAMPLE = Path(__file__).parents[3] / "pipelines" / "ci_failure" / "samples" / "env-no-space-a2.log"
TOPIC = PIPELINE.topics[0]


def line_of(pipeline: Pipeline) -> Line:
    """A line over one pipeline."""
    shared = Shared("t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(CollectorRegistry()))
    return app.build_line([pipeline], Settings(), HOMES, {"lite": StubModel()}, shared)


def logs(*texts: str, run: str = "7") -> list[Record]:
    """The logs of lines, the first of which is the tenth record."""
    plan = app.line_plans([PIPELINE], Settings(), HOMES)[TOPIC]
    assembly = Assembly(TopicPartition(TOPIC, 0), plan, Checkpoint(10, 0, 10), AssemblyMetrics.unregistered())
    headers = (("repo", b"acme/web"), ("job", b"test"), ("run_id", run.encode()))
    for offset, text in enumerate(texts, 10):
        assembly.accept(Record(TOPIC, 0, offset, None, text.encode(), headers if run else (), 1_700_000_000_000), 0)
    assembly.due(100, caught_up=True)
    return [assembly.give() for _ in range(len(assembly.ready))]


def finding(outputs: list[Outbound]) -> dict[str, object]:
    """The data of the one finding."""
    [found] = [json.loads(out.value or b"") for out in outputs if ".findings." in out.topic]
    return dict(found)


async def test_lines_give_the_finding_of_their_log() -> None:
    """And it says how the log ended, in its own schema."""
    text = SAMPLE.read_text()
    lines = [*text.splitlines(), "END"]
    whole = Record(TOPIC, 0, 10, None, "\n".join(lines).encode(), (("repo", b"acme/web"), ("job", b"test")))
    one = finding(await line_of(WHOLE).handle(whole))
    other = finding(await line_of(PIPELINE).handle(logs(*lines)[0]))
    first, second = one["data"], other["data"]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["fingerprint"], first["result"]) == (second["fingerprint"], second["result"])
    assert one["id"] == other["id"]
    ended = {"ended_by": "end", "incomplete": False, "records": len(lines), "last_offset": 9 + len(lines)}
    assert second["event"] == {"topic": TOPIC, "partition": 0, "offset": 10, "assembled": ended}
    jsonschema.validate(other, finding_schema(PIPELINE))


async def test_a_dead_letter_holds_the_log_and_goes_back() -> None:
    """What came too late is read when somebody sends it back."""
    _, late = logs("END", *SAMPLE.read_text().splitlines())
    line = line_of(PIPELINE)
    [letter] = await line.handle(late)
    assert dict(letter.headers)["fs-reason"] == b"late_lines"
    kept = Record(letter.topic, 0, 0, letter.key, letter.value, letter.headers)
    back = replayable("t", kept)
    again = finding(await line.handle(Record(back.topic, 0, 0, back.key, back.value, back.headers)))
    assert isinstance(again["data"], dict)
    assert again["data"]["event"]["offset"] == 11


async def test_a_passed_build_is_no_failed_one() -> None:
    """No pipeline that wants failed builds takes it."""
    [outputs] = [await line_of(PIPELINE).handle(each) for each in logs("ok", "END passed")]
    assert [out.topic for out in outputs] == ["t.unrouted"]
    told = json.loads(outputs[0].value or b"")
    assert (told["attributes"]["type"], told["event"]["offset"]) == (PASSED, 10)


async def test_a_passed_build_is_an_outcome_where_such_are_wanted() -> None:
    """The lines' topic is the one of outcomes, too: its passed builds are signals, and nothing else."""
    outcomes = Outcomes(kafka=KafkaSource(topics=[TOPIC]))
    [log] = logs("ok", "END passed")
    [out] = await line_of(replace(PIPELINE, outcomes=outcomes)).handle(log)
    told = json.loads(out.value or b"")
    assert (out.topic, told["kind"], told["outcome"]["job"]) == ("t.signals", "outcome", "test")


async def test_a_line_of_nobody_is_a_dead_letter() -> None:
    """Its reason says what is missing."""
    [letter] = await line_of(PIPELINE).handle(logs("x", run="")[0])
    assert dict(letter.headers)["fs-reason"] == b"no_log_key"
    assert b"run_id" in dict(letter.headers)["fs-error"]
