"""The gate that all requests to Jira go through, against simulated limits, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from processor.testing.virtual import run
from processor.tickets.jira import Limited
from processor.tickets.jira.answers import Answer
from processor.tickets.jira.gate import Gate, Kind

ANSWER_S = 0.02


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


def gate(minute: int = 600, second: int = 20, at_once: int = 4, **more: Any) -> Gate:
    """A gate whose chance is always the middle."""
    return Gate(minute, second, at_once, wall=lambda: 0.0, chance=lambda: 0.5, **more)


class Tokens:
    """A server with a token bucket; says when to come again, in whole seconds as servers do."""

    def __init__(self, rate: float, room: float, *, tells: bool = False) -> None:
        self.rate, self.room, self.tells = rate, room, tells
        self.left, self.at = room, 0.0

    def ask(self) -> tuple[int, dict[str, str]]:
        """One request."""
        self.left, self.at = min(self.room, self.left + (now() - self.at) * self.rate), now()
        said = {}
        if self.tells:
            said = {
                "X-RateLimit-FillRate": f"{self.rate * 10:g}",
                "X-RateLimit-Interval-Seconds": "10",
                "X-RateLimit-Limit": f"{self.room:g}",
                "X-RateLimit-Remaining": f"{math.floor(max(0.0, self.left - 1))}",
            }
        if self.left < 1:
            return 429, {**said, "Retry-After": str(math.ceil((1 - self.left) / self.rate))}
        self.left -= 1
        return 200, said


class Windows:
    """A server that allows so many requests in each window of time."""

    def __init__(self, most: int, length_s: float) -> None:
        self.most, self.length_s = most, length_s
        self.window, self.used = -1, 0
        self.rate = most / length_s

    def ask(self) -> tuple[int, dict[str, str]]:
        """One request."""
        window = int(now() // self.length_s)
        if window != self.window:
            self.window, self.used = window, 0
        if self.used >= self.most:
            return 429, {"Retry-After": str(math.ceil((window + 1) * self.length_s - now()))}
        self.used += 1
        return 200, {}


async def busy(gate: Gate, ask: Callable[[], tuple[int, Mapping[str, str]]], until: float) -> dict[str, list[float]]:
    """Eight that always want to send something; when what was accepted and refused."""
    came: dict[str, list[float]] = {"accepted": [], "refused": []}

    async def one() -> None:
        while now() < until:
            try:
                async with gate.turn(Kind.COMMENT) as turn:
                    status, headers = ask()
                    await asyncio.sleep(ANSWER_S)
                    turn.heard(Answer(status, headers, b""))
                    came["accepted" if status == 200 else "refused"].append(now())
            except Limited as error:
                await asyncio.sleep(error.wait or 0)

    await asyncio.gather(*(one() for _ in range(8)))
    return came


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(lambda: Tokens(5, 1), id="5 a second, none at once"),
        pytest.param(lambda: Tokens(5, 50), id="5 a second, 50 at once"),
        pytest.param(lambda: Tokens(1, 10), id="1 a second"),
        pytest.param(lambda: Tokens(3, 6, tells=True), id="tells its rate"),
        pytest.param(lambda: Windows(5, 1), id="5 in each second"),
        pytest.param(lambda: Windows(60, 60), id="60 in each minute"),
        pytest.param(lambda: Windows(300, 60), id="300 in each minute"),
    ],
)
def test_a_server_that_allows_less_than_the_budget_is_used_to_95_percent(server: Callable[[], Any]) -> None:
    """Whatever its limit is like, without being told in the settings; and it has to refuse little."""
    there = server()
    came = run(busy(gate(), there.ask, 1800.0))
    late = [at for at in came["accepted"] if at > 600]
    assert len(late) >= 0.95 * there.rate * 1200
    assert len([at for at in came["refused"] if at > 600]) <= 0.02 * len(late) + 4
