"""What every test may use: the real servers, and at the end a list of what this machine left out and why."""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from aiokafka import client as library
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers.plugin", "tests.processes"]

CHECKOUT = Path(__file__).resolve().parent.parent

# Hypothesis goes by the clock, which other processes take their time from; what has to be fast is tested
# for that by the processor time that it takes.
settings.register_profile("no-clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-clock")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the checkout."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The corpora that lie beside the checkout, or in `$FAULTSTREAM_DATA`; the test is left out without them."""
    folder = Path(os.environ.get("FAULTSTREAM_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(
            "left out: the corpora of others aren't beside the checkout; FAULTSTREAM_DATA may name their folder"
        )
    return folder


@pytest.fixture(autouse=True)
def client_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the daemon creates no topics in passing ends with the test: tests' own clients may."""
    monkeypatch.setattr(library, "MetadataRequest", library.MetadataRequest)


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """How a command had things logged ends with the test: its stream is closed then, and its level is not others'."""
    before, root = structlog.get_config(), logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    structlog.configure(**before)
    root.setLevel(level)
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what was left out, once per reason, just above the closing line."""
    reasons: collections.Counter[str] = collections.Counter()
    for report in terminalreporter.stats.get("skipped", []):
        where = report.longrepr
        reason = where[2] if isinstance(where, tuple) else str(where)
        reasons[reason.removeprefix("Skipped: ").removeprefix("left out: ")] += 1
    terminalreporter.section("left out on this machine")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4d} test{'s' if count > 1 else ' '}  {reason}")
    if not reasons:
        terminalreporter.line("nothing")
