"""Past lines become logs, and each of these is sent once: whatever the span of time, wherever it was interrupted."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.assemble import Plan as LinePlan
from processor.contract import ASSEMBLED_HEADER, Record
from processor.home import Homes
from processor.pipeline import Pipeline
from processor.pipeline.document import Assemble
from processor.pipeline.load import decode_config
from processor.resend.backfill import Backfill, Counts, Lines, Plan
from processor.resend.sender import Pace
from processor.sources.decode import Decoder
from processor.sources.providers import Providers
from processor.testing.broker import MemoryBroker
from processor.testing.history import MemoryHistory
from tests.unit.memory_sender import memory_sender

HOMES = Homes.of(environ={})
WHOLE = Pipeline.load(HOMES.pipelines()["ci_failure"], HOMES)
IDLE_S, AGE_S = 30, 100
HOW = Assemble.model_validate(
    {"key": ["run_id"], "end": "^END$", "passed": "^PASSED$", "idle": f"{IDLE_S}s", "max_age": f"{AGE_S}s"}
)
PIPELINE = replace(WHOLE, source=WHOLE.source.model_copy(update={"assemble": HOW}))
TOPIC = PIPELINE.topics[0]
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
Row = tuple[float, str, str]
"""Seconds after the beginning, run, text."""


def filled(rows: list[Row], partitions: int = 1) -> MemoryBroker:
    """A broker on whose topic these lines lie."""
    broker = MemoryBroker()
    broker.create(TOPIC, partitions)
    for at, run, text in rows:
        log = broker._logs(TOPIC)[len(run) % partitions]
        ms = int((BEGIN.timestamp() + at) * 1000)
        headers = (("run_id", run.encode()),) if run else ()
        log.append(Record(TOPIC, len(run) % partitions, len(log), None, text.encode(), headers, ms))
    return broker


def backfill(broker: MemoryBroker, plan: Plan, most_bytes: int = 10_000_000) -> Backfill:
    """One that has not begun."""
    lines = LinePlan.of(
        Decoder(decode_config(PIPELINE.source), Providers(()), "t.line"),
        ["run_id"], HOW.end, HOW.passed, idle_s=IDLE_S, max_age_s=AGE_S,
    )  # fmt: skip
    decoder = Decoder(PIPELINE.decode, Providers(()), "t.line")
    return Backfill(MemoryHistory(broker), "t", PIPELINE, decoder, plan, Lines(lines, most_bytes))


def run(broker: MemoryBroker, one: Backfill, *, batches: int = 1_000_000, batch: int = 200) -> Counts:
    """Runs it, or so many batches of it."""
    stop, left = asyncio.Event(), batches

    def tell(_: Counts) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            stop.set()

    asyncio.run(one.run(memory_sender(broker, f"t.{one.name}"), Pace(1e9, batch), stop, tell))
    return one.counts


def sent(broker: MemoryBroker) -> list[str]:
    """What was sent to the pipeline."""
    return [(each.value or b"").decode() for each in broker.records("t.retry.ci_failure")]


@st.composite
def builds(draw: st.DrawFn) -> tuple[list[Row], list[tuple[str, float]]]:
    """Lines of builds, interleaved, by time; and the logs that they make, with the time of the first line of each."""
    rows: list[Row] = []
    logs: list[tuple[str, float]] = []
    for number in range(draw(st.integers(0, 8))):
        at, gaps = draw(st.integers(0, 400)), draw(st.lists(st.integers(0, 33), max_size=3))
        texts = [f"run {number} line {n}" for n in range(len(gaps) + 1)]
        if draw(st.booleans()):
            texts[-1] = "END"
        log, begun = [texts[0]], at
        rows.append((at, "r" * (number + 1), texts[0]))
        for gap, text in zip(gaps, texts[1:], strict=True):
            at += gap
            rows.append((at, "r" * (number + 1), text))
            if gap >= IDLE_S:
                logs.append(("\n".join(log), begun))
                log, begun = [], at
            log.append(text)
        logs.append(("\n".join(log), begun))
    return sorted(rows, key=lambda row: row[0]), logs


@settings(max_examples=80, deadline=None)
@given(past=builds(), times=st.lists(st.integers(0, 420), min_size=2, max_size=2), data=st.data())
def test_each_log_is_in_one_span(
    past: tuple[list[Row], list[tuple[str, float]]], times: list[int], data: st.DataObject
) -> None:
    """Spans that follow each other, each interrupted at any places: a log is where its first line is, and whole."""
    rows, logs = past
    broker = filled(rows, data.draw(st.integers(1, 2), "partitions"))
    spans = [*zip([0, *sorted(times)], [*sorted(times), None], strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("processor.resend.backfill.LINES", 2)
        for start, end in spans:
            before = len(sent(broker))
            plan = Plan(BEGIN + timedelta(seconds=start), BEGIN + timedelta(seconds=end) if end is not None else None)
            for batches in [*data.draw(st.lists(st.integers(1, 4), max_size=3), "batches"), 1_000_000]:
                run(broker, backfill(broker, plan), batches=batches, batch=2)
            wanted = [log for log, at in logs if start <= at and (end is None or at < end)]
            assert Counter(sent(broker)[before:]) == Counter(wanted)
            again = run(broker, backfill(broker, plan))
            assert again.read == 0
            assert again.kinds == {}


def told(broker: MemoryBroker) -> list[tuple[int, str]]:
    """Of what was sent: where its first line lies by its origin, and how it ended."""
    headers = [dict(each.headers) for each in broker.records("t.retry.ci_failure")]
    return [(orjson.loads(h["fs-origin"])[3], orjson.loads(h[ASSEMBLED_HEADER])["ended_by"]) for h in headers]


def test_a_log_keeps_its_id_and_says_how_it_ended() -> None:
    """It goes back as one event, of the position of its first line; a passed one is not wanted, as on the topic."""
    rows: list[Row] = [(0, "a", "1"), (1, "b", "2"), (2, "a", "END"), (3, "c", "PASSED"), (4, "d", "silent")]
    broker = filled([*rows, (5, "", "whose?"), (6, "b", "END"), (7, "b", "late")])
    counts = run(broker, backfill(broker, Plan(BEGIN, tickets=False)))
    assert counts.said() == {"there": 8, "before": 0, "kinds": {"sent": 3, "not wanted": 1, "rejected": 2}}
    assert counts.read == 8
    assert told(broker) == [(0, "end"), (1, "end"), (4, "idle")]
    assert {dict(each.headers)["fs-no-tickets"] for each in broker.records("t.retry.ci_failure")} == {b"1"}
    reasons = {dict(each.headers)["fs-reason"] for each in broker.records("t.dead-letters")}
    assert reasons == {b"no_log_key", b"late_lines"}


def test_what_is_open_now_is_left_to_the_line() -> None:
    """And said; once done, it stays so, even though the rest of that log has come."""
    ago = time.time() - BEGIN.timestamp()
    broker = filled([(ago - 40, "a", "1"), (ago - 39, "b", "1"), (ago - 38, "b", "END"), (ago - 5, "c", "1")])
    assert run(broker, backfill(broker, Plan(BEGIN))).kinds == {"sent": 2, "open": 1}
    broker._logs(TOPIC)[0].append(replace(broker.records(TOPIC)[-1], offset=4, value=b"END"))
    assert run(broker, backfill(broker, Plan(BEGIN))).kinds == {}
    assert told(broker) == [(1, "end"), (0, "idle")]


def test_an_end_that_lies_close_is_awaited_by_the_next_try() -> None:
    """A log that begins before --until and has not ended yet is sent when the same command is given again."""
    ago = time.time() - BEGIN.timestamp()
    broker = filled([(ago - 30, "a", "1"), (ago - 5, "a", "2"), (ago - 4, "b", "1"), (ago - 3, "b", "END")])
    plan = Plan(BEGIN, BEGIN + timedelta(seconds=ago - 10))
    assert run(broker, backfill(broker, plan)).kinds == {"open": 1}
    broker._logs(TOPIC)[0].append(replace(broker.records(TOPIC)[0], offset=4, value=b"END"))
    assert run(broker, backfill(broker, plan)).kinds == {"sent": 1}
    assert run(broker, backfill(broker, plan)).kinds == {}
    assert sent(broker) == ["1\n2\nEND"]


@pytest.mark.parametrize("partitions", [1, 2])
def test_open_logs_are_bounded(partitions: int) -> None:
    """The one that was silent longest makes room."""
    size = 100_000
    rows: list[Row] = [(n / 100, "r" * (n + 1), "x" * size) for n in range(20)]
    broker = filled(rows, partitions)
    one = backfill(broker, Plan(BEGIN), most_bytes=5 * size)
    assert run(broker, one).kinds == {"sent": 20}
    assert sorted(how for _, how in told(broker))[:14] == ["crowded"] * 14


def test_lines_that_were_told_apart_otherwise_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What a backfill has left is read anew from the first line of an open log on."""
    broker = filled([(0, "a", "1"), (1, "b", "END"), (2, "a", "END")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("processor.resend.backfill.LINES", 2)
        run(broker, backfill(broker, Plan(BEGIN)), batches=1)
    assert sent(broker) == ["END"]
    one = backfill(broker, Plan(BEGIN))
    assert one._lines is not None
    one._lines = replace(one._lines, plan=replace(one._lines.plan, key=("run_id", "job")))
    run(broker, one)
    assert sent(broker) == ["END", "END", "1\nEND"]
    assert "told apart in another way" in capsys.readouterr().out
