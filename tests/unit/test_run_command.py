"""`faultstream run`: what stands between the command line and the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from typer.testing import CliRunner

from processor import app
from processor.cli import app as program
from processor.errors import ConfigError, Fatal


def test_a_second_signal_aborts_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with a traceback; the exit code says that it did not end well."""

    async def stubborn(_settings: Any, _homes: Any, _roles: Any, stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr(app, "run", stubborn)
    told = CliRunner().invoke(program, ["run"])
    assert isinstance(told.exception, Fatal)
    assert not isinstance(told.exception, ConfigError)
    assert "second signal" in str(told.exception)


def test_the_ticket_role_needs_jira_before_anything_starts() -> None:
    """Told at once, and not when Kafka is reached."""
    told = CliRunner().invoke(program, ["run", "--role", "tickets"])
    assert isinstance(told.exception, ConfigError)
    assert "jira.url" in str(told.exception)
