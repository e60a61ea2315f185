"""Grammars: servers compile few of them, however many events there are, and it is counted how often they are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from processor.home import Homes
from processor.lane import Lane, Shared
from processor.logs.redact import redactor
from processor.models.chat import ChatRequest, Completion
from processor.pipeline import Pipeline
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.prompt import MOST_GRAMMARS
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel
from tests.decoder.run import event_of

HOMES = Homes.of(environ={})
CI_FAILURE = Pipeline.load(HOMES.pipelines()["ci_failure"], HOMES)
SAMPLES = sorted((Path(__file__).parents[2] / "pipelines" / "ci_failure" / "samples").glob("*.log"))


class Elsewhere:
    """A model whose answers come from the replicas in turn."""

    def __init__(self, *replicas: str) -> None:
        self._replicas, self._asked = replicas, 0

    async def complete(self, request: ChatRequest) -> Completion:
        """A valid answer."""
        answer = await StubModel().complete(request)
        replica = self._replicas[self._asked % len(self._replicas)]
        self._asked += 1
        return Completion(answer.text, "stop", replica=replica)


async def test_recorded_logs_share_a_few_grammars() -> None:
    """What the model would be asked of each, rules aside: after the first half nearly no form is new."""
    registry = CollectorRegistry()
    shared = Shared("t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(registry))
    lane = Lane.by(CI_FAILURE, Elsewhere("a"), shared)
    after: list[int] = []
    for file in SAMPLES[::4]:
        log = file.read_bytes()
        event, session = shared.redact(event_of(log))
        lane.prompt(event, lane.recognise(await lane.reduce(log, session)))
        after.append(lane.prompt.grammars)
    assert len(after) > 30
    assert after[-1] <= MOST_GRAMMARS
    assert after[-1] - after[len(after) // 2] <= 3, "a new grammar for nearly every event"


@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_it_is_counted_how_often_a_server_knows_the_grammar(replicas: int) -> None:
    """New is what a replica has not been asked before; how many a pipeline has in all is told beside that."""
    registry = CollectorRegistry()
    shared = Shared("t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(registry))
    lane = Lane.by(CI_FAILURE, Elsewhere(*"abc"[:replicas]), shared)
    log = next(file for file in SAMPLES if file.stem == "cargo-test-panic-a1").read_bytes()
    for _ in range(10):
        await lane.find(event_of(log))

    def told(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(
            f"faultstream_line_{name}", {"pipeline": "ci_failure", "tier": "lite", **labels}
        )

    assert told("guided_total", grammar="new") == replicas
    assert told("guided_total", grammar="known") == 10 - replicas
    assert told("grammars") == 1


def test_what_is_kept_in_mind_of_replicas_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas come and go for years."""
    monkeypatch.setattr("processor.telemetry._REMEMBERED", 50)
    metrics = LineMetrics(CollectorRegistry())
    for number in range(1000):
        metrics.guided("p", "lite", f"replica{number}", "root", 1)
        assert len(metrics._compiled) <= 50
