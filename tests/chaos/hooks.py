"""What the chaos tests do to a daemon from within its process; the product knows nothing of it.

Switches are files in the daemon's folder:

- `clock`: seconds that the wall clock is off.
- `aim`: the next delivery stops its process (SIGSTOP) after its offsets were sent and before it commits, and takes the
  file away. If that says `last`, it kills its process (SIGKILL) once it has committed or failed to. With `early` it is
  stopped before its offsets are sent, which whoever takes over would else have to wait for.
- `pause`: while it is there, who takes a partition waits between the two steps of that; `paused` has a line for each.
- `slow`, `hang`: seconds that each event takes longer; every event waits until the file is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from tests.chaos.daemons import PAUSED


class Switches:
    """The files, looked at no more often than every 50 ms each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[float, str | None]] = {}

    def read(self, name: str) -> str | None:
        """What a file holds, None where there is none."""
        at, text = self._seen.get(name, (0.0, None))
        now = time.monotonic()
        if now - at > 0.05:
            try:
                text = (self._folder / name).read_text(encoding="utf-8")
            except FileNotFoundError:
                text = None
            self._seen[name] = (now, text)
        return text

    async def obstruct(self) -> None:
        """Makes an event take as long as it is told."""
        slow = self.read("slow")
        if slow:
            await asyncio.sleep(float(slow))
        while self.read("hang") is not None:  # noqa: ASYNC110 (a file tells nobody)
            await asyncio.sleep(0.05)

    async def pause(self) -> None:
        """Waits between the two steps of taking a partition, as long as it is told to."""
        if self.read("pause") is None:
            return
        with (self._folder / PAUSED).open("a", encoding="utf-8") as told:
            told.write("waits\n")
        while self.read("pause") is not None:  # noqa: ASYNC110 (a file tells nobody)
            await asyncio.sleep(0.05)

    def stop_if_aimed_at(self, *, early: bool = False) -> bool:
        """Stops this process, once; True if it shall die afterwards."""
        aim = self.read("aim")
        if aim is not None and (aim == "early") is early:
            (self._folder / "aim").unlink(missing_ok=True)
            self._seen.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        return aim == "last"

    def install(self, between: tuple[type[Any], str] = (AIOKafkaProducer, "commit_transaction")) -> None:
        """Shifts the wall clock; the method `between` of a class first stops the process, where it is aimed at."""
        true = time.time
        time.time = lambda: true() + float(self.read("clock") or 0)
        owner, name = between
        method: Callable[..., Any] = getattr(owner, name)

        async def aimed(this: Any, *arguments: Any, **named: Any) -> Any:
            last = _has_outputs(this) and self.stop_if_aimed_at()
            try:
                return await method(this, *arguments, **named)
            finally:
                if last:
                    os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, aimed)
        send_offsets = AIOKafkaProducer.send_offsets_to_transaction

        async def aimed_early(this: AIOKafkaProducer, *arguments: Any) -> None:
            if this._txn_manager._pending_txn_partitions or _has_outputs(this):
                self.stop_if_aimed_at(early=True)
            await send_offsets(this, *arguments)

        AIOKafkaProducer.send_offsets_to_transaction = aimed_early


def _has_outputs(this: object) -> bool:
    """Whether a transaction has written to topics; one that only notes something down is no delivery."""
    return not isinstance(this, AIOKafkaProducer) or bool(this._txn_manager._txn_partitions)
