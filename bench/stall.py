"""How long the event loop waits at worst while large logs pass through the stages that read them.

The loop serves Kafka, the model servers and `/healthz`: what it waits for, all of them wait for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from processor.contract import Event, Origin, Record
from processor.lifecycle import settle
from processor.logs.redact import redactor
from processor.logs.reduce import warm
from processor.stages.redact import Redact
from processor.stages.reduce import Reduce

_TICK_S = 0.001


async def _ticks(worst: list[float]) -> None:
    """Asks for a turn each millisecond; notes how much later than asked it came, in milliseconds."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(_TICK_S)
        worst.append((time.perf_counter() - asked - _TICK_S) * 1000)


async def _pass(logs: Sequence[bytes]) -> list[float]:
    redact, reduce = Redact(redactor()), Reduce(1000)

    async def one(log: bytes) -> None:
        event = Event(Origin("bench", "logs", 0, 0), Record("logs", 0, 0, None, None), {}, log)
        _, session = redact(event)
        await reduce(log, session)

    late: list[float] = []
    ticker = asyncio.create_task(_ticks(late))
    await asyncio.gather(*(one(log) for log in logs))
    ticker.cancel()
    return late


def measure(samples: Sequence[bytes], count: int = 10, size: int = 20_000_000, rounds: int = 3) -> dict[str, float]:
    """`loop_stall_ms`: the loop's longest wait while `count` logs of `size` bytes, made of samples, pass at once.

    Of several rounds the best: what else the machine does can only add to a wait. `loop_stall_idle_ms` is what it
    adds to a loop that has nothing else to do.
    """
    whole = b"".join(samples)
    whole *= size // len(whole) + 1
    logs = [bytes(whole[at * 4099 : at * 4099 + size]) for at in range(count)]
    warm()
    redactor().redact(b"x")
    settle()  # as the daemon does when it has started
    late = min((sorted(asyncio.run(_pass(logs))) for _ in range(rounds)), key=lambda one: one[-1])
    return {
        "loop_stall_ms": late[-1],
        "loop_stall_p99_ms": late[len(late) * 99 // 100],
        "loop_stall_idle_ms": max(asyncio.run(_idle())),
    }


async def _idle() -> list[float]:
    late: list[float] = []
    ticker = asyncio.create_task(_ticks(late))
    await asyncio.sleep(3)
    ticker.cancel()
    return late


if __name__ == "__main__":
    print(measure([path.read_bytes() for path in sorted(Path("pipelines/ci_failure/samples").glob("*.log"))]))
