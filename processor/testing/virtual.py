"""An event loop whose time passes in leaps: to where the next thing is due, as soon as nothing is left to do now."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at zero. Nothing that comes from outside (sockets, threads) may be awaited."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual = 0.0

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._virtual

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            scheduled = self._scheduled  # type: ignore[attr-defined]
            due = [each._when for each in scheduled if not each._cancelled]  # noqa: SLF001
            self._virtual = max([self._virtual, *([min(due)] if due else [])])
        super()._run_once()  # type: ignore[misc]


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs it in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
