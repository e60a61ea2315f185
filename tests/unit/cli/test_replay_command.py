"""What `faultstream replay` says and asks, on the broker in memory."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from processor.cli import app, options, replay, sending
from processor.cluster.topics import Found, Wanted
from processor.contract import Origin, Record
from processor.errors import ConfigError, FaultstreamError, Fenced, Retryable
from processor.resend.sender import Opening
from processor.sinks.dead_letters import dead_letter
from processor.testing.broker import MemoryBroker
from processor.testing.history import MemoryHistory
from tests.unit.cli.conftest import Program
from tests.unit.memory_sender import memory_sender

TIMES = "write it as 2026-01-31T12:00:00Z, as 2026-01-31, or as a span such as 24h or 7d"
TOPICS = ("dead-letters", "replays", "retry.ci_failure", "retry.log_router")


class Deployment:
    """The command, on letters in memory; `terminal` is whether a person looks at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        self.broker = MemoryBroker()
        self.terminal = True
        self.topics = {f"faultstream.{name}" for name in TOPICS}
        self._file = file
        monkeypatch.setattr(replay, "KafkaHistory", lambda _: MemoryHistory(self.broker))
        monkeypatch.setattr(replay, "kafka_sender", self._sender)
        monkeypatch.setattr(replay, "describe", self._describe)
        monkeypatch.setattr(options, "quiet_logs", lambda _: None)
        monkeypatch.setattr(options, "machine_readable", self._piped)

    def _piped(self, wanted: bool, text: bool = False) -> bool:
        return wanted or not (text or self.terminal)

    def _sender(self, _: object, name: str) -> Opening:
        return memory_sender(self.broker, name)

    async def _describe(self, _: object, wanted: Sequence[Wanted]) -> dict[str, Found]:
        return {topic.name: Found(1) for topic in wanted if topic.name in self.topics}

    def letter(
        self,
        reason: str = "invalid_output",
        pipeline: str = "ci_failure",
        at: int = 0,
        size: int = 1,
        time: str = "2026-11-22T10:00:00Z",
    ) -> None:
        """Puts one there."""
        record = Record("builds", 0, at, b"k", b"x" * size)
        origin = Origin("g", "builds", 0, at)
        self.broker.produce(dead_letter("faultstream", record, reason, "", pipeline, origin, time))

    def run(self, *words: str, answer: str = "") -> Result:
        """Runs it."""
        return CliRunner().invoke(app, ["replay", "--config", str(self._file), *words], input=answer)

    @property
    def sent(self) -> int:
        """How many lie on the retry topic."""
        return len(self.broker.records("faultstream.retry.ci_failure"))


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deployment:
    """Two letters of one reason, and one that has nowhere to go."""
    file = tmp_path / "faultstream.yaml"
    file.write_text("kafka: {bootstrap: 'nowhere:1'}\n")
    made = Deployment(monkeypatch, file)
    made.letter()
    made.letter(at=1)
    made.letter("empty", "")
    return made


def said(result: Result) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in result.stdout.splitlines()]


def test_without_a_choice_it_counts_alone(deployment: Deployment) -> None:
    """And says how to choose."""
    result = deployment.run()
    assert said(result)[:3] == [
        ["reason", "pipeline", "letters", "to", "send", "nowhere", "to", "go"],
        ["invalid_output", "ci_failure", "2", "2", "0"],
        ["empty", "-", "1", "0", "1"],
    ]
    assert result.stdout.splitlines()[-1].startswith("nothing sent: choose with --reason")
    assert (result.exit_code, deployment.sent) == (0, 0)


def test_it_asks_before_it_sends(deployment: Deployment) -> None:
    """No is no; --yes need not be asked; then there is nothing left, and --again is offered, and asks as well."""
    no = deployment.run("--reason", "invalid_output", answer="n\n")
    assert "Send 2 back, at most 100 a second (0:00:00)? [y/N]: n\nnothing sent\n" in no.stdout
    assert deployment.sent == 0
    assert deployment.run("--all", "--yes").stdout.splitlines()[-1] == "2 sent back"
    assert deployment.sent == 2
    assert deployment.run("--reason", "invalid_output").stdout.splitlines()[-1] == (
        "nothing to send: they were sent before; --again would send them once more"
    )
    again = deployment.run("--all", "--again", answer="y\n")
    assert "Send 2 back, 2 of them once more, which makes further findings of them, at most" in again.stdout
    assert deployment.sent == 4


@pytest.mark.parametrize("words", [("--dry-run",), ("--all", "--dry-run"), ("--reason", "invalid_output", "--dry-run")])
def test_a_dry_run_sends_nothing(deployment: Deployment, words: tuple[str, ...]) -> None:
    """Whatever is chosen, and without a question."""
    assert deployment.run(*words).stdout.splitlines()[-1] == "nothing sent"
    assert deployment.sent == 0


def test_piped_it_sends_at_once_and_writes_json(deployment: Deployment) -> None:
    """One line, and nothing else."""
    deployment.terminal = False
    row: dict[str, Any] = {"reason": "invalid_output", "pipeline": "ci_failure", "letters": 2, "nowhere_to_go": 0}
    first = {**row, "sent_before": 0, "to_send": 2}
    assert json.loads(deployment.run("--reason", "invalid_output").stdout) == {
        "letters": [first],
        "sent": 2,
        "refused": 0,
    }
    second = {**row, "sent_before": 2, "to_send": 0}
    assert json.loads(deployment.run("--reason", "invalid_output").stdout) == {
        "letters": [second],
        "sent": 0,
        "refused": 0,
    }


def test_piped_it_writes_text_where_it_is_asked_for(deployment: Deployment) -> None:
    """And still asks nobody."""
    deployment.terminal = False
    result = deployment.run("--reason", "invalid_output", "--text")
    assert said(result)[0][:2] == ["reason", "pipeline"]
    assert result.stdout.splitlines()[-1] == "2 sent back"


def test_times_may_be_spans(deployment: Deployment) -> None:
    """They reach back from now, and are told as times, by which an interrupted repeat goes on."""
    now = datetime.now(UTC)
    deployment.broker._clock = itertools.count(int(now.timestamp() * 1000))
    deployment.letter(at=5, time=(now - timedelta(hours=3)).isoformat())
    counts = {}
    for words in ("--since 2h", "--since 4h", "--since 4h --until 2h", "--since 4h --until 3h30m"):
        rows = said(deployment.run("--reason", "invalid_output", *words.split(), "--dry-run"))
        assert rows[-2][:3] == ["chosen", "by", "--since"]
        since = datetime.fromisoformat(rows[-2][3])
        assert timedelta(hours=1.9) < now - since < timedelta(hours=4.1)
        counts[words] = sum(int(row[2]) for row in rows if row[:1] == ["invalid_output"])
    assert list(counts.values()) == [0, 1, 1, 0]


def test_what_was_stopped_goes_on_by_its_times() -> None:
    """For a span given again reaches from another time."""
    start, end = datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 2, 4, tzinfo=UTC)
    assert sending.goes_on(start, end) == (
        "the same command with --since 2026-01-02T03:00:00Z --until 2026-01-02T04:00:00Z goes on with the rest"
    )
    assert sending.goes_on(None, None) == "the same command goes on with the rest"


@pytest.mark.parametrize("command", [("replay",), ("backfill", "ci_failure", "--since", "1h")])
def test_the_error_stands_alone_where_no_broker_is(command: tuple[str, ...], program: Program, tmp_path: Path) -> None:
    """No line of the client's log before it, and no JSON."""
    file = tmp_path / "faultstream.yaml"
    file.write_text("kafka: {bootstrap: '127.0.0.1:1'}\n")
    told = program(*command, "--config", file)
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert told.code == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--reason", "invalid_ouput"), "--reason: there is no reason 'invalid_ouput'; did you mean 'invalid_output'?"),
        (("--pipeline", "ci-failure"), "--pipeline: there is no pipeline 'ci-failure'; did you mean 'ci_failure'?"),
        (("--since", "yesterday"), f"--since: 'yesterday' is no time; {TIMES}"),
        (("--until", "12:00"), f"--until: '12:00' is no time; {TIMES}"),
        (("--since", "99999999w"), f"--since: '99999999w' is no time; {TIMES}"),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(
    deployment: Deployment, words: tuple[str, ...], told: str
) -> None:
    """Before anything is sent."""
    result = deployment.run(*words, "--yes")
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == told
    assert deployment.sent == 0


def test_names_that_letters_alone_have_are_known(deployment: Deployment) -> None:
    """A reason of an earlier version, a pipeline that is gone."""
    deployment.letter("invalid_answer")
    deployment.letter("invalid_answer", "gone")
    assert deployment.run("--reason", "invalid_answer", "--yes").stdout.splitlines()[-1] == "1 sent back"
    assert ["invalid_answer", "gone", "1", "0", "1"] in said(deployment.run("--pipeline", "gone"))


@pytest.mark.parametrize("missing", ["dead-letters", "replays", "retry.ci_failure"])
def test_a_missing_topic_is_named(deployment: Deployment, missing: str) -> None:
    """With what creates it."""
    deployment.topics.remove(f"faultstream.{missing}")
    result = deployment.run("--all", "--yes")
    assert (
        str(result.exception) == f"there is no topic faultstream.{missing} (topics.prefix): faultstream topics --create"
    )
    assert deployment.sent == 0


def test_without_letters(deployment: Deployment) -> None:
    """It says so."""
    assert deployment.run("--reason", "poison").stdout.splitlines() == ["no such dead letters", "nothing sent"]


def test_what_the_brokers_refuse_is_told(deployment: Deployment) -> None:
    """With what to look at."""
    deployment.letter(at=9, size=1_000)
    deployment.broker.max_bytes = 100
    last = deployment.run("--all", "--yes").stdout.splitlines()[-1]
    assert last == "2 sent back; 1 refused by the brokers: see max.message.bytes"


def test_a_topic_that_was_made_anew_is_told(deployment: Deployment) -> None:
    """What was kept does not count."""
    deployment.run("--all", "--yes")
    deployment.broker._topics["faultstream.dead-letters"] = [[]]
    deployment.letter(at=7)
    assert "the topic was made anew since" in deployment.run("--all", "--yes").stdout
    assert deployment.sent == 3


async def to_the_end(steps: Sequence[int | Exception]) -> tuple[bool, int]:
    """Sends so many at each step, or fails."""
    left, sent = list(steps), 0

    async def send(stop: asyncio.Event) -> None:
        nonlocal sent
        while left:
            step = left.pop(0)
            if isinstance(step, Exception):
                raise step
            sent += step
            if not step:
                stop.set()
                return

    return await sending.to_the_end(send, lambda: sent, sending.goes_on(None, None)), sent


async def test_brokers_that_are_away_in_the_middle_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as something was sent before, and not for ever; not at the beginning."""
    monkeypatch.setattr(sending, "WAIT_S", 0.01)
    away = Retryable("the broker is away")
    assert await to_the_end([1, away, away, 1, away, 3]) == (True, 5)
    with pytest.raises(FaultstreamError, match="the broker is away; 0 sent, the same command goes on with the rest"):
        await to_the_end([away, 1])
    monkeypatch.setattr(sending, "PATIENCE_S", 0.02)
    with pytest.raises(FaultstreamError, match="the broker is away; 2 sent, the same command"):
        await to_the_end([1, away, away, 1, away, away, away, 1])


async def test_another_one_that_takes_over_is_not_fought() -> None:
    """The earlier one ends."""
    with pytest.raises(FaultstreamError, match=r"another one has taken over: has another owner; 4 sent here"):
        await to_the_end([4, Fenced("has another owner"), 1])


async def test_a_stop_is_told() -> None:
    """It did not come to its end."""
    assert await to_the_end([2, 0, 5]) == (False, 2)
