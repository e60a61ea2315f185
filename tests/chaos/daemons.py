"""Daemons as processes that are killed, frozen and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_S = 45

POISONED = "poisoned"
"""File that a daemon leaves that is killed by what it works on."""

PAUSED = "paused"
"""File with a line for each partition that waits, or has waited, between the two steps of being taken."""


class Daemon:
    """One daemon, kept alive while it is wanted. `fell`: how processes ended that nobody had killed."""

    def __init__(self, slot: int, folder: Path, command: Sequence[object]) -> None:
        self.slot = slot
        self.folder = folder
        self.lock = asyncio.Lock()  # one fault at a time
        self.fell: list[str] = []
        self._command = [str(word) for word in command]
        self._wanted = asyncio.Event()
        self._spawning = asyncio.Lock()
        self._hit: set[int] = set()  # processes whose end is no surprise
        self._poisoned: set[int] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper = asyncio.create_task(self._keep(), name=f"keeper-{slot}")

    @property
    def log(self) -> Path:
        """What it writes."""
        return self.folder / "log"

    def told(self, action: str) -> int:
        """How many lines of such an action this process and its predecessors have logged."""
        return sum(line.get("action") == action for line in self._lines())

    @property
    def share(self) -> int:
        """How many partitions were assigned to it last; 0 for a process that has none yet."""
        shares = 0
        for line in self._lines():
            if line.get("action") == "started":
                shares = 0
            if line.get("action") in {"assigned", "revoked"}:
                shares = len(line["partitions"]) if line["action"] == "assigned" else 0
        return shares

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self.log.exists():
            for text in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
                if text.startswith("{"):
                    with suppress(ValueError):
                        yield json.loads(text)

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.returncode is None

    async def _keep(self) -> None:
        env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        while True:
            await self._wanted.wait()
            async with self._spawning:
                with self.log.open("ab") as log:
                    log.write(b'{"action": "started"}\n')
                    log.flush()
                    self._process = process = await asyncio.create_subprocess_exec(
                        *self._command, stdout=log, stderr=log, env=env, cwd=CHECKOUT
                    )
            code = await process.wait()
            if not self._by_poison(process.pid) and process.pid not in self._hit:
                self._fell(f"ended by itself with {code}")
                await asyncio.sleep(0.5)

    def _by_poison(self, pid: int) -> bool:
        """Whether the process that has ended has taken poison, maybe in the moment that it was told to end."""
        file = self.folder / POISONED
        if file.exists():
            file.unlink()
            self._poisoned.add(pid)
        return pid in self._poisoned

    def _fell(self, how: str) -> None:
        self.fell.append(f"{time.strftime('%H:%M:%S')} daemon {self.slot} {how}")

    def start(self) -> None:
        """Has it run, now and whenever it ends."""
        self._wanted.set()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill -9."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> None:
        """SIGTERM; one that does not end within a bound counts as fallen, and is killed."""
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            self._fell(f"did not end within {ENDS_WITHIN_S} s of SIGTERM")
            await self.kill()

    async def _end(self, number: signal.Signals) -> None:
        self._wanted.clear()
        async with self._spawning:
            process = self._process
        if process is not None and process.returncode is None:
            self._hit.add(process.pid)
            self._signal(number)
            code = await process.wait()
            if number == signal.SIGTERM and code not in (0, -signal.SIGTERM) and not self._by_poison(process.pid):
                self._fell(f"ended with {code} after SIGTERM")

    def freeze(self) -> None:
        """Stops it where it is."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    @property
    def frozen(self) -> bool:
        """Whether it is stopped."""
        if self._process is None:
            return False
        try:
            told = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return told.rpartition(")")[2].split()[0] == "T"

    async def caught(self, timeout_s: float = 30, *, last: bool = False, early: bool = False) -> bool:
        """Aims at it, and waits until it has stopped itself in mid-delivery; False if it did not come to that.

        With `last` it dies after that delivery, when it is woken up; with `early` none of its offsets are sent yet.
        """
        aim = self.folder / "aim"
        aim.write_text("last" if last else "early" if early else "", encoding="utf-8")
        if last and self._process is not None:
            self._wanted.clear()
            self._hit.add(self._process.pid)
        began = time.monotonic()
        while not self.frozen:
            if time.monotonic() - began > timeout_s:
                aim.unlink(missing_ok=True)
                return self.frozen
            await asyncio.sleep(0.02)
        return True

    @property
    def paused(self) -> int:
        """How many partitions have waited between the two steps of being taken, so far."""
        told = self.folder / PAUSED
        return len(told.read_text(encoding="utf-8").splitlines()) if told.exists() else 0

    def switch(self, name: str, text: str | None) -> None:
        """Sets a switch (see tests.chaos.hooks), or takes it away."""
        if text is None:
            (self.folder / name).unlink(missing_ok=True)
        else:
            (self.folder / name).write_text(text, encoding="utf-8")

    async def close(self) -> None:
        """Ends it for good."""
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        self._signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()
