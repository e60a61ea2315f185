"""The line as a whole, without Kafka: records in, findings, dead letters and signals out."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Rejected, Retryable
from processor.home import Homes
from processor.lane import Shared
from processor.lang.predicate import Predicate
from processor.lang.template import Template
from processor.line import Line
from processor.logs.redact import redactor
from processor.models.chat import ChatRequest, Completion, Model
from processor.models.form import Form
from processor.pipeline import Pipeline, PromptConfig, contexts
from processor.pipeline.document import KafkaSource, Outcomes
from processor.pipeline.finding_schema import signal_schema
from processor.settings import Settings
from processor.settings.fetch import FetchSettings
from processor.sinks.dead_letters import replayable
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel

HOMES = Homes.of(environ={})
CI_FAILURE = Pipeline.load(HOMES.pipelines()["ci_failure"], HOMES)
SAMPLES = Path(__file__).parents[2] / "pipelines" / "ci_failure" / "samples"


def line(model: Model, *pipelines: Pipeline, fetch: FetchSettings | None = None) -> Line:
    """A line over the pipelines (ci_failure by default) that asks `model`."""
    shared = Shared("t", Fetch(fetch or FetchSettings()), Redact(redactor()), LineMetrics(CollectorRegistry()))
    return app.build_line(pipelines or (CI_FAILURE,), Settings(), HOMES, {"lite": model}, shared)


def record(value: bytes, topic: str = "ci.builds.failed", offset: int = 7, **headers: str) -> Record:
    """A record as it comes from Kafka."""
    given = {"ce_type": "build.failed", "repo": "acme/web", "job": "test", **headers}
    return Record(topic, 1, offset, b"k", value, tuple((k, v.encode()) for k, v in given.items()), 1_700_000_000_000)


def sample(name: str) -> bytes:
    """A recorded log."""
    return (SAMPLES / f"{name}.log").read_bytes()


def found(outputs: list[Outbound]) -> dict[str, Any]:
    """The one finding among the outputs."""
    [finding] = [json.loads(out.value or b"") for out in outputs if ".findings." in out.topic]
    return dict(finding)


def letter(outputs: list[Outbound]) -> dict[str, str]:
    """The headers of the one dead letter among the outputs."""
    [headers] = [dict(out.headers) for out in outputs if out.topic == "t.dead-letters"]
    return {name: value.decode() for name, value in headers.items()}


def any_answer(seed: int) -> StubModel:
    """A model with an opinion of its own on everything."""
    chance = random.Random(seed)  # noqa: S311

    def answer(request: ChatRequest) -> str:
        form = request.form
        assert isinstance(form, Form)
        made: dict[str, Any] = {}
        for slot in form.slots:
            if slot.kind == "choice":
                made[slot.name] = chance.choice(slot.options)
            elif slot.kind == "choices":
                made[slot.name] = chance.sample(slot.options, min(2, len(slot.options)))
            else:
                made[slot.name] = f"opinion {seed}"
        return json.dumps(made)

    return StubModel(answer)


@pytest.mark.parametrize("name", ["cargo-test-panic-a1", "pytest-timeout-a1", "npm-eresolve-a1"])
async def test_fingerprints_do_not_depend_on_model_or_prompt(name: str) -> None:
    """The same build through two models and two prompts is the same fault, whatever they choose and say."""
    other = replace(
        CI_FAILURE, prompt=PromptConfig("Another system prompt.", Template("{{ excerpt }} {{ choices }}", "other.j2"))
    )
    findings = [
        found(await line(any_answer(seed), pipeline).handle(record(sample(name))))
        for seed in range(4)
        for pipeline in (CI_FAILURE, other)
    ]
    assert len({finding["data"]["fingerprint"] for finding in findings}) == 1
    assert len({json.dumps(finding["data"]["fingerprint_parts"]) for finding in findings}) == 1
    if findings[0]["data"]["steps"][0]["decided_by"] == "model":
        assert len({json.dumps(finding["data"]["result"]) for finding in findings}) > 1, "they did disagree"


async def test_a_rule_decides_without_a_model() -> None:
    """A known fault costs no tokens, and the finding names the rule."""
    model = StubModel()
    finding = found(await line(model).handle(record(sample("npm-eresolve-a1"))))
    assert model.requests == 0
    assert finding["data"]["steps"][0]["decided_by"] == "rule"
    assert finding["data"]["usage"]["prompt_tokens"] == 0


async def test_a_finding_is_as_documented() -> None:
    """CloudEvent, key, deterministic id, evidence with true line numbers, and the signal that makes a ticket of it."""
    log = sample("cargo-test-panic-a1")
    outputs = await line(StubModel()).handle(record(log, commit="ab" * 20))
    finding = found(outputs)
    data = finding["data"]
    assert [out.topic for out in outputs] == ["t.findings.ci_failure", "t.signals"]
    assert outputs[0].key == data["fingerprint"].encode()
    assert outputs[1].key == b"acme/web"
    assert finding["type"] == "faultstream.finding.v1"
    assert finding["id"] == found(await line(StubModel()).handle(record(log)))["id"]
    assert finding["id"] != found(await line(StubModel()).handle(record(log, offset=8)))["id"]
    assert data["event"] == {"topic": "ci.builds.failed", "partition": 1, "offset": 7}
    assert data["build"]["commit"] == "ab" * 20
    assert data["confidence"] == {"value": None, "calibrated": False}
    lines = log.split(b"\n")
    assert data["evidence"]
    for evidence in data["evidence"]:
        words = re.findall(r"\w{4,}", evidence["text"])
        assert words[0].encode() in lines[evidence["line"] - 1]


class Scripted:
    """A model that gives these answers in turn."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[ChatRequest] = []

    async def complete(self, request: ChatRequest) -> Completion:
        """The next answer."""
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        text = (await StubModel().complete(request)).text if answer == "valid" else answer
        return Completion(text, "length" if answer == "cut" else "stop", model="scripted")


async def test_one_repair_that_says_what_was_wrong() -> None:
    """An answer that is none is asked for again with the fault; the second counts."""
    model = Scripted("no json", "valid")
    finding = found(await line(model).handle(record(sample("cargo-test-panic-a1"))))
    assert finding["data"]["steps"][0]["decided_by"] == "model"
    assert "no JSON object" in model.asked[1].messages[-1].content
    assert model.asked[1].messages[0] == model.asked[0].messages[0], "the system part stays what it was"


@pytest.mark.parametrize(
    ("answer", "reason"), [("no json", "invalid_output"), ("cut", "invalid_output"), ("{}", "invalid_output")]
)
async def test_two_bad_answers_are_a_dead_letter(answer: str, reason: str) -> None:
    """After one repair it is over; the original bytes are in the letter."""
    outputs = await line(Scripted(answer, answer)).handle(record(sample("cargo-test-panic-a1")))
    assert letter(outputs)["fs-reason"] == reason
    assert letter(outputs)["fs-pipeline"] == "ci_failure"
    assert outputs[0].value == sample("cargo-test-panic-a1")


async def test_the_letter_of_a_bad_answer_has_what_the_model_wrote_without_secrets() -> None:
    """Whoever looks at the letter sees the answer; a secret that the model repeated is gone."""
    secret = "ghp_" + "a1B2c3D4" * 5
    answer = f'{{"category":"k1","summary":"{secret}"'
    outputs = await line(Scripted(answer, answer)).handle(record(sample("cargo-test-panic-a1")))
    assert letter(outputs)["fs-output"].startswith('{"category":"k1","summary":"')
    assert secret not in "".join(letter(outputs).values())


async def test_a_model_that_is_away_is_waited_for() -> None:
    """Retryable goes through to the engine: no dead letter."""
    with pytest.raises(Retryable):
        await line(Scripted(Retryable("down"))).handle(record(sample("cargo-test-panic-a1")))


async def test_what_nobody_wants_is_noted_without_its_body() -> None:
    """An event that no pipeline matches: its attributes, redacted, and where it lies."""
    secret = "ghp_" + "a1B2c3D4" * 5
    [note] = await line(StubModel()).handle(record(b"all fine", ce_type="build.passed", branch=f"x/{secret}"))
    assert note.topic == "t.unrouted"
    noted = json.loads(note.value or b"")
    assert noted["attributes"]["type"] == "build.passed"
    assert noted["event"]["offset"] == 7
    assert secret.encode() not in (note.value or b"")


async def test_pipelines_on_one_topic_do_not_disturb_each_other() -> None:
    """One rejects, the other finds; each with its own outputs."""

    class Refusing:
        async def complete(self, request: ChatRequest) -> Completion:
            if request.messages[0].content == "the second":
                raise Rejected("request_refused", "no")
            return await StubModel().complete(request)

    second = replace(
        CI_FAILURE, name="second", rules=None, ticket=None, prompt=PromptConfig("the second", CI_FAILURE.prompt.user)
    )
    outputs = await line(Refusing(), CI_FAILURE, second).handle(record(sample("cargo-test-panic-a1")))
    assert found(outputs)["data"]["pipeline"] == "ci_failure"
    assert letter(outputs)["fs-pipeline"] == "second"


class Lacking(StubModel):
    """Has no adapter for those that ask for one, and may have no replica at all."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.models: list[str | None] = []

    async def complete(self, request: ChatRequest) -> Completion:
        self.models.append(request.model)
        if self.away and request.model is None:
            raise Retryable("no healthy replica")
        if request.model is not None:
            raise Retryable("the model server has no adapter tuned", shared=False)
        return await super().complete(request)


TUNED = replace(CI_FAILURE, name="tuned", model=CI_FAILURE.model.model_copy(update={"adapter": "tuned"}), rules=None)
PLAIN = replace(CI_FAILURE, rules=None)


async def test_a_finding_is_kept_while_another_pipeline_waits() -> None:
    """The well pipeline's model is asked once, however often the other one fails; a new owner asks anew."""
    model = Lacking()
    both = line(model, PLAIN, TUNED)
    event = record(sample("cargo-test-panic-a1"))
    for _ in range(2):
        with pytest.raises(Retryable, match="adapter"):
            await both.handle(event)
    assert model.models == [None, "tuned", "tuned"]
    await both.revoked(TopicPartition(event.topic, event.partition))
    with pytest.raises(Retryable, match="adapter"):
        await both.handle(event)
    assert model.models[3:] == [None, "tuned"]


async def test_the_event_by_which_a_pipeline_falls_sick_is_parked_at_once() -> None:
    """What waits would hold up the others; those that wait already are parked when they come again."""
    both = line(Lacking(), PLAIN, TUNED)
    events = [record(sample("cargo-test-panic-a1"), offset=at) for at in (7, 8, 9)]
    for event in events[:2]:
        with pytest.raises(Retryable):
            await both.handle(event)
    for event in [events[2], *events[:2]]:
        outputs = await both.handle(event)
        assert found(outputs)["data"]["pipeline"] == "ci_failure"
        assert sum(output.topic == "t.parked.tuned" for output in outputs) == 1


async def test_whether_an_event_is_parked_is_asked_again() -> None:
    """Where another pipeline's wait comes between, the sick one may be well by then."""
    model = Lacking()
    both = line(model, PLAIN, TUNED)
    both.wards["tuned"].sick = "no adapter"
    model.away = True
    event = record(sample("cargo-test-panic-a1"))
    with pytest.raises(Retryable, match="no healthy replica"):
        await both.handle(event)
    model.away, both.wards["tuned"].sick = False, None
    with pytest.raises(Retryable, match="adapter"):
        await both.handle(event)


async def test_what_can_not_be_read_is_a_dead_letter_of_each_pipeline() -> None:
    """Before it is read nobody knows who wants it; each pipeline's letter can be replayed."""
    second = replace(CI_FAILURE, name="second")
    outputs = await line(StubModel(), CI_FAILURE, second).handle(record(b""))
    letters = [dict(out.headers) for out in outputs]
    assert [letter["fs-reason"] for letter in letters] == [b"empty", b"empty"]
    assert [letter["fs-pipeline"] for letter in letters] == [b"ci_failure", b"second"]


async def test_what_kills_the_process_is_a_dead_letter_of_each_pipeline() -> None:
    """It is not known who wanted it; sent back, it is a finding of those alone that do."""
    rust = replace(CI_FAILURE, name="rust", match=Predicate.compile('event.job == "rust"', contexts.match_roots()))
    both = line(StubModel(), CI_FAILURE, rust)
    event = record(sample("cargo-test-panic-a1"))
    letters = both.reject(event, Rejected("poison", "the process died"))
    assert [dict(each.headers)["fs-pipeline"] for each in letters] == [b"ci_failure", b"rust"]
    ended: list[str] = []
    for at, each in enumerate(letters):
        back = replayable("t", Record("t.dead-letters", 0, at, each.key, each.value, each.headers, 0))
        copy = Record(back.topic, 0, at, back.key, back.value, back.headers, 0)
        ended += [out.topic for out in await both.handle(copy)]
    assert ended == ["t.findings.ci_failure", "t.signals", "t.unrouted"]


async def test_a_replayed_event_goes_to_its_pipeline_alone() -> None:
    """From the retry topic, with the id it would have had."""
    second = replace(CI_FAILURE, name="second")
    both = line(StubModel(), CI_FAILURE, second)
    first = [
        json.loads(out.value or b"")
        for out in await both.handle(record(sample("cargo-test-panic-a1")))
        if ".findings." in out.topic
    ]
    origin = json.dumps(["faultstream.line", "ci.builds.failed", 1, 7])
    copy = record(sample("cargo-test-panic-a1"), topic="t.retry.second", offset=0, **{"fs-origin": origin})
    again = found(await both.handle(copy))
    assert again["data"]["pipeline"] == "second"
    assert again["id"] == next(one["id"] for one in first if one["data"]["pipeline"] == "second")


async def test_a_predicate_that_fails_is_a_dead_letter_never_false() -> None:
    """Division by an attribute that is zero, say."""
    failing = Predicate.compile("1 / (event.attempt - 1) == 1", contexts.match_roots())
    outputs = await line(StubModel(), replace(CI_FAILURE, match=failing)).handle(record(b"x"))
    assert letter(outputs)["fs-reason"] == "predicate_failed"


NOISE = (
    b"".join(b"error: plugin %c can't be found, trying the next one\n" % letter for letter in b"abcdefghijklmnop") * 40
)
FAULT = b"error: cannot find symbol Basket\n"


@pytest.mark.parametrize("passing", [NOISE, None])
async def test_what_a_passing_run_says_too_is_no_fault(passing: bytes | None, tmp_path: Path) -> None:
    """The reference is followed where it is allowed; what is said in both runs does not stand in the fault's way."""
    (tmp_path / "failed.log").write_bytes(NOISE + FAULT + NOISE)
    if passing:
        (tmp_path / "passed.log").write_bytes(passing)
    given = line(any_answer(1), fetch=FetchSettings(schemes=["file"], roots=[tmp_path]))
    failed, passed = ((tmp_path / name).as_uri() for name in ("failed.log", "passed.log"))
    finding = found(await given.handle(record(b"", log_url=failed, baseline_url=passed)))
    shown = {each["text"].encode() + b"\n" for each in finding["data"]["evidence"]}
    assert (FAULT in shown) == (passing is not None)


async def test_a_copy_that_shall_become_no_ticket_has_no_signal() -> None:
    """A backfill's mark counts on the retry topic alone: on a source topic anybody may have set it."""
    mark = (("fs-no-tickets", b"1"),)
    marked = record(sample("npm-eresolve-a1"))
    marked = replace(marked, headers=marked.headers + mark)
    again = replace(marked, topic="t.retry.ci_failure")
    plain = record(sample("npm-eresolve-a1"), topic="t.retry.ci_failure")
    topics = [{out.topic for out in await line(StubModel()).handle(each)} for each in (marked, again, plain)]
    with_ticket = {"t.findings.ci_failure", "t.signals"}
    assert topics == [with_ticket, {"t.findings.ci_failure"}, with_ticket]


PASSES = replace(CI_FAILURE, outcomes=Outcomes(kafka=KafkaSource(topics=["ci.builds.failed", "ci.builds.passed"])))
"""The pipeline, told which builds pass: on its own topic, and on another one."""


@pytest.mark.parametrize("topic", ["ci.builds.failed", "ci.builds.passed"])
@pytest.mark.parametrize("body", [b"", b"all is well\n"])
async def test_a_passed_build_is_a_signal_and_no_model_reads_it(topic: str, body: bytes) -> None:
    """Keyed by its repository as findings are, without its secrets, and not unrouted; it needs no log."""
    model = StubModel()
    token = "ghp_" + "a1B2" * 9
    told = record(body, topic, ce_type="build.passed", url=f"https://x:{token}@ci.example/9", attempt="2")
    [out] = await line(model, PASSES).handle(told)
    assert (out.topic, out.key, model.requests) == ("t.signals", b"acme/web", 0)
    signal = json.loads(out.value or b"")
    jsonschema.validate(signal, signal_schema())
    assert (signal["kind"], signal["finding"], signal["outcome"]["attempt"]) == ("outcome", None, 2)
    assert token not in (out.value or b"").decode()
    [again] = await line(model, PASSES).handle(told)
    assert again == out, "its id comes from where it was first read"


@pytest.mark.parametrize("kind", ["build.failed", "build.cancelled"])
async def test_on_a_topic_of_outcomes_other_builds_are_unrouted(kind: str) -> None:
    """Nobody reads them; on the pipeline's own topic it is asked as ever."""
    log = sample("npm-eresolve-a1")
    [out] = await line(StubModel(), PASSES).handle(record(log, "ci.builds.passed", ce_type=kind))
    assert out.topic == "t.unrouted"
    found(await line(StubModel(), PASSES).handle(record(log)))


async def test_what_is_no_event_on_a_topic_of_outcomes_is_a_dead_letter() -> None:
    """Nobody's, since no pipeline reads the topic."""
    outputs = await line(StubModel(), PASSES).handle(record(b"", "ci.builds.passed"))
    assert letter(outputs)["fs-reason"] == "empty"
    assert letter(outputs)["fs-pipeline"] == ""


async def test_passed_builds_are_no_signals_where_nobody_wants_them() -> None:
    """As without outcomes."""
    [out] = await line(StubModel()).handle(record(b"fine\n", ce_type="build.passed"))
    assert out.topic == "t.unrouted"
