"""Lines of builds, a plan for them, and a clock that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import pytest

from processor.assemble.plan import Plan
from processor.contract import Outbound, Record
from processor.sources.decode import DecodeConfig, Decoder
from processor.sources.providers import Providers


def plan(**changes: Any) -> Plan:
    """Raw lines with the header run_id; `END` is the last one."""
    config = changes.pop("decode", DecodeConfig("log"))
    values: dict[str, Any] = {"end": "^END$", "passed": "^PASSED$", "idle_s": 60.0, "max_age_s": 600.0, **changes}
    return Plan.of(Decoder(config, Providers(()), "group"), values.pop("key", ["run_id"]), **values)


def line(offset: int, run: str, text: str, at_s: float = 0.0) -> Record:
    """A line of a build."""
    return Record("in", 0, offset, None, text.encode(), (("run_id", run.encode()),), int(at_s * 1000))


def sent(run: str, text: str, partition: int = 0) -> Outbound:
    """The same, to be produced."""
    return Outbound("in", None, text.encode(), (("run_id", run.encode()),), partition)


def cri(tag: str, text: str, stream: str = "stdout") -> str:
    """A line as container runtimes write it: tag F, or P where more of it is to come."""
    return f"2026-01-01T00:00:00.123456789Z {stream} {tag} {text}"


def texts(records: Collection[Record]) -> list[str]:
    """The logs' text."""
    return [(each.value or b"").decode() for each in records]


class Clock:
    """Monotonic seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class _Quick(asyncio.SelectorEventLoop):
    """Its clock goes on by what would be waited for, and stands still while something works."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1_000.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def at_once(timeout: float | None = None) -> Any:
            self._now += timeout or 0.0
            return select(None if timeout is None else 0)

        selector.select = at_once

    def time(self) -> float:
        """Seconds."""
        return self._now


def run_quickly(work: Coroutine[Any, Any, None]) -> None:
    """Runs it in its own time: a machine that is busy with other things makes no wait too short."""
    with asyncio.Runner(loop_factory=_Quick) as runner:
        runner.run(work)


@pytest.fixture
def clock() -> Callable[[], float]:
    """A clock that stands still."""
    return Clock()
