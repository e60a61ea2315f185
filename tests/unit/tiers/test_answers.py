"""Answers that are remembered: what is reused and for whom, what is not, and who waits for whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.contract import Usage
from processor.errors import Rejected, Retryable
from processor.lane import Shared
from processor.line import Line
from processor.logs.redact import redactor
from processor.models.chat import ChatRequest, Completion, Model, PlainToken
from processor.models.client import ModelClient
from processor.pipeline import Pipeline
from processor.settings import ModelSettings, Settings
from processor.settings.fetch import FetchSettings
from processor.stages.check import NEW
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import FakeModelServer, first_answer
from processor.tiers.answers import Answers, Known
from processor.tiers.metrics import TierMetrics
from tests.unit.test_line import CI_FAILURE, HOMES, found, letter, record
from tests.unit.tiers.test_judge import Calibrated, escalating

LOG = b"$ make all\nmain.c: compiling\nerror: the frobnicator is out of tune\nmake: *** [all] Error 1\n"


def reusing(reuse: str = "alike", pipeline: Pipeline = CI_FAILURE) -> Pipeline:
    """The pipeline without rules, with that `model.reuse`."""
    return replace(pipeline, rules=None, model=pipeline.model.model_copy(update={"reuse": reuse}))


@dataclass
class Asked:
    """A model with a price that counts its questions. `faults` are raised first, `said` stands in every answer."""

    said: Mapping[str, Any] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)
    gate: asyncio.Event | None = None
    restarts: int = 0
    model: str = "m"
    texts: list[str] = field(default_factory=list)
    requests: list[ChatRequest] = field(default_factory=list)

    async def complete(self, request: ChatRequest) -> Completion:
        """The answer, once the gate is open."""
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.faults:
            raise self.faults.pop(0)
        assert request.form is not None
        text = self.texts.pop(0) if self.texts else json.dumps(json.loads(first_answer(request.form)) | {**self.said})
        tokens = tuple(PlainToken(letter, -0.01, ((letter, -0.01),)) for letter in text)
        return Completion(text, "stop", tokens, Usage(100, 60, 10, 0.001), model=self.model, masked=True)


class Watched(Answers):
    """Answers that count the questions which have come so far as to wait, or to ask."""

    came = 0

    async def waited(self, keys: Sequence[bytes], most_s: float | None) -> None:
        """Waits."""
        self.came += 1
        await super().waited(keys, most_s)


@dataclass
class Bench:
    """A line with a memory, and what it counts."""

    line: Line
    registry: CollectorRegistry
    answers: Watched | None

    async def came(self, count: int) -> None:
        """Waits until so many questions wait or are asked."""
        await _until(lambda: self.answers is not None and self.answers.came == count)

    async def find(self, log: bytes, offset: int = 7, **headers: str) -> dict[str, Any]:
        """The data of a log's finding."""
        return dict(found(await self.line.handle(record(log, offset=offset, **headers)))["data"])

    def counted(self, name: str, **labels: str) -> float | None:
        """A metric."""
        return self.registry.get_sample_value(name, labels)


def bench(
    models: Model | Mapping[str, Model],
    pipeline: Pipeline | None = None,
    answers: bool = True,
    served: Mapping[str, Any] | None = None,
) -> Bench:
    """A line over a pipeline that reuses answers."""
    registry = CollectorRegistry()
    tiers: Mapping[str, Model] = models if isinstance(models, Mapping) else {"lite": models}
    kept = Watched(1_000_000, 60) if answers else None
    shared = Shared(
        "t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(registry), tiers=TierMetrics(registry),
        answers=kept, served=served or {},
    )  # fmt: skip
    settings = Settings(models={name: ModelSettings(urls=["http://127.0.0.1:1/v1"]) for name in tiers})
    line = app.build_line([pipeline or reusing()], settings, HOMES, tiers, shared)
    return Bench(line, registry, kept)


def step(finding: Mapping[str, Any]) -> dict[str, Any]:
    """The one step of a finding."""
    [made] = finding["steps"]
    return dict(made)


async def test_the_same_question_is_asked_once() -> None:
    """The second event has the first one's answer, for nothing, and says so; the evidence is its own."""
    model = Asked()
    made = bench(model, reusing("same"))
    first, second = await made.find(LOG, 1), await made.find(LOG, 2)
    assert len(model.requests) == 1
    assert (second["result"], second["evidence"], second["fingerprint"]) == (
        first["result"], first["evidence"], first["fingerprint"],
    )  # fmt: skip
    assert step(first)["reused"] is None
    assert step(second)["usage"] == {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0, "cost_usd": 0.0}
    assert second["usage"]["cost_usd"] == 0.0
    reused = step(second)["reused"]
    assert reused["saved"] == step(first)["usage"]
    assert not reused["alike"]
    assert step(second)["confidence"] == step(first)["confidence"]
    assert step(second)["confidence"] is not None
    assert step(second)["decided_by"] == "model"


async def test_what_was_reused_is_counted_with_what_it_saved() -> None:
    """As known answers, and not as questions."""
    made = bench(Asked())
    for offset in range(3):
        await made.find(LOG, offset)
    whose = {"tier": "lite", "pipeline": "ci_failure", "adapter": ""}
    assert made.counted("faultstream_model_reused_total", **whose, to="same") == 2
    assert made.counted("faultstream_model_answers_total", **whose, outcome="valid") == 1
    money = {"pipeline": "ci_failure", "tier": "lite"}
    assert made.counted("faultstream_cost_usd_total", **money) == 0.001
    assert made.counted("faultstream_cost_saved_usd_total", **money) == 0.002
    assert made.counted("faultstream_cost_saved_tokens_total", **money, kind="prompt") == 80


async def test_a_question_about_the_same_fault_is_asked_once() -> None:
    """What was shown beside the fault may differ, where the pipeline says so; the finding says that it did."""
    for reuse, asked in (("alike", 1), ("same", 2), ("never", 2)):
        model = Asked()
        made = bench(model, reusing(reuse))
        await made.find(b"one\ntwo\n" + LOG, 1)
        second = await made.find(b"three\nfour\n" + LOG, 2)
        assert len(model.requests) == asked, reuse
        assert (step(second)["reused"] or {"alike": None})["alike"] == (True if asked == 1 else None)


TOOK = b"$ make\nsrc/main.c:%d:5: error: the frobnicator is out of tune (after %d ms)\nmake: *** [all] Error 1\n"


async def test_times_and_places_don_t_matter() -> None:
    """A fault that moved by some lines and took longer is the same; the finding shows this log's lines."""
    model = Asked()
    made = bench(model)
    await made.find(TOOK % (12, 300), 1)
    second = await made.find(TOOK % (14, 411), 2)
    assert len(model.requests) == 1
    assert "main.c:14:5" in json.dumps(second["evidence"])
    assert "main.c:12" not in json.dumps(second)


@pytest.mark.parametrize(
    "said",
    [
        "src/main.c:12:5: the frobnicator is out of tune",
        "the frobnicator was out of tune after 300 ms",
        "the frobnicator: 300",
    ],
)
async def test_nobody_is_told_another_build_s_figures(said: str) -> None:
    """A sentence with a word that was left out of the comparison serves the very same question alone."""
    model = Asked({"summary": said})
    made = bench(model)
    await made.find(TOOK % (12, 300), 1)
    assert step(await made.find(TOOK % (14, 411), 2))["reused"] is None
    assert step(await made.find(TOOK % (12, 300), 3))["reused"] is not None
    assert len(model.requests) == 2


async def test_a_sentence_that_gave_way_to_the_log_does_so_for_everybody() -> None:
    """It is in no finding, whatever it names; each has the line of its own log."""
    model = Asked({"summary": "the frobnicator of batch 4711 is out of tune"})
    made = bench(model)
    first = await made.find(TOOK % (12, 300), 1)
    second = await made.find(b"begins with batch 4711\n$ ls\n" + TOOK % (14, 411), 2)
    assert len(model.requests) == 1
    assert "main.c:12:5" in first["result"]["summary"]
    assert "main.c:14:5" in second["result"]["summary"]


DIFFERENT = {
    "the error": (b"frobnicator", b"defrobnicator"),
    "its figure": (b"Error 1", b"Error 137"),
    "the line beside it": (b"main.c: compiling", b"other.c: compiling"),
    "a version": (b"out of tune", b"out of tune with tuner 1.2.3"),
}


@pytest.mark.parametrize(("old", "new"), DIFFERENT.values(), ids=DIFFERENT)
async def test_another_fault_is_another_question(old: bytes, new: bytes) -> None:
    """Whatever an answer may refer to is equal, or it is asked."""
    model = Asked()
    made = bench(model)
    await made.find(LOG, 1)
    assert step(await made.find(LOG.replace(old, new), 2))["reused"] is None
    assert len(model.requests) == 2


async def test_alike_ends_at_the_scope() -> None:
    """What differs in anything else is another repository's own; the same text is the same question everywhere."""
    model = Asked()
    made = bench(model)
    await made.find(b"one\ntwo\n" + LOG, 1, repo="acme/web")
    assert step(await made.find(b"three\nfour\n" + LOG, 2, repo="acme/api"))["reused"] is None
    assert step(await made.find(b"one\ntwo\n" + LOG, 3, repo="acme/shop"))["reused"] is not None


async def test_a_server_that_has_no_room_answers_for_that_question_alone() -> None:
    """What it was not shown was compared: one that is alike is asked. The finding says what its own prompt had."""

    class Small(Asked):
        async def complete(self, request: ChatRequest) -> Completion:
            if len(request.messages[-1].content.split("|")) > 6:
                raise Rejected("prompt_too_long")
            return await super().complete(request)

    model = Small()
    made = bench(model)
    first = await made.find(b"one\ntwo\nthree\nfour\n" + LOG, 1)
    assert step(await made.find(b"five\nsix\nseven\neight\n" + LOG, 2))["reused"] is None
    again = await made.find(b"one\ntwo\nthree\nfour\n" + LOG, 3)
    assert step(first)["shrunk"] is not None
    assert step(again)["shrunk"] == step(first)["shrunk"]
    assert step(again)["reused"] is not None


async def test_versions_of_an_adapter_don_t_share() -> None:
    """A candidate on a share of the events is asked for itself, and so is what is served after it."""
    version = {"now": "1"}
    tuned = replace(reusing(), model=CI_FAILURE.model.model_copy(update={"adapter": "ci", "reuse": "alike"}))

    class Named(Asked):
        async def complete(self, request: ChatRequest) -> Completion:
            return replace(await super().complete(request), model=request.model or "")

    model = Named()
    made = bench(model, tuned, served={"lite": lambda name, _: f"{name}@{version['now']}"})
    for now in "121":
        version["now"] = now
        assert step(await made.find(LOG, int(now)))["adapter"] == f"ci@{now}"
    assert [request.model for request in model.requests] == ["ci@1", "ci@2"]


async def test_an_answer_of_the_base_in_an_adapter_s_place_is_not_kept() -> None:
    """The server may have the adapter the next time."""
    tuned = replace(reusing(), model=CI_FAILURE.model.model_copy(update={"adapter": "ci", "reuse": "alike"}))

    class Base(Asked):
        async def complete(self, request: ChatRequest) -> Completion:
            return replace(await super().complete(request), base=True)

    model = Base()
    made = bench(model, tuned)
    for offset in range(2):
        await made.find(LOG, offset)
    assert len(model.requests) == 2


async def test_what_came_after_a_restart_may_be_another_model() -> None:
    """So it is asked again."""
    model = Asked()
    made = bench(model)
    await made.find(LOG, 1)
    model.restarts += 1
    await made.find(LOG, 2)
    await made.find(LOG, 3)
    assert len(model.requests) == 2


async def test_a_repaired_answer_is_not_kept() -> None:
    """Nor is what was wrong: the next event is asked about in full."""
    model = Asked(texts=["nonsense"])
    made = bench(model)
    for offset in range(2):
        assert step(await made.find(LOG, offset))["reused"] is None
    assert len(model.requests) == 3
    assert step(await made.find(LOG, 3))["reused"] is not None


async def test_dead_letters_are_not_kept() -> None:
    """An event whose answers can't be used says nothing of the next one."""
    model = Asked(texts=["nonsense", "nonsense"])
    made = bench(model)
    assert letter(await made.line.handle(record(LOG, offset=1)))["fs-reason"] == "invalid_output"
    assert step(await made.find(LOG, 2))["reused"] is None


async def test_who_comes_while_it_is_asked_waits() -> None:
    """Forty events at once, one question; each has its own finding."""
    gate = asyncio.Event()
    model = Asked(gate=gate)
    made = bench(model)
    tasks = [asyncio.create_task(made.find(LOG, offset)) for offset in range(40)]
    await made.came(40)
    gate.set()
    findings = await asyncio.gather(*tasks)
    assert len(model.requests) == 1
    assert sum(step(each)["reused"] is None for each in findings) == 1
    assert len({each["event"]["offset"] for each in findings}) == 40


async def test_nobody_fails_for_another_one_s_failure() -> None:
    """The one that asks fails; those who waited ask for themselves, and one answer serves who comes after them."""
    gate = asyncio.Event()
    model = Asked(gate=gate, faults=[Retryable("connection refused")])
    made = bench(model)
    tasks = [asyncio.create_task(made.find(LOG, offset)) for offset in range(3)]
    await made.came(3)
    gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, Retryable) for each in outcomes) == 1
    assert len(model.requests) in (2, 3)  # the last one may find what the other one has just been told
    assert step(await made.find(LOG, 9))["reused"] is not None


async def test_one_that_is_given_up_holds_up_nobody() -> None:
    """The task of the one that asked ends in the middle: the other one asks."""
    model = Asked(gate=asyncio.Event())
    made = bench(model)
    first, second = (asyncio.create_task(made.find(LOG, offset)) for offset in range(2))
    await made.came(2)
    first.cancel()
    await _until(lambda: len(model.requests) == 2)
    assert model.gate is not None
    model.gate.set()
    assert step(await second)["reused"] is None


async def test_a_question_that_had_no_answer_to_keep_is_not_waited_for() -> None:
    """Invalid once: the next ones ask side by side."""
    model = Asked(texts=["nonsense", "nonsense"])
    made = bench(model)
    await made.line.handle(record(LOG, offset=1))
    model.gate = asyncio.Event()
    tasks = [asyncio.create_task(made.find(LOG, offset)) for offset in range(2, 4)]
    await _until(lambda: len(model.requests) == 4)
    model.gate.set()
    await asyncio.gather(*tasks)


async def test_an_event_with_little_time_asks_for_itself() -> None:
    """It waits for another one's answer for half of its time."""
    pipeline = reusing()
    pipeline = replace(pipeline, model=pipeline.model.model_copy(update={"within": 0.1}))
    model = Asked(gate=asyncio.Event())
    made = bench(model, pipeline)
    tasks = [asyncio.create_task(made.find(LOG, offset)) for offset in range(2)]
    await _until(lambda: len(model.requests) == 2)
    assert model.gate is not None
    model.gate.set()
    await asyncio.gather(*tasks)


async def test_unsure_answers_go_up_as_before_and_both_are_known_then() -> None:
    """The larger model's answer is its own question's, and is not asked for again either."""
    lite, pro = Asked(model="sure 0.4"), Asked({"severity": "minor"}, model="sure 0.9")
    made = bench({"lite": lite, "pro": pro}, escalating())
    lane = made.line.lanes["ci_failure"]
    check = Calibrated(lane.pipeline.schema, lane.pipeline.questions)
    assert lane.judge.escalation is not None
    assert lane.judge.escalation.larger is not None
    larger = replace(lane.judge.escalation.larger, ask=replace(lane.judge.escalation.larger.ask, check=check))
    judge = replace(
        lane.judge, ask=replace(lane.judge.ask, check=check), escalation=replace(lane.judge.escalation, larger=larger)
    )
    made.line = replace(made.line, lanes={"ci_failure": replace(lane, judge=judge)})
    first, second = [await made.find(LOG, offset) for offset in range(2)]
    assert [each["tier"] for each in first["steps"]] == [each["tier"] for each in second["steps"]] == ["lite", "pro"]
    assert first["result"] == second["result"]
    assert second["usage"]["prompt_tokens"] == 0
    assert (len(lite.requests), len(pro.requests)) == (1, 1)


async def test_over_http_a_broken_branch_s_builds_cost_one_request() -> None:
    """Thirty builds, one request; after the server was away and back, another one."""
    async with FakeModelServer() as server:
        settings = ModelSettings(urls=[server.url], probe_s=0.05)
        async with ModelClient(settings) as client:
            made = bench(client)
            await asyncio.gather(*(made.find(b"a %d\nb\n" % n + LOG, n) for n in range(30)))
            assert len(server.asked) == 1
            restarts, port = client.restarts, int(server.url.split(":")[2].removesuffix("/v1"))
            await server.stop()
            await _until(lambda: not client.healthy)
            await server.start(port)
            await _until(lambda: client.restarts > restarts and client.healthy)
            await made.find(LOG, 31)
            assert len(server.asked) == 2


async def test_without_a_memory_every_event_asks() -> None:
    """`limits.answers_bytes: 0`."""
    model = Asked()
    made = bench(model, answers=False)
    for offset in range(2):
        assert step(await made.find(LOG, offset))["reused"] is None
    assert len(model.requests) == 2


def known(text: str = "{}") -> Known:
    """An answer."""
    return Known(Completion(text, "stop"), NEW, "f")


def test_answers_are_forgotten_by_age() -> None:
    """Counted from when they were given, however often they are used."""
    now = [0.0]
    answers = Answers(10_000, 60, clock=lambda: now[0])
    answers.keep(b"a", known())
    now[0] = 59
    assert answers.find(b"a") == (True, known())
    now[0] = 60
    assert answers.find(b"a") == (False, None)


def test_answers_are_bounded_by_bytes() -> None:
    """Those that were used longest ago go first; one that is too large is not kept."""
    answers = Answers(3 * known().size, 60)
    for key in (b"a", b"b", b"c"):
        answers.keep(key, known())
    answers.find(b"a")
    answers.keep(b"d", known())
    assert [answers.find(key)[0] for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    answers.keep(b"e", known("x" * 10_000))
    assert not any(answers.find(key)[0] for key in (b"a", b"c", b"d", b"e"))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  others' progress has no event
            await asyncio.sleep(0.001)
