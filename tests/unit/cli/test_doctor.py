"""`faultstream doctor`: what it writes where; what it finds is tried against real servers elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from processor.cli import app, doctor, options
from processor.cli.looked import Finding


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    async def look(*_: Any) -> list[Finding]:
        return [Finding("kafka", False, "nobody listens")]

    monkeypatch.setattr(doctor, "_look", look)
    yield
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)


def test_a_pipe_gets_json_unless_text_is_asked_for() -> None:
    """As people pipe it into a pager, or read it in the log of a job. What is wrong is the exit code in any case."""
    piped, text = CliRunner().invoke(app, ["doctor"]), CliRunner().invoke(app, ["doctor", "--text"])
    assert [piped.exit_code, text.exit_code] == [1, 1]
    assert orjson.loads(piped.stdout)[-1]["text"] == "nobody listens"
    assert [line.split() for line in text.stdout.splitlines()][-1] == ["!!", "kafka", "nobody", "listens"]


def test_the_kafka_client_does_not_say_it_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Its lines would stand before what the command finds."""
    options.quiet_logs("error")
    logging.getLogger("aiokafka").error("Unable connect")
    logging.getLogger("processor").error("ours")
    said = capsys.readouterr().err
    assert "ours" in said
    assert "Unable connect" not in said
