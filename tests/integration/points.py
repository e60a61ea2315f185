"""Processes that kill or freeze themselves at named points of a protocol, and their lives.

They are forked from a process that has imported all that they need, so that a life begins at once.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.integration.tickets_decide_process", "tests.integration.tickets_process"])
PATIENCE_S = 100.0


class Points:
    """`fault` is an action (kill, stop) and the point at which it comes, the first time; empty for none."""

    def __init__(self, fault: str = "") -> None:
        action, _, self.wanted = fault.partition(" ")
        self._signal = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}.get(action)

    def reach(self, point: str) -> None:
        """Here it is."""
        if self._signal is not None and point == self.wanted:
            number, self._signal = self._signal, None
            os.kill(os.getpid(), number)


def started(program: Callable[..., None], *words: str) -> ForkServerProcess:
    """The program, running; it does not outlive this process."""
    process = FORKS.Process(target=program, args=words, daemon=True)
    process.start()
    return process


async def ended(process: ForkServerProcess) -> int | None:
    """What it ends with; None if it does not, and is killed then."""
    await asyncio.to_thread(process.join, PATIENCE_S)
    code = process.exitcode
    process.kill()
    return code
