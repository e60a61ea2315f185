"""Log lines, metrics and health."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import structlog
from prometheus_client import CollectorRegistry, Counter

from processor.contract import Record
from processor.errors import ConfigError
from processor.telemetry import PIPELINE, RECORD, Health, TelemetryServer, configure_logs

SECRET = "hunter2hunter2"


@pytest.fixture
def lines() -> Iterator[Any]:
    """Logs as the daemon does; gives what was written, parsed."""
    root = logging.getLogger()
    before, level, told = list(root.handlers), root.level, structlog.get_config()
    stream = io.StringIO()
    configure_logs("info", "json", redact=lambda text: text.replace(SECRET, "[secret]"), stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers = before
    root.setLevel(level)
    structlog.configure(**told)


def test_lines_name_event_pipeline_and_offset(lines: Any) -> None:
    """Without the one who logs having to."""
    record, pipeline = RECORD.set(Record("builds", 2, 17, None, None)), PIPELINE.set("ci_failure")
    structlog.get_logger("here").warning("it waits", action="retry")
    logging.getLogger("library").warning("from a library: %s", "text")
    RECORD.reset(record)
    PIPELINE.reset(pipeline)
    structlog.get_logger("here").info("alone")
    ours, theirs, alone = lines()
    assert (ours["message"], ours["action"], ours["level"]) == ("it waits", "retry", "warning")
    assert (theirs["message"], theirs["logger"]) == ("from a library: text", "library")
    for line in (ours, theirs):
        assert (line["event"], line["offset"], line["pipeline"]) == ("builds/2/17", 17, "ci_failure")
    assert "event" not in alone


def test_no_secret_gets_into_a_line(lines: Any) -> None:
    """Neither in a message, a value, a nested one, an exception nor its traceback, nor in a library's line."""
    log = structlog.get_logger("here")
    log.warning(
        f"password {SECRET}", url=f"https://u:{SECRET}@h/", nested={"a": [SECRET.encode()]}, error=OSError(SECRET)
    )
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed with %s", SECRET)
    written = json.dumps(lines())
    assert SECRET not in written
    assert written.count("[secret]") >= 7


def test_lines_below_the_level_are_not_written(lines: Any) -> None:
    """Neither ours nor what chatty libraries say at info."""
    structlog.get_logger("here").debug("no")
    logging.getLogger("aiokafka.consumer").info("no")
    assert lines() == []


async def test_metrics_and_health_on_one_port() -> None:
    """Ready only where alive and ready checks are content; the answer says what is wrong."""
    registry, health = CollectorRegistry(), Health()
    Counter("events", "Events.", registry=registry).inc(3)
    trouble: list[str] = ["waits for Kafka"]
    health.ready["line"] = lambda: trouble[0] if trouble else None
    server = TelemetryServer("127.0.0.1", 0, registry, health)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:

            async def get(path: str) -> tuple[int, str]:
                async with session.get(path) as answer:
                    return answer.status, await answer.text()

            status, text = await get("/metrics")
            assert (status, "events_total 3.0" in text) == (200, True)
            assert (await get("/healthz"))[0] == 200
            status, text = await get("/readyz")
            assert (status, json.loads(text)["problems"]) == (503, {"line": "waits for Kafka"})
            trouble.clear()
            health.notes["pipeline tuned"] = lambda: "can't work"
            status, text = await get("/readyz")
            assert (status, json.loads(text)) == (
                200,
                {"ok": True, "problems": {}, "notes": {"pipeline tuned": "can't work"}},
            )
            health.alive["line"] = lambda: "no poll for 60 s"
            assert [(await get(path))[0] for path in ("/healthz", "/readyz")] == [503, 503]
    finally:
        await server.stop()


def test_a_library_that_repeats_itself_is_heard_seldom(lines: Any) -> None:
    """Kafka's client says many times a second that a broker is away; other libraries and other messages pass."""
    for number in range(50):
        logging.getLogger("aiokafka.conn").error("can't connect to node %s", number)
        logging.getLogger("elsewhere").warning("line %s", number)
    logging.getLogger("aiokafka.conn").error("something else")
    told = [line["message"] for line in lines()]
    assert [text for text in told if not text.startswith("line")] == ["can't connect to node 0", "something else"]
    assert len(told) == 52


async def test_a_taken_port_is_told_with_the_setting() -> None:
    """Not as a traceback of asyncio's."""
    first = TelemetryServer("127.0.0.1", 0, CollectorRegistry(), Health())
    await first.start()
    try:
        with pytest.raises(
            ConfigError, match=rf"can't listen on 127.0.0.1:{first.port}: .*; set http.host and http.port"
        ):
            await TelemetryServer("127.0.0.1", first.port, CollectorRegistry(), Health()).start()
    finally:
        await first.stop()
